"""What operators and callers do to jobs by id: cancel, revive, move, delete, edit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import msgspec

from penstock.model import limits
from penstock.model.interests import Interest
from penstock.model.job import Filter, JobEntry, JobView, Step, checksum
from penstock.model.lines import Closed, ClosedLine
from penstock.model.states import TERMINAL, WAITING, Event, State
from penstock.model.topics import covers, may_move
from penstock.model.unique import REVIVABLE
from penstock.store.sqlite.chores import Chores
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.enqueueing import packed_extra
from penstock.store.sqlite.in_memory import Books, Place
from penstock.store.sqlite.joining import Joiner
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.row_numbers import cursor_before, row_before
from penstock.store.sqlite.searching import Search
from penstock.store.sqlite.slot_review import Left
from penstock.store.sqlite.unique_keys import Replacement, UniqueKeys

_encode: Final = msgspec.msgpack.Encoder().encode

_JOBS_AT_ONCE: Final = 50
"""Jobs that a step finds before it acts on them."""
_FULL_DISK_JOBS: Final = 50
"""As `limits.ADMIN_JOBS_MAX`, while the disk is full."""


class Operating:
    """One job at a time; `steps` makes bounded bulk actions of it."""

    def __init__(
        self,
        books: Books,
        inspector: Inspector,
        search: Search,
        endings: Endings,
        chores: Chores,
        unique: UniqueKeys,
    ) -> None:
        self.books = books
        self.unique = unique
        self.database = books.database
        self.inspector = inspector
        self.search = search
        self.endings = endings
        self.chores = chores

    def cancel(self, job_id: bytes) -> State | None:
        """See `penstock.ports.Store.cancel`."""
        found = self._find(job_id)
        return None if found is None else self._cancel(*found)

    def _cancel(self, seq: int, view: JobView) -> State:
        if view.state is State.RUNNING:
            fence = self.books.by_seq[seq]
            self.books.by_fence[fence].cancel = True
            self.database.run("cancel_running", fence)
            return State.RUNNING
        if view.state not in WAITING:
            return view.state
        left = self.chores.leave_line(seq)
        self.endings.end_waiting(seq, view.id, left.line, view.attempt, Event.CANCEL, left.state)
        return State.CANCELLED

    def revive(self, job_id: bytes) -> State | None:
        """See `penstock.ports.Store.revive`."""
        found = self._find(job_id)
        return None if found is None else self._revive(*found)

    def _revive(self, seq: int, view: JobView) -> State:
        if view.state not in REVIVABLE or self._is_of_workflow(seq) or not self.unique.take_again(view.id):
            return view.state
        return self._run_again(seq, view, Event.REVIVE)

    def _run_again(self, seq: int, view: JobView, event: Event) -> State:
        """Let a job that has ended run again, from its first attempt on."""
        line = self.books.lines[self.database.value("place", seq)]
        self._drop_record(seq, view.state)
        self.database.run("forget_expiry", seq)
        values = self.database.value("flow_values", seq)
        place = self.endings.joining.place(line.id, -view.priority, values)
        self.database.run("repeat_job", 0, 0, None, self.books.clock.time(), view.priority, *place[1:], seq)
        self.books.mishaps.note(seq, self.books.mishaps.of(seq)._replace(strays=0))
        self.books.move(line.queue, event, view.state, State.READY)
        return self._joined(Joiner(seq, line.id, place, values))

    def repeats(self, seq: int, body: bytes | None) -> bool:
        """Let a job of a workflow that has ended run again, whatever its outcome was. The workflow's own affair: nobody
        else may (`revive`). Answers whether it does: another job may have its unique key.

        Args:
            body: of its next run; None: as before.
        """
        view = self.inspector.view_row(seq)
        if view is None or view.state not in TERMINAL or not self.unique.take_again(view.id):
            return False
        is_other = body is not None and body != self.database.value("body", seq)
        if is_other:
            self.database.run("replace_body", body, checksum(body or b""), seq)
        if is_other or view.state is State.SUCCEEDED:
            # What it has recorded was of that run. Of one that has failed it stands, and is not done again.
            self.endings.steps.forget_history(seq)
        self._run_again(seq, view, Event.REPEAT)
        return True

    def _is_of_workflow(self, seq: int) -> bool:
        """Whether a job belongs to a workflow, which goes on with its end, and with which its record goes."""
        return bool((self.database.value("interest", seq) or 0) & Interest.PARENT)

    def revive_edited(self, entry: JobEntry) -> State | None:
        """See `penstock.ports.Store.revive_edited`."""
        found = self._find(entry.id)
        if found is None:
            return None
        seq, view = found
        if view.state not in REVIVABLE or self._is_of_workflow(seq):
            return view.state
        if not self.unique.take_again(entry.id, entry.unique_key):
            return view.state
        values = _encode(entry.values) if entry.values else None
        self.database.run("edit_arguments", entry.body, entry.checksum, values, seq)
        self._note_searchable(seq, entry)
        self._note_values(seq, entry)
        self.endings.steps.forget_history(seq)
        return self.revive(entry.id)

    def _note_searchable(self, seq: int, entry: JobEntry) -> None:
        """Let a job be found by the arguments that it has been given."""
        self.database.run("delete_searchable", seq)
        if entry.searchable:
            texts = [(name, text, seq) for name, text in entry.searchable.items()]
            self.database.run_many("insert_searchable", texts)
            self.endings.listeners.add_interest(seq, Interest.SEARCHABLE)

    def _note_values(self, seq: int, entry: JobEntry) -> None:
        """Let a job take slots, by the values that it has been given."""
        if entry.values:
            self.endings.listeners.add_interest(seq, Interest.SLOT)

    def move(self, job_id: bytes, name: str) -> State | None:
        """See `penstock.ports.Store.move`."""
        found = self._find(job_id)
        return None if found is None else self._move(*found, name)

    def _move(self, seq: int, view: JobView, name: str) -> State:
        if view.state not in WAITING or view.queue == name or not may_move(view.queue, name):
            return view.state
        left = self._leave(seq)
        line = self.books.line(self.books.queue(name).id, self.books.lines[left.line].task)
        self.books.transfer(self.books.lines[left.line].queue, line.queue, left.state)
        values = self._give_back(seq, line.id, keeps=True)
        place = left.place
        if left.state is State.READY:
            self.endings.joining.tenants.leaves(seq)
            place = place._replace(rank=self.endings.joining.tenants.rank(line.id, place.urgency, values))
        return self._join_line(Joiner(seq, line.id, place, values), left.state, view.run_at)

    def edit(self, job_id: bytes, priority: int | None, run_at: float | None) -> State | None:
        """See `penstock.ports.Store.edit`."""
        found = self._find(job_id)
        if found is None:
            return None
        seq, view = found
        if view.state not in WAITING:
            return view.state
        left = self._leave(seq)
        state, due = left.state, view.run_at
        if run_at is not None:
            now = self.books.clock.time()
            state = State.SCHEDULED if run_at > now else State.READY
            if State.SCHEDULED in (state, left.state):
                due = max(run_at, now)
            if left.state is State.SCHEDULED and due is not None:
                self.endings.steps.edited(seq, view.run_at, due, is_ready=state is State.READY)
        urgency = -(view.priority if priority is None else priority)
        place = self._edited_place(seq, left, state, urgency)
        self.books.move(self.books.lines[left.line].queue, Event.RESCHEDULE, left.state, state)
        keeps = state is State.READY or left.state is State.SCHEDULED
        values = self._give_back(seq, left.line, keeps=keeps)
        return self._join_line(Joiner(seq, left.line, place, values), state, due)

    def _edited_place(self, seq: int, left: Left, state: State, urgency: int) -> Place:
        """The place of a job that waits otherwise, or with another priority. It keeps its arrival, and among tenants
        that take turns the rank as well, unless the priority is another one."""
        if left.state is state and urgency == left.place.urgency:
            return left.place
        joining, place = self.endings.joining, Place(urgency, 0, 0)
        joining.tenants.leaves(seq)
        if state is State.SCHEDULED:
            return place
        values = self.database.value("flow_values", seq)
        if left.state is State.SCHEDULED:
            return joining.place(left.line, urgency, values)
        return Place(urgency, joining.tenants.rank(left.line, urgency, values), left.place.arrival)

    def replace(self, one: Replacement) -> None:
        """Give a waiting job the arguments of another. Unless it keeps its time it waits as that one would."""
        found = self._find(one.job_id)
        assert found is not None, "a job that waits has a record"
        seq, view = found
        group, entry = one.group, one.entry
        # One that waits for an event has no time to keep.
        keep_time = one.keep_time and not self.endings.steps.awaits(seq)
        self.endings.steps.forget_history(seq)
        left = self._leave(seq)
        if not keep_time:
            self.endings.joining.tenants.leaves(seq)
        extra = packed_extra(group, self.database.value("extra", seq))
        values = _encode(entry.values) if entry.values else None
        self.database.run("replace_job", entry.checksum, entry.body, extra, values, seq)
        self._note_searchable(seq, entry)
        self.books.mishaps.note(seq, self.books.mishaps.of(seq)._replace(strays=0))
        state, place, due = left.state, left.place, view.run_at
        if not keep_time:
            now = self.books.clock.time()
            due = max(now, group.run_at or now) if group.delay_s is None else now + group.delay_s
            state = State.SCHEDULED if due > now else State.READY
            place = Place(place.urgency, 0, 0)
            if state is State.READY:
                place = self.endings.joining.place(left.line, place.urgency, values)
            self.database.run("renew_expiry", None if group.expires_s is None else now + group.expires_s, seq)
        self.books.move(self.books.lines[left.line].queue, Event.RESCHEDULE, left.state, state)
        self._note_values(seq, entry)
        keeps = state is State.READY or left.state is State.SCHEDULED
        values = self._give_back(seq, left.line, keeps=keeps)
        self._join_line(Joiner(seq, left.line, place, values), state, due)

    def delete(self, job_id: bytes) -> bool:
        """See `penstock.ports.Store.delete`."""
        found = self._find(job_id)
        if found is None or found[1].state is State.RUNNING:
            return False
        seq, view = found
        if self._is_of_workflow(seq):
            return False
        line, *_ = self.database.row("place", seq) or (0,)
        if view.state in TERMINAL:
            self._drop_record(seq, view.state)
        else:
            self.chores.leave_line(seq)
            self.endings.joining.tenants.leaves(seq)
        self.endings.listeners.tell_row(seq, job_id, line, Event.DELETE, view.state, None)
        self.books.move(self.books.queue_by_name[view.queue].id, Event.DELETE, view.state, None)
        self.database.run("delete_job", seq)
        self.books.mishaps.forget([seq])
        return True

    def cancels(self, job_id: bytes) -> bool:
        """Cancel; True when that changed something."""
        found = self._find(job_id)
        if found is None or found[1].state in TERMINAL or found[1].cancel_requested:
            return False
        self._cancel(*found)
        return True

    def revives(self, job_id: bytes) -> bool:
        """Revive; True when that changed something."""
        found = self._find(job_id)
        return found is not None and found[1].state in REVIVABLE and self._revive(*found) in WAITING

    def moves(self, job_id: bytes, name: str) -> bool:
        """Move; True when that changed something."""
        found = self._find(job_id)
        if found is None or found[1].state not in WAITING or found[1].queue == name:
            return False
        if not may_move(found[1].queue, name):
            return False
        self._move(*found, name)
        return True

    def step(
        self,
        where: Filter,
        cursor: str | None,
        act: Callable[[bytes], bool],
        *,
        most: int = limits.ADMIN_JOBS_MAX,
        before: float = math.inf,
    ) -> Step:
        """Act on what matches, until the time of a slice is over or there were enough.

        Args:
            act: does something to a job by its id, and answers whether that changed it.
            most: at most so many jobs.
            before: only on jobs that were accepted by then, in Unix seconds.
        """
        self.search.check(where)
        if self.database.full:
            # A step has little room.
            most = min(most, _FULL_DISK_JOBS)
        until, below = self.search.until(), row_before(cursor)
        changed = looked_at = 0
        while True:
            found, goes_on = self.search.slice(where, below, min(most - looked_at, _JOBS_AT_ONCE), until)
            for seq, view in found:
                changed += view.created_at <= before and act(view.id)
                below = seq
                if self.books.clock.monotonic() >= until:
                    break
            else:
                if goes_on is None:
                    return Step(changed, None)
                below = goes_on
            looked_at += len(found)
            if looked_at >= most or self.books.clock.monotonic() >= until:
                return Step(changed, cursor_before(below))

    def close_lines(self, one: ClosedLine) -> None:
        """See `penstock.ports.Store.close_lines`."""
        self.books.close_lines(one)
        self.endings.line.recheck(one.queue, one.task)
        if one.reason is Closed.PAUSED:
            self.chores.review.pauses_changed()

    def open_lines(self, queue: str | None, task: str | None, reason: Closed | None) -> None:
        """See `penstock.ports.Store.open_lines`."""
        self.books.open_lines(queue, task, reason)
        readied = {self.books.line_name(line) for line in self.endings.line.recheck(queue, task)}
        aside = {self.books.line_name(line) for line in self.endings.refusals.lines()}
        self.endings.readied |= readied | {
            one for one in aside if (queue is None or covers(queue, one[0])) and task in (None, one[1])
        }
        if reason in (None, Closed.PAUSED):
            self.chores.review.pauses_changed()

    # --- lines -------------------------------------------------------------------------------------------------------
    def _find(self, job_id: bytes) -> tuple[int, JobView] | None:
        seq = self.inspector.seq_of(job_id)
        view = None if seq is None else self.inspector.view_row(seq)
        return None if seq is None or view is None else (seq, view)

    def _drop_record(self, seq: int, state: State) -> None:
        """Delete the record of a job that has ended. The caller counts the move."""
        self.books.finished.leave([(seq, state.value)])
        if self._is_of_workflow(seq):
            queue = self.books.lines[self.database.value("place", seq)].queue
            self.books.finished.of_workflows.add({queue: -1}, dead=state is State.DEAD)
        self.database.run("delete_finished", seq)

    def _leave(self, seq: int) -> Left:
        """Take a waiting job out of its line, to be put into another. One that was blocked is ready now: whoever limits
        jobs decides anew when it is there."""
        left = self.chores.leave_line(seq)
        if left.state is State.BLOCKED:
            self.books.move(self.books.lines[left.line].queue, Event.UNBLOCK, State.BLOCKED, State.READY)
            left = left._replace(state=State.READY)
        return left

    def _give_back(self, seq: int, line: int, *, keeps: bool) -> bytes | None:
        """Take the slots from a job that has left its line, and is of this one now. ``keeps``: but for those that it
        keeps while it waits to run again. Answers its values."""
        values: bytes | None = self.database.value("flow_values", seq)
        joining = self.endings.joining
        joining.give_back([seq], joining.lasting(line, values) if keeps else ())
        return values

    def _join_line(self, job: Joiner, state: State, run_at: float | None) -> State:
        """Put a job that left its line into another. The caller has counted the move. Answers the state it is in."""
        urgency, rank, arrival = job.place
        self.database.run("place_job", job.line, -urgency, rank, arrival, run_at, job.seq)
        if state is State.SCHEDULED:
            self.database.run("insert_scheduled", run_at, job.seq)
            return state
        return self._joined(job)

    def _joined(self, job: Joiner) -> State:
        """Let a job join its line, and answer the state it is in then."""
        joining = self.endings.joining
        if not joining.join([job]):
            return State.READY
        # Those that wait for the same keys may have their turn, and this job with them.
        self.endings.unblocking.serve()
        return State.BLOCKED if joining.slots.is_waiting(job.seq) else State.READY
