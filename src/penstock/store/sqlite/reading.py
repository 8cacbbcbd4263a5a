"""What single jobs are, and what the queues count: `get` and `stats` over the embedded file."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from math import inf
from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.counts import added, less
from penstock.model.durable_steps import Record
from penstock.model.interests import Interest
from penstock.model.job import JobError, JobExtra, JobView, QueueStats, StatsPage
from penstock.model.states import State
from penstock.model.step_history import reason_of, shown, waits
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.in_memory import Books, Queue
from penstock.store.sqlite.joining import Joining
from penstock.store.sqlite.line_heads import Front
from penstock.store.sqlite.refused_jobs import Refusals
from penstock.store.sqlite.row_numbers import (
    cursor_after_queue,
    queue_after,
    row_number,
)

_decode_extra = msgspec.msgpack.Decoder(JobExtra).decode
_decode_error = msgspec.msgpack.Decoder(JobError).decode
_decode_record = msgspec.msgpack.Decoder(Record).decode
_encode_json = msgspec.json.Encoder().encode
_NO_EXTRA: Final = JobExtra()
_LINES_ASKED_MAX: Final = 50
"""Lines of one queue that are asked since when their first jobs wait."""
_UNREADABLE: Final = "?"
"""What is shown where the name of a task or a queue is not known any more."""


class Inspector:
    """Answers what jobs are, without changing them."""

    def __init__(self, books: Books, refusals: Refusals, joining: Joining) -> None:
        self.books = books
        self.refusals = refusals
        self.joining = joining
        self.line = joining.line
        self.database = books.database

    def seq_of(self, job_id: bytes) -> int | None:
        """The row of a job, or None."""
        if len(job_id) != 16:
            return None
        for seq in (row_number(job_id), self.books.displaced.get(job_id)):
            if seq is not None and self.database.value("id_at", seq) == job_id:
                return seq
        return None

    def state_of(self, job_id: bytes) -> State | None:
        """The state of a job, or None when there is no record."""
        view = self.view(job_id)
        return view.state if view else None

    def view(self, job_id: bytes, *, result: bool = False, body: bool = False) -> JobView | None:
        """The job as it is now, or None when there is no record (any more)."""
        seq = self.seq_of(job_id)
        view = None if seq is None else self.view_row(seq, result=result, body=body)
        return None if view is None else shown(view)

    def view_row(self, seq: int, *, result: bool = False, body: bool = False) -> JobView | None:
        """The job in this row, as the store has it (`step_history.shown` is how people see it). Its state is that of
        the table it is found in; None: it is in none, or has no row."""
        self.line.write_all()
        row = self.database.row("view", seq)
        if row is None:
            return None
        _, job_id, number, priority, packed_extra, created_at, run_at, expires_at, attempts, losses, error, *states = (
            row
        )
        line = self.books.lines.get(number)
        queue, task = (line.queue, line.task) if line is not None else (0, 0)
        extra = _extra_of(packed_extra) if packed_extra else _NO_EXTRA
        record, mishap = self.books.records.get(task), self.books.mishaps.of(seq)
        fields: dict[str, Any] = {
            "id": job_id,
            "task": self.books.task_names.get(task, _UNREADABLE),
            "queue": self.books.queues[queue].name if queue in self.books.queues else _UNREADABLE,
            "priority": priority,
            "max_attempts": record.max_attempts if record else limits.MAX_ATTEMPTS,
            "created_at": created_at,
            "run_at": run_at,
            "expires_at": expires_at,
            "losses": losses,
            "strays": mishap.strays,
            "suspect": mishap.suspect,
            "error": _error_of(error) if error else None,
            "headers": extra.headers,
            "tags": extra.tags,
            "workflow": extra.workflow,
            "step": extra.step,
            "place": extra.place,
        }
        if body:
            fields["body"] = self.database.value("body", seq)
        finished, waiting, interest = states[:9], states[9:-1], states[-1]
        fields["recorded"] = bool(interest & Interest.RECORDED)
        if finished[0] is None:
            return self._unfinished(seq, attempts, waiting, fields, interest)
        return self._finished(seq, finished, fields, with_result=result)

    def _unfinished(
        self, seq: int, attempts: int, waiting: Sequence[Any], fields: dict[str, Any], interest: int
    ) -> JobView | None:
        """A job without an outcome is in the state of the table that it stands in."""
        fence = self.books.by_seq.get(seq)
        if fence is not None:
            held = self.books.by_fence[fence]
            return JobView(
                state=State.RUNNING,
                attempt=attempts + 1,
                started_at=held.started_at,
                progress=self.books.told.get(fence, held.progress),
                cancel_requested=held.cancel,
                **fields,
            )
        is_ready, refusal, blocked_for, key, is_scheduled = waiting
        if is_ready or refusal is not None:
            return self._ready(attempts, refusal, fields)
        if blocked_for is not None:
            reason, key = self.joining.reason_of(blocked_for, key)
            return JobView(state=State.BLOCKED, attempt=attempts, reason=reason, key=key, **fields)
        if not is_scheduled:
            return None
        suspended = None
        if interest & Interest.RECORDED:
            packed = self.database.value("last_record", seq)
            last = _decode_record(packed) if packed else None
            suspended = reason_of(last) if last is not None and waits(last, fields["run_at"]) else None
        return JobView(state=State.SCHEDULED, attempt=attempts, reason=suspended, **fields)

    def _ready(self, attempts: int, refusal: bytes | None, fields: dict[str, Any]) -> JobView:
        """A ready job, with why it is not given out."""
        queue, task = fields["queue"], fields["task"]
        unknown = self.refusals.holders.unknown_task(queue, task, self.books.clock.monotonic())
        if refusal is not None:
            fields["error"] = _error_of(refusal)
        elif unknown is not None:
            fields["error"] = unknown
        reason = self.books.closed.reason_of(queue, task) or self.books.limits.reason_of(queue, task)
        return JobView(state=State.READY, attempt=attempts, reason=reason, **fields)

    def _finished(
        self, seq: int, finished: Sequence[Any], fields: dict[str, Any], *, with_result: bool
    ) -> JobView | None:
        state, keep_until, attempt, started_at, finished_at, error, result_until, has_result, became = finished
        now = self.books.clock.time()
        if keep_until <= now:
            return None
        kept = bool(has_result) and result_until > now
        fields["error"] = _error_of(error) if error else None
        return JobView(
            state=State(state),
            attempt=attempt,
            started_at=started_at,
            finished_at=finished_at,
            result=self.database.value("result", seq) if with_result and kept else None,
            result_kept=kept,
            became=became,
            **fields,
        )

    # --- counts ------------------------------------------------------------------------------------------------------
    def stats(self, cursor: str | None, limit: int) -> StatsPage:
        """One page of `penstock.ports.Store.stats`, by name."""
        limit = max(1, min(limit, limits.PAGE_QUEUES_MAX))
        names = self.books.queue_names()
        first = bisect_right(names, queue_after(cursor))
        queues = self.counts_of(names[first : first + limit], in_a_slice=True)
        shown = first + len(queues)
        return StatsPage(queues, cursor_after_queue(names[shown - 1]) if shown < len(names) else None)

    def counts_of(self, names: Iterable[str], *, in_a_slice: bool = False) -> dict[str, QueueStats]:
        """The counts of these queues, in this order; nothing counts where there is no such queue. When the time of a
        slice is over, no more queues are answered (``in_a_slice``), or those that follow have no age."""
        until = self.books.clock.monotonic() + limits.SLICE_S
        found: dict[str, QueueStats] = {}
        is_over = False
        for name in names:
            queue = self.books.queue_by_name.get(name)
            if queue is None:
                found[name] = QueueStats()
            else:
                found[name] = self._counts(queue, None if is_over else self._waiting_since([queue]).get(queue.id))
            is_over = is_over or self.books.clock.monotonic() > until
            if is_over and in_a_slice:
                break
        return found

    def busiest(self, limit: int) -> StatsPage:
        """The page of `penstock.ports.Store.stats` with the busiest queues. The first of them are the first to be asked
        since when their jobs wait, until the time of a slice is over."""
        queues = nsmallest(max(1, min(limit, limits.PAGE_QUEUES_MAX)), self.books.queue_by_name.values(), key=_idleness)
        others = less(self.books.totals(), added(queue.counts for queue in queues))
        since = self._waiting_since(queues, limits.SLICE_S)
        return StatsPage({queue.name: self._counts(queue, since.get(queue.id)) for queue in queues}, None, others)

    def _counts(self, queue: Queue, since: float | None) -> QueueStats:
        """What a queue counts. ``since``: when the longest-waiting ready job could have started, as far as is known."""
        age_s = None if since is None else max(0.0, self.books.clock.time() - since)
        refused = self.refusals.waiting(queue.id)
        return msgspec.structs.replace(queue.counts, oldest_ready_age_s=age_s, refused=refused)

    def _waiting_since(self, queues: Iterable[Queue], within_s: float = inf) -> dict[int, float]:
        """When the longest-waiting ready job of each queue could have started: the heads of each priority present are
        compared. Queues that were not reached within so many seconds of asking are left out.

        One statement asks all lines of all queues, and ends between two lines when the time is over. Of a queue with
        very many lines, those are asked whose first jobs arrived earliest.
        """
        queue_of: dict[int, int] = {}
        lines: list[int] = []
        parties: list[tuple[int, int]] = []
        waits_for: Counter[int] = Counter()
        for number in [queue.id for queue in queues if queue.counts.ready]:
            fronts = self.line.fronts_of(number)
            if len(fronts) > _LINES_ASKED_MAX:
                fronts = nsmallest(_LINES_ASKED_MAX, fronts, key=_first_arrival)
            aside = self._refused_in(number)
            lines += [front.line for front in fronts]
            parties += aside
            queue_of |= dict.fromkeys([*(front.line for front in fronts), *(line for _, line in aside)], number)
            waits_for[number] = len(fronts) + len(aside)
        since: dict[int, float] = {}
        until = self.books.clock.monotonic() + within_s
        for line, at in self._first_of_each(lines, parties):
            number = queue_of[line]
            waits_for[number] -= 1
            if at is not None:
                since[number] = min(at, since.get(number, at))
            if self.books.clock.monotonic() >= until:
                break
        return {number: at for number, at in since.items() if not waits_for[number]}

    def _refused_in(self, queue: int) -> list[tuple[int, int]]:
        """Parties and lines of a queue in which refused jobs wait; not more than are asked of one queue."""
        if not self.refusals.waiting(queue):
            return []
        lines = self.books.lines_of(queue)
        found = ((party, line.id) for line in lines for party in self.refusals.parties_in(line.id))
        return list(islice(found, _LINES_ASKED_MAX))

    def _first_of_each(
        self, lines: Sequence[int], parties: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[int, float | None]]:
        """Of each line, and of each party's jobs in a line: the line, and since when the first jobs may start."""
        for name, asked in (("ready_since", lines), ("refused_since", parties)):
            if asked:
                yield from self.database.connection.execute(STATEMENTS[name], (_encode_json(asked).decode(),))


def _first_arrival(front: Front) -> int:
    """When the first job of a line arrived, in arrival numbers; 0 when that is not known."""
    return front.entries[0][2] if front.entries else 0


def _idleness(queue: Queue) -> tuple[int, str]:
    """What puts the busiest queues first."""
    return -queue.counts.accepted_total - queue.counts.moved_in_total, queue.name


def _extra_of(packed: bytes) -> JobExtra:
    """Headers and tags. A damaged record must not hide the jobs beside it: there are none then."""
    try:
        return _decode_extra(packed)
    except msgspec.DecodeError:
        return _NO_EXTRA


def _error_of(packed: bytes) -> JobError:
    """As `_extra_of`, for an error."""
    try:
        return _decode_error(packed)
    except msgspec.DecodeError:
        return JobError("Corrupt", "The stored error cannot be read.")
