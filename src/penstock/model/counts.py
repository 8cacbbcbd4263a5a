"""What a store says of itself: the counts of its queues, what a tick did, what it guarantees.

As records they belong to `penstock.model.job`, which is where everybody takes them from.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import sub
from typing import Final

from msgspec import Struct
from msgspec.structs import astuple


class QueueStats(Struct, array_like=True):
    """Counts of one queue: records now, by state, then totals since the store was made (which survive retention).

    Attributes:
        oldest_ready_age_s: since when the job that waits longest could have started. None: none is ready; or, among
            the busiest queues, there was no time to find out.
        refused: of those that are ready: refused by a worker, and not run since.
    """

    scheduled: int = 0
    blocked: int = 0
    ready: int = 0
    running: int = 0
    succeeded: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0
    accepted_total: int = 0
    succeeded_total: int = 0
    dead_total: int = 0
    cancelled_total: int = 0
    expired_total: int = 0
    discarded_total: int = 0
    dead_discarded_total: int = 0
    revived_total: int = 0
    moved_in_total: int = 0
    moved_out_total: int = 0
    retried_total: int = 0
    snoozed_total: int = 0
    released_total: int = 0
    lost_total: int = 0
    oldest_ready_age_s: float | None = None
    refused: int = 0

    def unaccounted(self) -> int:
        """I4: what came in less what can be named. Anything but 0 is a bug.

        Dead jobs that were trimmed are in ``dead_total`` and in ``discarded_total``; they count once.
        """
        came_in = self.accepted_total + self.revived_total + self.moved_in_total
        waiting = self.scheduled + self.blocked + self.ready + self.running
        ended = self.succeeded_total + self.dead_total + self.cancelled_total + self.expired_total
        left = self.discarded_total - self.dead_discarded_total + self.moved_out_total
        return came_in - waiting - ended - left


class StatsPage(Struct, array_like=True, frozen=True):
    """Counts of some queues, by name.

    Attributes:
        cursor: asks for the next page, which may be short; None: there is none.
        others: when the busiest were asked for, the counts of all other queues together, those that were removed
            included, at the same moment: so what comes from both adds up. It has no ``oldest_ready_age_s``.
    """

    queues: dict[str, QueueStats]
    cursor: str | None
    others: QueueStats | None = None


ADDED_UP: Final = QueueStats.__struct_fields__[:-2]
"""The counts that are kept, and add up over queues: all but the age and ``refused``, which are found when asked for."""


def added(counts: Iterable[QueueStats], start: QueueStats | None = None) -> QueueStats:
    """All of these together, and ``start``."""
    rows = [astuple(one)[: len(ADDED_UP)] for one in counts]
    rows.append(astuple(start or QueueStats())[: len(ADDED_UP)])
    return QueueStats(*(sum(column) for column in zip(*rows, strict=True)))


def less(whole: QueueStats, part: QueueStats) -> QueueStats:
    """What is left of the whole without this part."""
    width = len(ADDED_UP)
    return QueueStats(*map(sub, astuple(whole)[:width], astuple(part)[:width]))


class Totals(Struct, array_like=True, frozen=True):
    """The counts of all queues together, those that were removed included.

    Attributes:
        queues: how many queues there are now.
        counts: the sum. It has no ``oldest_ready_age_s``.
        removed: the part of it that belonged to queues that are not there any more, because they were empty. The
            counts of the queues that are there, and these, add up to ``counts``.
        workflows: how many there are by state, those that are over included while their records are kept.
    """

    queues: int
    counts: QueueStats
    removed: QueueStats
    workflows: dict[str, int] = {}


class DeadKind(Struct, array_like=True, frozen=True):
    """How many dead records there are of a task with this type of error."""

    task: str
    error: str
    count: int


class DeadCounts(Struct, array_like=True, frozen=True):
    """Dead records by kind. All counts and ``others`` together are the dead records there are.

    Attributes:
        kinds: those that most records are of come first; at most `limits.DEAD_KINDS_MAX`.
        others: records of all kinds that are not named.
    """

    kinds: list[DeadKind]
    others: int


class Ticked(Struct, array_like=True, frozen=True):
    """What one tick did, and when the next is due (seconds from now; 0: there is more to do; None: nothing known)."""

    promoted: int = 0
    expired: int = 0
    reclaimed: int = 0
    trimmed: int = 0
    next_s: float | None = None


class Capabilities(Struct, array_like=True, frozen=True):
    """What a store guarantees, so that callers ask instead of guessing."""

    durability: str
    transactions_with_application: bool = False
    search: bool = True
    shared_between_hosts: bool = False
