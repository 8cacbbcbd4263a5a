"""What travels between a client and the owner. Pure: no sockets, no clock.

A frame is ``u32 length | u16 kind | u64 number | payload``, big-endian; the length counts what follows it; the payload
is msgpack. A request's kind is that of its call (`penstock.store.wire.calls`); its answer has the same number and the
kind ANSWER or FAILURE. The first frame of a client is HELLO. CLOSING is the last frame of an owner that gives up on a
connection, with the reason.

Two kinds of numbers. *Recorded* requests change the store and must not be applied twice: they are numbered from one,
and their answers are kept by the owner. All others have the top bit set: they may be repeated, or, like a lease, are
made good when they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from penstock.model import errors, limits
from penstock.model import job as m
from penstock.store.wire.calls import CALLS

WIRE_VERSION: Final = 3
"""The newest version of this protocol that is spoken here."""
WIRE_VERSION_MIN: Final = 3
"""The oldest. A client's hello names its own two; the owner picks the newest that both speak."""

ANSWER: Final = 128
FAILURE: Final = 129
CLOSING: Final = 130
HELLO: Final = 1
FORGET: Final = 2
"""The caller of the parked request with this number has gone. No payload, no answer."""

UNRECORDED: Final = 1 << 63
"""Numbers from here on belong to requests whose answers are not kept."""

_HEADER: Final = struct.Struct(">IHQ")
_PREFIX: Final = 4
HEADER_BYTES: Final = _HEADER.size
_LENGTH_MIN: Final = HEADER_BYTES - _PREFIX

Frame = tuple[int, int, bytes]
"""Kind, number, payload."""


FAULTS_OF_CALLER: Final = (
    errors.InvalidOption,
    errors.InvalidArguments,
    errors.UnknownTask,
    errors.JobNotFound,
    errors.TopicNotFound,
    errors.Conflict,
    errors.StaleCursor,
    errors.CareFailed,
    errors.QueueNotFound,
    errors.QueueDraining,
    errors.WorkflowNotFound,
    errors.ScheduleNotFound,
    errors.ResultTooLarge,
)
"""A call that raises one of these has written nothing; the rest of its group is not concerned."""


class MalformedFrame(errors.PenstockError):
    """The other side does not speak this protocol; the connection is closed."""

    code = "malformed-frame"


class Hello(Struct, array_like=True, frozen=True):
    """What a client says first. It has at most `limits.HELLO_BYTES_MAX` and comes within `limits.HELLO_S`.

    Attributes:
        versions: the oldest and the newest version of the protocol that the client speaks.
        client: its identity, 16 random bytes, new in each process.
        role: for people: gate, worker, client.
        lowest: its lowest recorded number without an answer; answers below are forgotten.
        auth: what proves who the client is, where the owner asks for that. On a unix socket nobody asks: the
            directory's permissions say who may connect.
    """

    versions: tuple[m.Whole, m.Whole]
    client: bytes
    role: str
    lowest: m.Whole
    auth: bytes | None = None


class Welcome(Struct, array_like=True, frozen=True):
    """The owner's answer to a hello.

    Attributes:
        version: what both sides speak on this connection from here on.
        epoch: of the store; it rises with every new owner.
        pid: of the owner.
    """

    version: int
    epoch: int
    pid: int


class Failure(Struct, array_like=True, frozen=True):
    """An error on the wire.

    Attributes:
        field: the argument to blame, where one is.
        position: offset and fence in force, where the cursor of a source was refused.
    """

    code: str
    message: str
    field: str | None = None
    position: tuple[int, int] | None = None


# The calls that some code treats in a way of their own. All others are only in the table.
ENQUEUE: Final = CALLS["enqueue"]
LEASE: Final = CALLS["lease"]
LEASE_PACKED: Final = LEASE.answered_as(m.PackedBatch)
EXTEND: Final = CALLS["extend"]
SETTLE: Final = CALLS["settle"]
RECONCILE: Final = CALLS["reconcile"]
WAIT: Final = CALLS["wait"]
WAIT_WORKFLOW: Final = CALLS["wait_workflow"]
HEALTH: Final = CALLS["health"]
OWNER_STATISTICS: Final = CALLS["owner_statistics"]
HAND_OVER: Final = CALLS["hand_over"]
PING: Final = CALLS["ping"]
FILE_STATISTICS: Final = CALLS["file_statistics"]
COPY_FILE: Final = CALLS["copy_file"]


