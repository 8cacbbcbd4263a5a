"""The names of topics and channels as they come off the wire, and how errors show any bytes. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from penstock.model import limits
from penstock.model.topics import EPHEMERAL

NAME_BYTES_MAX: Final = 64

_NAME: Final = re.compile(rb"[.a-zA-Z0-9_-]+(?:%s)?" % EPHEMERAL.encode())
_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}


def name_of(raw: bytes) -> str | None:
    """The name of a topic or a channel that these bytes are; None: they are none."""
    return _checked_name(raw) if len(raw) <= NAME_BYTES_MAX else None


@lru_cache(maxsize=limits.NSQ_KNOWN_NAMES_MAX)
def _checked_name(raw: bytes) -> str | None:
    return raw.decode("ascii") if _NAME.fullmatch(raw) else None


def as_text(raw: bytes) -> str:
    """Bytes of a client as text, so that `as_bytes` gives the very same bytes again."""
    return raw.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """The bytes that `as_text` was given."""
    return text.encode("utf-8", "surrogateescape")


def quoted(raw: bytes) -> str:
    """Bytes in double quotes, as nsqd shows a name that it refuses: what cannot be printed is escaped."""
    return '"' + "".join(_ESCAPES.get(char) or _shown(char) for char in as_text(raw)) + '"'


def _shown(char: str) -> str:
    code = ord(char)
    if char.isprintable():
        return char
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as `as_text` keeps it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
