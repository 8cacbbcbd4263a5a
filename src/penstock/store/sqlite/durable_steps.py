"""What jobs have recorded, the events that were signalled to them, and which of them wait for one.

The rows of a job go with its record: the job has the bit `Interest.RECORDED` from its first row on, by which a lease
tells its runner that there is a history. Events, and published values, belong to an *owner*: the workflow that the job
is of, or the job itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import History, JobRecords, Record, Recorded, RecordKind, Signalled, Suspended
from penstock.model.errors import BodyTooLarge, StoreFull
from penstock.model.interests import Ending, Interest
from penstock.model.job import JobExtra
from penstock.model.states import Event, State
from penstock.model.step_history import added, check_published, due, is_end, timed, waits
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.joining import Joiner, Joining
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.listeners import Listeners

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_record: Final = msgspec.msgpack.Decoder(Record).decode
_decode_extra: Final = msgspec.msgpack.Decoder(JobExtra).decode
_RECORDED: Final = Interest.RECORDED.value


class DurableSteps:
    """The tables `recorded`, `checkpoint`, `signal`, `awaiting` and `published`."""

    def __init__(self, books: Books, joining: Joining, listeners: Listeners) -> None:
        self.books = books
        self.database = books.database
        self.joining = joining
        self.listeners = listeners
        listeners.register(Interest.RECORDED, self.ended)

    # --- histories ---------------------------------------------------------------------------------------------------
    def record(self, jobs: Sequence[JobRecords]) -> list[Recorded]:
        """See `penstock.ports.DurableStepStore.record`. What may be refused of each job alone has been looked at."""
        for job in jobs:
            if job.published and (held := self._held(job)) is not None:
                self._check_published(self._owner(held.id, held.seq), job.published)
        return [self._record(job) for job in jobs]

    def _record(self, job: JobRecords) -> Recorded:
        held = self._held(job)
        if held is None:
            return Recorded(held=False)
        if not held.interest & _RECORDED:
            self.listeners.add_interest(held.seq, Interest.RECORDED)
        standing = self._write(held.seq, job.records)
        if job.checkpoint is not None:
            self.database.run("put_checkpoint", held.seq, job.checkpoint)
        if job.published:
            owner, now = self._owner(held.id, held.seq), self.books.clock.time()
            self.database.run_many(
                "put_published", [(owner, name, value, now) for name, value in job.published.items()]
            )
        return Recorded(True, standing)

    def _held(self, job: JobRecords) -> Lease | None:
        """The lease that it runs under; None: that has ended."""
        held = self.books.by_fence.get(job.fence)
        return held if held is not None and held.id == job.job else None

    def _write(self, seq: int, records: Iterable[Record]) -> list[Record]:
        """Write records. Answers those that stand at their places instead."""
        standing: list[Record] = []
        for record in records:
            there = self._at(seq, record.place)
            after = added(there, record)
            if after is record:
                self._put(seq, record)
            else:
                standing.append(after)
        return standing

    def _put(self, seq: int, record: Record) -> None:
        self.database.run("put_record", seq, record.place, _encode(record))

    def _at(self, seq: int, place: int) -> Record | None:
        packed = self.database.value("record_at", seq, place)
        return None if packed is None else _decode_record(packed)

    def _last(self, seq: int) -> Record | None:
        packed = self.database.value("last_record", seq)
        return None if packed is None else _decode_record(packed)

    def history(self, seq: int, first: int) -> History:
        """What the job in this row has recorded, from this place on."""
        records: list[Record] = []
        room_bytes = limits.HISTORY_PAGE_BYTES
        cursor = None
        for place, packed in self.database.rows("records_from", seq, first, limits.HISTORY_PAGE_RECORDS + 1):
            if len(records) == limits.HISTORY_PAGE_RECORDS or room_bytes <= 0:
                cursor = place
                break
            records.append(_decode_record(packed))
            room_bytes -= len(packed)
        checkpoint = None if first else self.database.value("checkpoint", seq)
        return History(records, checkpoint, cursor, self.books.clock.time())

    def forget_history(self, seq: int) -> None:
        """The job in this row is to begin anew. Events that were signalled to it are kept."""
        for name in ("delete_records", "delete_checkpoint", "delete_awaiting"):
            self.database.run(name, seq)

    # --- suspended jobs ----------------------------------------------------------------------------------------------
    def suspend(self, held: Lease, suspended: Suspended) -> float | None:
        """Record what a job waits for, whose lease has ended. Answers when it is due; None: what it waits for has come
        already."""
        if not held.interest & _RECORDED:
            self.listeners.add_interest(held.seq, Interest.RECORDED)
        self._write(held.seq, suspended.before)
        now = self.books.clock.time()
        record = timed(suspended, now)
        at = due(record)
        if record.kind is RecordKind.EVENT:
            owner = self._owner(held.id, held.seq)
            payload = self._take_kept(owner, record.name)
            if payload is not None:
                record = replace(record, value=payload)
            elif at <= now:
                record = replace(record, timed_out=True)
            else:
                self.database.run("insert_awaiting", owner, record.name, held.seq, record.place)
        self._write(held.seq, [record])
        return None if is_end(record) or at <= now else at

    def awaits(self, seq: int) -> bool:
        """Whether the job in this row waits for an event."""
        return self.database.row("awaiting", seq) is not None

    def waits_for(self, seq: int, run_at: float | None) -> Record | None:
        """What a scheduled job is suspended for; None: it is not. ``run_at``: when it is due."""
        last = self._last(seq)
        return last if waits(last, run_at) else None

    def time_has_come(self, seq: int) -> None:
        """A scheduled job becomes ready, whatever it waited for. An event has not come in time."""
        place = self.database.value("awaiting", seq)
        if place is not None:
            self._came(seq, place, timed_out=True)

    def edited(self, seq: int, before: float | None, at: float, *, is_ready: bool) -> None:
        """Somebody has given a scheduled job another time. ``before``: when it was due. ``is_ready``: that has come."""
        last = self.waits_for(seq, before)
        if last is not None:
            self._put(seq, replace(last, until=at))
            if is_ready:
                self.time_has_come(seq)

    # --- events ------------------------------------------------------------------------------------------------------
    def signal(self, owner: bytes, event: str, payload: bytes, lone: int | None) -> Signalled:
        """See `penstock.ports.DurableStepStore.signal`. ``lone``: the row of the job, where the owner is a lone one."""
        waiting = self.database.row("first_awaiting", owner, event)
        kept = int(self.database.value("count_signals", owner))
        if waiting is not None:
            seq, place = waiting
            self._came(seq, place, value=payload)
            self._ready(seq)
            return Signalled(True, kept)
        if kept >= limits.SIGNALS_KEPT_MAX:
            raise StoreFull(
                f"{kept} events wait already that nobody has asked for; the limit (SIGNALS_KEPT_MAX) is"
                f" {limits.SIGNALS_KEPT_MAX}.",
                refused=True,
            )
        if lone is not None:
            self.listeners.add_interest(lone, Interest.RECORDED)
        self.database.run("insert_signal", owner, event, payload, self.books.clock.time())
        return Signalled(False, kept + 1)

    def _came(self, seq: int, place: int, **what: Any) -> None:
        """A job does not wait for an event any more: it has come, or its time is over."""
        self.database.run("delete_awaiting", seq)
        record = self._at(seq, place)
        if record is not None:
            self._put(seq, replace(record, **what))

    def _take_kept(self, owner: bytes, event: str) -> bytes | None:
        """The payload of the first signal that was kept; it is not any more. None: there is none."""
        kept = self.database.row("first_signal", owner, event)
        if kept is None:
            return None
        number, payload = kept
        self.database.run("delete_signal", owner, event, number)
        return bytes(payload)

    def _ready(self, seq: int) -> None:
        """What a suspended job waits for has come: it stands at the end of its line."""
        row = self.database.row("place", seq)
        assert row is not None, "a suspended job has its row"
        line, priority, _, _, run_at, *_ = row
        self.database.run("delete_scheduled", run_at, seq)
        assert self.database.connection.changes() == 1, "a suspended job is scheduled"
        values = self.database.value("flow_values", seq)
        place = self.joining.place(line, -priority, values)
        self.database.run("place_job", line, priority, *place[1:], self.books.clock.time(), seq)
        self.joining.join([Joiner(seq, line, place, values)])
        self.books.move(self.books.lines[line].queue, Event.SIGNAL, State.SCHEDULED, State.READY)

    def workflow_of(self, seq: int) -> bytes | None:
        """The workflow that the job in this row is of; None: it is a lone one."""
        packed = self.database.value("extra", seq)
        return None if packed is None else _decode_extra(packed).workflow

    def _owner(self, job_id: bytes, seq: int) -> bytes:
        """Whose the events are that a job waits for, and the values that it publishes."""
        return self.workflow_of(seq) or job_id

    # --- published values --------------------------------------------------------------------------------------------
    def _check_published(self, owner: bytes, values: dict[str, bytes]) -> None:
        there = {name for (name,) in self.database.rows("published_names", owner)}
        check_published(len(there.union(values)))

    def published(self, owner: bytes, names: Sequence[str] | None) -> dict[str, tuple[bytes, float]]:
        """See `penstock.ports.DurableStepStore.published`."""
        wanted = names if names is not None else [name for (name,) in self.database.rows("published_names", owner)]
        found: dict[str, tuple[bytes, float]] = {}
        room_bytes = limits.ANSWER_BYTES_MAX
        for name in wanted:
            row: tuple[Any, ...] | None = self.database.row("published", owner, name)
            if row is not None:
                found[name] = (row[0], row[1])
                room_bytes -= len(row[0])
                if room_bytes < 0:
                    raise BodyTooLarge(
                        f"These values are over {limits.ANSWER_BYTES_MAX} bytes together; ask for fewer names."
                    )
        return found

    # --- what goes ---------------------------------------------------------------------------------------------------
    def ended(self, endings: Sequence[Ending]) -> None:
        """Hears of jobs that end. They wait for nothing any more; with a record all else goes too."""
        for ending in endings:
            self.database.run("delete_awaiting", ending.seq)
            if ending.target is None:
                self.forget_history(ending.seq)
                self.forget_owner(ending.id)

    def forget_owner(self, owner: bytes) -> None:
        """Forget the events and the published values of a lone job, or of a workflow, whose record goes."""
        self.database.run("delete_signals", owner)
        self.database.run("delete_published", owner)
