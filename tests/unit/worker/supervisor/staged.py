"""A stage for the supervisor's tests: virtual time, the in-memory store, and executors that are actors.

The supervisor, its staffing, its flow, its heartbeat and the lanes are the real ones. What is played is what lies on
the other side of a process boundary: the forkserver and the executors, which write to their scoreboards, report, end
and die as real ones do.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import msgspec
import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.flow import QueueRecord
from penstock.model.ids import new_id
from penstock.model.job import (
    Cancelled,
    Extended,
    Extension,
    JobEntry,
    JobError,
    JobGroup,
    LeasedJob,
    LeaseRequest,
    Outcomes,
    PackedBatch,
    Retried,
    Settled,
    Succeeded,
    TaskRecord,
    checksum,
)
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.worker.messages import (
    PROCESS_LANE,
    Interrupt,
    LaneOrder,
    Loaded,
    Lot,
    MessageReader,
    Recall,
    Report,
    TaskSheet,
    fences_in,
    frame,
    lane_decoder,
)
from penstock.worker.scoreboard import RECALLED, Scoreboard, scoreboard_fd
from penstock.worker.supervisor import crew, flow, heartbeat, staffing, supervisor
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.crew import Executor, Lane
from penstock.worker.supervisor.lane_load import LaneLedger
from penstock.worker.supervisor.template import TemplateGone
from penstock.worker.supervisor.watch import Watch

MODULES: tuple[ModuleType, ...] = (crew, flow, heartbeat, staffing, supervisor)
"""Those that read a clock."""
POLL_S = 0.05
BODY = b"m\x92\x90\x80"
SECONDS = 1.0
"""How long a job takes, unless its act says otherwise."""


@dataclass(frozen=True)
class Act:
    """How one execution of a job goes: for how long, and how it ends.

    Attributes:
        ends: ``success``, ``failure``, ``death`` of its executor, ``cancelled`` when it was asked to end, ``never``.
        deaf: it does not end when it is asked to.
    """

    seconds: float = SECONDS
    ends: str = "success"
    deaf: bool = True


def sheet(name: str, *, lane: str = PROCESS_LANE, timeout_s: float | None = None, attempts: int = 3) -> TaskSheet:
    return TaskSheet(name, lane, timeout_s, True, attempts, "exponential", 1.0, 2.0, 60.0, False, 86_400.0)


class TwinStore:
    """`MemoryStore` as a supervisor asks it: with coroutines, and leases that wait. ``away``: it cannot be reached."""

    def __init__(self, clock: VirtualClock) -> None:
        self.twin = MemoryStore(clock)
        self.clock = clock
        self.away = False
        self.asked: list[tuple[float, Any]] = []

    def _reach(self, request: Any) -> None:
        self.asked.append((self.clock.monotonic(), request))
        if self.away:
            raise StoreUnavailable("away")

    async def register_tasks(
        self, tasks: Sequence[TaskRecord], queues: Sequence[QueueRecord] = (), **declared: Any
    ) -> None:
        self._reach("register")
        self.twin.register_tasks(tasks, queues, **declared)

    async def lease_packed(self, request: LeaseRequest, *, wait_s: float = 0.0) -> PackedBatch:
        self._reach(request)
        until = self.clock.monotonic() + wait_s
        had_limits: bool | None = None
        while True:
            self.twin.tick()
            batch = self.twin.lease(request)
            has_limits = batch.limited is not None
            had_limits = has_limits if had_limits is None else had_limits
            if batch.jobs or (has_limits and not had_limits) or self.clock.monotonic() >= until:
                return msgspec.msgpack.decode(msgspec.msgpack.encode(batch), type=PackedBatch)
            await asyncio.sleep(POLL_S)
            if self.away:
                raise StoreUnavailable("away")

    async def extend(self, extension: Extension) -> Extended:
        self._reach(extension)
        return self.twin.extend(extension)

    async def settle(self, outcomes: Outcomes) -> Settled:
        self._reach(outcomes)
        await asyncio.sleep(0.001)
        return self.twin.settle(outcomes)

    async def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        self._reach("reconcile")
        return self.twin.reconcile(holder, fences)

    async def close(self) -> None:
        self.twin.close()

    def enqueue(self, task: str, count: int = 1, **options: Any) -> list[bytes]:
        entries = [JobEntry(new_id(), BODY, checksum(BODY)) for _ in range(count)]
        self.twin.enqueue([JobGroup(task, entries, **options)])
        return [entry.id for entry in entries]

    def state(self, job_id: bytes) -> str:
        [view] = self.twin.get([job_id])
        return "gone" if view is None else view.state.value


class Transport:
    """The supervisor's end of an actor's socket."""

    def __init__(self, actor: ActorLane) -> None:
        self._actor = actor

    def write(self, data: bytes | bytearray) -> None:
        self._actor.hear(bytes(data))

    def close(self) -> None:
        self._actor.process.let_go()


class ActorLane:
    """One lane of a played executor: it runs jobs one after the other, each as the stage's script says."""

    def __init__(self, process: ActorProcess, lane: Lane, board: Scoreboard, kind: str) -> None:
        self.process = process
        self.lane = lane
        self.board = board
        self.kind = kind
        self.waiting: deque[tuple[int, str, LeasedJob]] = deque()
        self.running: tuple[int, Act] | None = None
        self.interrupts: list[Interrupt] = []
        self._reader = MessageReader()
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, data: bytes) -> None:
        if self.process.is_stopped:
            return
        for body in self._reader.feed(data):
            message = lane_decoder.decode(body)
            if isinstance(message, Lot):
                names = [message.tasks[index] for index in message.task_of]
                self.waiting.extend(zip(fences_in(message), names, message.jobs, strict=True))
                self._next()
            elif isinstance(message, Recall):
                returned = [fence for fence, _, _ in self.waiting]
                self.waiting.clear()
                self.say(Report(answers_recall=True, returned=returned))
            else:
                self.interrupts.append(message)
                if self.running is not None and not self.running[1].deaf and self.running[0] == message.fence:
                    self._end(Act(ends="cancelled"))

    def say(self, report: Report) -> None:
        """It arrives when the supervisor's loop turns next, as from a socket."""
        data = bytes(frame(report))
        asyncio.get_running_loop().call_soon(lambda: self.process.is_gone or self.lane.data_received(data))

    def _next(self) -> None:
        if self.running is not None or not self.waiting or self.process.is_gone:
            return
        fence, task, job = self.waiting.popleft()
        base = self.board.slot_base(0)
        self.board.words[base + 2] = job.attempt
        self.board.times[base + 1] = self.process.stage.clock.monotonic()
        self.board.words[base] = self.board.words[0] = fence
        if fence <= self.board.words[RECALLED]:
            self.board.words[base] = 0
            self.say(Report(returned=[fence]))
            self._next()
            return
        act = self.process.stage.act(task, self.process, job)
        self.process.stage.executions.append((self.process.number, task, job.id))
        self.running = (fence, act)
        if act.ends != "never":
            self._timer = asyncio.get_running_loop().call_later(act.seconds, self._end, act)

    def _end(self, act: Act) -> None:
        assert self.running is not None, "one that was ended early has no timer any more"
        if self._timer is not None:
            self._timer.cancel()
        if act.ends == "death":
            self.process.die(-signal.SIGKILL)
            return
        fence, self.running = self.running[0], None
        outcomes = Outcomes(bytes(16))
        now = self.process.stage.clock.time()
        if act.ends == "failure":
            outcomes.retried.append(Retried(fence, 1.0, JobError("ValueError", "no")))
        elif act.ends == "cancelled":
            outcomes.cancelled.append(Cancelled(fence))
        else:
            outcomes.succeeded.append(Succeeded(fence, now, now))
        self.board.words[self.board.slot_base(0)] = 0
        self.say(Report(outcomes=outcomes, busy_s=act.seconds))
        self._next()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class ActorProcess:
    """A played executor process. ``is_stopped``: as after SIGSTOP."""

    def __init__(self, stage: Stage, number: int) -> None:
        self.stage = stage
        self.number = number
        self.lanes: list[ActorLane] = []
        self.executor: Executor | None = None
        self.is_gone = False
        self.is_stopped = False

    def die(self, status: int) -> None:
        """Its sockets end, and the forkserver tells of its exit."""
        if self.is_gone:
            return
        self.is_gone = True
        loop = asyncio.get_running_loop()
        for actor in self.lanes:
            actor.stop()
            loop.call_soon(actor.lane.connection_lost, None)
        assert self.executor is not None, "enlisted before anything happens to it"
        loop.call_soon(self.executor.exited, status)

    def let_go(self) -> None:
        self.die(0)


