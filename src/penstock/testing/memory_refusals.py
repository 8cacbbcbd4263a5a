"""Who gets which job of the in-memory store, and what becomes of jobs that workers refuse.

The rules are those of `penstock.model.refusals`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from penstock.model import limits
from penstock.model.job import JobError, JobView, LeaseRequest, Outcomes, Refused, checksum
from penstock.model.refusals import Holders, aside_until, is_hopeless
from penstock.model.states import Event, State
from penstock.ports import Clock
from penstock.testing.memory_limits import Limits
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_table import Row, Table


class Refusals:
    """The jobs in `Table.refused`, and what is known of the lease holders."""

    def __init__(self, table: Table, moves: Moves, limited: Limits, clock: Clock) -> None:
        self._table = table
        self._moves = moves
        self._limits = limited
        self._clock = clock
        self._unknown: dict[tuple[bytes, str], tuple[float, JobError]] = {}
        self.holders = Holders(clock.monotonic())
        self.closed = moves.slots.closed

    # --- who gets what -----------------------------------------------------------------------------------------------
    def heard_of(self, request: LeaseRequest) -> None:
        """A holder asks for jobs. One that was away for long may know other tasks by now."""
        now = self._clock.monotonic()
        if request.holder not in self.holders.live(now):
            self._forget_unknown(lambda other, _: other == request.holder)
        self.holders.leases(request, now)

    def next_ready(self, request: LeaseRequest, *, limited: bool) -> Row | None:
        """The next job that may be given out; those in front of it that may not be are dealt with here. ``limited``:
        it may be one of a limited line."""
        for again in (False, True):
            while (row := self._first(request, again=again, limited=limited)) is not None:
                if row.is_expired(self._clock.time()):
                    self._moves.expire(row)
                elif checksum(row.body) != row.checksum:
                    self._moves.corrupt(row)
                elif not self._sets_aside(request.holder, row):
                    return row
        return None

    def explained(self, row: Row, shown: JobView) -> JobView:
        """How a job looks, with why it is not given out if it is ready."""
        if row.state is State.BLOCKED:
            blocked_for, key = self._moves.slots.reason_of(row)
            return msgspec.structs.replace(shown, reason=blocked_for, key=key)
        if row.state is not State.READY:
            return shown
        unknown = self.holders.unknown_task(row.queue, row.task, self._clock.monotonic())
        error = shown.error if row.refusal is not None or unknown is None else unknown
        reason = self.closed.reason_of(*row.line) or self._limits.reason_of(row.line)
        return msgspec.structs.replace(shown, error=error, reason=reason)

    def _first(self, request: LeaseRequest, *, again: bool, limited: bool) -> Row | None:
        """The first job that this holder may have. ``again``: of those that it has refused before. ``limited``: also of
        limited lines."""
        rows = [row for row in self._heads(again=again) if self._is_open(row, limited=limited)]
        rows = [row for row in rows if request.takes(*row.line)]
        found = [row for row in rows if row.refused_since is None or _is_for(row, request.holder, again=again)]
        if request.queues is None:
            return _first_of_all(found)
        for name in request.queues:
            if first := _first_of_all([row for row in found if row.queue == name]):
                return first
        return None

    def _is_open(self, row: Row, *, limited: bool) -> bool:
        """Whether the line of a job gives out one more."""
        if self.closed.reason_of(*row.line) is not None:
            return False
        return (limited or not self._limits.is_limited(row.line)) and self._limits.has_room(row.line)

    def _heads(self, *, again: bool) -> Iterator[Row]:
        """The first job of each line, and all that were refused. ``again``: only those."""
        yield from self._table.refused.values()
        if not again:
            heads = [agenda.first() for agenda in self._table.lines.values()]
            yield from (self._table.rows[head[1]] for head in heads if head is not None)

    def _sets_aside(self, holder: bytes, row: Row) -> bool:
        """Refuse a ready job in a holder's name, if it does not know its task. Answers whether."""
        until, error = self._unknown.get((holder, row.task), (0.0, None))
        if error is None or until <= self._clock.time():
            return False
        self._note(row, holder, error, unfit=False)
        return True

    def learn(self, tasks: Iterable[str]) -> None:
        """Somebody knows these tasks: whoever did not may do so by now."""
        known = set(tasks)
        self._forget_unknown(lambda _, task: task in known)

    def forget_workers(self, front: bytes) -> None:
        """What workers refused whose names begin so is offered to them anew."""
        self._forget_unknown(lambda other, _: other.startswith(front))
        for row in self._table.rows.values():
            for holder in [holder for holder in row.refused_by if holder.startswith(front)]:
                del row.refused_by[holder]

    def _forget_unknown(self, matches: Callable[[bytes, str], bool]) -> None:
        self._unknown = {key: what for key, what in self._unknown.items() if not matches(*key)}

    # --- refusing ----------------------------------------------------------------------------------------------------
    def returns(self, outcomes: Outcomes) -> Iterator[tuple[int, Callable[[Row], None]]]:
        """As `Moves.returns`, of the refusals."""
        yield from ((one.fence, partial(self._refuse, outcome=one)) for one in outcomes.refused)

    def _refuse(self, row: Row, outcome: Refused) -> None:
        """The holder of a running job cannot run it."""
        assert row.lease is not None, "a running job is leased"
        holder = row.lease.holder
        if not self._moves.give_back(row, Event.REFUSE):
            return
        if not outcome.is_unfit:
            until = self._clock.time() + limits.REFUSED_AGAIN_S_MAX
            self._unknown[holder, row.task] = (until, outcome.error)
        self._note(row, holder, outcome.error, unfit=outcome.is_unfit)

    def _note(self, row: Row, holder: bytes, error: JobError, *, unfit: bool) -> None:
        now, live = self._clock.time(), self.holders.live(self._clock.monotonic())
        self._table.take_out(row)
        row.refused_since = now if row.refused_since is None else row.refused_since
        if unfit or row.unfit_since is None:
            row.refusal = error
        if unfit and row.unfit_since is None:
            row.unfit_since = now
        row.refused_by = {one: was for one, was in row.refused_by.items() if one in live} | {holder: unfit}
        row.again = False
        row.aside_until = aside_until(row.refused_since, row.unfit_since, now)
        self._table.put_in(row)
        self._give_up_hopeless(row)

    def _give_up_hopeless(self, row: Row) -> bool:
        monotonic = self._clock.monotonic()
        live = self.holders.live(monotonic, row.queue, row.task)
        if not self.holders.knows_all(monotonic):
            return False
        if not is_hopeless(row.refused_by, live, row.unfit_since, self._clock.time()):
            return False
        self._moves.give_up(row)
        return True

    # --- as time passes ----------------------------------------------------------------------------------------------
    def step(self) -> int:
        """Look at jobs that were aside for a while. Answers at how many."""
        now = self._clock.time()
        due = [(at, row.number, row) for at, row in self._times() if at <= now]
        for _, _, row in sorted(due)[: limits.TICK_STEP_JOBS]:
            if not self._give_up_hopeless(row):
                assert row.refused_since is not None, "it was refused"
                row.again = True
                is_over = row.unfit_since is None
                row.aside_until = None if is_over else aside_until(row.refused_since, row.unfit_since, now)
        return min(len(due), limits.TICK_STEP_JOBS)

    def next_at(self) -> float | None:
        """When `step` has something to do. None: never."""
        return min((at for at, _ in self._times()), default=None)

    def _times(self) -> list[tuple[float, Row]]:
        return [(row.aside_until, row) for row in self._table.refused.values() if row.aside_until is not None]


def _is_for(row: Row, holder: bytes, *, again: bool) -> bool:
    refused = holder in row.refused_by
    return row.state is State.READY and ((refused and row.again) if again else not refused)


def _first_of_all(rows: list[Row]) -> Row | None:
    """Each queue's first in order is compared: by priority, then by which arrived first."""
    firsts: dict[str, Row] = {}
    for row in rows:
        first = firsts.setdefault(row.queue, row)
        if row.order < first.order:
            firsts[row.queue] = row
    return min(firsts.values(), key=lambda row: (-row.priority, row.arrival), default=None)
