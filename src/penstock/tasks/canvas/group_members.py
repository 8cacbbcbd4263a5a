"""Makes jobs of the members of a group: those that go with its plan, and those that are added later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from types import GenericAlias
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption, PenstockError
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.workflow_plan import Take
from penstock.tasks.arguments.chunks import chunk_body
from penstock.tasks.canvas.handing_over import NOTHING, Call, Given, GroupItems, Handover, Handovers
from penstock.tasks.entries import check_same, entries_of, group_of
from penstock.tasks.sendable_task import SendableTask
from penstock.tasks.store_connection import StoreConnection

PIECE_JOBS_MAX: Final = 250
"""Members that are made together."""
PIECE_BYTES_MAX: Final = 1024 * 1024
"""What they take; where it is more, each goes alone."""
_CALL_BYTES: Final = 96
"""What a member takes on the wire besides its arguments, at most."""


class BareCall(Call, Protocol):
    """A call that may be a member of a group without being a step of its own."""

    @property
    def is_bare(self) -> bool: ...  # noqa: D102 - nothing hangs on it: no callbacks, no alternative
    @property
    def each(self) -> bool: ...  # noqa: D102 - its ``args`` are those of several calls, which one job makes


class Piece(NamedTuple):
    """Some members of a group as jobs, in order."""

    groups: list[JobGroup]
    jobs: int
    size_bytes: int


class GroupMembers:
    """The members of one group.

    Attributes:
        name: of the group's step.
        items: what is known of their values.
        takes: what each of them is given. Known with the first.
    """

    def __init__(
        self, name: str, connection: StoreConnection, handovers: Handovers, given: Given, items: GroupItems
    ) -> None:
        """``given``: what the group is given by the steps before it."""
        self.name = name
        self.items = items
        self._connection = connection
        self._handovers = handovers
        self._given = given
        self._takes: tuple[Take, ...] | None = None

    @property
    def takes(self) -> tuple[Take, ...]:
        """See above."""
        return self._takes or ()

    def is_bare(self, member: Any) -> bool:
        """Whether it is a plain call that is given what the members before it are given.

        Raises:
            InvalidOption: it is no canvas, or a value that it would be given does not fit.
        """
        is_bare = getattr(member, "is_bare", None)
        if is_bare is None:
            raise InvalidOption(
                f"Step {self.name!r}: a member of a group is a call such as task.s(1), or a chain, group, chord or dag"
                f" of these, not {type(member).__name__}.",
                field="members",
            )
        if not is_bare:
            return False
        if not self._given.hands_over:
            return True
        takes = self._handover(member).takes
        if self._takes is None:
            self._takes = takes
        return takes == self._takes

    def write(self, calls: Sequence[Any]) -> Iterator[Piece]:
        """Jobs for bare members, in order, made as they are asked for.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: one cannot be a member; the message names the group.
        """
        for start in range(0, len(calls), PIECE_JOBS_MAX):
            yield from _small(self._piece(calls[start : start + PIECE_JOBS_MAX]))

    def write_all(self, members: Iterator[Any]) -> Iterator[Piece]:
        """`write` for all members that follow when the group has been started.

        Raises:
            InvalidOption: one is not a plain call, or is not given what the first ones are given.
        """
        while calls := list(islice(members, PIECE_JOBS_MAX)):
            for member in calls:
                if not self.is_bare(member):
                    raise InvalidOption(
                        f"Step {self.name!r}: a group that is sent in parts has only calls of tasks for members, all of"
                        f" which take the same values. {self.items.total} are there, and among the next is {member!r}.",
                        field="members",
                    )
            yield from self.write(calls)

    def _piece(self, calls: Sequence[Any]) -> Piece:
        groups: list[JobGroup] = []
        size_bytes = start = 0
        ids = new_ids(len(calls))
        while start < len(calls):
            first = calls[start]
            behind = start + 1
            while behind < len(calls) and _alike(first, calls[behind]):
                behind += 1
            task, options = self._sent_by(first), first.job_options
            try:
                entries, taken_bytes = _entries(task, calls[start:behind], ids[start:behind])
            except PenstockError as error:
                error.args = (
                    f"A member of group {self.name!r}, among those from {self.items.total} on: {error.message}",
                )
                raise
            size_bytes += taken_bytes
            returns = first.task.codec.parameters.returns
            self.items.add([GenericAlias(list, (returns,)) if first.each else returns], behind - start)
            groups.append(group_of(task, entries, options, each=first.each))
            start = behind
        return Piece(groups, len(calls), size_bytes + _CALL_BYTES * len(calls))

    def _handover(self, call: BareCall) -> Handover:
        given = NOTHING if call.immutable or call.each else self._given
        return self._handovers.of(self.name, call, given)

    def _sent_by(self, call: BareCall) -> SendableTask[Any]:
        check_same(self._connection, call.task)
        if call.job_options is None and not self._given.hands_over:
            return call.task
        return self._handover(call).task


def _alike(one: Any, other: Any) -> bool:
    """Whether two calls are sent in the same way, whatever is handed over."""
    if one.task is not other.task or one.job_options is not other.job_options or type(one) is not type(other):
        return False
    return one.each or (
        one.immutable == other.immutable
        and len(one.args) == len(other.args)
        and (one.kwargs.keys() == other.kwargs.keys() if one.kwargs else not other.kwargs)
    )


def _entries(task: SendableTask[Any], calls: Sequence[Any], ids: Sequence[bytes]) -> tuple[list[JobEntry], int]:
    """Jobs for calls that are alike, and the bytes that they take."""
    if not calls[0].each:
        return entries_of(task, calls[0].job_options, calls, ids, [])
    entries = [chunk_entry(task, call.args, job_id) for call, job_id in zip(calls, ids, strict=True)]
    return entries, sum(len(entry.body) for entry in entries)


def _small(piece: Piece) -> Iterator[Piece]:
    """The same members in pieces that are no larger than they may be, or one member each."""
    if piece.size_bytes <= PIECE_BYTES_MAX or piece.jobs == 1:
        yield piece
        return
    for group in piece.groups:
        for entry in group.jobs:
            yield Piece([replace(group, jobs=[entry])], 1, len(entry.body) + _CALL_BYTES)


def chunk_entry(task: SendableTask[Any], calls: Sequence[tuple[Any, ...]], job_id: bytes) -> JobEntry:
    """One job that makes several calls.

    Raises:
        InvalidArguments: the arguments of one do not fit.
        InvalidOption: the task's jobs are counted by an argument, of which such a job has many.
        BodyTooLarge: they are too large together.
    """
    if not task.is_plain and (task.texts.counted_by(task.queue) is None or task.texts.counted_by(task.queue)):
        raise InvalidOption(
            f"{task.name}: its jobs are limited, or unique, by an argument, and a job of a chunk makes many calls. Use"
            " .starmap, which makes one job of each.",
            field="n",
        )
    body = chunk_body([task.codec.encode(tuple(args), {}) for args in calls])
    if len(body) > limits.JOB_BODY_BYTES_MAX:
        raise BodyTooLarge(
            f"{task.name}: {len(body)} bytes of arguments in one chunk; the limit for one job (JOB_BODY_BYTES_MAX) is"
            f" {limits.JOB_BODY_BYTES_MAX}: make smaller chunks."
        )
    return JobEntry(job_id, body, checksum(body))
