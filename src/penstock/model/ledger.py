"""The ledger of a queue: every change of a job's state goes through here, is checked against the table, and counted.

Every store keeps a `QueueStats` for each queue and changes it by `move` and `transfer` alone. So no store can make a
move that `penstock.model.states` does not have, and all stores count alike. One call stands for any number of jobs
that make the same move, so that a batch is checked once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.model.counts import QueueStats
from penstock.model.states import MOVES, WAITING, Event, State, check

_TOTAL_OF: Final[dict[Event, str]] = {
    Event.ENQUEUE: "accepted_total",
    Event.SUCCEED: "succeeded_total",
    Event.BURY: "dead_total",
    Event.CORRUPT: "dead_total",
    Event.GIVE_UP: "dead_total",
    Event.CANCEL: "cancelled_total",
    Event.EXPIRE: "expired_total",
    Event.REVIVE: "revived_total",
    Event.REPEAT: "revived_total",
    Event.REPLAY: "revived_total",
    Event.RETRY: "retried_total",
    Event.SNOOZE: "snoozed_total",
    Event.RELEASE: "released_total",
    Event.LOSE: "lost_total",
}
"""The total that an event counts in, whichever way it goes."""

_Changes = tuple[tuple[str, int], ...]
"""Fields of `QueueStats`, and by how much each changes for one job."""


def _changes_of(event: Event, source: State | None, target: State | None) -> _Changes:
    changes: dict[str, int] = {}
    if source is not target:
        # A job that stays in its state is there before and after.
        changes |= {} if source is None else {source.value: -1}
        changes |= {} if target is None else {target.value: 1}
    if event in _TOTAL_OF:
        changes[_TOTAL_OF[event]] = 1
    if event is Event.LOSE and target is State.DEAD:
        changes["dead_total"] = 1
    if event is Event.DELETE and source in WAITING:
        changes["discarded_total"] = 1
    if event is Event.TRIM and source is State.DEAD:
        changes["discarded_total"] = changes["dead_discarded_total"] = 1
    return tuple(changes.items())


_CHANGES: Final = {
    (event, source, target): _changes_of(event, source, target)
    for event, move in MOVES.items()
    for source in move.sources
    for target in move.targets
}


def move(counts: QueueStats, event: Event, source: State | None, target: State | None, number: int = 1) -> None:
    """Count so many jobs of one queue that make the same move.

    Args:
        counts: of their queue.
        source: the state they were in; None: they are new.
        target: the state they are in now; None: they are gone.
        number: how many they are.

    Raises:
        IllegalTransition: the table does not have this move; nothing has changed.
    """
    move_each([(counts, number)], event, source, target)


def move_each(
    numbers: Iterable[tuple[QueueStats, int]], event: Event, source: State | None, target: State | None
) -> None:
    """As `move`, for jobs of several queues: the counts of each, and how many of its jobs make the move. The table is
    looked into once.

    Raises:
        IllegalTransition: the table does not have this move; nothing has changed.
    """
    changes = _CHANGES.get((event, source, target))
    if changes is None:
        check(event, source, target)
        raise AssertionError("the table has this move, so it has been counted")
    for counts, number in numbers:
        for name, change in changes:
            setattr(counts, name, getattr(counts, name) + change * number)


def transfer(source: QueueStats, target: QueueStats, state: State) -> None:
    """Count a job that leaves one queue for another and stays in its state.

    Args:
        source: the counts of the queue that it leaves.
        target: those of the queue it goes to.
        state: the state it is in.

    Raises:
        IllegalTransition: a job in this state is not moved between queues; nothing has changed.
    """
    check(Event.MOVE, state, state)
    setattr(source, state.value, getattr(source, state.value) - 1)
    setattr(target, state.value, getattr(target, state.value) + 1)
    source.moved_out_total += 1
    target.moved_in_total += 1
