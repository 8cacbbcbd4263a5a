"""How the in-memory store's rows look from outside."""

from __future__ import annotations

import msgspec

from penstock.model import limits
from penstock.model.ids import made_at
from penstock.model.job import Filter, JobView, QueueStats, TaskRecord
from penstock.model.states import State
from penstock.testing.memory_table import Row, Table


def view(row: Row, record: TaskRecord | None, now: float, *, result: bool = False, body: bool = False) -> JobView:
    """A row as `Store.get` shows it. ``record``: its task as registered; None: it never was."""
    assert row.state is not None, "a row that is shown is in the table"
    result_kept = row.result is not None and row.result_until is not None and now < row.result_until
    return JobView(
        id=row.id,
        task=row.task,
        queue=row.queue,
        state=row.state,
        priority=row.priority,
        attempt=row.attempts + (row.state is State.RUNNING),
        max_attempts=limits.MAX_ATTEMPTS if record is None else record.max_attempts,
        created_at=made_at(row.id),
        run_at=row.run_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
        losses=row.standing.losses,
        progress=row.progress,
        error=row.refusal if row.state is State.READY and row.refusal is not None else row.error,
        headers=row.headers,
        tags=row.tags,
        result=row.result if result and result_kept else None,
        result_kept=result_kept,
        body=row.body if body else None,
        cancel_requested=row.cancel_requested,
        strays=row.standing.strays,
        suspect=row.standing.suspect,
    )


def matches(row: Row, where: Filter) -> bool:
    """Whether every field that the filter gives fits the row."""
    return (
        where.state in (None, row.state)
        and where.queue in (None, row.queue)
        and where.task in (None, row.task)
        and (where.tag is None or where.tag in (row.tags or ()))
    )


def queue_stats(table: Table, name: str, now: float) -> QueueStats:
    """The counts of a queue, with how long its oldest ready job waits."""
    refused = [row.ready_at for row in table.refused.values() if row.queue == name]
    ready = refused + [table.rows[job_id].ready_at for job_id in table.ready_in[name]]
    age_s = max(0.0, now - min(ready)) if ready else None
    return msgspec.structs.replace(table.counts[name], oldest_ready_age_s=age_s, refused=len(refused))
