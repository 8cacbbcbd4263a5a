"""Going through pages and steps to their end, for whoever wants all of it.

Each page of a store, and each step of a bulk action, is bounded, so that it delays nobody's work. Command line, tests
and benchmarks take their answers from here.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.model import limits
from penstock.model.holds import QueuesPage, QueueView
from penstock.model.job import Filter, JobView, Page, QueueStats, StatsPage, Step
from penstock.model.page_filling import PageFilling
from penstock.model.topics import TopicsPage, TopicView
from penstock.ports import Store

__all__ = ["all_queues", "all_steps", "full_page", "full_queues", "full_stats", "full_topics"]


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
    filling = PageFilling[tuple[str, QueueStats]](limit, cursor)
    while filling.is_open:
        page = store.stats(cursor=filling.cursor, limit=filling.left)
        filling.add(page.queues.items(), page.cursor)
    return StatsPage(dict(filling.items), filling.cursor)


def full_queues(store: Store, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES) -> QueuesPage:
    """One page of queues with ``limit`` of them in it, or with all that are left."""
    filling = PageFilling[QueueView](limit, cursor)
    while filling.is_open:
        page = store.queues(cursor=filling.cursor, limit=filling.left)
        filling.add(page.queues, page.cursor)
    return QueuesPage(filling.items, filling.cursor)


def full_topics(store: Store, *, cursor: str | None = None, limit: int = 100) -> TopicsPage:
    """One page of topics with ``limit`` of them in it, or with all that are left."""
    filling = PageFilling[TopicView](limit, cursor)
    while filling.is_open:
        page = store.topics(cursor=filling.cursor, limit=filling.left)
        filling.add(page.topics, page.cursor)
    return TopicsPage(filling.items, filling.cursor)


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
    filling = PageFilling[JobView](limit, cursor)
    while filling.is_open:
        page = store.query(where, cursor=filling.cursor, limit=filling.left)
        filling.add(page.jobs, page.cursor)
        if not goes_on():
            break
    return Page(filling.items, filling.cursor)


def all_steps(step: Callable[[str | None], Step]) -> int:
    """Do a bulk action to its end. ``step`` takes a cursor. Answers how many jobs it changed."""
    done = step(None)
    changed = done.changed
    while done.cursor is not None:
        done = step(done.cursor)
        changed += done.changed
    return changed
