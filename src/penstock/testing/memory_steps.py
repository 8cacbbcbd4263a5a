"""What jobs of the in-memory store record, the events that were signalled to them, and which of them wait for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import History, JobRecords, Record, Recorded, RecordKind, Signalled, Suspended
from penstock.model.errors import BodyTooLarge, StoreFull
from penstock.model.job import JobView
from penstock.model.states import TERMINAL, Event, State
from penstock.model.step_history import (
    added,
    check_jobs,
    check_published,
    due,
    is_end,
    reason_of,
    shown,
    timed,
    waits,
)
from penstock.ports import Clock
from penstock.testing.memory_table import Row, Table

Owner = bytes
"""The id of a workflow, or of a lone job."""
_NOTHING: Final[dict[int, Record]] = {}


class _Waiting(NamedTuple):
    """A job that waits for an event, and the place of its record."""

    owner: Owner
    event: str
    job: bytes
    place: int


class Steps:
    """The histories of jobs, and the events and published values of their owners.

    Attributes:
        recorded: jobs that have a history, or to which something was signalled.
        workflow_of: the workflow that a job is of; None: it is a lone one.
        is_open_workflow: whether there is a workflow of this id that is not over.
    """

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self.recorded: set[bytes] = set()
        self.workflow_of: Callable[[Row], bytes | None] = lambda _: None
        self.is_open_workflow: Callable[[bytes], bool] = lambda _: False
        self._records: dict[bytes, dict[int, Record]] = {}
        self._checkpoints: dict[bytes, bytes] = {}
        self._kept: defaultdict[Owner, list[tuple[str, bytes]]] = defaultdict(list)
        self._awaiting: list[_Waiting] = []
        self._published: defaultdict[Owner, dict[str, tuple[bytes, float]]] = defaultdict(dict)
        table.listeners.append(self._moved)

    # --- histories ---------------------------------------------------------------------------------------------------
    def record(self, jobs: Sequence[JobRecords]) -> list[Recorded]:
        """Record what running jobs have done."""
        check_jobs(jobs)
        for job in jobs:
            row = self._running(job)
            if row is not None:
                check_published(len({*self._published[self._owner(row)], *job.published}))
        return [self._record(job) for job in jobs]

    def _record(self, job: JobRecords) -> Recorded:
        row = self._running(job)
        if row is None:
            return Recorded(held=False)
        standing = self._write(row, job.records)
        if job.checkpoint is not None:
            self._checkpoints[row.id] = job.checkpoint
        for name, value in job.published.items():
            self._published[self._owner(row)][name] = (value, self._clock.time())
        return Recorded(True, standing)

    def _running(self, job: JobRecords) -> Row | None:
        row = self._table.running.get(job.fence)
        return row if row is not None and row.id == job.job else None

    def _write(self, row: Row, records: Iterable[Record]) -> list[Record]:
        """Write records. Answers those that stand at their places instead."""
        self.recorded.add(row.id)
        history = self._records.setdefault(row.id, {})
        standing = []
        for record in records:
            history[record.place] = added(history.get(record.place), record)
            if history[record.place] is not record:
                standing.append(history[record.place])
        return standing

    def history(self, job_id: bytes, first: int) -> History:
        """What a job has recorded, from this place on."""
        places = sorted(place for place in self._records.get(job_id, _NOTHING) if place >= first)
        page = places[: limits.HISTORY_PAGE_RECORDS]
        after = places[len(page)] if len(page) < len(places) else None
        records = [self._records[job_id][place] for place in page]
        return History(records, None if first else self._checkpoints.get(job_id), after, self._clock.time())

    def forget_history(self, row: Row) -> None:
        """It is to begin anew. Events that were signalled to it are kept."""
        self._records.pop(row.id, None)
        self._checkpoints.pop(row.id, None)
        self._stop_waiting(row)

    # --- suspended jobs ----------------------------------------------------------------------------------------------
    def suspend(self, row: Row, suspended: Suspended) -> float | None:
        """Record what a job waits for. Answers when it is due; None: what it waits for has come already."""
        self._write(row, suspended.before)
        now = self._clock.time()
        record = timed(suspended, now)
        if record.kind is RecordKind.EVENT:
            payload = self._take_kept(self._owner(row), record.name)
            if payload is not None:
                record = replace(record, value=payload)
            elif due(record) <= now:
                record = replace(record, timed_out=True)
            else:
                self._awaiting.append(_Waiting(self._owner(row), record.name, row.id, record.place))
        self._write(row, [record])
        return None if is_end(record) or due(record) <= now else due(record)

    def awaits(self, row: Row) -> bool:
        """Whether a job waits for an event."""
        return any(one.job == row.id for one in self._awaiting)

    def _stop_waiting(self, row: Row) -> None:
        self._awaiting = [one for one in self._awaiting if one.job != row.id]

    def _came(self, one: _Waiting, **what: Any) -> None:
        """A job does not wait for an event any more: it has come, or its time is over."""
        self._awaiting.remove(one)
        self._records[one.job][one.place] = replace(self._records[one.job][one.place], **what)

    def _last(self, row: Row) -> Record | None:
        history = self._records.get(row.id)
        return history[max(history)] if history else None

    def time_has_come(self, row: Row) -> None:
        """A scheduled job becomes ready, whatever it waited for. An event has not come in time."""
        for one in [one for one in self._awaiting if one.job == row.id]:
            self._came(one, timed_out=True)

    def edited(self, row: Row, at: float) -> None:
        """Somebody gives a scheduled job another time."""
        last = self._last(row)
        if last is not None and waits(last, row.run_at):
            self._records[row.id][last.place] = replace(last, until=at)
            if at <= self._clock.time():
                self.time_has_come(row)

    def explained(self, row: Row, view: JobView) -> JobView:
        """How a job looks, with what it waits for if it is suspended."""
        last = self._last(row)
        if row.state is State.SCHEDULED and last is not None and waits(last, row.run_at):
            view = replace(view, reason=reason_of(last))
        return shown(view)

    # --- events ------------------------------------------------------------------------------------------------------
    def signal(self, owner: Owner, event: str, payload: bytes, wake: Callable[[Row], None]) -> Signalled:
        """Deliver an event to the job that has waited for it longest, or keep it. ``wake``: makes a job ready."""
        for one in self._awaiting:
            if (one.owner, one.event) == (owner, event):
                self._came(one, value=payload)
                wake(self._table.rows[one.job])
                return Signalled(True, len(self._kept[owner]))
        kept = self._kept[owner]
        if len(kept) >= limits.SIGNALS_KEPT_MAX:
            raise StoreFull(f"{len(kept)} events wait already that nobody has asked for.", refused=True)
        self.recorded.add(owner)
        kept.append((event, payload))
        return Signalled(False, len(kept))

    def _take_kept(self, owner: Owner, event: str) -> bytes | None:
        """The payload of the first signal that was kept; it is not any more. None: there is none."""
        for place, (kept, payload) in enumerate(self._kept[owner]):
            if kept == event:
                del self._kept[owner][place]
                return payload
        return None

    def _owner(self, row: Row) -> Owner:
        """Whose the events are that a job waits for, and the values that it publishes."""
        return self.workflow_of(row) or row.id

    def published(self, owner: Owner, names: Sequence[str] | None) -> dict[str, tuple[bytes, float]]:
        """The values that were published, by name."""
        there = self._published.get(owner, {})
        found = {name: there[name] for name in (sorted(there) if names is None else names) if name in there}
        if sum(len(value) for value, _ in found.values()) > limits.ANSWER_BYTES_MAX:
            raise BodyTooLarge(f"Over {limits.ANSWER_BYTES_MAX} bytes in one answer; ask for fewer names.")
        return found

    # --- what goes ---------------------------------------------------------------------------------------------------
    def _moved(self, row: Row, _event: Event, _source: State | None, target: State | None) -> None:
        """Hears of every move. What has ended waits for nothing; with a record all else goes too."""
        if target is None or target in TERMINAL:
            self._stop_waiting(row)
        if target is None:
            self.forget_history(row)
            self.recorded.discard(row.id)
            self.forget_owner(row.id)

    def forget_owner(self, owner: Owner) -> None:
        """Forget the events and the published values of a lone job, or of a workflow, whose record goes."""
        self._kept.pop(owner, None)
        self._published.pop(owner, None)