def _listed(value: Iterable[object]) -> list[object]:
    return list(value)


encode: Final = msgspec.msgpack.Encoder().encode
decode_hello: Final = msgspec.msgpack.Decoder(Hello).decode
decode_welcome: Final = msgspec.msgpack.Decoder(Welcome).decode
_encode_request: Final = msgspec.msgpack.Encoder(enc_hook=_listed).encode
_decode_failure: Final = msgspec.msgpack.Decoder(Failure).decode


def encode_request(request: object) -> bytes:
    """The payload of a request. What is no list but can be gone through, such as a range of fences, goes as a list.

    Raises:
        InvalidOption: a number in it has more than 64 bits, or a text is not valid Unicode.
    """
    try:
        return _encode_request(request)
    except OverflowError:
        raise errors.InvalidOption("A number in the request has more than 64 bits.") from None
    except UnicodeEncodeError:
        raise errors.InvalidOption("A text in the request is not valid Unicode.") from None


def frame(kind: int, number: int, payload: bytes) -> bytes:
    """One frame, ready to send.

    Raises:
        BodyTooLarge: it is over FRAME_BYTES_MAX.
    """
    length = _LENGTH_MIN + len(payload)
    if length > limits.FRAME_BYTES_MAX:
        raise errors.BodyTooLarge(f"The request or its answer is over {limits.FRAME_BYTES_MAX} bytes; ask for less.")
    return _HEADER.pack(length, kind, number) + payload


def sole_answer(data: memoryview, size_bytes: int, number: int) -> bytes | None:
    """The payload, if ``data`` begins with one whole ANSWER of this number and has no more; None: it does not."""
    if size_bytes >= HEADER_BYTES and _HEADER.unpack_from(data) == (size_bytes - _PREFIX, ANSWER, number):
        return bytes(data[HEADER_BYTES:size_bytes])
    return None


def failure(error: errors.PenstockError) -> bytes:
    """The payload that carries an error."""
    position = (error.offset, error.fence) if isinstance(error, errors.StaleCursor) else None
    return encode(Failure(error.code, error.message, getattr(error, "field", None), position))


def error_of(payload: bytes) -> errors.PenstockError:
    """The error that a payload carries, in its own class."""
    told = _decode_failure(payload)
    error = errors.BY_CODE.get(told.code, errors.PenstockError)(told.message)
    if told.field is not None:
        error.field = told.field  # type: ignore[attr-defined]  # of those that have one
    if told.position is not None and isinstance(error, errors.StaleCursor):
        error.offset, error.fence = told.position
    return error


class FrameReader:
    """Cuts a stream of bytes into frames, however the stream was split."""

    __slots__ = ("_chunks", "_needed", "_size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = HEADER_BYTES

    @property
    def size_bytes(self) -> int:
        """What is kept of a frame that is not whole yet."""
        return self._size

    def feed(self, data: bytes) -> list[Frame]:
        """Take what arrived; answer the frames that are whole now.

        Raises:
            MalformedFrame: a length is impossible; the stream is of no more use.
        """
        if self._size:
            # Chunks of a large frame are joined once, when it is whole, so that its cost stays linear.
            self._chunks.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
        return self._cut(data)

    def _cut(self, data: bytes) -> list[Frame]:
        frames: list[Frame] = []
        offset, end, needed = 0, len(data), HEADER_BYTES
        while end - offset >= HEADER_BYTES:
            length, kind, number = _HEADER.unpack_from(data, offset)
            if not _LENGTH_MIN <= length <= limits.FRAME_BYTES_MAX:
                raise MalformedFrame(f"A frame of {length} bytes; at most {limits.FRAME_BYTES_MAX} are taken.")
            needed = _PREFIX + length
            if end - offset < needed:
                break
            frames.append((kind, number, data[offset + HEADER_BYTES : offset + needed]))
            offset += needed
            needed = HEADER_BYTES
        if offset < end:
            self._chunks.append(data[offset:] if offset else data)
            self._size = end - offset
            self._needed = needed
        return frames
