"""How the in-memory store's rows and counts look from outside, in pages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from penstock.model import limits
from penstock.model.acceptance import check_stats
from penstock.model.counts import added
from penstock.model.errors import InvalidOption
from penstock.model.job import JobExtra, JobView, QueueStats, StatsPage, TaskRecord, Totals
from penstock.model.states import State
from penstock.testing.memory_table import Row, Table

_DIGITS_MAX: Final = 30


def view(
    row: Row,
    record: TaskRecord | None,
    now: float,
    *,
    result: bool = False,
    body: bool = False,
    recorded: bool = False,
) -> JobView:
    """A row as `Store.get` shows it. ``record``: its task as registered; None: it never was. ``recorded``: it has a
    history."""
    assert row.state is not None, "a row that is shown is in the table"
    result_kept = row.result is not None and row.result_until is not None and now < row.result_until
    workflow, step, place = (None, None, None) if row.part is None else row.part[:3]
    return JobView(
        id=row.id,
        task=row.task,
        queue=row.queue,
        state=row.state,
        priority=row.priority,
        attempt=row.attempts + (row.state is State.RUNNING),
        max_attempts=limits.MAX_ATTEMPTS if record is None else record.max_attempts,
        created_at=row.created_at,
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
        became=row.became,
        workflow=workflow,
        step=step,
        place=place,
        recorded=recorded,
    )


def packed_extra(row: Row, now: float, *, recorded: bool) -> bytes | None:
    """What is leased with a job; None: nothing. ``recorded``: it has a history."""
    workflow, step, place = (None, None, None) if row.part is None else row.part[:3]
    extra = JobExtra(row.headers, row.tags, row.expires_in_s(now), workflow, step, place, recorded, row.each)
    return None if extra == JobExtra() else msgspec.msgpack.encode(extra)


def queue_stats(table: Table, name: str, now: float) -> QueueStats:
    """The counts of a queue, with how long its oldest ready job waits."""
    refused = [row.ready_at for row in table.refused.values() if row.queue == name]
    lines = [agenda for (queue, _), agenda in table.lines.items() if queue == name]
    ready = refused + [table.rows[job_id].ready_at for agenda in lines for job_id in agenda]
    age_s = max(0.0, now - min(ready)) if ready else None
    return msgspec.structs.replace(table.counts[name], oldest_ready_age_s=age_s, refused=len(refused))


def stats_page(table: Table, now: float, cursor: str | None, limit: int, *, busiest: bool) -> StatsPage:
    """See `penstock.ports.Store.stats`."""
    check_stats(cursor, busiest=busiest)
    limit = max(1, min(limit, limits.PAGE_QUEUES_MAX))
    counts = table.counts
    if not busiest:
        names, after = page_of_names(sorted(counts), cursor, limit)
        return StatsPage({name: queue_stats(table, name, now) for name in names}, after)
    ranked = sorted(counts, key=lambda name: (-counts[name].accepted_total - counts[name].moved_in_total, name))
    others = added([table.removed, *(counts[name] for name in ranked[limit:])])
    return StatsPage({name: queue_stats(table, name, now) for name in ranked[:limit]}, None, others)


def totals(table: Table, workflows: dict[str, int]) -> Totals:
    """See `penstock.ports.Store.totals`. ``workflows``: how many there are by state."""
    return Totals(len(table.counts), added([table.removed, *table.counts.values()]), table.removed, workflows)


def page_of_rows(rows: Iterable[Row], fits: Callable[[Row], bool], limit: int) -> tuple[list[Row], str | None]:
    """At most ``limit`` of the rows that fit, and the cursor that goes on behind them."""
    found: list[Row] = []
    for row in rows:
        if fits(row):
            if len(found) == limit:
                return found, cursor_behind(found[-1])
            found.append(row)
    return found, None


# --- cursors: the number of the last job of a page, or the name of its last queue ------------------------------------
def cursor_behind(row: Row) -> str:
    """Goes on behind this row."""
    return f"jobs-{row.number}"


def number_behind(cursor: str | None) -> int | None:
    """The number below which a search goes on; None: it begins."""
    if cursor is None:
        return None
    kind, _, number = cursor.partition("-")
    if kind != "jobs" or not (number.isascii() and number.isdecimal()) or len(number) > _DIGITS_MAX:
        raise _unknown(cursor)
    return int(number)


def page_of_names(names: list[str], cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """At most ``limit`` of the names, which are in order, and the cursor that goes on behind them."""
    kind, _, last = ("queues-" if cursor is None else cursor).partition("-")
    if kind != "queues":
        raise _unknown(str(cursor))
    first = bisect_right(names, last)
    page = names[first : first + limit]
    return page, f"queues-{page[-1]}" if first + limit < len(names) else None


def _unknown(cursor: str) -> InvalidOption:
    return InvalidOption(f"{cursor[:80]!r} is no cursor of this call.", field="cursor")
