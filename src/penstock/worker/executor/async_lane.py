"""The async lane: coroutine functions, many at a time, on one event loop.

Jobs are run by *runners*: asyncio tasks that take one job after another, since making an asyncio task costs more than a
short job. Each runner has a slot of the scoreboard. Another runner is made, or an idle one woken, only when a job waits
and all others are in the middle of theirs.

A job can leave two things behind in the asyncio task it ran in. If it changed context variables, its runner ends, and a
new one starts with clean ones. If it cancelled the asyncio task, the runner takes that back before the next job.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Coroutine, Generator, Mapping
from contextlib import suppress
from contextvars import Context as VariableContext
from contextvars import copy_context
from functools import partial
from typing import Any

from penstock.model.errors import InvalidArguments, SoftTimeLimitExceeded, TimeLimitExceeded
from penstock.model.job import Cancelled, LeasedJob
from penstock.worker.executor import after_fork
from penstock.worker.executor.async_run import AsyncRun
from penstock.worker.executor.attempt import Attempts, ContextCalls, Unfit, WaitingJob
from penstock.worker.executor.leaving import fatal
from penstock.worker.executor.outbox import FLUSH_S, Outbox
from penstock.worker.executor.process_baseline import Baseline
from penstock.worker.executor.returned_values import VALUES, finished_async
from penstock.worker.executor.task_plan import Runnable, TaskPlan
from penstock.worker.messages import Interrupt, Lot, MessageReader, Recall, lane_decoder
from penstock.worker.outcomes import unknown
from penstock.worker.scoreboard import Scoreboard


class Runner:
    """An asyncio task that runs one job after another.

    Attributes:
        slot: its slot of the scoreboard.
        fence: of the job that runs; 0: none.
        overdue: that job was interrupted for its time limit.
        cancelled: that job was interrupted because somebody cancelled it.
        task: the asyncio task; None before its start.
        wake: what an idle runner waits for.
    """

    __slots__ = ("cancelled", "fence", "overdue", "slot", "task", "wake")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.fence = 0
        self.overdue = False
        self.cancelled = False
        self.task: asyncio.Task[None] | None = None
        self.wake: asyncio.Future[None] | None = None


class AsyncLane(asyncio.Protocol):
    """Runs the lots of jobs that come from a socket, until the supervisor closes it."""

    def __init__(self, board: Scoreboard, tasks: Mapping[str, Runnable], slots: int) -> None:
        self._board = board
        self._tasks = tasks
        self._waiting: deque[WaitingJob] = deque()
        self._idle: list[Runner] = []
        self._slots_free = list(range(slots - 1, -1, -1))
        self._runners: set[Runner] = set()
        self._reader = MessageReader()
        self._clean: VariableContext = copy_context()
        self._flush_due = False
        self._more_due = False
        self._turn_until = 0.0

    async def run(self, sock: socket.socket) -> None:
        """Serve. Returns when the supervisor has closed the socket."""
        self._loop = asyncio.get_running_loop()
        self._clean = copy_context()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        sock.setblocking(False)
        transport, _ = await self._loop.create_unix_connection(lambda: self, sock=sock)
        self._outbox = Outbox(transport.write)
        self._outbox.send_now = partial(self._loop.call_soon_threadsafe, self._flush)
        self._attempts = Attempts(self._tasks, self._board, self._outbox, partial(AsyncRun, loop=self._loop))
        self._baseline = Baseline()
        after_fork.in_child(self._outbox.mute)
        self._outbox.announce()
        await self._closed

    def data_received(self, data: bytes) -> None:
        """Messages from the supervisor."""
        for body in self._reader.feed(data):
            message = lane_decoder.decode(body)
            if isinstance(message, Lot):
                self._waiting.extend(self._attempts.waiting(message))
                self._more()
            elif isinstance(message, Recall):
                self._give_back()
                self._outbox.recalled = True
                self._flush()
            else:
                self._interrupt(message)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The supervisor is done with this executor."""
        if not self._closed.done():
            self._closed.set_result(None)

    def _give_back(self) -> None:
        """Return every job that has not started. Those that came after the recall are not read yet, and stay."""
        self._outbox.returned.extend(waiting[0] for waiting in self._waiting)
        self._waiting.clear()

    def _interrupt(self, message: Interrupt) -> None:
        for runner in self._runners:
            if runner.fence == message.fence and runner.task is not None:
                runner.overdue |= message.overdue
                runner.cancelled |= not message.overdue
                runner.task.cancel()

    # --- runners ----------------------------------------------------------------------------------------------------

    def _more(self) -> None:
        """Have one more runner take a job, at the loop's next turn. Does nothing when that is arranged already, or when
        no job waits; each runner that starts a job asks for the next runner."""
        if not self._more_due and self._waiting:
            self._more_due = True
            self._loop.call_soon(self._start_one)

    def _start_one(self) -> None:
        self._more_due = False
        if not self._waiting:
            return
        if self._idle:
            wake = self._idle.pop().wake
            if wake is not None and not wake.done():
                wake.set_result(None)
        elif self._slots_free:
            runner = Runner(self._slots_free.pop())
            self._runners.add(runner)
            # Not by loop.create_task: a job may have installed a task factory that begins a task at once, and a runner
            # must not begin before `runner.task` is set.
            runner.task = asyncio.Task(self._run(runner), loop=self._loop, context=self._clean.copy())

    async def _run(self, runner: Runner) -> None:
        """A runner's life: run jobs while there are any, then wait to be woken."""
        clean, waiting = self._clean, self._waiting
        try:
            while copy_context() == clean:
                while not waiting:
                    runner.wake = self._loop.create_future()
                    self._idle.append(runner)
                    await runner.wake
                await self._run_waiting(runner)
        except asyncio.CancelledError:
            # A job cancelled the task it ran in, which was this one, and ended before that took effect.
            pass
        except GeneratorExit:
            # Something that a job awaited raised it. For Python this coroutine is being closed, so it may not await
            # anything any more. The job's outcome has been noted.
            self._board.words[self._board.slot_base(runner.slot)] = runner.fence = 0
            self._flush_soon()
        finally:
            self._retire(runner)

    def _retire(self, runner: Runner) -> None:
        if runner in self._idle:
            self._idle.remove(runner)
        self._runners.discard(runner)
        self._slots_free.append(runner.slot)
        self._more()

    async def _run_waiting(self, runner: Runner) -> None:  # noqa: C901, PLR0912, PLR0915 - a call costs more than the job
        """Run jobs until none waits, or one has changed this runner's context variables. The lane's hot path."""
        outbox, waiting, clean = self._outbox, self._waiting, self._clean
        assert runner.task is not None, "a runner is a task from its first job on"
        is_child, cancelling = after_fork.is_child, runner.task.cancelling
        words, start, base = self._board.words, self._board.starter(runner.slot), self._board.slot_base(runner.slot)
        forgotten, clock = outbox.forgotten.append, time.monotonic
        started = clock()
        wall_offset = time.time() - started
        while waiting:
            fence, plan, name, job, late = waiting.popleft()
            if late is not None and started >= late:
                outbox.returned.append(fence)
                self._flush_soon()
                continue
            if not start(fence, job.attempt, started):
                outbox.returned.append(fence)
                self._give_back()
                self._flush()
                return
            runner.fence = fence
            if waiting and not self._more_due:
                self._more()
            if plan is None:
                outbox.outcomes.append(unknown(name, fence))
            elif plan.is_bare:
                try:
                    try:
                        args, kwargs = plan.decode(job.body)
                    except InvalidArguments as error:
                        raise Unfit(error) from None
                    # Most jobs give no arguments by name. Without any, Python makes no dict for the call.
                    value = await (plan.function(*args, **kwargs) if kwargs else plan.function(*args))
                    if value is not None and type(value) not in VALUES:
                        value = await finished_async(plan.task.name, value)
                    if is_child:
                        after_fork.end()
                except BaseException as error:
                    self._raised(runner, plan, job, started + wall_offset, error)
                    if type(error) is GeneratorExit:
                        raise
                else:
                    if value is None or type(value) in VALUES:
                        forgotten(fence)
                    else:
                        returned = self._attempts.returned(plan, fence, started + wall_offset, value, None)
                        self._attempts.note(fence, returned)
            else:
                await self._attempt(runner, plan, job, started + wall_offset)
            words[base] = runner.fence = 0
            now = clock()
            outbox.busy_s += now - started
            if not self._flush_due:
                self._flush_soon()
            if runner.cancelled or runner.overdue or cancelling():
                await self._recover(runner)
                now = clock()
            if copy_context() != clean:
                return
            if now >= self._turn_until:
                await asyncio.sleep(0)
                now = clock()
            started = now

    async def _attempt(self, runner: Runner, plan: TaskPlan, job: LeasedJob, started_at: float) -> None:
        """Run a job that wants a context or has a soft limit, or of whose success something is kept."""
        fence = runner.fence
        calls: ContextCalls | None = None
        try:
            try:
                args, kwargs = plan.decode(job.body)
            except InvalidArguments as error:
                raise Unfit(error) from None
            if plan.takes_context:
                context, calls = self._attempts.context(plan, runner.slot, fence, job, started_at)
                args = (context, *args)
                if calls.run is not None:
                    await calls.run.load()
            if plan.soft_timeout_s is None:
                value = await plan.function(*args, **kwargs)
                if type(value) not in VALUES:
                    value = await finished_async(plan.task.name, value)
            else:
                whole = finished_async(plan.task.name, plan.function(*args, **kwargs))
                value = await self._limited(runner, plan, whole, plan.soft_timeout_s)
            if after_fork.is_child:
                after_fork.end()
            if calls is not None and calls.run is not None:
                await calls.run.finish()
        except BaseException as error:  # noqa: BLE001 - whatever a job raises is that job's failure
            if calls is not None:
                calls.ended = True
                await self._finish(calls, error)
            self._raised(runner, plan, job, started_at, error, calls)
        else:
            self._attempts.note(fence, self._attempts.returned(plan, fence, started_at, value, calls))

    @staticmethod
    async def _finish(calls: ContextCalls, error: BaseException) -> None:
        """Let what a job that raised has published be sent. Whatever interrupts that ends it."""
        if calls.run is not None and type(error) is not GeneratorExit and not after_fork.is_child:
            with suppress(BaseException):
                await calls.run.finish()

    async def _limited(self, runner: Runner, plan: TaskPlan, job: Coroutine[Any, Any, Any], limit_s: float) -> Any:
        """Await a job. When it has run for ``limit_s``, SoftTimeLimitExceeded is raised inside it."""
        assert runner.task is not None, "a runner is a task from its first job on"
        message = f"{plan.task.name} ran longer than its soft time limit of {limit_s:g} s."
        interruptible = _Interruptible(job, runner.task, message)
        timer = self._loop.call_later(limit_s, interruptible.interrupt)
        try:
            return await interruptible
        finally:
            timer.cancel()

    def _raised(
        self,
        runner: Runner,
        plan: TaskPlan,
        job: LeasedJob,
        started_at: float,
        error: BaseException,
        calls: ContextCalls | None = None,
    ) -> None:
        """Append the outcome of a job that raised, or was interrupted. In a process that a job forked: end it."""
        if after_fork.is_child:
            after_fork.end(error)
        fence = runner.fence
        if isinstance(error, asyncio.CancelledError):
            if runner.overdue:
                limit_s = plan.task.timeout_s
                error = TimeLimitExceeded(f"{plan.task.name} ran longer than its time limit of {limit_s:g} s.")
            elif runner.cancelled:
                self._outbox.outcomes.append(Cancelled(fence, plan.task.keep_record_s))
                return
        if runner.cancelled and not runner.overdue:
            self._outbox.outcomes.append(Cancelled(fence, plan.task.keep_record_s))
            return
        outcome = self._attempts.raised(plan, runner.slot, fence, job, started_at, error, calls)
        self._outbox.outcomes.append(outcome)

    async def _recover(self, runner: Runner) -> None:
        """Take cancellations back after a job that was interrupted, or that has cancelled the asyncio task it ran in:
        the runner goes on."""
        runner.cancelled = runner.overdue = False
        task = runner.task
        assert task is not None, "a runner is a task from its first job on"
        try:
            # A cancellation that has been asked for is raised at the next await: here, and not in the next job.
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
        while task.cancelling():
            task.uncancel()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send the outcomes of the jobs that ended in one turn of the loop. A runner of short jobs gives the loop a
        turn after FLUSH_S."""
        self._flush_due = False
        self._turn_until = time.monotonic() + FLUSH_S
        idle = not any(runner.fence for runner in self._runners)
        if idle:
            self._baseline.restore_hooks()
        with fatal():
            self._outbox.flush()
        if idle:
            self._baseline.restore()


class _Interruptible:
    """A coroutine into which SoftTimeLimitExceeded can be raised while it waits."""

    __slots__ = ("_cancels", "_coroutine", "_due", "_message", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], task: asyncio.Task[None], message: str) -> None:
        self._coroutine = coroutine
        self._task = task
        self._message = message
        self._due = False
        self._cancels = 0

    def interrupt(self) -> None:
        """Raise it at the next turn of the loop."""
        self._due = True
        self._cancels = self._task.cancelling()
        self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        error: BaseException | None = None
        while True:
            try:
                awaited = coroutine.send(None) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            error = None
            try:
                yield awaited
            except BaseException as raised:  # noqa: BLE001 - it is handed on into the job
                error = raised
                if self._due and isinstance(raised, asyncio.CancelledError):
                    # Somebody else may have cancelled too, after ours. Then CancelledError is right. `cancelling()` was
                    # not always 0 before ours: until Python 3.13 a task group leaves a count behind.
                    self._due = False
                    if self._task.uncancel() <= self._cancels:
                        error = SoftTimeLimitExceeded(self._message)
