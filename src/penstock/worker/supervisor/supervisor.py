"""The supervisor of one worker: it leases jobs, has executors run them, and settles what became of them.

It never imports user code, so nothing that a job does can keep it from extending its leases. Everything happens on one
event loop, in three rhythms:

* `flow.Flow` works whenever something has happened: it hands jobs to lanes, sends outcomes to the store, leases more.
* `Supervisor._look` works every `LOOK_S` while executors hold jobs: it reads scoreboards, and acts upon time limits,
  cancellations, and lanes that have stopped starting jobs.
* `heartbeat.Heartbeat` works every second: it extends leases, tells the store which jobs have started and how far they
  are, and hears which are to be cancelled.

`staffing.Staffing` keeps the executors at their number. `penstock.worker.run` makes a supervisor and runs it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable

from penstock.model import limits
from penstock.model.errors import PenstockError, StoreUnavailable
from penstock.model.job import Cancelled, Extended
from penstock.ports import AsyncStore
from penstock.process.loop_faults import note_faults_of
from penstock.process.repeated_faults import Faults
from penstock.worker.messages import Loaded, Report
from penstock.worker.options import ExecutorStatistics, SupervisorStatistics, WorkerOptions
from penstock.worker.outcomes import over_time, worker_lost
from penstock.worker.scoreboard import SETTLE_S
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.crew import Executor, Lane
from penstock.worker.supervisor.dispatch import GivingBack, is_stuck, to_recall
from penstock.worker.supervisor.flow import Flow
from penstock.worker.supervisor.heartbeat import Heartbeat
from penstock.worker.supervisor.staffing import Staffing, WorkerFailed
from penstock.worker.supervisor.suspects import verdict
from penstock.worker.supervisor.watch import EndReason, Running

LOOK_S = 0.02
"""How often scoreboards are read while jobs are held."""

_log = logging.getLogger("penstock.worker")


class Supervisor:
    """Runs the jobs of one store with the executors of one application, from `run` until `stop`.

    Attributes:
        holder: the 16 bytes that name it to the store.
        on_ready: called once, when all executors are ready.
        on_processes: called with (role, pid) of the forkserver and of each ready executor, whenever they change.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self.holder = options.holder or os.urandom(16)
        self._random = random.Random()
        self._staffing = Staffing(self, options)
        self._faults = Faults(_log)
        self._flow = Flow(self.holder, options.queues, self._staffing, self._faults)
        self._flow.on_handed_over = self._look_on
        self._heartbeat = Heartbeat(self.holder, self._faults)
        self._stop_asked = asyncio.Event()
        self._emptied = asyncio.Event()
        self._flow.on_empty = self._emptied.set
        self._grace_s = options.grace_s
        self._failure: Exception | None = None
        self._look_due = False
        self._giving_back = GivingBack()
        self._draining = False
        self._recalled = self._deaths = 0
        self.on_ready: Callable[[], None] = _nothing
        self.on_processes: Callable[[list[tuple[str, int]]], None] = _unheard

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self, store: AsyncStore) -> None:
        """Work until `stop` is called and what was begun has ended.

        Raises:
            WorkerFailed: the application cannot be imported, or executors do not stay alive.
            PenstockError: the store refused the application's tasks.
        """
        self._store = store
        self._loop = asyncio.get_running_loop()
        note_faults_of(self._loop, self._faults)
        if self._options.holder is not None:
            await self._take_over()
        self._flow.start(store)
        beat = self._loop.create_task(self._heartbeat.run(store, self.held_fences, self._running_now, self._extended))
        beat.add_done_callback(self._beat_ended)
        try:
            await self._start()
            await self._stop_asked.wait()
            await self._drain()
            if self._failure is not None:
                raise self._failure
        finally:
            beat.cancel()
            await self._staffing.close()
            await self._leave()

    def _beat_ended(self, beat: asyncio.Task[None]) -> None:
        """The heartbeat has ended, which it never should. Without it leases run out and nobody is cancelled, so the
        worker ends too."""
        if not beat.cancelled():
            self.fail(WorkerFailed(f"The heartbeat ended: {beat.exception()!r}."))

    def stop(self, grace_s: float | None = None) -> None:
        """Drain: lease no more, give back what has not started, and let running jobs finish for ``grace_s`` (None: as
        the options have it). A second call kills the executors instead of waiting for them."""
        if self._stop_asked.is_set():
            self._staffing.kill_all()
            return
        if grace_s is not None:
            self._grace_s = grace_s
        self._stop_asked.set()

    def fail(self, error: Exception) -> None:
        """Stop at once, with an error for `run`."""
        self._failure = self._failure or error
        self._grace_s = 0.0
        self._stop_asked.set()

    async def loaded(self, loaded: Loaded) -> Catalogue:
        """The application is imported: record its tasks and queues in the store."""
        catalogue = self._flow.catalogue = Catalogue(loaded.sheets, self._options.concurrency)
        while True:
            try:
                for channel in catalogue.consumer_of:
                    await self._store.create_channel(*channel.split(":"))
                await self._store.register_tasks(
                    loaded.records, loaded.queues, schedules=loaded.schedules, application=loaded.application
                )
            except StoreUnavailable as error:
                _log.warning("cannot record the tasks: %s", error, extra={"action": "register-failed"})
                if self._stop_asked.is_set():
                    raise
            else:
                return catalogue

    def statistics(self) -> SupervisorStatistics:
        """A snapshot."""
        executors = tuple(
            ExecutorStatistics(
                executor.pid,
                executor.is_ready,
                sum(len(lane.ledger.held) for lane in executor.lanes),
                sum(len(lane.watch.running) for lane in executor.lanes),
            )
            for executor in self._staffing.executors
        )
        template_pid = self._staffing.template_pid
        return SupervisorStatistics(executors, template_pid, self._flow.statistics(), self._recalled, self._deaths)

    def held_fences(self) -> list[int]:
        """The fence of every lease that this supervisor holds: jobs not handed over, jobs that executors have, and jobs
        whose outcomes the store has not taken yet. The heartbeat extends these, and the client lists them to the store
        after a reconnect."""
        held = self._flow.backlog_fences()
        for lane in self._staffing.lanes():
            held.extend(lane.ledger.held)
        held.extend(self._flow.settlement.fences())
        return held

    async def _take_over(self) -> None:
        """Release what another worker of this name held when it died. Otherwise those jobs would wait until their
        leases end."""
        try:
            await self._store.reconcile(self.holder, [])
        except StoreUnavailable as error:
            _log.warning("cannot release old leases: %s", error, extra={"action": "take-over-failed"})

    async def _start(self) -> None:
        """Start the executors, unless told to stop before they are ready."""
        starting = self._loop.create_task(self._staffing.start())
        stopping = self._loop.create_task(self._stop_asked.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            starting.result()
        else:
            starting.cancel()

    async def _drain(self) -> None:
        self._draining = True
        self._flow.drain()
        now = time.monotonic()
        for lane in self._staffing.lanes():
            self._take_back(lane, now)
        self._look_on()
        try:
            await asyncio.wait_for(self._emptied.wait(), self._grace_s)
        except TimeoutError:
            self._staffing.kill_all()
            try:
                await asyncio.wait_for(self._emptied.wait(), limits.STOP_S)
            except TimeoutError:
                _log.warning("outcomes could not be settled before the end", extra={"action": "drain-failed"})

    async def _leave(self) -> None:
        """Give back whatever the store thinks that this holder has, such as a lease whose answer was on its way."""
        self._flow.close()
        try:
            await asyncio.wait_for(self._store.reconcile(self.holder, []), limits.STOP_S)
        except (PenstockError, TimeoutError):
            _log.warning("the store cannot be told that this worker leaves", extra={"action": "leave-failed"})

    # --- what executors say -----------------------------------------------------------------------------------------

    def reported(self, lane: Lane, report: Report, size_bytes: int) -> None:
        """Take a lane's report: outcomes, progress, and jobs that it gave back."""
        ledger, flow, count = lane.ledger, self._flow, report.forgotten_count
        if count:
            known = ledger.finish(range(report.forgotten_first, report.forgotten_first + count))
            flow.refused += count - len(known)
            flow.settlement.forget(known)
        if report.outcomes is not None:
            fences = report.outcomes.fences()
            if report.outcomes.refused:
                known_here = [one for one in report.outcomes.refused if one.fence in ledger.held]
                flow.refusals.note_all((ledger.held[one.fence].task(one.fence), one) for one in known_here)
            known = ledger.finish(fences)
            flow.refused += len(fences) - len(known)
            flow.settlement.add(report.outcomes, len(fences), known, size_bytes)
            lane.watch.forget(fences)
            count += len(fences)
        ledger.measure(count, report.busy_s)
        if report.answers_recall:
            ledger.recalling = False
        if report.returned:
            self._release(lane, report.returned)
        for fence, progress in report.progress:
            if fence in ledger.held:
                self._heartbeat.progress[fence] = progress
        flow.soon()

    def ready(self, executor: Executor) -> None:
        """An executor takes jobs from now on."""
        _log.debug("executor ready", extra={"action": "executor-ready", "pid": executor.pid})
        self._staffing.ready()
        self._flow.soon()

    def dying(self, executor: Executor) -> None:
        """An executor is ending: hand it no more jobs, and start another in its place."""
        for lane in executor.lanes:
            lane.ledger.ready = False
        self._staffing.dying(executor)

    def dead(self, executor: Executor) -> None:
        """An executor is gone: settle what it held. Jobs that had begun are lost, unless it was killed for one of them;
        then that one has its outcome and the others go back. Jobs that had not begun go back."""
        self._deaths += not executor.is_leaving
        self._staffing.dead(executor)
        settlement, cause = self._flow.settlement, executor.killed_for
        begun: dict[int, float | None] = {}
        shown: set[int] = set()
        for lane in executor.lanes:
            since = {place.fence: _wall(place.started) for place in lane.board.occupied()}
            shown.update(since)
            unfinished = lane.ledger.close(since, lane.board.latest)
            if cause is not None and cause[0] is lane and cause[1].fence in unfinished.begun:
                unfinished.begun.remove(cause[1].fence)
                self._end(cause[1])
            begun.update({fence: since.get(fence) for fence in unfinished.begun})
            settlement.release(unfinished.others)
        if executor.killed:
            # The supervisor killed it, to end another job that ran there or to shut down, so these are not to blame.
            settlement.release(list(begun))
        elif begun:
            # A job that the scoreboard shows and that is not held was lost before: its lease ended, and it may run
            # elsewhere by now. It ran here too, so it may have killed this executor as well.
            possible = len(shown.union(begun))
            loss = verdict(executor.status, possible, sum(lane.ledger.ended for lane in executor.lanes))
            settlement.lose(begun, loss, worker_lost(executor.pid, executor.status, executor.tail(), possible - 1))
        self._flow.soon()

    def _end(self, job: Running) -> None:
        """The outcome of a job whose executor was killed to end it."""
        sheet, settlement = self._flow.catalogue.sheet(job.task), self._flow.settlement
        if job.ending is EndReason.CANCELLED or sheet is None:
            settlement.end(Cancelled(job.fence, limits.KEEP_RECORD_S if sheet is None else sheet.keep_record_s))
        else:
            settlement.end(over_time(sheet, job.fence, job.attempt, _wall(job.started), self._random))

    def _release(self, lane: Lane, fences: list[int]) -> None:
        known = lane.ledger.finish(fences)
        lane.watch.forget(known)
        self._recalled += len(known)
        self._flow.settlement.release(known)

    # --- watching ---------------------------------------------------------------------------------------------------

    def _look_on(self) -> None:
        if not self._look_due:
            self._look_due = True
            self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._look_due = False
        try:
            self._look_at_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, time limits must be kept
            self._faults.note("watching jobs", error, time.monotonic())
            self._look_on()

    def _look_at_all(self) -> None:
        now = time.monotonic()
        for lane in self._staffing.lanes():
            if lane.ledger.held or lane.watch.running:
                self._look_on()
                self._look_at(lane, now)
        if self._draining:
            self._flow.soon()
            return
        for kind, lanes in self._staffing.lanes_by_kind().items():
            self._recall(lanes, now)
            stuck = is_stuck([lane.ledger for lane in lanes], now)
            if self._giving_back.is_due(kind, self._flow.waiting(kind), now, stuck=stuck):
                self._flow.give_back(kind)

    def _look_at(self, lane: Lane, now: float) -> None:
        if lane.executor.is_dead:
            return
        lane.ledger.moved(lane.board.latest, now)
        findings = lane.watch.look(lane.board.occupied(), now)
        for job in findings.started:
            if job.fence in lane.ledger.held:
                self._heartbeat.started(job.fence, _wall(job.started))
        for job in findings.ask:
            lane.interrupt(job, overdue=job.ending is EndReason.OVERDUE)
        if findings.kill is not None and not lane.executor.killed:
            job, pid = findings.kill, lane.executor.pid
            _log.warning("killing executor %d to end a job of %s", pid, job.task, extra={"action": "executor-killed"})
            lane.executor.kill((lane, job))

    def _recall(self, lanes: list[Lane], now: float) -> None:
        by_ledger = {lane.ledger: lane for lane in lanes}
        for ledger in to_recall(list(by_ledger), now):
            self._take_back(by_ledger[ledger], now)

    def _take_back(self, lane: Lane, now: float) -> None:
        """Recall what a lane has not started, and give it back to the store. The order matters: the lane is told first,
        and its scoreboard is read afterwards. A job that is not shown as started then will find itself recalled."""
        last = lane.ledger.assigned_to
        if lane.recall():
            self._release_unstarted(lane, last, now)
        else:
            self._loop.call_later(SETTLE_S, self._release_unstarted, lane, last, now)

    def _release_unstarted(self, lane: Lane, last: int, now: float) -> None:
        if not lane.executor.is_dead:
            lane.ledger.moved(lane.board.latest, now)
            self._release(lane, lane.ledger.unstarted(last))
            self._flow.soon()

    # --- heartbeat --------------------------------------------------------------------------------------------------

    def _running_now(self) -> list[int]:
        lanes = self._staffing.lanes()
        return [fence for lane in lanes for fence in lane.watch.running if fence in lane.ledger.held]

    def _extended(self, extended: Extended) -> None:
        if extended.lost:
            lost, now = set(extended.lost), time.monotonic()
            self._flow.drop(lost)
            for lane in self._staffing.lanes():
                known = lane.ledger.finish(lost)
                if known:
                    # Others run them. Those that wait here must not start, nor must the lane wait behind them.
                    lane.watch.forget(known)
                    self._take_back(lane, now)
        self._flow.cancel(extended.cancel)
        for fence in extended.cancel:
            for lane in self._staffing.lanes():
                if fence in lane.ledger.held:
                    lane.watch.cancel(fence)
        if extended.lost or extended.cancel:
            self._look_on()
            self._flow.soon()


def _wall(monotonic: float) -> float:
    """Unix seconds of a moment on the monotonic clock."""
    return time.time() - (time.monotonic() - monotonic)


def _nothing() -> None:
    pass


def _unheard(_said: object) -> None:
    pass
