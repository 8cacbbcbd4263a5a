"""The hello of a client, read by the owner: who it is, and which version of the protocol both will speak. Pure."""

from __future__ import annotations

import msgspec

from penstock.model import errors, limits
from penstock.store.wire import protocol

_IDENTITY_BYTES = 16


def read_hello(payload: bytes) -> protocol.Hello:
    """What a client said of itself in its first frame.

    Raises:
        MalformedFrame: the frame is no hello.
    """
    if len(payload) > limits.HELLO_BYTES_MAX:
        raise too_large()
    try:
        hello = protocol.decode_hello(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise protocol.MalformedFrame(f"A hello that cannot be read: {error}") from error
    if len(hello.client) != _IDENTITY_BYTES:
        raise protocol.MalformedFrame(f"A client's identity has {_IDENTITY_BYTES} bytes.")
    return hello


def too_large() -> protocol.MalformedFrame:
    """What a client is told whose hello is over its limit, whether or not it has come whole."""
    return protocol.MalformedFrame(f"A hello has at most {limits.HELLO_BYTES_MAX} bytes.")


def agreed_version(versions: tuple[int, int], pid: int) -> int:
    """The newest version of the protocol that both sides speak.

    Args:
        versions: the oldest and the newest that the client speaks.
        pid: the owner's process, to be named where there is none.

    Raises:
        Conflict: there is none.
    """
    oldest, newest = versions
    version = min(newest, protocol.WIRE_VERSION)
    if version < max(oldest, protocol.WIRE_VERSION_MIN):
        raise errors.Conflict(
            f"The store's owner (process {pid}) speaks "
            f"{_told(protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION)} of the wire, this client "
            f"{_told(oldest, newest)}; restart what still runs the other version of Penstock."
        )
    return version


def _told(oldest: int, newest: int) -> str:
    return f"version {newest}" if oldest == newest else f"versions {oldest} to {newest}"
