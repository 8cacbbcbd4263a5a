"""How requests of NSQ's HTTP APIs find their route, as with Go's router, and how queries are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.nsq.http_routes import EMPTY, ApiError, Elsewhere, Query, Routes, go_json, json_answer, plain_answer

ROUTES = Routes(
    {("GET", "/topics"): "topics", ("POST", "/topic/create"): "create"}
    | {(method, "/config/:name"): "config" for method in ("GET", "PUT")}
)


def test_a_route_is_found_by_method_and_path() -> None:
    assert ROUTES.find("GET", "/topics", "") == ("topics", "")
    assert ROUTES.find("PUT", "/config/log_level", "") == ("config", "log_level")


@pytest.mark.parametrize(
    ("method", "path", "query", "status", "location"),
    [
        ("GET", "/topics/", "", 301, "/topics"),
        ("GET", "/TOPICS", "x=1", 301, "/topics?x=1"),
        ("GET", "//topics", "", 301, "/topics"),
        ("GET", "/a/../topics", "", 301, "/topics"),
        ("POST", "/topic/create/", "topic=a", 307, "/topic/create?topic=a"),
        ("GET", "/CONFIG/log_level", "", 301, "/config/log_level"),
    ],
)
def test_a_path_that_is_nearly_right_is_redirected(
    method: str, path: str, query: str, status: int, location: str
) -> None:
    with pytest.raises(Elsewhere) as found:
        ROUTES.find(method, path, query)
    assert found.value.answer[0] == status
    assert dict(found.value.answer[1])["location"] == location


def test_a_redirect_has_the_page_that_go_makes_of_it() -> None:
    with pytest.raises(Elsewhere) as found:
        ROUTES.find("GET", "/topics/", "a=1&b=<")
    assert found.value.answer[2] == b'<a href="/topics?a=1&amp;b=&lt;">Moved Permanently</a>.\n\n'


def test_options_and_a_wrong_method_tell_the_methods() -> None:
    with pytest.raises(Elsewhere) as found:
        ROUTES.find("OPTIONS", "/config/log_level", "")
    assert found.value.answer == (200, (("allow", "GET, OPTIONS, PUT"),), b"")
    with pytest.raises(ApiError) as refused:
        ROUTES.find("DELETE", "/topic/create", "")
    status, headers, body = refused.value.answer()
    assert (status, body) == (405, b'{"message":"METHOD_NOT_ALLOWED"}')
    assert ("allow", "OPTIONS, POST") in headers


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/nowhere"), ("POST", "/topics/"), ("OPTIONS", "/nowhere"), ("GET", "/config/")],
)
def test_what_is_not_there_is_not_found(method: str, path: str) -> None:
    with pytest.raises(ApiError) as refused:
        ROUTES.find(method, path, "")
    assert (refused.value.status, refused.value.message) == (404, "NOT_FOUND")


def test_a_query_is_read_as_go_reads_it() -> None:
    query = Query("a=1&a=2&b=x+y%26&c&&=d")
    assert [query.get(name) for name in ("a", "b", "c", "", "none")] == ["1", "x y&", "", "d", None]
    with pytest.raises(ApiError, match="MISSING_ARG_TOPIC"):
        query.need("topic")


@pytest.mark.parametrize("text", ["a;b", "a=1;b=2", "a=%", "a=%4", "a=%zz", "%g0=1"])
def test_a_query_that_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="INVALID_REQUEST"):
        Query(text)


@given(st.text(alphabet="/abAB.:%topicsconfig", max_size=20), st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "X"]))
def test_any_path_has_an_answer(path: str, method: str) -> None:
    def status() -> int:
        try:
            ROUTES.find(method, f"/{path}", "")
        except ApiError as refused:
            return refused.answer()[0]
        except Elsewhere as elsewhere:
            return elsewhere.answer[0]
        return 200

    assert status() in (200, 301, 307, 404, 405)


def test_json_is_fit_to_stand_in_html() -> None:
    assert go_json({"a": "<&>"}) == b'{"a":"\\u003c\\u0026\\u003e"}'
    assert json_answer([])[2] == b"[]"


@pytest.mark.parametrize("query", ["", "x=true", "x=1", "x=yes", "x=", "x", "x=False", "x=true&x=false"])
def test_what_is_true_unless_it_says_otherwise(query: str) -> None:
    assert Query(query).flag("x")


@pytest.mark.parametrize("query", ["x=false", "x=0", "x=0&x=1"])
def test_and_what_says_otherwise(query: str) -> None:
    assert not Query(query).flag("x")


def test_a_text_is_answered_as_it_is() -> None:
    assert plain_answer("OK")[2] == b"OK"
    assert dict(plain_answer("OK")[1])["content-type"] == "text/plain; charset=utf-8"
    assert plain_answer("") == EMPTY
