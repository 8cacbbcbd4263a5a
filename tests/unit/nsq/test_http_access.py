"""Who may use the API of a daemon."""

from __future__ import annotations

import pytest

from penstock.model.errors import InvalidOption
from penstock.nsq.http_access import HttpAccess, check_token, own_names_of
from penstock.nsq.http_routes import ApiError

TOKEN = "correct-horse-battery"


def refused(access: HttpAccess, **headers: str) -> tuple[int, str] | None:
    """How a request with these headers is refused; None: it is not."""
    try:
        access.check({name.replace("_", "-"): value for name, value in headers.items()})
    except ApiError as error:
        return error.status, error.message
    return None


class TestToken:
    ACCESS = HttpAccess(TOKEN, own_names=("here",))

    @pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"BEARER {TOKEN} "])
    def test_with_it_everything_may_be_asked_from_anywhere(self, given: str) -> None:
        assert refused(self.ACCESS, authorization=given, host="evil.example", origin="http://other") is None
        self.ACCESS.check_debugging("10.0.0.1")

    @pytest.mark.parametrize("given", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", "Bearer \udcff€"])
    def test_without_it_nothing_is_told(self, given: str) -> None:
        assert refused(self.ACCESS, authorization=given, host="127.0.0.1:4151") == (401, "UNAUTHORIZED")

    def test_white_space_around_it_in_its_file_does_not_count(self) -> None:
        assert check_token(f" {TOKEN}\n") == TOKEN

    @pytest.mark.parametrize("text", ["", "short", "has a space in the middle", "länger-als-sechzehn", "a" * 15])
    def test_one_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidOption) as caught:
            check_token(text)
        assert caught.value.field == "http_token_file"


class TestWithoutToken:
    LOCAL = HttpAccess(None, own_names=("Build-7.example", "broker"))
    OPEN = HttpAccess(None, own_names=None)

    @pytest.mark.parametrize(
        "host", ["127.0.0.1:4151", "localhost", "LOCALHOST:1", "[::1]:4151", "127.0.1.1", "build-7.example:4151", ""]
    )
    def test_programs_of_this_machine_name_it_so(self, host: str) -> None:
        assert refused(self.LOCAL, host=host) is None

    @pytest.mark.parametrize(
        "host", ["evil.example:4151", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "[::2]"]
    )
    def test_a_name_that_somebody_made_to_point_here_is_refused(self, host: str) -> None:
        assert refused(self.LOCAL, host=host) == (403, "FORBIDDEN_HOST")
        assert refused(self.OPEN, host=host) is None

    @pytest.mark.parametrize("access", [LOCAL, OPEN])
    def test_web_pages_of_others_are_kept_out(self, access: HttpAccess) -> None:
        for site in ("cross-site", "same-site", "what"):
            assert refused(access, host="localhost", sec_fetch_site=site) == (403, "FORBIDDEN_ORIGIN")
        for origin in ("http://evil.example", "null", "http://localhost:1"):
            assert refused(access, host="localhost", origin=origin) == (403, "FORBIDDEN_ORIGIN")
        for origin in ("http://localhost", "https://localhost"):
            assert refused(access, host="localhost", origin=origin, sec_fetch_site="same-origin") is None
        assert refused(access, host="localhost", sec_fetch_site="none") is None

    def test_only_this_machine_looks_into_the_process(self) -> None:
        self.OPEN.check_debugging(None)
        with pytest.raises(ApiError) as caught:
            self.OPEN.check_debugging("10.0.0.1")
        assert (caught.value.status, caught.value.message) == (403, "FORBIDDEN")


def test_the_names_that_a_daemon_of_this_machine_alone_has():
    assert own_names_of("NSQ:4151", "Node", "vm") == {"nsq", "node", "vm"}
    assert own_names_of("/run/nsqd.sock", "", "vm") == {"vm"}
    assert own_names_of("", "node", "vm") == {"node", "vm"}
    HttpAccess(None, own_names=own_names_of("nsq:4151", "", "vm")).check({"host": "nsq:4151"})
