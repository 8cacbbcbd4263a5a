"""Settling: committing what became of leased jobs.

`SqliteStore.settle` calls `Settling.landing` first, refuses what may be refused, and then calls `Settling.settle`,
which refuses nothing any more. Jobs that succeeded are ended as ranges of fences where they can be, all others one by
one, through `Endings`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Final

from penstock.model.deliveries import delivers
from penstock.model.interests import Interest
from penstock.model.job import Fate, JobError, JobGroup, Outcomes, Settled, Succeeded
from penstock.model.losses import Loss
from penstock.model.states import Event, State
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.workflow_records import KEPT

_RUN_MIN = 8
"""From this many consecutive fences on, one range statement is cheaper than one statement each."""
LEFT_BEHIND: Final = JobError("WorkerLost", "Its supervisor died while it ran; another one has taken over.")

_PARENT: Final = Interest.PARENT.value
CHUNK_ROWS: Final = 50
"""Records in one statement."""
Fates = list[tuple[int, Fate]]
"""Fences that did not become what was asked, with what became of them."""
Leases = list[tuple[int, Lease]]
"""Leases that have ended, each with its fence."""
Finished = tuple[int, float, int, float, float, bytes | None, float | None]
"""seq, keep_until, attempt, started_at, finished_at, result, result_until of a job that succeeded."""
_INSERT_CHUNK: Final = (
    STATEMENTS["insert_finished"].split("VALUES")[0]
    + "VALUES "
    + ", ".join(
        f"(?{at}, ?1, 0, ?{at + 1}, ?{at + 2}, ?{at + 3}, ?{at + 4}, NULL, ?{at + 5}, ?{at + 6})"
        for at in range(2, 2 + 7 * CHUNK_ROWS, 7)
    )
)


class Settling:
    """Ends leases, and moves their jobs to what their holder, or the loss of their holder, makes of them."""

    def __init__(self, books: Books, endings: Endings, *, check_fences: bool) -> None:
        self.books = books
        self.database = books.database
        self.endings = endings
        self.check_fences = check_fences
        self._superseded: dict[int, int] = {}

    def landing(self, outcomes: Outcomes) -> list[JobGroup]:
        """The children that land: those of jobs that succeed, as far as the settlement's holder holds them."""
        succeeding = self.succeeding(outcomes)
        return [group for fence, groups in outcomes.children if fence in succeeding for group in groups]

    def succeeding(self, outcomes: Outcomes) -> dict[int, Lease]:
        """The leases that a settlement ends with success, by fence, as far as its holder has them."""
        fences = (*outcomes.forgotten, *(one.fence for one in outcomes.succeeded))
        found = ((fence, self._find(outcomes.holder, fence)[1]) for fence in fences)
        return {fence: held for fence, held in found if held is not None}

    def settle(self, outcomes: Outcomes) -> Settled:
        """Commit outcomes that have been checked. Answers which leases did not become what was asked."""
        fates: Fates = []
        holder = outcomes.holder
        forgotten, kept = _by_keeping(outcomes)
        if forgotten and self.books.interested:
            self._keep_of_workflows(outcomes, forgotten, kept)
        if forgotten:
            self._forget(holder, forgotten, fates)
        if kept:
            self._succeed(holder, kept, fates)
        # What ends gives up its slots before it is asked whether what comes back may have its place.
        self._end(outcomes, fates)
        self._repeat(outcomes, fates)
        self._give_back(holder, outcomes.released, fates)
        self._refuse(outcomes, fates)
        return Settled(fates)

    def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """See `penstock.ports.Store.reconcile`."""
        listed = set(fences)
        missing = {
            fence: held
            for fence, held in self.books.by_fence.items()
            if held.holder.startswith(holder) and fence not in listed
        }
        for fence, held in sorted(missing.items()):
            if held.started_at is not None or delivers(held.holder):
                self.reclaim([fence], LEFT_BEHIND)
            else:
                self._give_back(held.holder, [fence], [])
        if not fences:
            self.endings.refusals.forget_workers(holder)
        return len(missing)

    # --- fences ------------------------------------------------------------------------------------------------------
    def _find(self, holder: bytes, fence: int) -> tuple[int, Lease | None]:
        """The lease that ``holder`` has with this fence, and its fence; None: it has none, or not any more."""
        if not self.check_fences and fence not in self.books.by_fence:
            # A test variant that must lose jobs: whoever holds the job now is meant.
            fence = self.books.by_seq.get(self._superseded.get(fence, -1), fence)
        held = self.books.by_fence.get(fence)
        if held is not None and not held.holder.startswith(holder) and self.check_fences:
            held = None
        return fence, held

    def _take(self, holder: bytes, fence: int, fates: Fates) -> Lease | None:
        """End the lease that ``holder`` has with this fence and answer it, or note the fence as stale."""
        fence, held = self._find(holder, fence)
        if held is None:
            fates.append((fence, Fate.STALE))
            return None
        del self.books.by_fence[fence], self.books.by_seq[held.seq]
        self.books.interested.discard(held.seq)
        self.books.ended_leases.append((fence, held))
        self.database.run("delete_running", fence)
        assert self.database.connection.changes() == 1, "memory and file hold the same leases"
        if not self.check_fences:
            self._superseded[fence] = held.seq
        if self.books.limits:
            self._free([held])
        return held

    def _take_many(self, holder: bytes, fences: list[int], fates: Fates, *, forget: bool) -> Leases:
        """As `_take`, for rising fences; consecutive ones are ended as a range. With ``forget`` their jobs go."""
        if not self.check_fences:
            taken = [(fence, held) for fence in fences if (held := self._take(holder, fence, fates)) is not None]
            if forget:
                self.database.run_many("delete_job", [(held.seq,) for _, held in taken])
            return taken
        pop, by_seq = self.books.by_fence.pop, self.books.by_seq
        live = [(fence, held) for fence in fences if (held := pop(fence, None)) is not None]
        strangers = [(fence, held) for fence, held in live if not held.holder.startswith(holder)]
        if strangers:
            self.books.by_fence.update(strangers)
            live = [(fence, held) for fence, held in live if held.holder.startswith(holder)]
        for _, held in live:
            del by_seq[held.seq]
        self.books.ended_leases += live
        ended = fences
        if len(live) < len(fences):
            ended = [fence for fence, _ in live]
            fates.extend((fence, Fate.STALE) for fence in sorted(set(fences).difference(ended)))
        self._delete_runs(ended, forget=forget)
        if self.books.limits:
            self._free([held for _, held in live])
        return live

    def _free(self, ended: Sequence[Lease]) -> None:
        """These leases have ended, so there is room for others."""
        opened = self.books.limits.end(Counter([held.line for held in ended]))
        if opened:
            self.endings.note_open(opened)

    def _delete_runs(self, fences: list[int], *, forget: bool) -> None:
        single: list[tuple[int]] = []
        for first, last in _runs(fences):
            if last - first < _RUN_MIN:
                single.extend((fence,) for fence in range(first, last + 1))
                continue
            if forget:
                self.database.run("delete_jobs_running", first, last)
            self.database.run("delete_running_range", first, last)
            assert self.database.connection.changes() == last - first + 1, "memory and file hold the same leases"
        if single:
            if forget:
                self.database.run_many("delete_job_running", single)
            self.database.run_many("delete_running", single)

    # --- success -----------------------------------------------------------------------------------------------------
    def _forget(self, holder: bytes, fences: list[int], fates: Fates) -> None:
        """End jobs that succeeded and of which nothing is kept: their rows are deleted."""
        taken = self._take_many(holder, fences, fates, forget=True)
        self.books.move_each(_by_queue(taken), Event.SUCCEED, State.RUNNING, None)
        self._forget_refusals(taken)
        if self.books.mishaps:
            self.books.mishaps.forget(held.seq for _, held in taken)
        self._tell(taken, None)

    def _keep_of_workflows(self, outcomes: Outcomes, forgotten: list[int], kept: dict[int, Succeeded]) -> None:
        """Jobs of workflows are kept, whatever their outcomes say."""
        by_fence, now = self.books.by_fence, self.books.clock.time()
        ours = {fence for fence in forgotten if fence in by_fence and by_fence[fence].interest & _PARENT}
        if not ours:
            return
        for fence in ours:
            started_at = by_fence[fence].started_at
            kept[fence] = Succeeded(fence, now if started_at is None else started_at, now)
        kept |= {outcome.fence: outcome for outcome in outcomes.succeeded if outcome.fence in ours}
        forgotten[:] = [fence for fence in forgotten if fence not in ours]

    def _succeed(self, holder: bytes, kept: dict[int, Succeeded], fates: Fates) -> None:
        """End jobs that succeeded and of which a record is kept. ``kept``: their outcomes, by fence."""
        taken = self._take_many(holder, sorted(kept), fates, forget=False)
        now = self.books.clock.time()
        rows = [_finished(kept[fence], held, now) for fence, held in taken]
        whole = len(rows) - len(rows) % CHUNK_ROWS
        for start in range(0, whole, CHUNK_ROWS):
            values = chain.from_iterable(rows[start : start + CHUNK_ROWS])
            self.database.connection.execute(_INSERT_CHUNK, (State.SUCCEEDED.value, *values))
        for seq, keep_until, attempt, started_at, finished_at, result, result_until in rows[whole:]:
            own = (keep_until, attempt, started_at, finished_at, None, result, result_until)
            self.database.run("insert_finished", seq, State.SUCCEEDED.value, 0, *own)
        others = taken
        if self.books.interested:
            others = self._count_of_workflows(taken)
        if self.books.finished.retained:
            self.books.finished.retained.enter((held.seq, held.queue) for _, held in others)
        self.books.move_each(_by_queue(taken), Event.SUCCEED, State.RUNNING, State.SUCCEEDED)
        self._forget_refusals(taken)
        if self.books.mishaps:
            self.books.mishaps.clear(held.seq for _, held in taken)
        self._tell(taken, State.SUCCEEDED)

    def _count_of_workflows(self, taken: Leases) -> Leases:
        """Count the records of jobs of workflows. Answers the others."""
        ours = [one for one in taken if one[1].interest & _PARENT]
        if not ours:
            return taken
        self.books.finished.of_workflows.add(_by_queue(ours), dead=False)
        if len(ours) == len(taken):
            return []
        return [one for one in taken if not one[1].interest & _PARENT]

    def _forget_refusals(self, taken: Leases) -> None:
        if self.books.refused_leased:
            for _, held in taken:
                self.endings.forget_refusal(held)

    def _tell(self, taken: Leases, target: State | None) -> None:
        """Tell the listeners that these jobs have succeeded. ``target`` None: no records of them are kept."""
        listeners, interested = self.endings.listeners, self.books.interested
        if interested or listeners.watched:
            ended = [held for _, held in taken]
            listeners.tell_leased(ended, Event.SUCCEED, target)
            interested.difference_update([held.seq for held in ended])

    # --- everything else ---------------------------------------------------------------------------------------------
    def _repeat(self, outcomes: Outcomes, fates: Fates) -> None:
        holder = outcomes.holder
        for retried in outcomes.retried:
            held = self._take_uncancelled(holder, retried.fence, fates)
            if held is not None:
                self.endings.back_after(held, Event.RETRY, retried.delay_s, held.attempts + 1, retried.error)
        for snoozed in outcomes.snoozed:
            held = self._take_uncancelled(holder, snoozed.fence, fates)
            if held is not None:
                self.endings.back_after(held, Event.SNOOZE, snoozed.delay_s, held.attempts, None)
        for suspended in outcomes.suspended:
            held = self._take_uncancelled(holder, suspended.fence, fates)
            if held is not None:
                self.endings.suspend(held, suspended)
        for lost in outcomes.lost:
            held = self._take_uncancelled(holder, lost.fence, fates)
            if held is not None:
                fate = self.endings.lose(held, lost.fence, lost.loss, lost.error, lost.started_at)
                _note(fates, lost.fence, fate)

    def _refuse(self, outcomes: Outcomes, fates: Fates) -> None:
        for refused in outcomes.refused:
            held = self._take_uncancelled(outcomes.holder, refused.fence, fates)
            if held is not None:
                _note(fates, refused.fence, self.endings.refuse(held, refused))

    def _end(self, outcomes: Outcomes, fates: Fates) -> None:
        for buried in outcomes.buried:
            held = self._take(outcomes.holder, buried.fence, fates)
            if held is not None:
                self.books.mishaps.clear([held.seq])
                self.endings.end_running(
                    held, Event.BURY, keep_s=buried.keep_s, error=buried.error, started_at=buried.started_at
                )
        for cancelled in outcomes.cancelled:
            held = self._take(outcomes.holder, cancelled.fence, fates)
            if held is not None:
                self.endings.end_running(held, Event.CANCEL, keep_s=cancelled.keep_record_s)

    def _give_back(self, holder: bytes, fences: Iterable[int], fates: Fates) -> None:
        for fence in fences:
            held = self._take_uncancelled(holder, fence, fates)
            if held is not None:
                _note(fates, fence, self.endings.back_unstarted(held, fence, Event.RELEASE))

    def _take_uncancelled(self, holder: bytes, fence: int, fates: Fates) -> Lease | None:
        """As `_take`; a job that was to be cancelled does not run again but is cancelled here."""
        held = self._take(holder, fence, fates)
        if held is not None and held.cancel:
            self.endings.end_running(held, Event.CANCEL, keep_s=self.books.keep_record_s(held.task))
            fates.append((fence, Fate.CANCELLED))
            return None
        return held

    def reclaim(self, fences: Sequence[int], error: JobError) -> None:
        """Take back leases that ended, or that their holder does not list. What became of the runner is unknown."""
        for fence in fences:
            held = self.books.by_fence.get(fence)
            if held is not None and self._take_uncancelled(held.holder, fence, []) is not None:
                loss = Loss.UNSTARTED if held.started_at is None else Loss.STRAY
                self.endings.lose(held, fence, loss, error)


