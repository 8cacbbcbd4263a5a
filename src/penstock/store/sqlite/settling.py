"""Settling: committing what became of leased jobs, each compared with the fence in its row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from penstock.model.job import JobError, JobGroup, Outcomes, Succeeded
from penstock.model.states import State
from penstock.store.sqlite.books import Books, Held
from penstock.store.sqlite.endings import Endings

_RUN_MIN = 8
"""From this many consecutive fences on, one range statement is cheaper than one statement each."""


class Settling:
    """Moves jobs out of running."""

    def __init__(self, books: Books, endings: Endings, *, check_fences: bool) -> None:
        self.books = books
        self.database = books.database
        self.endings = endings
        self.check_fences = check_fences
        self._superseded: dict[int, int] = {}

    def settle(self, outcomes: Outcomes) -> tuple[list[int], list[list[JobGroup]]]:
        """Commit outcomes. Answers the stale fences, and the children whose parents were accepted."""
        stale: list[int] = []
        forgotten = _forgotten(outcomes)
        self._forget(forgotten, stale)
        self._succeed(outcomes.succeeded, stale)
        self._repeat(outcomes, stale)
        self._end(outcomes, stale)
        self._give_back(outcomes.released, stale)
        return stale, self._landing(outcomes, stale) if outcomes.children else []

    def _landing(self, outcomes: Outcomes, stale: list[int]) -> list[list[JobGroup]]:
        """The children whose parent's outcome was committed just now."""
        o = outcomes
        single = (o.succeeded, o.retried, o.snoozed, o.buried, o.cancelled, o.lost)
        settled = {*o.forgotten, *o.released, *(outcome.fence for outcomes in single for outcome in outcomes)}
        settled.difference_update(stale)
        return [groups for fence, groups in o.children if fence in settled]

    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """See `penstock.ports.Store.reconcile`."""
        listed = set(fences)
        missing = [
            fence for fence, held in self.books.by_fence.items() if held.holder == holder and fence not in listed
        ]
        self._give_back(missing, [])
        return len(missing)

    # --- fences ------------------------------------------------------------------------------------------------------
    def take(self, fence: int, stale: list[int]) -> Held | None:
        """End the lease with this fence and answer it, or note the fence as stale."""
        held = self.books.by_fence.pop(fence, None)
        if held is None and not self.check_fences:
            fence, held = self._take_superseding(fence)
        if held is None:
            stale.append(fence)
            return None
        del self.books.by_seq[held.seq]
        self.database.run("delete_running", fence)
        assert self.database.connection.changes() == 1, "memory and file hold the same leases"
        if not self.check_fences:
            self._superseded[fence] = held.seq
        return held

    def _take_superseding(self, fence: int) -> tuple[int, Held | None]:
        """Without the fence check (a test variant that must lose jobs): whoever holds the job now is ended instead."""
        now_fence = self.books.by_seq.get(self._superseded.get(fence, -1), fence)
        return now_fence, self.books.by_fence.pop(now_fence, None)

    # --- success -----------------------------------------------------------------------------------------------------
    def _forget(self, fences: list[int], stale: list[int]) -> None:
        """The fast path: runs of consecutive fences are deleted as ranges, with their jobs."""
        if not self.check_fences:
            for fence in fences:
                self._forget_one(fence, stale)
            return
        pop = self.books.by_fence.pop
        live: list[tuple[int, Held]] = []
        for fence in fences:
            held = pop(fence, None)
            if held is None:
                stale.append(fence)
            else:
                live.append((fence, held))
        if not live:
            return
        by_seq = self.books.by_seq
        for _, held in live:
            del by_seq[held.seq]
        self._delete_runs([fence for fence, _ in live])
        self._count_forgotten([held for _, held in live])

    def _forget_one(self, fence: int, stale: list[int]) -> None:
        held = self.take(fence, stale)
        if held is not None:
            self.database.run("delete_job", held.seq)
            self._count_forgotten([held])

    def _delete_runs(self, fences: list[int]) -> None:
        single: list[tuple[int]] = []
        for _, run in groupby(enumerate(fences), lambda item: item[1] - item[0]):
            members = [fence for _, fence in run]
            if len(members) < _RUN_MIN:
                single.extend((fence,) for fence in members)
                continue
            first, last = members[0], members[-1]
            self.database.run("delete_jobs_running", first, last)
            self.database.run("delete_running_range", first, last)
            assert self.database.connection.changes() == len(members), "memory and file hold the same leases"
        if single:
            self.database.run_many("delete_job_running", single)
            self.database.run_many("delete_running", single)

    def _count_forgotten(self, ended: list[Held]) -> None:
        for queue, count in _by_queue(ended):
            counts = self.books.counts(queue)
            counts.running -= count
            counts.succeeded_total += count
        self._tell_watchers(ended)

    def _succeed(self, outcomes: list[Succeeded], stale: list[int]) -> None:
        rows = []
        ended: list[Held] = []
        for outcome in outcomes:
            if _kept_s(outcome) <= 0:
                continue
            held = self.take(outcome.fence, stale)
            if held is None:
                continue
            ended.append(held)
            finished_at = outcome.finished_at
            result_until = None if outcome.result is None else finished_at + outcome.keep_result_s
            rows.append(
                (
                    held.seq,
                    State.SUCCEEDED.value,
                    0,
                    finished_at + _kept_s(outcome),
                    held.attempts + 1,
                    outcome.started_at,
                    finished_at,
                    None,
                    outcome.result,
                    result_until,
                )
            )
        if not rows:
            return
        self.database.run_many("insert_finished", rows)
        for queue, count in _by_queue(ended):
            counts = self.books.counts(queue)
            counts.running -= count
            counts.succeeded += count
            counts.succeeded_total += count
        self._tell_watchers(ended)

    def _tell_watchers(self, ended: list[Held]) -> None:
        watched = self.endings.watched
        if watched:
            self.endings.ended.extend(held.id for held in ended if held.id in watched)

    # --- everything else ---------------------------------------------------------------------------------------------
    def _repeat(self, outcomes: Outcomes, stale: list[int]) -> None:
        for retried in outcomes.retried:
            held = self._take_uncancelled(retried.fence, stale)
            if held is not None:
                self.books.counts(held.queue).retried_total += 1
                self.endings.back_after(held, retried.delay_s, held.attempts + 1, retried.error)
        for snoozed in outcomes.snoozed:
            held = self._take_uncancelled(snoozed.fence, stale)
            if held is not None:
                self.books.counts(held.queue).snoozed_total += 1
                self.endings.back_after(held, snoozed.delay_s, held.attempts, None)
        for lost in outcomes.lost:
            held = self._take_uncancelled(lost.fence, stale)
            if held is not None:
                self.endings.lose(held, lost.error, started=lost.started)

    def _end(self, outcomes: Outcomes, stale: list[int]) -> None:
        for buried in outcomes.buried:
            held = self.take(buried.fence, stale)
            if held is not None:
                self.endings.end_running(
                    held, State.DEAD, keep_s=buried.keep_s, error=buried.error, started_at=buried.started_at
                )
        for cancelled in outcomes.cancelled:
            held = self.take(cancelled.fence, stale)
            if held is not None:
                self.endings.end_running(held, State.CANCELLED, keep_s=cancelled.keep_record_s)

    def _give_back(self, fences: Iterable[int], stale: list[int]) -> None:
        for fence in fences:
            held = self._take_uncancelled(fence, stale)
            if held is not None:
                self.books.counts(held.queue).released_total += 1
                self.endings.back_to_ready(held, self.endings.place(held))

    def _take_uncancelled(self, fence: int, stale: list[int]) -> Held | None:
        """As `take`; a job that was to be cancelled does not run again but is cancelled here."""
        held = self.take(fence, stale)
        if held is not None and held.cancel:
            self.endings.end_running(held, State.CANCELLED, keep_s=self.books.keep_record_s(held.task))
            return None
        return held

    def reclaim(self, fences: Sequence[int], error: JobError) -> None:
        """Take back leases that ended by themselves. As a loss of the runner, started as far as was reported."""
        for fence in fences:
            held = self._take_uncancelled(fence, [])
            if held is not None:
                self.endings.lose(held, error, started=held.started_at is not None)


def _forgotten(outcomes: Outcomes) -> list[int]:
    """Fences of which nothing is kept, whichever list they came in."""
    unkept = [outcome.fence for outcome in outcomes.succeeded if _kept_s(outcome) <= 0]
    return sorted({*outcomes.forgotten, *unkept})


def _kept_s(outcome: Succeeded) -> float:
    result_s = outcome.keep_result_s if outcome.result is not None else 0.0
    return max(outcome.keep_record_s, result_s)


def _by_queue(ended: list[Held]) -> list[tuple[int, int]]:
    queues = {held.queue for held in ended}
    if len(queues) == 1:
        return [(queues.pop(), len(ended))]
    return [(queue, sum(1 for held in ended if held.queue == queue)) for queue in queues]
