"""What travels between a client and the owner. Pure: no sockets, no clock.

A frame is ``u32 length | u8 kind | u64 number | payload``, big-endian; the length counts what follows it; the payload
is msgpack. A request's kind names a `Call`; its answer has the same number and the kind ANSWER or FAILURE. The first
frame of a client is HELLO. CLOSING is the last frame of an owner that gives up on a connection, with the reason.

Two kinds of numbers. *Recorded* requests change the store and must not be applied twice: they are numbered from one,
and their answers are kept by the owner. All others have the top bit set: they may be repeated, or, like a lease, are
made good when they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from penstock.model import errors, limits
from penstock.model import job as m
from penstock.model.health import StoreHealth
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.wire.owner_statistics import OwnerStatistics

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
HANDOVER: Final = 3
"""A detached owner is asked to leave. Answered with nil, or a Conflict by an owner that is not detached."""
STATISTICS: Final = 4
HEALTH: Final = 5

UNRECORDED: Final = 1 << 63
"""Numbers from here on belong to requests whose answers are not kept."""

_HEADER: Final = struct.Struct(">IBQ")
_PREFIX: Final = 4
HEADER_BYTES: Final = _HEADER.size
_LENGTH_MIN: Final = HEADER_BYTES - _PREFIX

Frame = tuple[int, int, bytes]
"""Kind, number, payload."""

Q = TypeVar("Q")
A = TypeVar("A")


FAULTS_OF_CALLER: Final = (
    errors.InvalidOption,
    errors.InvalidArguments,
    errors.UnknownTask,
    errors.JobNotFound,
    errors.Conflict,
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
    """An error on the wire. ``field`` names the argument to blame, where one is."""

    code: str
    message: str
    field: str | None = None


class Enqueue(Struct, array_like=True, frozen=True):
    """`Store.enqueue`."""

    groups: list[m.JobGroup]
    atomic: bool = False


class Lease(Struct, array_like=True, frozen=True):
    """`Store.lease`, parked up to ``wait_s`` when there is nothing."""

    request: m.LeaseRequest
    wait_s: m.Seconds = 0.0


class Wait(Struct, array_like=True, frozen=True):
    """Answered when all ``ids`` have ended or are gone, or after ``wait_s``."""

    ids: list[bytes]
    wait_s: m.Seconds
    result: bool = False


class Reconcile(Struct, array_like=True, frozen=True):
    """`Store.reconcile`."""

    holder: bytes
    fences: list[m.Whole]


class Get(Struct, array_like=True, frozen=True):
    """`Store.get`."""

    ids: list[bytes]
    result: bool = False
    body: bool = False


class Query(Struct, array_like=True, frozen=True):
    """`Store.query`."""

    where: m.Filter
    cursor: str | None = None
    limit: m.Whole = 100


class Stats(Struct, array_like=True, frozen=True):
    """`Store.stats`."""

    cursor: str | None = None
    limit: m.Whole = limits.PAGE_QUEUES
    busiest: bool = False


class Move(Struct, array_like=True, frozen=True):
    """`Store.move`."""

    ids: list[bytes]
    queue: str


class Edit(Struct, array_like=True, frozen=True):
    """`Store.edit`."""

    ids: list[bytes]
    priority: m.Whole | None = None
    run_at: m.Seconds | None = None


class Where(Struct, array_like=True, frozen=True):
    """`Store.cancel_where`, `revive_where`, `delete_where`; with ``queue``, `move_where`."""

    where: m.Filter
    cursor: str | None = None
    queue: str = ""


class Call(Generic[Q, A]):
    """One call of the store contract on the wire.

    Attributes:
        name: as in `penstock.ports.Store`.
        apply: does it to a store; None: the owner does it itself, because it may park.
        mutating: needs a transaction.
        recorded: its answer is kept, so that a repeat is answered and not applied.
    """

    __slots__ = ("answer", "apply", "kind", "mutating", "name", "recorded", "request")

    def __init__(
        self,
        kind: int,
        name: str,
        request: Any,
        answer: Any,
        apply: Callable[[Store, Q], A] | None,
        *,
        mutating: bool = True,
        recorded: bool = True,
    ) -> None:
        self.kind = kind
        self.name = name
        self.apply = apply
        self.mutating = mutating
        self.recorded = recorded
        self.request: Callable[[bytes], Q] = msgspec.msgpack.Decoder(request).decode
        self.answer: Callable[[bytes], A] = msgspec.msgpack.Decoder(answer).decode


_States = list[State | None]
_READ: Final = {"mutating": False, "recorded": False}

ENQUEUE: Final = Call[Enqueue, m.EnqueueAnswer](
    16, "enqueue", Enqueue, m.EnqueueAnswer, lambda s, q: s.enqueue(q.groups, atomic=q.atomic)
)
LEASE: Final = Call[Lease, m.LeaseBatch](17, "lease", Lease, m.LeaseBatch, None, recorded=False)
EXTEND: Final = Call[m.Extension, m.Extended](
    18, "extend", m.Extension, m.Extended, lambda s, q: s.extend(q), recorded=False
)
SETTLE: Final = Call[m.Outcomes, m.Settled](19, "settle", m.Outcomes, m.Settled, lambda s, q: s.settle(q))
RECONCILE: Final = Call[Reconcile, int](20, "reconcile", Reconcile, int, lambda s, q: s.reconcile(q.holder, q.fences))
WAIT: Final = Call[Wait, list[m.JobView | None]](21, "wait", Wait, list[m.JobView | None], None, **_READ)
REGISTER_TASKS: Final = Call[list[m.TaskRecord], None](
    22, "register_tasks", list[m.TaskRecord], None, lambda s, q: s.register_tasks(q)
)
TASKS: Final = Call[None, list[m.TaskRecord]](23, "tasks", None, list[m.TaskRecord], lambda s, _: s.tasks(), **_READ)
TICK: Final = Call[None, m.Ticked](24, "tick", None, m.Ticked, lambda s, _: s.tick())
GET: Final = Call[Get, list[m.JobView | None]](
    25, "get", Get, list[m.JobView | None], lambda s, q: s.get(q.ids, result=q.result, body=q.body), **_READ
)
QUERY: Final = Call[Query, m.Page](
    26, "query", Query, m.Page, lambda s, q: s.query(q.where, cursor=q.cursor, limit=q.limit), **_READ
)
STATS: Final = Call[Stats, m.StatsPage](
    27, "stats", Stats, m.StatsPage, lambda s, q: s.stats(cursor=q.cursor, limit=q.limit, busiest=q.busiest), **_READ
)
TOTALS: Final = Call[None, m.Totals](38, "totals", None, m.Totals, lambda s, _: s.totals(), **_READ)
CAPABILITIES: Final = Call[None, m.Capabilities](
    28, "capabilities", None, m.Capabilities, lambda s, _: s.capabilities(), **_READ
)
CANCEL: Final = Call[list[bytes], _States](29, "cancel", list[bytes], _States, lambda s, q: s.cancel(q))
REVIVE: Final = Call[list[bytes], _States](30, "revive", list[bytes], _States, lambda s, q: s.revive(q))
MOVE: Final = Call[Move, _States](31, "move", Move, _States, lambda s, q: s.move(q.ids, q.queue))
DELETE: Final = Call[list[bytes], list[bool]](32, "delete", list[bytes], list[bool], lambda s, q: s.delete(q))
EDIT: Final = Call[Edit, _States](
    33, "edit", Edit, _States, lambda s, q: s.edit(q.ids, priority=q.priority, run_at=q.run_at)
)
CANCEL_WHERE: Final = Call[Where, m.Step](
    34, "cancel_where", Where, m.Step, lambda s, q: s.cancel_where(q.where, cursor=q.cursor)
)
REVIVE_WHERE: Final = Call[Where, m.Step](
    35, "revive_where", Where, m.Step, lambda s, q: s.revive_where(q.where, cursor=q.cursor)
)
MOVE_WHERE: Final = Call[Where, m.Step](
    36, "move_where", Where, m.Step, lambda s, q: s.move_where(q.where, q.queue, cursor=q.cursor)
)
DELETE_WHERE: Final = Call[Where, m.Step](
    37, "delete_where", Where, m.Step, lambda s, q: s.delete_where(q.where, cursor=q.cursor)
)
OWNER_STATISTICS: Final = Call[None, OwnerStatistics](STATISTICS, "statistics", None, OwnerStatistics, None, **_READ)
STORE_HEALTH: Final = Call[None, StoreHealth](HEALTH, "health", None, StoreHealth, None, **_READ)
LEAVE: Final = Call[None, None](HANDOVER, "handover", None, None, None, **_READ)
PING: Final = Call[None, None](6, "ping", None, None, None, **_READ)
"""Answered by the owner's loop without a look at the store: the connection works, and the owner does."""