def _note(fates: Fates, fence: int, fate: Fate | None) -> None:
    """Note what became of a job that was to run again. ``fate`` None: it does run again, and nothing is noted."""
    if fate is not None:
        fates.append((fence, fate))


def _by_keeping(outcomes: Outcomes) -> tuple[list[int], dict[int, Succeeded]]:
    """Of jobs that succeeded: the fences of which nothing is kept, whichever list they came in, rising; and the others'
    outcomes, by fence."""
    forgotten = sorted(outcomes.forgotten)
    kept: dict[int, Succeeded] = {}
    if outcomes.succeeded:
        kept = {outcome.fence: outcome for outcome in outcomes.succeeded if _kept_s(outcome) > 0}
        if len(kept) < len(outcomes.succeeded):
            unkept = [outcome.fence for outcome in outcomes.succeeded if outcome.fence not in kept]
            forgotten = sorted([*forgotten, *unkept])
    return forgotten, kept


def _kept_s(outcome: Succeeded) -> float:
    result_s = outcome.keep_result_s if outcome.result is not None else 0.0
    return max(outcome.keep_record_s, result_s)


def _finished(outcome: Succeeded, held: Lease, now: float) -> Finished:
    """The record of a job that succeeded. Its times are the worker's, so that they fit each other; how long it is kept
    goes by the store's clock."""
    result = outcome.result
    if held.interest & _PARENT:
        until = KEPT
        held.result_bytes = 0 if result is None else max(0, len(result) - 1)
        return held.seq, until, held.attempts + 1, outcome.started_at, outcome.finished_at, result, until
    result_until = None if result is None else now + outcome.keep_result_s
    keep_until = now + _kept_s(outcome)
    return held.seq, keep_until, held.attempts + 1, outcome.started_at, outcome.finished_at, result, result_until


def _runs(fences: list[int]) -> Iterator[tuple[int, int]]:
    """The first and last of each run of consecutive fences, which rise."""
    if fences and fences[-1] - fences[0] == len(fences) - 1:
        yield fences[0], fences[-1]
        return
    for _, run in groupby(enumerate(fences), lambda item: item[1] - item[0]):
        members = [fence for _, fence in run]
        yield members[0], members[-1]


def _by_queue(taken: Leases) -> dict[int, int]:
    """How many of these leases are of jobs of each queue."""
    queues = [held.queue for _, held in taken]
    if queues and queues.count(queues[0]) == len(queues):
        # Most settlements are of one queue. To see that is faster than to count.
        return {queues[0]: len(queues)}
    return Counter(queues)
