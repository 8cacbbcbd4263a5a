"""Searching the in-memory store, and what it counts of dead jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod

from penstock.model import limits
from penstock.model.job import DeadCounts, Filter, JobView, Page, TaskRecord
from penstock.model.message_ids import message_id
from penstock.model.searching import check_filter, has_arguments, matches
from penstock.model.topics import MESSAGE_TASK
from penstock.ports import Clock
from penstock.testing.memory_keys import Keys
from penstock.testing.memory_table import Row, Table
from penstock.testing.memory_unique import UniqueKeys
from penstock.testing.memory_views import number_behind, page_of_rows


class SearchCalls(ABC):
    """The part of `penstock.testing.memory.MemoryStore` that finds jobs by what they are."""

    _clock: Clock
    _keys: Keys
    _table: Table
    _tasks: dict[str, TaskRecord]
    _unique: UniqueKeys

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @abstractmethod
    def _is_kept(self, row: Row) -> bool:
        """Whether the time of a row is not up."""

    @abstractmethod
    def _view(self, row: Row, *, result: bool = False, body: bool = False) -> JobView:
        """How a row looks from outside."""

    def query(self, where: Filter, *, cursor: str | None = None, limit: int = 100) -> Page:
        """Search, newest first, in pages."""
        self._open()
        rows, after = self._matching(where, cursor, max(1, min(limit, limits.PAGE_JOBS_MAX)))
        return Page([self._view(row) for row in rows], after)

    def dead_counts(self) -> DeadCounts:
        """Dead records by task and type of error."""
        self._open()
        return self._table.dead_kinds.counts()

    def _matching(self, where: Filter, cursor: str | None, limit: int) -> tuple[list[Row], str | None]:
        """At most ``limit`` rows, newest first, and the cursor that goes on behind them."""
        check_filter(where, self._tasks.values(), self._is_stored)
        rows = (row for row in self._table.newest_first(number_behind(cursor)) if self._is_kept(row))
        return page_of_rows(rows, lambda row: self._fits(row, where), limit)

    def _is_stored(self, name: str) -> bool:
        return any(name in (row.searchable or ()) for row in self._table.rows.values())

    def _fits(self, row: Row, where: Filter) -> bool:
        """Whether every field that the filter gives fits the row."""
        view = self._view(row)
        return (
            matches(view, where)
            and has_arguments(row.searchable, where)
            and (where.key is None or where.key == view.key or self._has_key(row, where.key))
        )

    def _has_key(self, row: Row, key: str) -> bool:
        if self._unique.is_holder(row, key):
            return True
        named = message_id(row.id) if row.task == MESSAGE_TASK else row.id
        return named in self._keys.stands_for(key, self._clock.time())
