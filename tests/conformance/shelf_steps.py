"""Durable steps on the shelf: what a job has recorded lies beside it, and events beside the id that they went to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.audit import check_by
from penstock.model.durable_steps import History, Recorded, RecordKind, Signalled
from penstock.model.errors import BodyTooLarge, StoreFull, WorkflowNotFound
from penstock.model.ids import id_text
from penstock.model.states import TERMINAL, Event, State
from penstock.model.step_history import (
    added,
    check_jobs,
    check_name,
    check_published,
    check_value,
    due,
    is_end,
    reason_of,
    shown,
    timed,
    waits,
)

if TYPE_CHECKING:
    from tests.conformance.shelf_store import ShelfStore as Base
else:
    Base = object


class ShelfSteps(Base):
    """A part of `ShelfStore`. `_begin_steps` makes what it keeps."""

    def _begin_steps(self):
        self._histories = {}
        self._checkpoints = {}
        self._events = []
        self._waiting = []
        self._values = {}

    # --- calls -------------------------------------------------------------------------------------------------------
    def record(self, jobs):
        self._check_open()
        check_jobs(jobs)
        leased = {(job.fence, job.entry.id) for job in self._in(State.RUNNING)}
        for job in jobs:
            if (job.fence, job.job) in leased:
                check_published(len(self._values.get(job.job, {}) | job.published))
        return [self._recorded(job) if (job.fence, job.job) in leased else Recorded(held=False) for job in jobs]

    def _recorded(self, job):
        if job.checkpoint is not None:
            self._checkpoints[job.job] = job.checkpoint
        for name, value in job.published.items():
            self._values.setdefault(job.job, {})[name] = (value, self._clock.time())
        return Recorded(held=True, standing=self._enter(job.job, job.records))

    def _enter(self, job_id, records):
        history, standing = self._histories.setdefault(job_id, {}), []
        for record in records:
            history[record.place] = added(history.get(record.place), record)
            if history[record.place] != record:
                standing.append(history[record.place])
        return standing

    def history(self, job, *, first=0):
        self._check_open()
        records = [record for place, record in sorted(self._histories.get(job, {}).items()) if place >= first]
        page, rest = records[: limits.HISTORY_PAGE_RECORDS], records[limits.HISTORY_PAGE_RECORDS :]
        checkpoint = self._checkpoints.get(job) if first == 0 else None
        return History(page, checkpoint, rest[0].place if rest else None, self._clock.time())

    def published(self, workflow, names=None):
        self._check_open()
        there = self._values.get(workflow, {})
        found = {name: there[name] for name in there if names is None or name in names}
        if sum(len(value) for value, _ in found.values()) > limits.ANSWER_BYTES_MAX:
            raise BodyTooLarge("Ask for fewer names.")
        return found

    def signal(self, workflow, event, payload, *, by=None):
        self._check_open()
        check_name(event, "an event")
        check_value(payload, "an event")
        check_by(by)
        job = self._find(workflow)
        if job is None or job.state in TERMINAL:
            raise WorkflowNotFound("Nobody waits there.")
        answer = self._deliver(workflow, event, payload)
        if by is not None:
            self._note(by, "signal", f"workflow:{id_text(workflow)}", note=event)
        return answer

    def _deliver(self, owner, event, payload):
        kept = sum(one[0] == owner for one in self._events)
        for one in self._waiting:
            if one[:2] == (owner, event):
                self._came(one, value=payload)
                self._wait(self._jobs[owner], Event.SIGNAL, self._clock.time())
                return Signalled(True, kept)
        if kept >= limits.SIGNALS_KEPT_MAX:
            raise StoreFull("As many events wait already as may.", refused=True)
        self._events.append((owner, event, payload))
        return Signalled(False, kept + 1)

    def _came(self, one, **what):
        owner, _, place = one
        self._waiting.remove(one)
        self._histories[owner][place] = replace(self._histories[owner][place], **what)

    # --- what the other parts ask ------------------------------------------------------------------------------------
    def _is_recorded(self, job):
        return job.entry.id in self._histories or any(one[0] == job.entry.id for one in self._events)

    def _suspend(self, job, outcome):
        """When a job is due that is to wait."""
        now, owner = self._clock.time(), job.entry.id
        record = timed(outcome, now)
        if record.kind is RecordKind.EVENT:
            kept = [one for one in self._events if one[:2] == (owner, record.name)]
            if kept:
                self._events.remove(kept[0])
                record = replace(record, value=kept[0][2])
            elif due(record) <= now:
                record = replace(record, timed_out=True)
            else:
                self._waiting.append((owner, record.name, record.place))
        self._enter(owner, [*outcome.before, record])
        return now if is_end(record) else due(record)

    def _awaits(self, job):
        return any(one[0] == job.entry.id for one in self._waiting)

    def _time_has_come(self, job):
        for one in [one for one in self._waiting if one[0] == job.entry.id]:
            self._came(one, timed_out=True)

    def _pending(self, job):
        """What a scheduled job waits for; None: it is not suspended."""
        history = self._histories.get(job.entry.id)
        last = history[max(history)] if history else None
        return last if job.state is State.SCHEDULED and waits(last, job.run_at) else None

    def _edited(self, job, at):
        last = self._pending(job)
        if last is not None:
            self._histories[job.entry.id][last.place] = replace(last, until=at)
            if at <= self._clock.time():
                self._time_has_come(job)

    def _with_pending(self, job, view):
        last = self._pending(job)
        return shown(view if last is None else replace(view, reason=reason_of(last)))

    def _begin_anew(self, job):
        self._histories.pop(job.entry.id, None)
        self._checkpoints.pop(job.entry.id, None)
        self._waiting = [one for one in self._waiting if one[0] != job.entry.id]

    def _steps_end(self, job, state):
        self._waiting = [one for one in self._waiting if one[0] != job.entry.id]
        if state is None:
            self._begin_anew(job)
            self._events = [one for one in self._events if one[0] != job.entry.id]
            self._values.pop(job.entry.id, None)
