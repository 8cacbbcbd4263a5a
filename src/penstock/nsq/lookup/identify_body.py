"""The JSON with which a producer introduces itself to nsqlookupd. Pure.

Go reads it, so names count whatever their case, null is as good as nothing, and other members are passed over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.nsq.lookup.registry import Peer

__all__ = ["MalformedIdentify", "read_identify"]

_TEXTS: Final = frozenset({"hostname", "broadcast_address", "version", "remote_address"})
_NUMBERS: Final = frozenset({"tcp_port", "http_port"})
_NEEDED: Final = ("broadcast_address", "tcp_port", "http_port", "version")
_NUMBER_MAX: Final = (1 << 63) - 1


class MalformedIdentify(Exception):
    """What was sent introduces nobody; says why."""


def read_identify(body: bytes, remote_address: str) -> Peer:
    """Who says this.

    Args:
        body: the JSON.
        remote_address: where it came from.

    Raises:
        MalformedIdentify: it is no such JSON, or something is missing.
    """
    found: dict[str, Any] = {"hostname": ""}
    for name, value in _members(body):
        lower = name.lower()
        if lower not in _TEXTS | _NUMBERS or value is None:
            continue
        if not _fits(lower, value):
            raise MalformedIdentify("failed to decode JSON body")
        found[lower] = value
    if not all(found.get(name) for name in _NEEDED):
        raise MalformedIdentify("missing fields")
    found["remote_address"] = remote_address
    return Peer(**found)


def _members(body: bytes) -> list[tuple[str, Any]]:
    try:
        value = msgspec.json.decode(body.decode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        raise MalformedIdentify("failed to decode JSON body") from None
    if value is None:
        return []
    if not isinstance(value, dict):
        raise MalformedIdentify("failed to decode JSON body")
    return list(value.items())


def _fits(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    return type(value) is int and -_NUMBER_MAX - 1 <= value <= _NUMBER_MAX
