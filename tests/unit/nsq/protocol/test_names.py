"""Names as nsqd takes them, and how it shows those that it refuses."""

from __future__ import annotations

import pytest

from penstock.nsq.protocol.names import as_bytes, as_text, name_of, quoted


@pytest.mark.parametrize("raw", [b"a", b"A-z_0.9", b"." * 64, b"jobs#ephemeral", b"x" * 54 + b"#ephemeral"])
def test_a_name(raw):
    assert name_of(raw) == raw.decode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"." * 65,
        b"x" * 55 + b"#ephemeral",
        b"#ephemeral",
        b"a b",
        b"a\n",
        b"a#ephemerals",
        b"a:b",
        "ä".encode(),
        b"\xff",
    ],
)
def test_no_name(raw):
    assert name_of(raw) is None


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", '"plain"'),
        (b"", '""'),
        (b'a"b\\c', r'"a\"b\\c"'),
        (b"\a\b\f\n\r\t\v\x00\x7f", r'"\a\b\f\n\r\t\v\x00\x7f"'),
        ("größe ☃".encode(), '"größe ☃"'),
        (b"\xff\xc3(", r'"\xff\xc3("'),
        (" \U000e0001".encode(), r'" \U000e0001"'),
        ("\u200b".encode(), r'"\u200b"'),
    ],
)
def test_shown_as_a_quoted_string_of_go(raw, shown):
    assert quoted(raw) == shown


@pytest.mark.parametrize("raw", [b"plain", b"\xff\x00\xc3", "ä☃".encode(), b"\xed\xb2\x80"])
def test_any_bytes_come_back_from_their_text(raw):
    assert as_bytes(as_text(raw)) == raw
