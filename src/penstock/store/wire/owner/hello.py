"""The hello of a client, as an owner takes it."""

from __future__ import annotations

import os

import msgspec

from penstock.model import errors
from penstock.store.wire import protocol


def read_hello(payload: bytes) -> protocol.Hello:
    """What a client said, if it speaks this version of the wire.

    Raises:
        MalformedFrame: it is no hello.
        Conflict: it speaks another version.
    """
    try:
        hello = protocol.decode_hello(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise protocol.MalformedFrame(f"A hello that cannot be read: {error}") from error
    if hello.version != protocol.WIRE_VERSION or len(hello.client) != 16:
        raise errors.Conflict(
            f"The store's owner (process {os.getpid()}) speaks version {protocol.WIRE_VERSION} of the wire, "
            f"this client {hello.version}; restart what still runs the other version of Penstock."
        )
    return hello
