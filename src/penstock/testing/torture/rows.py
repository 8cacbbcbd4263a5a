"""What the store's file says, read after its owner has left: every job, every counter, SQLite's own opinion."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec.structs import astuple

from penstock.model.job import JobError, QueueStats, checksum
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK
from penstock.store.sqlite.file_check import check_file
from penstock.store.sqlite.transaction_journal import read_ledgers
from penstock.testing.torture.messages import row_of

_COUNTED = ("scheduled", "blocked", "ready", "running", "succeeded", "dead", "cancelled", "expired")
_MEASURED = ("oldest_ready_age_s", "refused")
"""What of a queue's counts is not in its ledger."""
_STATES_BY_TABLE = (State.READY, State.READY, State.BLOCKED, State.SCHEDULED, State.RUNNING)
"""Of `ready`, `refused`, `blocked`, `scheduled`, `running`."""
_decode_error = msgspec.msgpack.Decoder(JobError).decode
_JOBS = """
SELECT job.seq, job.id, task.name, queue.name,
       CASE typeof(job.body) WHEN 'integer' THEN shared_body.body ELSE job.body END, job.checksum,
       finished.state, finished.attempt, finished.error, finished.result,
       (SELECT count(*) FROM ready WHERE ready.seq = job.seq),
       (SELECT count(*) FROM refused WHERE refused.seq = job.seq),
       (SELECT count(*) FROM blocked WHERE blocked.seq = job.seq),
       (SELECT count(*) FROM scheduled WHERE scheduled.seq = job.seq),
       (SELECT count(*) FROM running WHERE running.seq = job.seq)
FROM job JOIN line ON line.id = job.line JOIN task ON task.id = line.task JOIN queue ON queue.id = line.queue
LEFT JOIN finished ON finished.seq = job.seq LEFT JOIN shared_body ON shared_body.number = job.body
"""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as the file has it.

    Attributes:
        id: in hexadecimal.
        states: where it stands; anything but one state is a fault of the store.
        token: the argument of that name.
        attempt: of the outcome; 0 without one.
        result: what was committed; None: nothing. Its first word names the execution.
        error: class name of the error it died of; None: it did not.
    """

    id: str
    task: str
    queue: str
    states: tuple[State, ...]
    token: str
    intact: bool = True
    attempt: int = 0
    result: str | None = None
    error: str | None = None

    @property
    def nonce(self) -> str | None:
        """The name of the execution whose result was committed; None: none was."""
        return None if self.result is None else self.result.partition(" ")[0]

    @property
    def values(self) -> list[str]:
        """What its result says besides."""
        return [] if self.result is None else self.result.split()[1:]


@dataclass(frozen=True, slots=True)
class StoreRows:
    """The whole file.

    Attributes:
        ledgers: the counters kept, by queue.
        workflows: their states, by id in hexadecimal.
        complaints: what `penstock store check` finds, but for arguments that are damaged, which jobs tell.
    """

    jobs: list[JobRow]
    ledgers: dict[str, QueueStats]
    complaints: list[str] = field(default_factory=list)
    workflows: dict[str, str] = field(default_factory=dict)


def read_rows(database: Path) -> StoreRows:
    """Read the file. Its owner must have left.

    Raises:
        apsw.Error: it is not a database any more.
    """
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = [one for one in check_file(connection).findings if one.name != "body-damaged"]
        complaints = [f"{one.name}: {one.detail}" for one in found]
        jobs = [_job(row) for row in connection.execute(_indexed(connection))]
        return StoreRows(jobs, _ledgers(connection), complaints, _workflows(connection))
    finally:
        connection.close()


def _indexed(connection: apsw.Connection) -> str:
    """The query, after the state tables have been copied to where they can be found by job."""
    query = _JOBS
    party = " WHERE party > 0"
    for table, among in (("ready", ""), ("refused", party), ("blocked", ""), ("scheduled", ""), ("running", "")):
        connection.execute(f"CREATE TEMP TABLE by_seq_{table} AS SELECT seq FROM {table}{among}")
        connection.execute(f"CREATE INDEX temp.at_{table} ON by_seq_{table} (seq)")
        query = query.replace(f"FROM {table} WHERE {table}.seq", f"FROM by_seq_{table} AS s WHERE s.seq")
    return query


def _job(row: apsw.SQLiteValues) -> JobRow:
    _, job_id, task, queue, body, kept_checksum, state, attempt, error, result, *counts = row
    assert isinstance(body, bytes)
    assert isinstance(job_id, bytes)
    standing = [
        standing for standing, count in zip(_STATES_BY_TABLE, counts, strict=True) for _ in range(_whole(count))
    ]
    if state is not None:
        standing.append(State(str(state)))
    token = ""
    if task == MESSAGE_TASK:
        task, token = row_of(body, str(queue))
    return JobRow(
        id=job_id.hex(),
        task=str(task),
        queue=str(queue),
        states=tuple(standing),
        token=token or _token(body),
        intact=checksum(body) == kept_checksum,
        attempt=_whole(attempt or 0),
        result=str(_decoded(result)) if isinstance(result, bytes) else None,
        error=_decode_error(error).type if isinstance(error, bytes) else None,
    )


def _decoded(data: bytes) -> object:
    """What is behind the byte that names the format."""
    rest = data[1:]
    return msgspec.json.decode(rest) if data[:1] == b"j" else msgspec.msgpack.decode(rest)


def _token(body: bytes) -> str:
    args, kwargs = msgspec.convert(_decoded(body), tuple[list[Any], dict[str, str]])
    return kwargs["token"] if "token" in kwargs else str(args[1])


def _ledgers(connection: apsw.Connection) -> dict[str, QueueStats]:
    names = [name for name in QueueStats.__struct_fields__ if name not in _MEASURED]
    later = {number: astuple(counts)[: len(names)] for number, _, counts in read_ledgers(connection)}
    rows = connection.execute(f"SELECT id, name, {', '.join(names)} FROM queue")
    return {
        str(name): QueueStats(**dict(zip(names, map(_whole, later.get(_whole(number), counts)), strict=True)))
        for number, name, *counts in rows
    }


def _workflows(connection: apsw.Connection) -> dict[str, str]:
    return {bytes(number).hex(): str(state) for number, state in connection.execute("SELECT id, state FROM workflow")}


def _whole(value: apsw.SQLiteValue) -> int:
    assert isinstance(value, int)
    return value


def counted(jobs: list[JobRow]) -> dict[str, dict[str, int]]:
    """Rows by queue and state."""
    found: dict[str, dict[str, int]] = {}
    for job in jobs:
        counts = found.setdefault(job.queue, dict.fromkeys(_COUNTED, 0))
        for state in job.states:
            counts[state.value] += 1
    return found
