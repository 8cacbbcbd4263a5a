"""The table of calls: what travels for each call of a store, made from the signatures in `penstock.ports`.

Nothing is written down here for a single call. Its request is a struct with the call's parameters, in their order and
with their defaults; its answer is what the call returns. So a new call of `penstock.ports.Store` is on the wire, and in
both clients, as soon as it is in the port. `penstock.testing.calls_page` prints the table.

A call's kind, the number that stands for it in a frame, is made from its name. Two versions of Penstock that both have
the call agree on it, whatever other calls either of them has. A parameter that is added at the end, with a default, may
be missing in what an older client sends. Pure: no sockets, no clock.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol, Union, get_args, get_origin, get_type_hints
from zlib import crc32

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import astuple

from penstock.model.job import Seconds, Whole
from penstock.model.store_file import CopyStep, FileStatistics
from penstock.ports import BlockingStore, Effect, Store, effect_of
from penstock.ports.effects import reads

KIND_MIN: Final = 256
"""The kinds below are those of frames that are no calls."""
_KINDS: Final = 65_536 - KIND_MIN
_WAIT: Final = "wait_s"
"""A call with this parameter may be parked at the owner for so long."""


class OwnerStatistics(Struct, frozen=True):
    """What an owner has done since it started.

    Attributes:
        groups: times that pending requests were applied together. commits: transactions committed; a group that only
        read, or was deferred, needs none. deferred: enqueues answered from the redo log, without a transaction of their
        own. retried_groups: groups that failed and were applied again one request at a time. group_requests_max: the
        most requests in one group. commit_s_max: the longest commit. parked_leases, parked_waits: now. returned: leases
        released because the answer that gave them was lost on the way. refused: connections closed with a reason.
        places: how many connections there may be. turned_away: connections refused because there was no room for them.
        silent: connections closed because they said no hello. schema_version: of the store; 0: the owner's Penstock is
        one that does not tell, and knows no call about the file.
    """

    pid: int
    epoch: int
    groups: int = 0
    requests: int = 0
    deferred: int = 0
    repeated: int = 0
    returned: int = 0
    commits: int = 0
    retried_groups: int = 0
    group_requests_max: int = 0
    commit_s_max: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
    parked_leases: int = 0
    parked_waits: int = 0
    connections: int = 0
    refused: int = 0
    ticks: int = 0
    places: int = 0
    turned_away: int = 0
    silent: int = 0
    schema_version: int = 0


class OwnerCalls(Protocol):
    """What a client may ask of the owner itself. These calls are no part of the contract of a store."""

    @reads
    def owner_statistics(self) -> OwnerStatistics:
        """What the owner has done since it started."""
        ...

    @reads
    def hand_over(self) -> None:
        """Ask a detached owner to leave. One that was started to stay raises Conflict."""
        ...

    @reads
    def file_statistics(self, cursor: str | None = None) -> FileStatistics:
        """Sizes of the store's files, and rows by table, which are counted in bounded steps: a cursor goes on."""
        ...

    @reads
    def copy_file(self, target: str, *, begin: bool = False) -> CopyStep:
        """Copy the next pages of the database into a file of the owner's machine, whose name ends in ``.unfinished``.
        With ``begin`` it is made anew, and holds all that was accepted before; without, the copy goes on. Nothing is
        synced.

        Raises:
            InvalidOption: nothing can be made there, or it has another name.
            Conflict: another copy is being made.
            CareFailed: it cannot be written; nothing of it is left.
        """
        ...

    @reads
    def ping(self) -> None:
        """Nothing but the answer: the owner is there and does its work."""
        ...