class ActorTemplate:
    """A played forkserver."""

    def __init__(self, stage: Stage, listener: Any) -> None:
        self.stage = stage
        self.listener = listener
        self.pid = 1_000 + len(stage.templates)
        self.gone = False
        self.status: int | None = None
        stage.templates.append(self)

    async def start(self) -> Loaded:
        await asyncio.sleep(self.stage.import_s)
        if self.stage.import_error is not None:
            error = self.stage.import_error
            self.gone, self.status = True, 1
            raise error
        return Loaded(self.stage.sheets, [TaskRecord(one.name) for one in self.stage.sheets])

    def kill(self) -> None:
        self.die()

    def die(self) -> None:
        """On Linux the kernel ends its executors with it."""
        if not self.gone:
            self._end()
            asyncio.get_running_loop().call_soon(self.listener.template_gone)

    async def close(self) -> None:
        if not self.gone:
            self._end()

    def _end(self) -> None:
        self.gone, self.status = True, -signal.SIGKILL
        for process in self.stage.alive():
            process.die(-signal.SIGKILL)


class Stage:
    """Everything around a supervisor. Make it, let `play` take its place, then run the supervisor in virtual time.

    Attributes:
        act: how an execution goes, by task, process and job.
        executions: what has run where: number of the process, task, job.
        import_s: how long the application takes to import; ``import_error``: what that raises.
        ready_s: how long an executor takes until it is ready; None: it never is.
        fork_error: what forking raises; None: nothing.
        fork_s: how long forking takes.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *sheets: TaskSheet) -> None:
        self.clock = VirtualClock()
        self.store = TwinStore(self.clock)
        self.sheets = list(sheets or (sheet("t"),))
        self.act: Callable[[str, ActorProcess, LeasedJob], Act] = lambda _task, _process, _job: Act()
        self.executions: list[tuple[int, str, bytes]] = []
        self.processes: list[ActorProcess] = []
        self.templates: list[ActorTemplate] = []
        self.import_s = 0.1
        self.import_error: Exception | None = None
        self.ready_s: float | None = 0.01
        self.fork_error: Exception | None = None
        self.fork_s = 0.0
        self.signals: list[tuple[int, int]] = []
        for module in MODULES:
            monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setattr(staffing, "Template", lambda _options, listener, _output: ActorTemplate(self, listener))
        monkeypatch.setattr(staffing, "Output", NoOutput)
        monkeypatch.setattr(staffing, "start_executor", self.start_executor)
        monkeypatch.setattr(Executor, "signal", lambda executor, number: self.signal(executor, number))

    def alive(self) -> list[ActorProcess]:
        return [process for process in self.processes if not process.is_gone]

    async def until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        """Let virtual time pass until this is so."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def start_executor(
        self,
        number: int,
        template: ActorTemplate,
        catalogue: Catalogue,
        listener: Any,
        output: Any,
        enlist: Callable[[Executor], None],
    ) -> Executor:
        if self.fork_error is not None:
            raise self.fork_error
        await asyncio.sleep(self.fork_s)
        if template.gone:
            raise TemplateGone
        process = ActorProcess(self, number)
        self.processes.append(process)
        executor = process.executor = Executor(number, listener, output, -1)
        executor.pid = number
        for order in catalogue.orders:
            lane, actor = _lane(process, executor, order, catalogue)
            process.lanes.append(actor)
            executor.expect(lane)
        enlist(executor)
        for actor in process.lanes:
            actor.lane.connection_made(Transport(actor))
            if self.ready_s is not None:
                asyncio.get_running_loop().call_later(self.ready_s, actor.say, Report())
        return executor

    def signal(self, executor: Executor, number: int) -> None:
        """Stands for `Executor.signal`."""
        self.signals.append((executor.number, number))
        if number == signal.SIGKILL:
            for process in self.processes:
                if process.executor is executor:
                    process.die(-signal.SIGKILL)


def _lane(process: ActorProcess, executor: Executor, order: LaneOrder, catalogue: Catalogue) -> tuple[Lane, ActorLane]:
    board_fd = scoreboard_fd(order.slots)
    mine, theirs = Scoreboard(board_fd, order.slots), Scoreboard(board_fd, order.slots)
    os.close(board_fd)
    ledger = LaneLedger(order.kind, order.slots)

    def task_of(fence: int) -> str | None:
        assigned = ledger.held.get(fence)
        return None if assigned is None else assigned.task(fence)

    lane = Lane(executor, ledger, mine, Watch(order.kind, task_of, catalogue.limit_of))
    return lane, ActorLane(process, lane, theirs, order.kind)


class NoOutput:
    """Nothing is printed."""

    def tail(self, fd: int) -> str:
        return ""

    def forget(self, fd: int) -> None:
        pass

    def finish(self, _within_s: float) -> None:
        pass
