"""The topics and channels of an nsqd, and which are paused: the JSON in ``nsqd.dat``. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

VERSION: Final = "1.3.0"
"""The version of nsqd whose files these are."""


class Channel(Struct, frozen=True):
    """A channel."""

    name: str
    paused: bool = False


class Topic(Struct, frozen=True):
    """A topic. nsqd writes null for no channels."""

    name: str
    paused: bool = False
    channels: list[Channel] | None = None


class Catalogue(Struct, frozen=True):
    """All of them. Ephemeral ones are in no file."""

    topics: list[Topic] | None = None
    version: str = VERSION


def parsed(text: bytes) -> Catalogue | None:
    """The topics; None: this is no list of them."""
    try:
        return msgspec.json.decode(text, type=Catalogue)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def as_text(catalogue: Catalogue) -> bytes:
    """As it stands in the file."""
    return msgspec.json.encode(catalogue)
