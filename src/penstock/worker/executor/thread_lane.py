"""The thread lane: plain functions of tasks that asked for a thread, several at a time.

A thread cannot be killed. A job over its time limit has TimeLimitExceeded raised in it, which it notices between two
bytecodes and not inside a system call; if it does not end, its whole executor is killed, as for any other lane.
"""

from __future__ import annotations

import ctypes
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from penstock.model.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from penstock.model.job import LeasedJob
from penstock.worker.executor import after_fork
from penstock.worker.executor.attempt import Attempts, Runnable, TaskPlan, start_by
from penstock.worker.executor.leaving import fatal
from penstock.worker.executor.outbox import Outbox
from penstock.worker.executor.process_baseline import Baseline
from penstock.worker.messages import FrameReader, Interrupt, Lot, Recall, fences_in, lane_decoder
from penstock.worker.outcomes import unknown
from penstock.worker.scoreboard import RECALLED, Scoreboard

_Waiting = tuple[int, TaskPlan | None, str, LeasedJob, float | None]
"""A fence, the plan of its task and its name, the job, and when it is too late to start it."""
_RECEIVE_BYTES = 64 * 1024
_UNLIMITED = nullcontext()


class ThreadLane:
    """Runs lots from a socket until the supervisor closes it."""

    def __init__(self, sock: socket.socket, board: Scoreboard, tasks: Mapping[str, Runnable], slots: int) -> None:
        self._socket = sock
        self._board = board
        self._slots = slots
        self._outbox = Outbox(sock.sendall)
        self._attempts = Attempts(tasks, board, self._outbox)
        self._waiting: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._threads: list[_Thread] = []
        self._free = threading.Semaphore(0)
        self._latest = threading.Lock()

    def run(self) -> None:
        """Serve. Returns when the supervisor has closed the socket."""
        self._socket.setblocking(True)
        after_fork.in_child(self._outbox.mute)
        self._outbox.announce()
        reader = FrameReader()
        while data := self._socket.recv(_RECEIVE_BYTES):
            for body in reader.feed(data):
                message = lane_decoder.decode(body)
                if isinstance(message, Lot):
                    self._take(message)
                elif isinstance(message, Recall):
                    self._outbox.returned.extend(waiting[0] for waiting in self._drain())
                    self._outbox.recalled = True
                    self._outbox.flush()
                else:
                    self._interrupt(message)

    def _take(self, lot: Lot) -> None:
        plans = self._attempts.plans(lot.tasks)
        for fence, index, job in zip(fences_in(lot), lot.task_of, lot.jobs, strict=True):
            late = None if job.extra is None else start_by(job.extra, lot.leased_at)
            self._waiting.put((fence, plans[index], lot.tasks[index], job, late))
            # A thread that waits for a job has said so; without one, and below the limit, there is a new one.
            if not self._free.acquire(blocking=False) and len(self._threads) < self._slots:
                thread = _Thread(len(self._threads), self)
                self._threads.append(thread)
                thread.start()

    def _drain(self) -> Iterator[_Waiting]:
        while True:
            try:
                yield self._waiting.get_nowait()
            except queue.Empty:
                return

    def _interrupt(self, message: Interrupt) -> None:
        for thread in self._threads:
            if message.overdue:
                thread.raise_in(message.fence, TimeLimitExceeded)

    def work(self, thread: _Thread) -> None:
        """One thread's life."""
        words, times = self._board.words, self._board.times
        base = self._board.slot_base(thread.slot)
        baseline = Baseline()
        while True:
            try:
                fence, plan, name, job, late = self._waiting.get_nowait()
            except queue.Empty:
                self._free.release()
                fence, plan, name, job, late = self._waiting.get()
            started = time.monotonic()
            if late is not None and started >= late:
                self._outbox.returned.append(fence)
                self._outbox.flush()
                continue
            started_at = time.time()
            words[base + 2] = job.attempt
            times[base + 1] = started
            words[base] = fence
            with self._latest:
                words[0] = max(words[0], fence)
            if fence <= words[RECALLED]:
                words[base] = 0
                self._outbox.returned.append(fence)
                self._outbox.flush()
                continue
            if plan is None:
                self._outbox.outcomes.append(unknown(name, fence))
            else:
                thread.begin(fence)
                try:
                    self._attempts.attempt(plan, thread.slot, fence, job, started_at, thread)
                    thread.end()
                except TimeLimitExceeded as late:
                    # It struck after the job, while its outcome was noted: that one stands, should it be there.
                    thread.end()
                    self._outbox.outcomes.append(self._attempts.raised(plan, thread.slot, fence, job, started_at, late))
            words[base] = 0
            baseline.restore()
            self._outbox.busy_s += time.monotonic() - started
            self._outbox.flush()


class _Thread(threading.Thread):
    """A thread that runs jobs, and how an exception is raised in it."""

    def __init__(self, slot: int, lane: ThreadLane) -> None:
        super().__init__(daemon=True, name=f"job-{slot}")
        self.slot = slot
        self._lane = lane
        self._fence = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Jobs, until the process ends."""
        with fatal():
            self._lane.work(self)

    def begin(self, fence: int) -> None:
        """A job starts: from here on `raise_in` reaches it."""
        self._fence = fence

    def end(self) -> None:
        """The job is over: nothing may be raised any more."""
        with self._lock:
            self._fence = 0

    def raise_in(self, fence: int, kind: type[BaseException]) -> None:
        """Raise in this thread, if it still runs that job."""
        with self._lock:
            if self._fence == fence and self.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(kind))

    def of(self, plan: TaskPlan) -> Any:
        """SoftTimeLimitExceeded after the task's soft limit, see `attempt.SoftLimit`."""
        if plan.soft_timeout_s is None:
            return _UNLIMITED
        return _SoftLimit(plan.soft_timeout_s, partial(self.raise_in, self._fence, SoftTimeLimitExceeded))


class _SoftLimit:
    """Calls ``strike`` in a thread of its own when the time is up. Not made by `contextlib`, which writes to the
    exceptions that pass through: some take no attributes."""

    def __init__(self, limit_s: float, strike: Callable[[], None]) -> None:
        self._timer = threading.Timer(limit_s, strike)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_raised: object) -> None:
        if not after_fork.is_child:
            self._timer.cancel()
