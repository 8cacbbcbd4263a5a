"""The HTTP API of a daemon: routes, bodies, refusals, failures and what is logged."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from penstock.http.messages import Answer
from penstock.http.problems import HttpProblem
from penstock.model import limits
from penstock.model.errors import ChannelNotFound, InvalidOption, StoreFull, StoreUnavailable, TopicNotFound
from penstock.nsq.http_access import HttpAccess
from penstock.nsq.http_application import HttpApplication, Request, Route
from penstock.nsq.http_routes import EMPTY, ApiError, Routes, text_answer
from tests.unit.nsq.http_asking import Asked, ask, call, serve

LOGGER = logging.getLogger("penstock.nsqd")
TOKEN = "correct-horse-battery"
TOO_BIG = ApiError(413, "TOO_BIG")


def make(handler: Any, token: str | None = None, **options: Any) -> HttpApplication:
    """An application with one route, ``/it``, and ``/ping``, which is open to all and plain."""
    routes = {
        ("POST", "/it"): Route(handler, **options),
        ("GET", "/name/:x"): Route(_subject),
        ("GET", "/ping"): Route(handler, is_open=True, is_plain=True),
    }
    return HttpApplication(Routes[Route](routes), HttpAccess(token, own_names=None), LOGGER)


async def _subject(request: Request) -> Answer:
    return text_answer(request.subject)


async def _nothing(_request: Request) -> Answer:
    return EMPTY


def failing(error: BaseException) -> HttpApplication:
    """An application whose route fails so."""

    async def handler(_request: Request) -> Answer:
        raise error

    return make(handler)


async def _body(request: Request) -> Answer:
    return text_answer((await request.body(10, TOO_BIG)).decode())


class TestRoutes:
    def test_a_request_is_answered_by_its_route(self) -> None:
        assert call(make(_nothing), "POST", "/it").status == 200
        assert call(make(_nothing), "GET", "/name/log_level").body == b"log_level"

    def test_what_is_not_there(self) -> None:
        assert call(make(_nothing), "GET", "/nowhere").error == (404, "NOT_FOUND")
        assert call(make(_nothing), "GET", "/it").error == (405, "METHOD_NOT_ALLOWED")
        assert call(make(_nothing), "POST", "/it/").status == 307

    def test_without_the_token_not_even_that_is_told(self) -> None:
        for method, path in (("POST", "/it"), ("GET", "/nowhere"), ("GET", "/it"), ("POST", "/it/")):
            said = call(make(_nothing, TOKEN), method, path)
            assert said.error == (401, "UNAUTHORIZED")
            assert said.headers["www-authenticate"] == "Bearer"
        assert call(make(_nothing, TOKEN), "GET", "/ping").status == 200
        assert call(make(_nothing, TOKEN), "POST", "/it", authorization=f"Bearer {TOKEN}").status == 200

    def test_where_tls_is_required_every_request_is_refused(self) -> None:
        refusal = (403, (("content-type", "application/json"),), b'{"https_port":4152}')
        application = HttpApplication(Routes[Route]({}), HttpAccess(None, own_names=None), LOGGER, refusal=refusal)
        assert call(application, "GET", "/ping").json == {"https_port": 4152}

    def test_what_looks_into_the_process_is_for_this_machine(self) -> None:
        application = make(_nothing, is_debugging=True)
        assert call(application, "POST", "/it").status == 200
        assert call(application, "POST", "/it", client="10.0.0.1").error == (403, "FORBIDDEN")


class TestBodies:
    def test_they_are_read_whole(self) -> None:
        assert call(make(_body), "POST", "/it", b"hello").body == b"hello"
        parts = Asked("POST", "/it", [b"hel", b"lo"], {"transfer-encoding": "chunked"})
        assert asyncio.run(serve(make(_body), parts)).body == b"hello"
        assert call(make(_body), "POST", "/it").body == b""

    def test_one_that_is_too_big_is_refused_by_what_it_says_before_it_is_read(self) -> None:
        asked = Asked("POST", "/it", [b"x" * 8], {"content-length": "11"}, error=AssertionError("it was read"))
        with pytest.raises(AssertionError, match="was read"):
            # What is left is thrown away after the answer.
            asyncio.run(serve(make(_body), asked))
        assert [answer[0] for answer in asked.answers] == [413]

    def test_or_by_what_has_come(self) -> None:
        asked = Asked("POST", "/it", [b"x" * 8, b"x" * 8, b"more"], {"transfer-encoding": "chunked"})
        assert asyncio.run(serve(make(_body), asked)).error == (413, "TOO_BIG")
        assert asked.taken == 3, "the sender is let finish, so that it reads the answer"

    @pytest.mark.parametrize("length", ["00000000000000000000000000012", "99999999999999999999999999999999999"])
    def test_a_length_in_many_digits(self, length: str) -> None:
        assert asyncio.run(serve(make(_body), Asked("POST", "/it", [], {"content-length": length}))).error == (
            413,
            "TOO_BIG",
        )

    def test_one_that_breaks_off_is_refused(self) -> None:
        asked = Asked("POST", "/it", [b"x"], {}, error=HttpProblem("malformed-body", "The body broke off."))
        assert asyncio.run(serve(make(_body), asked)).error == (400, "MALFORMED_BODY")

    def test_together_they_take_no_more_memory_than_they_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "NSQ_HTTP_BODIES_BYTES_MAX", 12)

        async def story() -> None:
            held, go_on = asyncio.Event(), asyncio.Event()

            async def handler(request: Request) -> Answer:
                await request.body(10, TOO_BIG)
                held.set()
                await go_on.wait()
                return EMPTY

            application = make(handler)
            first = asyncio.ensure_future(ask(application, "POST", "/it", b"x" * 10))
            await held.wait()
            assert (await ask(application, "POST", "/it", b"xxx")).error == (503, "OVERLOADED")
            go_on.set()
            assert (await first).status == 200
            assert (await ask(application, "POST", "/it", b"x" * 10)).status == 200

        asyncio.run(story())


class TestLargeAnswers:
    @staticmethod
    async def _large(_request: Request) -> Answer:
        return text_answer("x" * (limits.HTTP_ANSWER_KEPT_BYTES + 1))

    def test_they_count_until_they_are_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "NSQ_HTTP_ANSWERS_BYTES_MAX", 2 * limits.HTTP_ANSWER_KEPT_BYTES)

        async def story() -> None:
            application = make(self._large)
            slow: Any = Asked("POST", "/it", slow=asyncio.get_running_loop().create_future())
            first = asyncio.ensure_future(application.serve(slow))
            await asyncio.sleep(0)
            assert slow.answers, "it is on its way"
            assert (await ask(application, "POST", "/it")).error == (503, "OVERLOADED")
            slow.slow.set_result(None)
            await first
            assert (await ask(application, "POST", "/it")).status == 200

        asyncio.run(story())

    def test_one_that_is_alone_is_sent_whatever_its_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "NSQ_HTTP_ANSWERS_BYTES_MAX", 10)
        assert call(make(self._large), "POST", "/it").status == 200

    def test_a_client_that_does_not_take_one_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "HTTP_SEND_S", 0.001)

        async def story() -> bool:
            slow: Any = Asked("POST", "/it", slow=asyncio.get_running_loop().create_future())
            await make(self._large).serve(slow)
            return bool(slow.given_up)

        assert asyncio.run(story())


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (TopicNotFound("m"), (404, "TOPIC_NOT_FOUND")),
            (ChannelNotFound("m"), (404, "CHANNEL_NOT_FOUND")),
            (InvalidOption("m", field="f"), (400, "INVALID_OPTION")),
            (StoreFull("m"), (503, "STORE_FULL")),
            (StoreUnavailable("m"), (503, "UNAVAILABLE")),
            (TimeoutError(), (503, "TIMEOUT")),
            (ZeroDivisionError("m"), (500, "INTERNAL_ERROR")),
        ],
    )
    def test_each_has_its_answer(self, error: Exception, told: tuple[int, str]) -> None:
        said = call(failing(error), "POST", "/it")
        assert said.error == told
        is_of_the_store = isinstance(error, InvalidOption | StoreFull | StoreUnavailable)
        assert said.json.get("detail") == ("m" if is_of_the_store else None)

    def test_one_of_ours_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        application = failing(ZeroDivisionError("m"))
        for _ in range(3):
            call(application, "POST", "/it")
        assert len([record for record in caplog.records if record.exc_info]) == 1

    def test_plain_routes_refuse_plainly(self) -> None:
        said = call(failing(ApiError(500, "NOK - no")), "GET", "/ping")
        assert (said.status, said.headers["content-type"], said.body) == (500, "text/plain; charset=utf-8", b"NOK - no")

    def test_a_request_has_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "NSQ_HTTP_REQUEST_S", 0.001)

        async def handler(_request: Request) -> Answer:
            await asyncio.Event().wait()
            return EMPTY

        assert call(make(handler), "POST", "/it").error == (503, "TIMEOUT")

    def test_a_client_that_does_not_wait(self) -> None:
        asked: Any = Asked("POST", "/it", gone=True)
        asyncio.run(make(_nothing).serve(asked))
        assert asked.answers == []

    def test_what_is_no_request_is_told_so_in_nsqs_form(self) -> None:
        status, headers, body = make(_nothing).refuse(HttpProblem("head-too-large", "too much"))
        assert (status, body) == (431, b'{"message":"HEAD_TOO_LARGE"}')
        assert dict(headers)["content-type"] == "application/json; charset=utf-8"


class TestLog:
    def test_a_request_is_a_line_in_which_nothing_can_be_forged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        call(make(_nothing), "GET", "/no\nsuch\x1b[1m?a=%0A", client="10.0.0.1")
        assert caplog.records[0].getMessage().startswith("404 GET /no%0Asuch%1B%5B1m?a=%0A (10.0.0.1) ")

    def test_what_comes_by_the_thousand_is_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        call(make(_nothing, is_logged=False), "POST", "/it")
        assert caplog.text == ""
