"""What operators and callers do to jobs by id: cancel, revive, move, delete, edit."""

from __future__ import annotations

from collections.abc import Callable

from penstock.model import limits
from penstock.model.job import Filter, JobView, Step
from penstock.model.states import TERMINAL, WAITING, Event, State, check
from penstock.store.sqlite.chores import Chores
from penstock.store.sqlite.endings import Endings, add_records
from penstock.store.sqlite.in_memory import Books, Place
from penstock.store.sqlite.reading import Inspector

REVIVABLE = frozenset({State.DEAD, State.CANCELLED, State.EXPIRED})

_FULL_DISK_JOBS = 50
"""As `limits.ADMIN_JOBS_MAX`, while the disk is full."""


class Operating:
    """One job at a time; `steps` makes bounded bulk actions of it."""

    def __init__(self, books: Books, inspector: Inspector, endings: Endings, chores: Chores) -> None:
        self.books = books
        self.database = books.database
        self.inspector = inspector
        self.endings = endings
        self.chores = chores

    def cancel(self, job_id: bytes) -> State | None:
        """See `penstock.ports.Store.cancel`."""
        found = self._find(job_id)
        if found is None:
            return None
        seq, view = found
        if view.state is State.RUNNING:
            fence = self.books.by_seq[seq]
            self.books.by_fence[fence].cancel = True
            self.database.run("cancel_running", fence)
            return State.RUNNING
        if view.state not in WAITING:
            return view.state
        check(Event.CANCEL, view.state, State.CANCELLED)
        left = self.chores.leave_line(seq)
        self.endings.end_waiting(seq, job_id, left.line, view.attempt, State.CANCELLED)
        return State.CANCELLED

    def revive(self, job_id: bytes) -> State | None:
        """See `penstock.ports.Store.revive`."""
        found = self._find(job_id)
        if found is None:
            return None
        seq, view = found
        if view.state not in REVIVABLE:
            return view.state
        check(Event.REVIVE, view.state, State.READY)
        line = self.books.lines[self.database.value("place", seq)]
        self.database.run("delete_finished", seq)
        self.database.run("forget_expiry", seq)
        place = Place(-view.priority, 0, self.books.take_arrivals(1))
        self.database.run("repeat_job", 0, 0, None, self.books.clock.time(), view.priority, *place[1:], seq)
        self.books.mishaps.note(seq, self.books.mishaps.of(seq)._replace(strays=0))
        self.endings.line.insert(line.id, place, seq)
        counts = self.books.counts(line.queue)
        add_records(counts, view.state.value, -1)
        counts.ready += 1
        counts.revived_total += 1
        self.endings.readied.add((view.queue, view.task))
        return State.READY

    def move(self, job_id: bytes, name: str) -> State | None:
        """See `penstock.ports.Store.move`."""
        found = self._find(job_id)
        if found is None:
            return None
        seq, view = found
        if view.state not in WAITING or view.queue == name:
            return view.state
        left = self.chores.leave_line(seq)
        line = self.books.line(self.books.queue(name).id, self.books.lines[left.line].task)
        self.books.counts_of(left.line).moved_out_total += 1
        self.books.counts_of(line.id).moved_in_total += 1
        self._join_line(seq, line.id, left.place, view)
        return view.state

    def edit(self, job_id: bytes, priority: int | None, run_at: float | None) -> State | None:
        """See `penstock.ports.Store.edit`."""
        found = self._find(job_id)
        if found is None:
            return None
        seq, view = found
        if view.state not in WAITING:
            return view.state
        left = self.chores.leave_line(seq)
        state, due = view.state, view.run_at
        if run_at is not None:
            due = run_at
            state = State.SCHEDULED if run_at > self.books.clock.time() else State.READY
        urgency = -(view.priority if priority is None else priority)
        if state is State.SCHEDULED:
            place = Place(urgency, 0, 0)
        elif view.state is State.SCHEDULED:
            place = Place(urgency, 0, self.books.take_arrivals(1))
        else:
            place = left.place._replace(urgency=urgency)
        changed = JobView(view.id, view.task, view.queue, state, -urgency, 0, 0, 0.0, run_at=due)
        self._join_line(seq, left.line, place, changed)
        return state

    def delete(self, job_id: bytes) -> bool:
        """See `penstock.ports.Store.delete`."""
        found = self._find(job_id)
        if found is None or found[1].state is State.RUNNING:
            return False
        seq, view = found
        check(Event.DELETE, view.state, None)
        if view.state in TERMINAL:
            self.database.run("delete_finished", seq)
            add_records(self.books.counts(self.books.queue_by_name[view.queue].id), view.state.value, -1)
        else:
            left = self.chores.leave_line(seq)
            self.books.counts_of(left.line).discarded_total += 1
            if job_id in self.endings.watched:
                self.endings.ended.append(job_id)
        self.database.run("delete_job", seq)
        self.books.mishaps.forget([seq])
        return True

    def cancels(self, job_id: bytes) -> bool:
        """Cancel; True when that changed something."""
        before = self.inspector.view(job_id)
        if before is None or before.state in TERMINAL or before.cancel_requested:
            return False
        return self.cancel(job_id) is not None

    def revives(self, job_id: bytes) -> bool:
        """Revive; True when that changed something."""
        before = self.inspector.view(job_id)
        return before is not None and before.state in REVIVABLE and self.revive(job_id) is State.READY

    def moves(self, job_id: bytes, name: str) -> bool:
        """Move; True when that changed something."""
        before = self.inspector.view(job_id)
        return before is not None and before.state in WAITING and before.queue != name and bool(self.move(job_id, name))

    def step(self, where: Filter, cursor: str | None, act: Callable[[bytes], bool]) -> Step:
        """Act on one page of what matches."""
        # On a full disk a step has little room.
        most = _FULL_DISK_JOBS if self.database.full else limits.ADMIN_JOBS_MAX
        page = self.inspector.query(where, cursor, most)
        changed = sum(act(view.id) for view in page.jobs)
        return Step(changed, page.cursor)

    # --- lines -------------------------------------------------------------------------------------------------------
    def _find(self, job_id: bytes) -> tuple[int, JobView] | None:
        seq = self.inspector.seq_of(job_id)
        view = None if seq is None else self.inspector.view_row(seq)
        return None if seq is None or view is None else (seq, view)

    def _join_line(self, seq: int, line: int, place: Place, view: JobView) -> None:
        """Put a job that left its line into another, in ``view``'s state."""
        urgency, rank, arrival = place
        self.database.run("place_job", line, -urgency, rank, arrival, view.run_at, seq)
        counts = self.books.counts_of(line)
        if view.state is State.SCHEDULED:
            self.database.run("insert_scheduled", view.run_at, seq)
            counts.scheduled += 1
        else:
            self.endings.line.insert(line, place, seq)
            counts.ready += 1
            self.endings.readied.add(self.books.line_name(line))
