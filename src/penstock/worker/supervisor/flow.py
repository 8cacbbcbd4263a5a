"""The flow of jobs through a supervisor: leased from the store, handed to lanes, their outcomes settled.

Everything that happens in the supervisor calls `Flow.soon`. That causes one turn, which does what can be done of each:
hands over what is leased, sends outcomes that wait, and asks for more jobs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption, PenstockError, StoreFull, StoreUnavailable
from penstock.model.job import LeaseRequest, PackedBatch
from penstock.ports import AsyncStore
from penstock.process.repeated_faults import Faults
from penstock.worker.options import FlowStatistics
from penstock.worker.outcomes import job_error
from penstock.worker.supervisor.catalogue import Catalogue, with_consumers
from penstock.worker.supervisor.crew import Lane
from penstock.worker.supervisor.dispatch import LIMITED_WAIT_S_MAX, Asked, Backlog, shares, shares_in_order, to_ask
from penstock.worker.supervisor.lane_load import LaneLedger, Piece, parted, pieces_by_lane
from penstock.worker.supervisor.refusal_log import RefusalLog
from penstock.worker.supervisor.settlement import OutcomeBatch, Settlement
from penstock.worker.supervisor.staffing import Staffing
from penstock.worker.supervisor.suspects import Suspects, executors_to_start

LEASE_WAIT_S = 10.0
"""How long a lease request waits at the owner for jobs to come."""
SETTLES_MAX = 2
"""Settlements under way at most. There is a second one only when `SETTLE_SECOND_JOBS` outcomes wait: fewer travel
cheaper with the next one."""
SETTLE_SECOND_JOBS = 200
SETTLE_PAUSE_S = 0.005
"""While lanes have enough to do, fewer outcomes than `SETTLE_SECOND_JOBS` are settled no more often than this: each
settlement costs a commit, and nobody waits for the next lease."""
_NO_LANE = ""
"""Stands for the lane of tasks that are not known here. Their jobs come only when the application has lost a task, or a
consumer, while a lease request was parked."""
_TIMER_S = 0.001
"""The resolution of uvloop's timers. A timer that is set for less fires at once, finds that it is not time yet, and
would be set again and again."""
UNSETTLED_JOBS_MAX = 50_000
"""Outcomes that the store has not taken. Beyond: no more jobs are leased."""
OTHERS_FIRST_S = 0.02
"""After jobs were given back for other workers to run, this one leases nothing for so long, or it would get them
again."""
RETRY_S = 0.5
"""The pause after the store has refused a request or could not be reached."""

_log = logging.getLogger("penstock.worker")


class Flow:
    """Moves jobs between the store and the lanes. The supervisor makes one, adds outcomes to it and tells it of news.

    Attributes:
        catalogue: the tasks of the application that the executors have.
        settlement: outcomes that wait to be sent; who adds some calls `soon` afterwards.
        refused: how many outcomes came too late.
        refusals: tells of jobs that this worker cannot run.
        on_handed_over: called when lanes were given jobs.
        on_empty: called, while draining, when everything is settled and no lane holds a job.
    """

    def __init__(
        self, holder: bytes, queues: tuple[str, ...] | None, staffing: Staffing, faults: Faults | None = None
    ) -> None:
        self._faults = Faults(_log) if faults is None else faults
        self._holder = holder
        self._queues = None if queues is None else list(queues)
        self._staffing = staffing
        self._backlog = Backlog()
        self._asked: dict[asyncio.Task[None], Asked] = {}
        self._has_limits = True  # until the store says otherwise
        self._settles: set[asyncio.Task[None]] = set()
        self._turn_due = False
        self._draining = self._closed = False
        self._paused_until = 0.0
        self._settles_at = 0.0
        self._pause: asyncio.TimerHandle | None = None
        self._suspects = Suspects()
        self._isolating = False
        self._isolation: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._leased = self._settled = 0
        self.catalogue = Catalogue()
        self.settlement = Settlement(holder)
        self.refusals = RefusalLog()
        self.refused = 0
        self.on_handed_over: Callable[[], None] = lambda: None
        self.on_empty: Callable[[], None] = lambda: None

    def start(self, store: AsyncStore) -> None:
        """Take the store to use. Nothing is leased before the first call of `soon`."""
        self._store = store
        self._loop = asyncio.get_running_loop()

    def soon(self) -> None:
        """Something has changed, so take a turn. It comes after everything that the loop has read already, so that what
        arrived together is answered together."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def drain(self) -> None:
        """Lease no more, and give back what has not been handed over. Outcomes are settled as before."""
        self._draining = True
        for task in list(self._asked):
            task.cancel()
        self._give_back()

    def close(self) -> None:
        """Cancel every request under way. No turn is taken any more."""
        self._closed = self._turn_due = True
        self._end_pause()
        for timer in (self._isolation, self._late):
            if timer is not None:
                timer.cancel()
        for task in [*self._asked, *self._settles]:
            task.cancel()

    def backlog_fences(self) -> list[int]:
        """The fences of jobs that are leased and not handed to a lane."""
        return self._backlog.fences() + self._suspects.fences()

    def drop(self, fences: set[int]) -> None:
        """These leases were lost. Forget those of their jobs that have not been handed over."""
        self._backlog.drop(fences)
        self._suspects.drop(fences)

    def cancel(self, fences: Sequence[int]) -> None:
        """Somebody wants these jobs cancelled. Suspects may wait here for long, so those among them go back at once,
        and the store cancels them when they arrive."""
        self.settlement.release(self._suspects.drop(set(fences)))

    def statistics(self) -> FlowStatistics:
        """A snapshot."""
        backlog, unsettled = len(self._backlog) + len(self._suspects), self.settlement.unsettled
        return FlowStatistics(
            self._leased, self._settled, self.refused, backlog, unsettled, len(self._asked), self.refusals.count
        )

    def _note(self, name: str, error: Exception) -> None:
        """Log an error once and count its repeats. An error that is not Penstock's own is logged with its traceback."""
        self._faults.note(name, error, time.monotonic(), traceback=not isinstance(error, PenstockError))

    def _turn(self) -> None:
        if self._closed:
            return
        self._turn_due = False
        try:
            self._take_turn()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is another turn after a pause
            self._note("the flow of jobs", error)
            self._loop.call_later(RETRY_S, self.soon)

    def _take_turn(self) -> None:
        now = time.monotonic()
        if not self._draining:
            self._hand_over(now)
            if self._isolating:
                self._isolate(now)
        self._settle_more(now)
        if not self._draining:
            self._lease_more(now)
        elif not self.settlement.unsettled and not self._staffing.holding():
            self.on_empty()

    # --- to the lanes -----------------------------------------------------------------------------------------------

    def _hand_over(self, now: float) -> None:
        for kind, lanes in self._staffing.lanes_by_kind().items():
            waiting = self._backlog.count(kind)
            if waiting:
                by_ledger = {lane.ledger: lane for lane in lanes}
                ledgers, limited = list(by_ledger), self._backlog.limited
                given = shares_in_order(kind, ledgers, self._backlog, now) if limited else shares(ledgers, waiting, now)
                for ledger, count in given:
                    self._fill(by_ledger[ledger], kind, count, now)
                if self._backlog.limited:
                    self._give_back_soon()
                self.on_handed_over()

    def _fill(self, lane: Lane, kind: str, count: int, now: float) -> None:
        while count > 0 and (piece := self._backlog.take(kind, count)) is not None:
            lane.hand_over(piece, now)
            count -= len(piece)

    def _isolate(self, now: float) -> None:
        """Give each lone executor that is ready a suspect, let go of those that have run theirs, and fork more if
        suspects wait. See `penstock.worker.supervisor.suspects`."""
        unused = self._staffing.lone_starting()
        began = []
        for executor in self._staffing.lone():
            if executor.given_at is not None:
                if executor.holds():
                    began.append(executor.given_at)
                else:
                    executor.leave()
            elif not executor.is_ready:
                unused += 1
            elif (suspect := self._suspects.take()) is None:
                executor.leave()
            else:
                executor.run_alone(*suspect, now)
                began.append(now)
                self.on_handed_over()
        self._isolating = bool(self._suspects or unused or began)
        count, again_s = executors_to_start(len(self._suspects), unused, began, now)
        for _ in range(count):
            self._staffing.start_lone()
        if again_s is not None and self._isolation is None:
            self._isolation = self._loop.call_later(max(again_s, _TIMER_S), self._isolate_again)

    def _isolate_again(self) -> None:
        self._isolation = None
        self.soon()

    def _give_back_soon(self) -> None:
        """Look in a while whether limited jobs still wait here."""
        if self._late is None:
            self._late = self._loop.call_later(LIMITED_WAIT_S_MAX, self._give_back_late)

    def _give_back_late(self) -> None:
        """Give back limited jobs that no lane could start for long: other workers may."""
        self._late = None
        late = self._backlog.late(time.monotonic() - LIMITED_WAIT_S_MAX)
        self.settlement.release(self._backlog.drop(set(late)))
        if self._backlog.limited:
            self._give_back_soon()
        self.soon()

    def waiting(self, kind: str) -> int:
        """How many jobs are leased for this kind of lane and not handed over."""
        return self._backlog.count(kind)

    def give_back(self, kind: str) -> None:
        """Give back what is leased for this kind of lane: none of them starts anything, and other workers may."""
        if self._backlog.count(kind):
            # Other workers that wait for jobs come first: the requests for its lanes of other kinds would get them all.
            for task in list(self._asked):
                task.cancel()
            self._paused_until = max(self._paused_until, time.monotonic() + OTHERS_FIRST_S)
            self._loop.call_later(OTHERS_FIRST_S, self.soon)
            self.settlement.release(self._backlog.clear(kind))
            self.soon()

    def _give_back(self) -> None:
        fences = set(self.backlog_fences())
        self.settlement.release(self._backlog.drop(fences) + self._suspects.drop(fences))
        self.soon()

    # --- to the store -----------------------------------------------------------------------------------------------

    def _settle_more(self, now: float) -> None:
        settlement = self.settlement
        if settlement.waiting and self._pauses(now):
            return
        while len(self._settles) < (SETTLES_MAX if settlement.waiting >= SETTLE_SECOND_JOBS else 1):
            settling = settlement.take()
            if settling is None:
                return
            self._settles_at = now + SETTLE_PAUSE_S
            task = self._loop.create_task(self._settle(settling))
            self._settles.add(task)
            task.add_done_callback(self._settles.discard)

    def _pauses(self, now: float) -> bool:
        """Whether the outcomes that wait are to wait for more (see `SETTLE_PAUSE_S`). If so, a turn is taken when the
        pause is over."""
        pause_s = self._settles_at - now
        if pause_s <= 0.0 or not len(self._backlog) or self.settlement.waiting >= SETTLE_SECOND_JOBS:
            return False
        if self._pause is None:
            self._pause = self._loop.call_later(max(pause_s, _TIMER_S), self._after_pause)
        return True

    def _after_pause(self) -> None:
        self._pause = None
        self.soon()

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    async def _settle(self, settling: OutcomeBatch) -> None:
        try:
            settled = await self._store.settle(settling.outcomes)
        except Exception as error:  # noqa: BLE001 - whatever it is, these outcomes must not stay under way for ever
            self._note("settling", error)
            # To be refused for what one of many outcomes asks for must not hold up the others.
            at_once = isinstance(error, BodyTooLarge) or (isinstance(error, InvalidOption) and settling.jobs > 1)
            delay_s = 0.0 if at_once else RETRY_S
            self._loop.call_later(delay_s, self._settle_again, settling, error)
        else:
            self._faults.passed("settling", time.monotonic())
            self.settlement.settled(settling)
            self._settled += settling.jobs
            late = len(settled.stale)
            self.refused += late
            if late:
                _log.info("%d outcomes came too late", late, extra={"action": "outcomes-refused"})
        # `call_soon`, so that the turn comes after this task's end and does not count it as under way.
        self._loop.call_soon(self.soon)

    def _settle_again(self, settling: OutcomeBatch, error: Exception) -> None:
        if isinstance(error, StoreUnavailable):
            self.settlement.put_back(settling)
        elif isinstance(error, StoreFull):
            self.settlement.does_not_fit(settling)
        else:
            self.settlement.refused(settling, job_error(error.with_traceback(None)))
        self.soon()

    # --- from the store ---------------------------------------------------------------------------------------------

    def _lease_more(self, now: float) -> None:
        if now < self._paused_until or self.settlement.unsettled >= UNSETTLED_JOBS_MAX or self._suspects.full():
            return
        lanes_by_kind = self._staffing.lanes_by_kind() if self._has_limits else {}
        if len(lanes_by_kind) < 2:
            self._ask_for(None, self._staffing.ledgers(), now)
            return
        # How many limited jobs can be started at once is another question for each kind of lane.
        for kind, lanes in lanes_by_kind.items():
            self._ask_for(kind, [lane.ledger for lane in lanes], now)

    def _ask_for(self, kind: str | None, ledgers: list[LaneLedger], now: float) -> None:
        """Ask for jobs for these lanes, as many as they want."""
        while True:
            asked = [one for one in self._asked.values() if kind in (None, one.kind)]
            ask = to_ask(kind, ledgers, self._backlog, asked, now, limited=self._has_limits)
            if ask is None:
                return
            task = self._loop.create_task(self._lease(ask))
            self._asked[task] = ask
            task.add_done_callback(lambda done: self._asked.pop(done, None))

    async def _lease(self, ask: Asked) -> None:
        tasks, channels = self.catalogue.names_of(ask.kind), self.catalogue.channels_of(ask.kind)
        request = LeaseRequest(
            self._holder, ask.limit, self._queues, limits.LEASE_S, tasks, channels, ask.limited, ask.kind
        )
        try:
            batch = await self._store.lease_packed(request, wait_s=LEASE_WAIT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, more is leased after a pause
            self._pause_leasing(error)
            return
        self._faults.passed("leasing", time.monotonic())
        try:
            self._take(batch)
        except Exception as error:  # noqa: BLE001 - as above; what was not taken is not held, and its leases end
            self._pause_leasing(error)
        self._loop.call_soon(self.soon)

    def _pause_leasing(self, error: Exception) -> None:
        self._note("leasing", error)
        self._paused_until = time.monotonic() + RETRY_S
        self._loop.call_later(RETRY_S, self.soon)

    def _note_limits(self, *, has_limits: bool) -> None:
        """The store says whether limits are in force. Once none are, each request is for lanes of all kinds. Those for
        one kind, which find nothing, would count as such and keep others from being made until their time is up."""
        if self._has_limits and not has_limits:
            this = asyncio.current_task()
            for task in [task for task, ask in self._asked.items() if ask.kind is not None and task is not this]:
                del self._asked[task]
                task.cancel()
        self._has_limits = has_limits

    def _take(self, batch: PackedBatch) -> None:
        self._note_limits(has_limits=batch.limited is not None)
        self._leased += len(batch.jobs)
        for named in with_consumers(batch, self.catalogue.consumer_of):
            self._take_named(named)
        if batch.jobs and self._draining:
            self._give_back()

    def _take_named(self, batch: PackedBatch) -> None:
        for kind, piece in pieces_by_lane(batch, self.catalogue.lane_of, _NO_LANE, time.monotonic()):
            if kind == _NO_LANE:
                self.settlement.refuse(self.refusals.of_unknown(piece))
                continue
            usual = self._set_apart(kind, piece, batch) if batch.alone else piece
            for part in parted(usual, batch.first_fence, batch.limited) if batch.limited else (usual,):
                if len(part):
                    self._backlog.add(kind, part)

    def _set_apart(self, kind: str, piece: Piece, batch: PackedBatch) -> Piece:
        """Keep the suspects among these jobs for executors of their own. Answers the other jobs."""
        self._isolating = True
        return self._suspects.set_apart(kind, piece, {batch.first_fence + place for place in batch.alone})
