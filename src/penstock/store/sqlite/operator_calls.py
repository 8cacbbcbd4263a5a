"""The calls for operators that are not about single jobs: holds, queues, bulk actions, the audit log."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.acceptance import check_queue
from penstock.model.actions import Action, ActionRequest, check_action, check_note
from penstock.model.audit import AuditPage, action_text, check_by, filter_text
from penstock.model.empty_queues import is_empty
from penstock.model.errors import Conflict, InvalidOption
from penstock.model.holds import (
    Hold,
    HoldKind,
    QueuesPage,
    check_removable,
    check_scope,
    check_there,
    not_empty,
    queue_views,
    scope_text,
)
from penstock.model.job import QueueStats
from penstock.model.lines import Closed, ClosedLine
from penstock.model.topics import is_kept, is_of_topic
from penstock.store.sqlite.bulk_actions import BulkActions
from penstock.store.sqlite.operator_actions import Operating
from penstock.store.sqlite.row_numbers import cursor_after_queue, queue_after
from penstock.store.sqlite.searching import Search
from penstock.store.sqlite.topics import Topics
from penstock.store.sqlite.transactions import Transactions, draining


class OperatorCalls(Transactions):
    """The part of `penstock.store.sqlite.store.SqliteStore` that is for operators."""

    _search: Search
    _operating: Operating
    _actions: BulkActions
    _topics: Topics

    # --- holds -------------------------------------------------------------------------------------------------------
    @draining
    def pause(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """See `penstock.ports.Store.pause`."""
        hold = self._checked(HoldKind.PAUSED, queue, task, by, note)
        self._operating.close_lines(ClosedLine(queue, task, Closed.PAUSED))
        self._records.put_hold(hold)
        self._records.note(by, "pause", scope_text(queue, task), note=note)

    @draining
    def drain(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """See `penstock.ports.Store.drain`."""
        self._records.put_hold(self._checked(HoldKind.DRAINING, queue, task, by, note))
        self._records.note(by, "drain", scope_text(queue, task), note=note)

    def _checked(self, kind: HoldKind, queue: str | None, task: str | None, by: str, note: str | None) -> Hold:
        """The hold that is asked for, if it may be put."""
        check_scope(queue, task)
        check_by(by)
        check_note(note)
        if queue is not None and is_kept(queue):
            self._topics.book.find(queue.removesuffix(":"))
        else:
            self._check_there(queue, task)
        hold = Hold(queue, task, kind, by, self.clock.time(), note)
        self._records.holds.check_room(hold)
        return hold

    def _check_there(self, queue: str | None, task: str | None) -> None:
        """Pass when what is named is there.

        Raises:
            QueueNotFound, UnknownTask: it is not.
        """
        check_there(queue, task, self._there(), self.books.task_ids)

    def _there(self) -> set[str]:
        """The names of the queues that have jobs or records, or had some lately, and that applications name."""
        books = self.books
        named = {record.queue for record in books.records.values()}
        return books.queue_by_name.keys() | named | books.limits.queue_records.keys()

    @draining
    def resume(self, *, queue: str | None = None, task: str | None = None, by: str = "") -> None:
        """See `penstock.ports.Store.resume`."""
        check_scope(queue, task)
        check_by(by)
        self._operating.open_lines(queue, task, Closed.PAUSED)
        if self._records.lift_holds(queue, task):
            self._records.note(by, "resume", scope_text(queue, task))

    def holds(self) -> list[Hold]:
        """See `penstock.ports.Store.holds`."""
        return self._records.holds.all()

    # --- queues ------------------------------------------------------------------------------------------------------
    def queues(
        self, *, names: Sequence[str] | None = None, cursor: str | None = None, limit: int = limits.PAGE_QUEUES
    ) -> QueuesPage:
        """See `penstock.ports.Store.queues`."""
        self.catch_up()
        self._line.write_all()
        holds, closed, known = self._records.holds, self.books.closed, self.books.queue_by_name
        if names is not None:
            if cursor is not None:
                raise InvalidOption(
                    "Queues that are asked for by name are one page; leave the cursor out.", field="cursor"
                )
            there = self._there() | holds.queue_names()
            wanted = [name for name in dict.fromkeys(names) if name in there]
            return QueuesPage(queue_views(self._inspector.counts_of(wanted), holds, closed), None)
        listed = self.books.queue_names()
        unknown = holds.queue_names() - known.keys()
        if unknown:
            listed = sorted([*listed, *unknown])
        first = bisect_right(listed, queue_after(cursor))
        last = first + max(1, min(limit, limits.PAGE_QUEUES_MAX))
        counts = self._inspector.counts_of(listed[first:last], in_a_slice=True)
        shown = first + len(counts)
        after = cursor_after_queue(listed[shown - 1]) if shown < len(listed) else None
        return QueuesPage(queue_views(counts, holds, closed), after)

    @draining
    def remove_queue(self, name: str, *, by: str = "") -> None:
        """See `penstock.ports.Store.remove_queue`."""
        check_removable(name)
        check_by(by)
        self._check_there(name, None)
        queue = self.books.queue_by_name.get(name)
        counts = QueueStats() if queue is None else queue.counts
        if not is_empty(counts):
            raise Conflict(not_empty(name, counts))
        if queue is not None:
            self._names.remove([queue.id])
        for hold in self._records.holds.by_queue().get(name, []):
            self._records.lift_holds(hold.queue, hold.task)
            self._operating.open_lines(hold.queue, hold.task, Closed.PAUSED)
        self._records.note(by, "remove", scope_text(name, None))

    # --- actions and the audit log -----------------------------------------------------------------------------------
    @draining
    def start_action(self, wanted: ActionRequest, *, by: str = "") -> Action:
        """See `penstock.ports.Store.start_action`."""
        check_action(wanted)
        check_by(by)
        known = self._records.actions.get(wanted.id)
        if known is not None:
            return known
        where = wanted.where
        self._check_there(where.queue, where.task)
        self._search.check(where)
        self._records.actions.check_room()
        if wanted.to is not None:
            self._check_target(wanted.to)
        self._line.write_all()
        action = self._actions.begin(wanted, by)
        if not action.dry_run:
            entry = self._records.note(by, wanted.verb, filter_text(where), action.changed, wanted.note, wanted.id)
            action = replace(action, entry=entry)
        self._records.save_action(action)
        return action

    def _check_target(self, name: str) -> None:
        """Pass when jobs may be moved into this queue now, and make room for its name.

        Raises:
            QueueDraining: it takes none.
            InvalidOption: it is no name, or there are too many queues.
            ChannelNotFound, TopicNotFound: it names a channel that is not there.
        """
        if is_of_topic(name):
            self._topics.check_channel(name)
            return
        check_queue(name)
        self._records.holds.check_target(name)
        self._acceptor.check_queues({name})

    def actions(self, ids: Sequence[bytes] | None = None) -> list[Action]:
        """See `penstock.ports.Store.actions`."""
        return self._records.actions.newest_first(ids)

    @property
    def is_acting(self) -> bool:
        """Whether bulk actions are under way, so that there is work even where nobody asks for anything."""
        return bool(self._records.actions.under_way())

    @draining
    def stop_action(self, action_id: bytes, *, by: str = "") -> Action | None:
        """See `penstock.ports.Store.stop_action`."""
        check_by(by)
        stopped = self._records.actions.stopped(action_id, self.clock.time())
        if stopped is None:
            return self._records.actions.get(action_id)
        self._records.save_action(stopped)
        self._records.note(by, "stop", action_text(action_id), stopped.changed, action=action_id)
        return stopped

    def audit(self, *, cursor: str | None = None, limit: int = 100) -> AuditPage:
        """See `penstock.ports.Store.audit`."""
        return self._records.audit(cursor, limit)
