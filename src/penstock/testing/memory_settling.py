"""Settling in the in-memory store.

`penstock.testing.memory` first asks which children land and refuses what may be refused; then it lets everything be
done. Nothing here raises once the first job has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Final

from penstock.model.job import Fate, JobGroup, Outcomes, Settled
from penstock.model.states import State
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_refusals import Refusals
from penstock.testing.memory_table import Row, Table

_FATE_OF: Final = {State.CANCELLED: Fate.CANCELLED, State.EXPIRED: Fate.EXPIRED, State.DEAD: Fate.DEAD}
"""What is answered of a job that was to run again and ended in this state."""


class Settling:
    """What a settlement does to the rows of a `Table`."""

    def __init__(self, table: Table, moves: Moves, refusals: Refusals) -> None:
        self._table = table
        self._moves = moves
        self._refusals = refusals

    def landing(self, outcomes: Outcomes) -> list[JobGroup]:
        """The children that land: those of jobs that succeed, as far as the settlement's holder holds them."""
        succeeding = {*outcomes.forgotten, *(one.fence for one in outcomes.succeeded)}
        return [
            group
            for fence, groups in outcomes.children
            if fence in succeeding and self._table.held(outcomes.holder, fence) is not None
            for group in groups
        ]

    def apply(self, outcomes: Outcomes) -> Settled:
        """Do to each job what is said of it."""
        exceptions: list[tuple[int, Fate]] = []
        for fence, end in self._endings(outcomes):
            row = self._table.held(outcomes.holder, fence)
            if row is None:
                exceptions.append((fence, Fate.STALE))
            else:
                end(row)
        for fence, send_back in chain(self._returns(outcomes), self._refusals.returns(outcomes)):
            row = self._table.held(outcomes.holder, fence)
            if row is None:
                exceptions.append((fence, Fate.STALE))
                continue
            send_back(row)
            if row.outcome is not None:
                exceptions.append((fence, _FATE_OF[row.outcome]))
        return Settled(exceptions)

    def _endings(self, outcomes: Outcomes) -> Iterator[tuple[int, Callable[[Row], None]]]:
        """Each fence of a settlement whose job is to end, with what its outcome does to the job."""
        yield from ((fence, self._moves.forget) for fence in outcomes.forgotten)
        yield from ((one.fence, partial(self._moves.succeed, outcome=one)) for one in outcomes.succeeded)
        yield from ((one.fence, partial(self._moves.bury, outcome=one)) for one in outcomes.buried)
        yield from (
            (one.fence, partial(self._moves.cancel, keep_record_s=one.keep_record_s)) for one in outcomes.cancelled
        )

    def _returns(self, outcomes: Outcomes) -> Iterator[tuple[int, Callable[[Row], None]]]:
        """As `_endings`, of the jobs that are to run again. Some of them end instead (`Row.outcome`)."""
        yield from ((one.fence, partial(self._moves.retry, outcome=one)) for one in outcomes.retried)
        yield from ((one.fence, partial(self._moves.snooze, outcome=one)) for one in outcomes.snoozed)
        yield from ((one.fence, partial(self._moves.suspend, outcome=one)) for one in outcomes.suspended)
        yield from ((one.fence, partial(self._moves.lose, outcome=one)) for one in outcomes.lost)
        yield from ((fence, self._moves.release) for fence in outcomes.released)
