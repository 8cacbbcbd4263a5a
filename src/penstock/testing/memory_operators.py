"""Holds, bulk actions and the audit log of the in-memory store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.actions import Action, check_note
from penstock.model.actions_under_way import Actions, Turns
from penstock.model.audit import AuditEntry, AuditPage, action_text, audit_cursor, check_by, number_before
from penstock.model.empty_queues import is_empty
from penstock.model.errors import Conflict, InvalidOption
from penstock.model.holds import (
    Hold,
    HoldKind,
    Holds,
    QueuesPage,
    check_removable,
    check_scope,
    check_there,
    not_empty,
    queue_views,
    scope_text,
)
from penstock.model.job import QueueStats, TaskRecord
from penstock.model.lines import Closed, ClosedLine
from penstock.model.topics import is_kept
from penstock.ports import Clock
from penstock.testing.memory_limits import Limits
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_refusals import Refusals
from penstock.testing.memory_slots import WithSlots, serving
from penstock.testing.memory_table import Table
from penstock.testing.memory_topics import Topics
from penstock.testing.memory_views import page_of_names, queue_stats


class Operators:
    """What operators have put into a store beside jobs.

    Attributes:
        entries: the audit log, by number.
        turns: whose step is next among the actions that are under way.
    """

    def __init__(self, table: Table, tasks: dict[str, TaskRecord], declared: Limits, clock: Clock) -> None:
        self._table = table
        self._tasks = tasks
        self._limits = declared
        self._clock = clock
        self.holds = Holds()
        self.actions = Actions()
        self.entries: dict[int, AuditEntry] = {}
        self.turns = Turns()
        self._number = 0

    # --- what is there -----------------------------------------------------------------------------------------------
    def queue_names(self) -> set[str]:
        """The queues that have jobs or records, or had some lately, and those that applications name."""
        declared = (record.name for record in self._limits.declared_queues())
        return {*self._table.counts, *declared, *(record.queue for record in self._tasks.values())}

    def check_there(self, queue: str | None, task: str | None) -> None:
        """Pass when what is named is there.

        Raises:
            QueueNotFound, UnknownTask: it is not.
        """
        rows, lines = self._table.rows.values(), self._table.lines
        tasks = {*self._tasks, *(row.task for row in rows), *(line[1] for line in lines)}
        check_there(queue, task, self.queue_names(), tasks)

    # --- the audit log -----------------------------------------------------------------------------------------------
    def note(
        self,
        by: str,
        verb: str,
        subject: str,
        count: int | None = None,
        note: str | None = None,
        action: bytes | None = None,
    ) -> int:
        """Add an entry. Answers its number."""
        self._number += 1
        self.entries[self._number] = AuditEntry(
            self._number, self._clock.time(), by, verb, subject, count, note, action
        )
        self.entries.pop(self._number - limits.AUDIT_ENTRIES_MAX, None)
        return self._number

    # --- actions -----------------------------------------------------------------------------------------------------
    def save_action(self, action: Action) -> None:
        """Keep an action as it is now, and its count in the audit log. Of those that have ended the oldest go."""
        self.actions.save(action)
        if action.entry in self.entries:
            self.entries[action.entry] = replace(self.entries[action.entry], count=action.changed)


class OperatorCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` that is for operators and not about jobs."""

    _clock: Clock
    _table: Table
    _queues: Queues
    _refusals: Refusals
    _operators: Operators
    _topics: Topics

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    # --- holds -------------------------------------------------------------------------------------------------------
    @serving
    def pause(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """Give out no jobs of these."""
        hold = self._checked(HoldKind.PAUSED, queue, task, by, note)
        self._refusals.closed.close(ClosedLine(queue, task, Closed.PAUSED))
        self.slots.review()
        self._operators.holds.put(hold)
        self._operators.note(by, "pause", scope_text(queue, task), note=note)

    def drain(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """Take in no new jobs of these."""
        self._operators.holds.put(self._checked(HoldKind.DRAINING, queue, task, by, note))
        self._operators.note(by, "drain", scope_text(queue, task), note=note)

    def _checked(self, kind: HoldKind, queue: str | None, task: str | None, by: str, note: str | None) -> Hold:
        """The hold that is asked for, if it may be put."""
        self._open()
        check_scope(queue, task)
        check_by(by)
        check_note(note)
        if queue is not None and is_kept(queue):
            self._topics.channel_queues(queue.removesuffix(":"))
        else:
            self._operators.check_there(queue, task)
        hold = Hold(queue, task, kind, by, self._clock.time(), note)
        self._operators.holds.check_room(hold)
        return hold

    @serving
    def resume(self, *, queue: str | None = None, task: str | None = None, by: str = "") -> None:
        """Lift the holds on exactly this."""
        self._open()
        check_scope(queue, task)
        check_by(by)
        self._refusals.closed.open(queue, task, Closed.PAUSED)
        self.slots.review()
        if self._operators.holds.lift(queue, task):
            self._operators.note(by, "resume", scope_text(queue, task))

    def holds(self) -> list[Hold]:
        """The holds in force."""
        self._open()
        return self._operators.holds.all()

    # --- queues ------------------------------------------------------------------------------------------------------
    def queues(
        self, *, names: Sequence[str] | None = None, cursor: str | None = None, limit: int = limits.PAGE_QUEUES
    ) -> QueuesPage:
        """Queues with their counts and holds."""
        self._open()
        holds, closed = self._operators.holds, self._refusals.closed
        there = sorted(self._table.counts.keys() | holds.queue_names())
        if names is None:
            page, after = page_of_names(there, cursor, max(1, min(limit, limits.PAGE_QUEUES_MAX)))
        elif cursor is not None:
            raise InvalidOption("Queues that are asked for by name are one page; leave the cursor out.", field="cursor")
        else:
            there_too = {*there, *self._operators.queue_names()}
            page, after = [name for name in dict.fromkeys(names) if name in there_too], None
        now = self._clock.time()
        counts = {
            name: queue_stats(self._table, name, now) if name in self._table.counts else QueueStats() for name in page
        }
        return QueuesPage(queue_views(counts, holds, closed), after)

    @serving
    def remove_queue(self, name: str, *, by: str = "") -> None:
        """Remove a queue that is empty, with the holds on it."""
        self._open()
        check_removable(name)
        check_by(by)
        self._operators.check_there(name, None)
        counts = self._table.counts.get(name, QueueStats())
        if not is_empty(counts):
            raise Conflict(not_empty(name, counts))
        if name in self._table.counts:
            self._queues.remove(name)
        for hold in self._operators.holds.by_queue().get(name, []):
            self._operators.holds.lift(hold.queue, hold.task)
            self._refusals.closed.open(hold.queue, hold.task, Closed.PAUSED)
            self.slots.review()
        self._operators.note(by, "remove", scope_text(name, None))

    # --- actions and the audit log -----------------------------------------------------------------------------------
    def actions(self, ids: Sequence[bytes] | None = None) -> list[Action]:
        """Bulk actions, newest first."""
        self._open()
        return self._operators.actions.newest_first(ids)

    def stop_action(self, action_id: bytes, *, by: str = "") -> Action | None:
        """Let a bulk action end where it is."""
        self._open()
        check_by(by)
        stopped = self._operators.actions.stopped(action_id, self._clock.time())
        if stopped is None:
            return self._operators.actions.get(action_id)
        self._operators.save_action(stopped)
        self._operators.note(by, "stop", action_text(action_id), stopped.changed, action=action_id)
        return stopped

    def audit(self, *, cursor: str | None = None, limit: int = 100) -> AuditPage:
        """The audit log, newest first."""
        self._open()
        below = number_before(cursor)
        limit = max(1, min(limit, limits.PAGE_AUDIT_MAX))
        entries = self._operators.entries
        found = [entries[number] for number in sorted(entries, reverse=True) if below is None or number < below]
        return AuditPage(found[:limit], audit_cursor(found[limit - 1].number) if len(found) > limit else None)