CALLS: Final[dict[int, Call[Any, Any]]] = {
    value.kind: value for value in list(globals().values()) if isinstance(value, Call)
}
"""Every call by its kind."""

_lease_calls: dict[Any, Call[Lease, Any]] = {m.LeaseBatch: LEASE}


def lease_call(shape: Any) -> Call[Lease, Any]:
    """`LEASE` with its answer decoded as ``shape``: a struct like `LeaseBatch`, or `msgspec.Raw`."""
    call = _lease_calls.get(shape)
    if call is None:
        kind = LEASE.kind
        call = Call[Lease, Any](kind, "lease", Lease, shape, None, recorded=False)
        _lease_calls[shape] = call
    return call


encode: Final = msgspec.msgpack.Encoder().encode
decode_hello: Final = msgspec.msgpack.Decoder(Hello).decode
decode_welcome: Final = msgspec.msgpack.Decoder(Welcome).decode
_decode_failure: Final = msgspec.msgpack.Decoder(Failure).decode


def encode_request(request: object) -> bytes:
    """The payload of a request.

    Raises:
        InvalidOption: a number in it has more than 64 bits, or a text is not valid Unicode.
    """
    try:
        return encode(request)
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
    return encode(Failure(error.code, error.message, getattr(error, "field", None)))


def error_of(payload: bytes) -> errors.PenstockError:
    """The error that a payload carries, in its own class."""
    told = _decode_failure(payload)
    error = errors.BY_CODE.get(told.code, errors.PenstockError)(told.message)
    if told.field is not None:
        error.field = told.field  # type: ignore[attr-defined]  # of those that have one
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
