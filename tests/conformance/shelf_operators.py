"""What the shelf store has for operators: holds, bulk actions, an audit log. As plain as the rest of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from penstock.model import actions, audit, holds, limits
from penstock.model.actions import Action, ActionRequest, ActionState, Verb
from penstock.model.actions_under_way import Turns
from penstock.model.counts import added
from penstock.model.empty_queues import is_empty
from penstock.model.errors import Conflict, InvalidOption, PenstockError
from penstock.model.holds import Hold, HoldKind, QueuesPage
from penstock.model.ids import id_text
from penstock.model.job import QueueStats, Step
from penstock.model.lines import Closed, ClosedLine
from penstock.model.topics import is_kept

if TYPE_CHECKING:
    from tests.conformance.shelf_store import ShelfStore as Base
else:
    Base = object


class ShelfOperators(Base):
    """A part of `ShelfStore`. `_begin_operators` makes what it keeps."""

    def _begin_operators(self) -> None:
        self._holds = holds.Holds()
        self._actions: dict[bytes, Action] = {}
        self._turns = Turns()
        self._log: list[audit.AuditEntry] = []
        self._noted = 0
        self._tasks_seen: set[str] = set()

    def _note(self, by: str | None, verb: str, subject: str, count: int | None = None, **more: Any) -> int | None:
        if by is None:
            return None
        self._noted += 1
        self._log.append(audit.AuditEntry(self._noted, self._clock.time(), by, verb, subject, count, **more))
        del self._log[: -limits.AUDIT_ENTRIES_MAX]
        return self._noted

    def _note_jobs(self, by: str | None, verb: str, ids: Sequence[bytes], changed: int) -> None:
        if changed:
            self._note(by, verb, audit.jobs_text([id_text(one) for one in ids]), changed)

    def _check_named(self, queue: str | None, task: str | None) -> None:
        holds.check_there(queue, task, self._named_queues(), {*self._records, *self._tasks_seen})

    def _named_queues(self):
        return {*self._counts, *self._queue_records, *(record.queue for record in self._records.values())}

    # --- holds -------------------------------------------------------------------------------------------------------
    def pause(self, *, queue=None, task=None, by="", note=None) -> None:
        hold = self._checked(HoldKind.PAUSED, queue, task, by, note)
        self._closed_lines.close(ClosedLine(queue, task, Closed.PAUSED))
        self._look_over_keys()
        self._holds.put(hold)
        self._note(by, "pause", holds.scope_text(queue, task), note=note)

    def drain(self, *, queue=None, task=None, by="", note=None) -> None:
        self._holds.put(self._checked(HoldKind.DRAINING, queue, task, by, note))
        self._note(by, "drain", holds.scope_text(queue, task), note=note)

    def _checked(self, kind: HoldKind, queue: str | None, task: str | None, by: str, note: str | None) -> Hold:
        self._check_open()
        holds.check_scope(queue, task)
        audit.check_by(by)
        actions.check_note(note)
        if queue is not None and is_kept(queue):
            self.topics(topic=queue.removesuffix(":"))
        else:
            self._check_named(queue, task)
        hold = Hold(queue, task, kind, by, self._clock.time(), note)
        self._holds.check_room(hold)
        return hold

    def resume(self, *, queue=None, task=None, by="") -> None:
        self._check_open()
        holds.check_scope(queue, task)
        self._closed_lines.open(queue, task, Closed.PAUSED)
        self._look_over_keys()
        if self._holds.lift(queue, task):
            self._note(by, "resume", holds.scope_text(queue, task))

    def holds(self) -> list[Hold]:
        self._check_open()
        return self._holds.all()

    # --- queues ------------------------------------------------------------------------------------------------------
    def queues(self, *, names=None, cursor=None, limit=limits.PAGE_QUEUES) -> QueuesPage:
        self._check_open()
        there = sorted(self._counts.keys() | self._holds.queue_names())
        after = None
        if names is not None:
            if cursor is not None:
                raise InvalidOption("There is one page of queues that are named.", field="cursor")
            there = [name for name in dict.fromkeys(names) if name in {*there, *self._named_queues()}]
        else:
            kind, _, last = ("after queue " if cursor is None else cursor).partition("queue ")
            if kind != "after ":
                raise InvalidOption("This is no cursor of this call.", field="cursor")
            there = [name for name in there if name > last]
            after = f"after queue {there[limit - 1]}" if len(there) > limit else None
            there = there[:limit]
        counts = {name: self._shown_counts(name) if name in self._counts else QueueStats() for name in there}
        return QueuesPage(holds.queue_views(counts, self._holds, self._closed_lines), after)

    def remove_queue(self, name, *, by="") -> None:
        self._check_open()
        holds.check_removable(name)
        self._check_named(name, None)
        counts = self._counts.get(name, QueueStats())
        if not is_empty(counts):
            raise Conflict(holds.not_empty(name, counts))
        if name in self._counts:
            self._remove_queue(name)
        for hold in self._holds.by_queue().get(name, []):
            self._holds.lift(hold.queue, hold.task)
            self._closed_lines.open(hold.queue, hold.task, Closed.PAUSED)
        self._note(by, "remove", holds.scope_text(name, None))

    # --- actions -----------------------------------------------------------------------------------------------------
    def start_action(self, wanted: ActionRequest, *, by="") -> Action:
        self._check_open()
        actions.check_action(wanted)
        audit.check_by(by)
        if wanted.id in self._actions:
            return self._actions[wanted.id]
        where = wanted.where
        self._check_named(where.queue, where.task)
        if len(self._under_way()) >= limits.ACTIONS_UNDER_WAY_MAX:
            raise InvalidOption("There are ACTIONS_UNDER_WAY_MAX already.", field="verb")
        if wanted.to is not None:
            self._check_target(wanted.to)
        counts = added(self._counts.values()) if where.queue is None else self._counts.get(where.queue, QueueStats())
        action = actions.begun(wanted, by, self._clock.time(), counts)
        while action.state is ActionState.COUNTING:
            found, _ = self._search(actions.stages(action)[action.stage], None, len(self._jobs) + 1)
            times = [job.created_at for job in found if actions.concerns(action, job.queue, job.created_at)]
            action = actions.counted(action, Step(len(times), None), self._clock.time(), min(times, default=None))
        if not action.dry_run:
            subject = audit.filter_text(where)
            entry = self._note(by, wanted.verb, subject, action.changed, note=wanted.note, action=wanted.id)
            action = replace(action, entry=entry)
        self._keep(action)
        return action

    def _under_way(self) -> list[Action]:
        return [action for action in self._actions.values() if action.is_under_way]

    def _keep(self, action: Action) -> None:
        self._actions[action.id] = action
        self._log = [replace(one, count=action.changed) if one.number == action.entry else one for one in self._log]
        ended = [one.id for one in self._actions.values() if not one.is_under_way]
        for old in ended[: max(0, len(ended) - limits.ACTIONS_KEPT_MAX)]:
            del self._actions[old]

    def _go_on_with_actions(self) -> None:
        now, monotonic = self._clock.time(), self._clock.monotonic()
        action = self._turns.next(self._under_way(), monotonic)
        if action is None:
            return
        done = action
        try:
            if action.to is not None:
                self._check_target(action.to)
            while done.is_under_way and done.changed == action.changed:
                where = actions.stages(done)[done.stage]
                jobs, after = self._found_for(done, where)
                changed = sum(job.created_at <= done.created_at and self._verb(done)(job) for job in jobs)
                done = actions.stepped(done, Step(changed, after), now)
        except PenstockError as error:
            done = actions.ended(done, ActionState.FAILED, now, error.message)
        self._keep(done)
        self._turns.took(done, done.changed - action.changed, monotonic)

    def _found_for(self, action: Action, where: Any) -> tuple[list[Any], str | None]:
        most = actions.step_jobs_max(action)
        if action.verb is not Verb.REPLAY:
            return self._search(where, action.cursor, most)
        all_of_them, _ = self._search(where, None, len(self._jobs) + 1)
        left = [job for job in reversed(all_of_them) if action.cursor is None or job.number > int(action.cursor)]
        return left[:most], str(left[most - 1].number) if len(left) > most else None

    def _verb(self, action: Action) -> Callable[[Any], bool]:
        if action.verb is Verb.MOVE:
            return lambda job: self._transfer(job, action.to or "")
        others = {Verb.RETRY: self._revive, Verb.CANCEL: self._cancel, Verb.REPLAY: self._replay}
        return others.get(action.verb, self._delete)

    def actions(self, ids: Sequence[bytes] | None = None) -> list[Action]:
        self._check_open()
        return [action for action in reversed(self._actions.values()) if ids is None or action.id in ids]

    def stop_action(self, action_id, *, by="") -> Action | None:
        self._check_open()
        action = self._actions.get(action_id)
        if action is not None and action.is_under_way:
            action = actions.ended(action, ActionState.STOPPED, self._clock.time())
            self._keep(action)
            self._note(by, "stop", f"action:{id_text(action_id)}", action.changed, action=action_id)
        return action

    def audit(self, *, cursor=None, limit=100) -> audit.AuditPage:
        self._check_open()
        below = audit.number_before(cursor)
        found = [one for one in reversed(self._log) if below is None or one.number < below]
        return audit.AuditPage(found[:limit], audit.audit_cursor(found[limit - 1].number) if found[limit:] else None)
