"""Going through pages and steps to their end, for whoever wants all of it.

Each page of a store, and each step of a bulk action, is bounded, so that it delays nobody's work. Command line, tests
and benchmarks take their answers from here.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.model import limits
from penstock.model.job import Filter, Page, QueueStats, StatsPage, Step
from penstock.ports import Store

__all__ = ["all_queues", "all_steps", "full_page", "full_stats"]


def all_queues(store: Store) -> dict[str, QueueStats]:
    """The counts of every queue, by name."""
    found: dict[str, QueueStats] = {}
    cursor: str | None = None
    while True:
        page = store.stats(cursor=cursor)
        found.update(page.queues)
        cursor = page.cursor
        if cursor is None:
            return found


def full_stats(store: Store, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES) -> StatsPage:
    """One page of counts with ``limit`` queues in it, or with all that are left."""
    page = store.stats(cursor=cursor, limit=limit)
    queues = dict(page.queues)
    while page.cursor is not None and len(queues) < limit:
        page = store.stats(cursor=page.cursor, limit=limit - len(queues))
        queues.update(page.queues)
    return StatsPage(queues, page.cursor)


def full_page(
    store: Store,
    where: Filter,
    *,
    cursor: str | None = None,
    limit: int = 100,
    goes_on: Callable[[], bool] = lambda: True,
) -> Page:
    """One page of a search with ``limit`` jobs in it, or with all that are left. It is short, with a cursor, where
    ``goes_on`` says no before it is full."""
    page = store.query(where, cursor=cursor, limit=limit)
    jobs = list(page.jobs)
    while page.cursor is not None and len(jobs) < limit and goes_on():
        page = store.query(where, cursor=page.cursor, limit=limit - len(jobs))
        jobs += page.jobs
    return Page(jobs, page.cursor)


def all_steps(step: Callable[[str | None], Step]) -> int:
    """Do a bulk action to its end. ``step`` takes a cursor. Answers how many jobs it changed."""
    done = step(None)
    changed = done.changed
    while done.cursor is not None:
        done = step(done.cursor)
        changed += done.changed
    return changed
