"""The thread lane: plain functions of tasks that asked for a thread, several at a time.

A thread cannot be killed. In a job over its time limit TimeLimitExceeded is raised, which Python does between two
bytecodes and never inside a system call. If the job does not end then, its whole executor is killed, as with any lane.
"""

from __future__ import annotations

import ctypes
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from penstock.model.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from penstock.model.job import LeasedJob
from penstock.worker.executor import after_fork
from penstock.worker.executor.attempt import Attempts, WaitingJob
from penstock.worker.executor.leaving import fatal
from penstock.worker.executor.outbox import Outbox
from penstock.worker.executor.process_baseline import Baseline
from penstock.worker.executor.task_plan import Runnable, TaskPlan
from penstock.worker.messages import Interrupt, Lot, MessageReader, Recall, lane_decoder
from penstock.worker.outcomes import unknown
from penstock.worker.scoreboard import Scoreboard

_RECEIVE_BYTES = 64 * 1024
_LIMITS = (TimeLimitExceeded, SoftTimeLimitExceeded)
_ROUNDS: Final = 100
"""Turns of a loop that does nothing, at one of which the interpreter raises what it was asked to raise."""
"""What is raised in a thread from outside."""


class ThreadLane:
    """Runs the lots of jobs that come from a socket, until the supervisor closes it."""

    def __init__(self, sock: socket.socket, board: Scoreboard, tasks: Mapping[str, Runnable], slots: int) -> None:
        self._socket = sock
        self._board = board
        self._slots = slots
        self._outbox = Outbox(sock.sendall)
        self._attempts = Attempts(tasks, board, self._outbox)
        self._waiting: deque[WaitingJob] = deque()
        self._threads: list[_Thread] = []
        self._to_look = threading.Semaphore(0)
        """How often threads are to look for a job: once for each that was given. It may have been recalled since."""
        self._idle = threading.Semaphore(0)
        """How many threads have found nothing to do, and have not been counted on since."""
        self._starting = threading.Lock()
        """Held by whoever takes jobs out of those that wait."""

    def run(self) -> None:
        """Serve. Returns when the supervisor has closed the socket."""
        self._socket.setblocking(True)
        after_fork.in_child(self._outbox.mute)
        self._outbox.announce()
        reader = MessageReader()
        while data := self._socket.recv(_RECEIVE_BYTES):
            for body in reader.feed(data):
                message = lane_decoder.decode(body)
                if isinstance(message, Lot):
                    self._take(message)
                elif isinstance(message, Recall):
                    self._give_back()
                    self._outbox.recalled = True
                    self._outbox.flush()
                else:
                    self._interrupt(message)

    def _take(self, lot: Lot) -> None:
        for waiting in self._attempts.waiting(lot):
            self._waiting.append(waiting)
            self._to_look.release()
            # A thread that found nothing to do has said so. Without one, and below the limit, there is a new one.
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._slots:
                thread = _Thread(len(self._threads), self)
                self._threads.append(thread)
                thread.start()

    def _give_back(self) -> None:
        """Return every job that has not started."""
        with self._starting:
            self._outbox.returned.extend(waiting[0] for waiting in self._waiting)
            self._waiting.clear()

    def _interrupt(self, message: Interrupt) -> None:
        for thread in self._threads:
            if message.overdue:
                thread.raise_in(message.fence, TimeLimitExceeded)

    def work(self, thread: _Thread) -> None:
        """One thread's life: wait for a job, start it, run it, send what became of it."""
        words, base = self._board.words, self._board.slot_base(thread.slot)
        start, baseline, outbox = self._board.starter(thread.slot), Baseline(), self._outbox
        while True:
            if not self._to_look.acquire(blocking=False):
                self._idle.release()
                self._to_look.acquire()
            # Taken and started in one step: on the scoreboard, fences must rise whichever thread is the faster.
            with self._starting:
                if not self._waiting:
                    continue  # recalled
                fence, plan, name, job, late = self._waiting.popleft()
                started = time.monotonic()
                may_run = (late is None or started < late) and start(fence, job.attempt, started)
            if not may_run:
                outbox.returned.append(fence)
            else:
                self._run_started(thread, fence, plan, name, job)
                words[base] = 0
                baseline.restore()
                outbox.busy_s += time.monotonic() - started
            outbox.flush()

    def _run_started(self, thread: _Thread, fence: int, plan: TaskPlan | None, name: str, job: LeasedJob) -> None:
        if plan is None:
            self._outbox.outcomes.append(unknown(name, fence))
            return
        started_at = time.time()
        late: BaseException | None = None
        thread.begin(fence)
        while True:
            try:
                if late is None:
                    outcome = self._attempts.attempt(plan, thread.slot, fence, job, started_at, thread)
                else:
                    outcome = self._attempts.raised(plan, thread.slot, fence, job, started_at, late)
                thread.end()
                break
            except _LIMITS as error:
                # Raised after the function had ended, and before `end`: the job is over its limit all the same.
                late = error
        # Only now, when nothing is raised in this thread any more, so that a job never has two outcomes.
        self._attempts.note(fence, outcome)


class _Thread(threading.Thread):
    """A thread that runs jobs, and how an exception is raised in it."""

    def __init__(self, slot: int, lane: ThreadLane) -> None:
        super().__init__(daemon=True, name=f"job-{slot}")
        self.slot = slot
        self._lane = lane
        self._fence = 0
        self._is_struck = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Jobs, until the process ends."""
        with fatal():
            self._lane.work(self)

    def begin(self, fence: int) -> None:
        """A job starts: from here on `raise_in` reaches it."""
        self._fence = fence

    def end(self) -> None:
        """The job is over: nothing is raised any more after this has returned."""
        with self._lock:
            self._fence = 0
        if self._is_struck:
            # What was to be raised, and has not been until now, would hit whatever this thread does next. The
            # interpreter raises it when a loop goes round. (To take it back leaves the interpreter looking for it.)
            self._is_struck = False
            try:
                for _ in range(_ROUNDS):
                    pass
            except _LIMITS:
                return

    def raise_in(self, fence: int, kind: type[BaseException]) -> None:
        """Raise in this thread, if it still runs that job."""
        with self._lock:
            if self._fence == fence and self.ident is not None:
                self._is_struck = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(kind))

    def of(self, plan: TaskPlan) -> Any:
        """Raises SoftTimeLimitExceeded when the task's soft limit is over. See `attempt.SoftLimit`."""
        assert plan.soft_timeout_s is not None, "asked for only where there is one"
        return _SoftLimit(plan.soft_timeout_s, partial(self.raise_in, self._fence, SoftTimeLimitExceeded))


class _SoftLimit:
    """Calls ``strike`` in a thread of its own when the time is up. Not made by `contextlib`, which sets attributes of
    the exceptions that pass through: some exceptions refuse that."""

    def __init__(self, limit_s: float, strike: Callable[[], None]) -> None:
        self._timer = threading.Timer(limit_s, strike)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_raised: object) -> None:
        if not after_fork.is_child:
            self._timer.cancel()
