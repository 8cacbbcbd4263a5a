"""Answers of stores in the form in which `penstock.testing.machine` compares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from penstock.model.errors import Conflict, InvalidOption, QueueDraining, ScheduleNotFound
from penstock.model.job import DeadCounts, Filter, JobView, QueueStats, Ticked
from penstock.model.states import State
from penstock.ports import Store

_TICKS_MAX: Final = 1_000


def dead_counts(store: Store) -> DeadCounts:
    """Dead records by kind, of which none is forgotten."""
    counts = store.dead_counts()
    assert counts.others + sum(kind.count for kind in counts.kinds) == store.totals().counts.dead, counts
    return counts


def or_refused(ask: Callable[[Store], Any]) -> Callable[[Store], Any]:
    """Asks, and answers what is to blame when that is refused."""

    def asked(store: Store) -> Any:
        try:
            return ask(store)
        except InvalidOption as error:
            return error.field
        except (Conflict, QueueDraining, ScheduleNotFound) as error:
            return error.code

    return asked


def shown(view: JobView | None) -> JobView | None:
    """A view without what a store may leave open: run_at while the job does not wait for it, words of its own."""
    if view is None:
        return None
    run_at = view.run_at if view.state is State.SCHEDULED else None
    error = view.error
    if error is not None and error.type in ("Corrupt", "WorkerLost"):
        error = msgspec.structs.replace(error, message="")
    return msgspec.structs.replace(view, run_at=run_at, error=error)


def bare_counts(stats: dict[str, QueueStats]) -> dict[str, QueueStats]:
    """Counts without the age, of which only whether there is one is compared."""
    for counts in stats.values():
        assert counts.unaccounted() == 0, counts
        assert (counts.oldest_ready_age_s is None) == (counts.ready == 0), counts
    bare = {name: msgspec.structs.replace(counts, oldest_ready_age_s=None) for name, counts in stats.items()}
    return {name: counts for name, counts in bare.items() if counts != QueueStats()}


def ticked_out(store: Store) -> Ticked:
    """Ticks until nothing is due; what they did in all."""
    promoted = expired = reclaimed = 0
    for _ in range(_TICKS_MAX):
        ticked = store.tick()
        promoted += ticked.promoted
        expired += ticked.expired
        reclaimed += ticked.reclaimed
        if ticked.next_s != 0:
            return Ticked(promoted, expired, reclaimed)
    raise AssertionError("the store always has more to do")


def all_pages(store: Store, where: Filter, limit: int) -> Sequence[JobView | None]:
    """Every job that a filter finds."""
    found: list[JobView | None] = []
    cursor = None
    while True:
        page = store.query(where, cursor=cursor, limit=limit)
        found += map(shown, page.jobs)
        cursor = page.cursor
        if cursor is None:
            return found
