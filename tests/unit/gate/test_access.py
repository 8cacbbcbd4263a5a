"""Who may ask: tokens, loopback, and web pages that must stay out."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from penstock.gate.access import Access, is_loopback
from penstock.model.errors import InvalidOption

TOKEN = "correct-horse-battery"
JOB = b'{"task":"any.call"}'


class TestListening:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
    def test_other_machines_need_a_token(self, host: str) -> None:
        with pytest.raises(InvalidOption, match="PENSTOCK_TOKEN"):
            Access(host, None)
        Access(host, TOKEN)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
    def test_this_machine_needs_none(self, host: str) -> None:
        assert is_loopback(host)
        Access(host, None)

    @pytest.mark.parametrize(
        "token",
        ["", "short", "geheimnisgeheimniß", " " * 20, "two words and more", "a-tab\tin-the-middle", "nul\0" * 9]
        + ["sixteen-with" + " " * 9],
    )
    def test_a_token_is_long_and_plain(self, token: str) -> None:
        with pytest.raises(InvalidOption):
            Access("127.0.0.1", token)


class TestToken:
    @pytest.mark.parametrize(
        "given", ["", TOKEN, "Bearer", "Bearer wrong-wrong-wrong-wrong", f"Basic {TOKEN}", "Bearer ü"]
    )
    def test_without_the_right_one_nothing_is_told(self, make_door: Any, given: str) -> None:
        door = make_door(token=TOKEN)
        for method, path in (("POST", "/v1/jobs"), ("GET", "/metrics"), ("GET", "/nonsense")):
            answer = door.call(method, path, JOB if method == "POST" else None, authorization=given)
            assert answer.problem[:2] == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("configured", [f"{TOKEN} ", f"{TOKEN}\n", f" {TOKEN}\r\n", f"\t{TOKEN}"])
    def test_white_space_around_the_configured_one_does_not_count(self, make_door: Any, configured: str) -> None:
        door = make_door(token=configured)
        assert door.call("GET", "/v1/stats", authorization=f"Bearer {TOKEN}").status == 200
        assert door.call("GET", "/v1/stats", authorization=f"Bearer {TOKEN}x").status == 401

    @pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "bEaReR ", "Bearer  ", "Bearer   "])
    def test_the_scheme_is_named_without_regard_to_case(self, make_door: Any, scheme: str) -> None:
        door = make_door(token=TOKEN)
        assert door.call("GET", "/v1/stats", authorization=scheme + TOKEN).status == 200

    @pytest.mark.parametrize("given", [f"Bearer{TOKEN}", f"Bearer\t{TOKEN}", f"Bearer: {TOKEN}", f"Bearer {TOKEN}, x"])
    def test_another_form_is_not_it(self, make_door: Any, given: str) -> None:
        assert make_door(token=TOKEN).call("GET", "/v1/stats", authorization=given).status == 401

    @pytest.mark.parametrize("given", [None, "", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}", "Bearer wrong"])
    def test_it_is_compared_in_constant_time_whatever_is_given(
        self, make_door: Any, monkeypatch: pytest.MonkeyPatch, given: str | None
    ) -> None:
        compared: list[bytes] = []

        def compare(one: bytes, other: bytes) -> bool:
            compared.append(other)
            return one == other

        monkeypatch.setattr("penstock.gate.access.hmac.compare_digest", compare)
        door = make_door(token=TOKEN)
        headers = {} if given is None else {"authorization": given}
        door.call("GET", "/v1/stats", **headers)
        assert compared == [TOKEN.encode()]

    def test_with_it_the_name_of_the_host_does_not_matter(self, make_door: Any) -> None:
        door = make_door(token=TOKEN, host="0.0.0.0")
        answer = door.call("POST", "/v1/jobs", JOB, authorization=f"Bearer {TOKEN}", host="jobs.example.org")
        assert answer.status == 202

    def test_health_is_open(self, make_door: Any) -> None:
        door = make_door(token=TOKEN)
        assert door.call("GET", "/health/live").status == 200
        assert door.call("GET", "/health/ready").status == 200

    def test_it_is_never_logged(self, make_door: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        door = make_door(token=TOKEN)
        door.store.stats = None
        door.call("GET", "/v1/stats", authorization=f"Bearer {TOKEN}")
        assert caplog.text
        assert TOKEN not in caplog.text


class TestWebPages:
    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:7367", "127.0.0.1:80", "127.0.0.1", "localhost.evil:7367"]
    )
    def test_a_rebound_name_is_refused(self, door: Any, host: str) -> None:
        assert door.call("POST", "/v1/jobs", JOB, host=host).problem[:2] == (403, "forbidden")
        assert door.call("GET", "/v1/stats", host=host).problem[:2] == (403, "forbidden")

    @pytest.mark.parametrize("host", ["127.0.0.1:7367", "localhost:7367", "LocalHost:7367", "[::1]:7367"])
    def test_this_machines_names_are_fine(self, door: Any, host: str) -> None:
        assert door.call("POST", "/v1/jobs", JOB, host=host).status == 202

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_a_request_that_a_browser_marks_as_anothers_is_refused(self, door: Any, site: str) -> None:
        assert door.call("POST", "/v1/jobs", JOB, sec_fetch_site=site).problem[:2] == (403, "forbidden")

    @pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:8000"])
    def test_another_origin_is_refused(self, door: Any, origin: str) -> None:
        assert door.call("POST", "/v1/jobs", JOB, origin=origin).problem[:2] == (403, "forbidden")

    def test_its_own_origin_is_fine(self, door: Any) -> None:
        own = {"origin": "http://127.0.0.1:7367", "sec_fetch_site": "same-origin"}
        answer = door.call("POST", "/v1/jobs", JOB, **own)
        assert answer.status == 202
        assert not [name for name in answer.headers if name.startswith("access-control")]