class Call:
    """One call.

    Attributes:
        name: as in the port.
        kind: its number in a frame.
        port: the function in the port, for its signature and its documentation.
        mutating: it needs a transaction.
        recorded: its answer is kept, so that a repeat is answered and not applied.
        parks: it may wait at the owner until there is something to answer.
        shape: the class of its requests: a struct with the call's parameters.
        request: decodes a request. Made at its first use, as `answer` is: a client needs none of the first, an owner
            none of the second, and making all of them takes as long as the rest of the table.
        answer: decodes an answer.
        answer_type: what the answer is decoded as.
        apply: does a request to a store; None: the owner does it itself.
    """

    __slots__ = (
        "answer",
        "answer_type",
        "apply",
        "kind",
        "mutating",
        "name",
        "parks",
        "port",
        "recorded",
        "request",
        "shape",
    )

    request: Callable[[bytes], Any]
    answer: Callable[[bytes], Any]

    def __init__(self, port: Callable[..., Any], *, apply: bool) -> None:
        self.name: str = port.__name__
        self.kind = KIND_MIN + crc32(self.name.encode()) % _KINDS
        self.port = port
        effect = effect_of(self.name)
        self.mutating = effect is not Effect.READS
        self.recorded = effect is Effect.ONCE
        hints = get_type_hints(port, include_extras=True)
        self.answer_type: Any = hints.pop("return")
        defaults = _defaults(port)
        fields = [(field, _bounded(hint), defaults.get(field, NODEFAULT)) for field, hint in hints.items()]
        title = self.name.title().replace("_", "")
        self.shape: Any = msgspec.defstruct(title, fields, array_like=True, frozen=True, module=__name__)
        self.parks = _WAIT in hints
        self.apply = _applying(port) if apply and not self.parks else None
        self._decode_later()

    def answered_as(self, shape: Any) -> Call:
        """The same call with its answer decoded as another type of the same form, which may leave parts packed."""
        twin = object.__new__(Call)
        for slot in self.__slots__:
            if slot not in ("request", "answer"):
                setattr(twin, slot, getattr(self, slot))
        twin.answer_type = shape
        twin._decode_later()
        return twin

    def _decode_later(self) -> None:
        """Have each decoder made when it is first called. A ``__getattr__`` would do that too, but Python then reads
        every attribute of a call several times as slowly, and the owner reads some for each request."""
        self.request = self._decode_first_request
        self.answer = self._decode_first_answer

    def _decode_first_request(self, payload: bytes) -> Any:
        self.request = msgspec.msgpack.Decoder(self.shape).decode
        return self.request(payload)

    def _decode_first_answer(self, payload: bytes) -> Any:
        self.answer = msgspec.msgpack.Decoder(self.answer_type).decode
        return self.answer(payload)


def _parameters(port: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """The parameters behind ``self``: those that may be given by position, and those that are given by name."""
    code = port.__code__
    names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    return names[1 : code.co_argcount], names[code.co_argcount :]


def _defaults(port: Callable[..., Any]) -> dict[str, Any]:
    by_position, _ = _parameters(port)
    defaults = port.__defaults__ or ()
    given = dict(zip(by_position[len(by_position) - len(defaults) :], defaults, strict=True))
    return given | (port.__kwdefaults__ or {})


def _bounded(hint: Any) -> Any:
    """What a decoder checks a parameter by: the port's type, with bounds on numbers, and lists for sequences."""
    if hint is int:
        return Whole
    if hint is float:
        return Seconds
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Sequence:
        return list[_bounded(inner[0])]  # type: ignore[misc]  # a type that is made, not written
    if origin in (Union, types.UnionType):
        return Union[tuple(_bounded(each) for each in inner)]  # noqa: UP007 - of types that are only known here
    return hint


def _applying(port: Callable[..., Any]) -> Callable[[Store, Any], Any]:
    """A function that does a request to a store."""
    name, (by_position, by_name) = port.__name__, _parameters(port)
    count = len(by_position)

    # The fields of a request are the parameters, in their order. Going through them here would take longer than some
    # of the calls do.
    def apply(store: Store, query: Any) -> Any:
        return getattr(store, name)(*astuple(query))

    def apply_by_name(store: Store, query: Any) -> Any:
        values = astuple(query)
        return getattr(store, name)(*values[:count], **dict(zip(by_name, values[count:], strict=True)))

    return apply_by_name if by_name else apply


def _ports(*protocols: type) -> Iterator[Callable[..., Any]]:
    """The calls of these protocols, in order; a later one may extend a call of an earlier."""
    found = {
        name: port
        for protocol in protocols
        for name, port in vars(protocol).items()
        if isinstance(port, types.FunctionType) and not name.startswith("_") and name != "close"
    }
    return iter(found.values())


def _parts(protocol: type) -> list[type]:
    """A protocol and those that it is made of."""
    return [part for part in protocol.__mro__ if part.__module__.startswith("penstock.ports.")]


CALLS: Final[dict[str, Call]] = {
    **{port.__name__: Call(port, apply=True) for port in _ports(*_parts(Store), BlockingStore)},
    **{port.__name__: Call(port, apply=False) for port in _ports(OwnerCalls)},
}
"""Every call by its name."""

BY_KIND: Final[dict[int, Call]] = {call.kind: call for call in CALLS.values()}
"""Every call by its kind."""

assert len(BY_KIND) == len(CALLS), "two calls have the same kind: give one of them another name"
