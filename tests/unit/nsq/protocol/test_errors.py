"""What clients are told, and who is disconnected."""

from __future__ import annotations

import pytest

from penstock.nsq.protocol import errors
from penstock.nsq.protocol.errors import ProtocolError

CODES = [name for name in vars(errors) if name.startswith("E_")]


def test_a_code_is_its_name():
    assert [getattr(errors, name) for name in CODES] == CODES
    assert len(CODES) == 18


@pytest.mark.parametrize("code", CODES)
def test_only_settling_may_fail_and_the_connection_go_on(code):
    assert ProtocolError(code, "").fatal is (code not in ("E_FIN_FAILED", "E_REQ_FAILED", "E_TOUCH_FAILED"))


def test_a_client_is_told_the_code_and_the_text():
    assert ProtocolError("E_INVALID", "cannot SUB in current state").data == b"E_INVALID cannot SUB in current state"
    assert ProtocolError("E_BAD_PROTOCOL", "").data == b"E_BAD_PROTOCOL"


def test_a_log_shows_what_a_client_sent_in_one_printable_line():
    error = ProtocolError("E_INVALID", "invalid command \udcff\x1b[2J\n")
    assert error.data == b"E_INVALID invalid command \xff\x1b[2J\n"
    assert str(error) == r"E_INVALID invalid command \xff\x1b[2J\n"
