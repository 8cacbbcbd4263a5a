"""The list of topics and channels."""

from __future__ import annotations

import pytest

from penstock.nsq.data_directory.catalogue import Catalogue, Channel, Topic, as_text, parsed

REAL = (
    b'{"topics":[{"name":"orders","paused":true,"channels":[{"name":"mail","paused":false}]},'
    b'{"name":"x","paused":false,"channels":null}],"version":"1.3.0"}'
)


def test_what_nsqd_has_written_is_read() -> None:
    assert parsed(REAL) == Catalogue([Topic("orders", True, [Channel("mail")]), Topic("x")])


def test_what_is_written_is_what_nsqd_writes() -> None:
    assert as_text(Catalogue([Topic("orders", True, [Channel("mail")]), Topic("x")])) == REAL
    assert parsed(as_text(Catalogue([]))) == Catalogue([])


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"topics":7}', b'{"topics":[{"paused":true}]}', b"\xff"])
def test_anything_else_is_none(text: bytes) -> None:
    assert parsed(text) is None
