"""The process lane: plain functions, one at a time, on the executor's main thread.

The hot path of the whole worker is `ProcessLane._run_lot`. Rules that make it safe:

* Before a job runs, its start is written to the scoreboard, where the supervisor sees it; no message is needed. If the
  job is found to be recalled, it is returned instead (`Scoreboard.starter`).
* After a job that was not short, outcomes are sent and the socket is read before the next job starts, so that a
  `Recall` which came meanwhile is answered.
* Outcomes of short jobs are collected for up to FLUSH_S. If the next job turns out to be long, a second thread sends
  them while it runs.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

from penstock.model.errors import InvalidArguments, SoftTimeLimitExceeded
from penstock.worker.executor import after_fork
from penstock.worker.executor.attempt import Attempts, Unfit, start_by
from penstock.worker.executor.leaving import fatal
from penstock.worker.executor.outbox import FLUSH_S, Outbox
from penstock.worker.executor.process_baseline import Baseline
from penstock.worker.executor.returned_values import VALUES, finished
from penstock.worker.executor.task_plan import Runnable, TaskPlan, extra_of
from penstock.worker.messages import Lot, MessageReader, Recall, fences_in, lane_decoder
from penstock.worker.outcomes import unknown
from penstock.worker.scoreboard import Scoreboard

SHORT_S = FLUSH_S
"""After a job that took longer, outcomes are sent at once. Of shorter ones, a message each would cost the supervisor
more than it is worth to hear of them a moment sooner."""
_RECEIVE_BYTES = 256 * 1024


class ProcessLane:
    """Runs the lots of jobs that come from a socket, until the supervisor closes it."""

    def __init__(self, sock: socket.socket, board: Scoreboard, tasks: Mapping[str, Runnable]) -> None:
        self._socket = sock
        self._reader = MessageReader()
        self._lots: deque[Lot] = deque()
        self._board = board
        self._outbox = Outbox(sock.sendall)
        self._attempts = Attempts(tasks, board, self._outbox)
        self._alarm = _Alarm(needed=any(task.soft_timeout_s is not None for task in tasks.values()))
        self._busy = threading.Event()
        self._closed = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Serve. Returns when the supervisor has closed the socket and everything received is done or recalled."""
        sock = self._socket
        sock.setblocking(True)
        self._alarm.install()
        after_fork.in_child(self._outbox.mute)
        threading.Thread(target=self._flush_behind_long_jobs, daemon=True, name="flusher").start()
        self._outbox.announce()
        try:
            while (lot := self._next_lot()) is not None:
                self._run_lot(lot)
        finally:
            self._ended.set()

    def _next_lot(self) -> Lot | None:
        """The next lot; waits for one. None: the supervisor is gone."""
        outbox = self._outbox
        if not self._lots and self._receive(wait=False):
            outbox.recalled = True
        if not self._lots:
            self._busy.clear()
            while not self._lots and not self._closed:
                self._alarm.baseline.restore_hooks()
                outbox.flush()
                self._alarm.baseline.restore()
                if self._receive(wait=True):
                    outbox.recalled = True
            self._busy.set()
        return self._lots.popleft() if self._lots and not self._closed else None

    def _receive(self, *, wait: bool) -> bool:
        """Read what there is. Answers whether a recall was in it."""
        recalled = False
        while not self._closed:
            try:
                data = self._socket.recv(_RECEIVE_BYTES, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            self._closed = not data
            for body in self._reader.feed(data):
                message = lane_decoder.decode(body)
                if isinstance(message, Lot):
                    self._lots.append(message)
                elif isinstance(message, Recall):
                    recalled = True
                    self._give_back(*self._lots)
                    self._lots.clear()
            if wait:
                break
        return recalled

    def _give_back(self, *lots: Lot) -> None:
        """Return the jobs of lots of which none has started."""
        for lot in lots:
            self._outbox.returned.extend(fences_in(lot))

    def _run_lot(self, lot: Lot) -> None:  # noqa: C901, PLR0912, PLR0915 - a call costs more than the job
        words, start, slot = self._board.words, self._board.starter(0), self._board.slot_base(0)
        outbox, attempts, attempt = self._outbox, self._attempts, self._attempts.attempt
        forgotten, clock = outbox.forgotten.append, time.monotonic
        plans, is_child = attempts.plans(lot.tasks), after_fork.is_child
        fences = fences_in(lot)
        started = clock()
        wall_offset = time.time() - started
        for fence, index, job in zip(fences, lot.task_of, lot.jobs, strict=True):
            plan = plans[index]
            if job.extra is not None:
                extra = extra_of(job.extra)
                if (late := start_by(extra, lot.leased_at)) is not None and started >= late:
                    outbox.returned.append(fence)
                    continue
                if plan is not None:
                    plan = plan.suited(extra)
            if not start(fence, job.attempt, started):
                outbox.returned.extend(fences[fences.index(fence) :])
                return
            if plan is None:
                outbox.outcomes.append(unknown(lot.tasks[index], fence))
            elif plan.is_bare:
                try:
                    try:
                        args, kwargs = plan.decode(job.body)
                    except InvalidArguments as error:
                        raise Unfit(error) from None
                    # Most jobs give no arguments by name. Without any, Python makes no dict for the call.
                    run = copy_context().run
                    value = run(plan.function, *args, **kwargs) if kwargs else run(plan.function, *args)
                    if value is not None and type(value) not in VALUES:
                        value = run(finished, plan.task.name, value)
                    if is_child:
                        after_fork.end()
                except BaseException as error:  # noqa: BLE001 - whatever a job raises is that job's failure
                    outcome = attempts.raised(plan, 0, fence, job, started + wall_offset, error)
                    outbox.outcomes.append(outcome)
                else:
                    if value is None or type(value) in VALUES:
                        forgotten(fence)
                    else:
                        attempts.note(fence, attempts.returned(plan, fence, started + wall_offset, value, None))
            else:
                attempts.note(fence, attempt(plan, 0, fence, job, started + wall_offset, self._alarm))
            now = clock()
            took_s = now - started
            outbox.busy_s += took_s
            if took_s > SHORT_S:
                words[slot] = 0
                self._alarm.baseline.restore_hooks()
                outbox.flush()
                self._alarm.baseline.restore()
                if self._receive(wait=False):
                    outbox.returned.extend(fences[fences.index(fence) + 1 :])
                    outbox.recalled = True
                    return
                now = clock()
            elif now - outbox.flushed_at > FLUSH_S:
                self._alarm.baseline.restore_hooks()
                outbox.flush()
                self._alarm.baseline.restore()
            started = now
        words[slot] = 0

    def _flush_behind_long_jobs(self) -> None:
        """What the second thread does: send what earlier jobs have left in the outbox while a long one runs."""
        with fatal():
            while not self._ended.wait(FLUSH_S * 2):
                self._busy.wait()
                self._outbox.flush_if_stale(time.monotonic() - FLUSH_S)


class _Alarm:
    """Raises SoftTimeLimitExceeded in the main thread, by SIGALRM, so that a blocking system call is interrupted too.

    Used as a context manager around the job. It is not made by `contextlib`, which sets attributes of the exceptions
    that pass through: some exceptions refuse that.
    """

    def __init__(self, *, needed: bool) -> None:
        self._needed = needed
        self._next: TaskPlan | None = None
        self._armed: TaskPlan | None = None

    def install(self) -> None:
        """Take SIGALRM, should a task have a soft limit. Called in the thread that runs the jobs."""
        if self._needed:
            handler = self._ring
            after_fork.handler_is_ours(handler)
            signal.signal(signal.SIGALRM, handler)
        self.baseline = Baseline()

    def of(self, plan: TaskPlan) -> Any:
        """A context manager for the time the job runs. See `attempt.SoftLimit`."""
        self._next = plan
        return self

    def __enter__(self) -> None:
        # The baseline is not restored after each short job, so the one before may have left a handler or a timer.
        self.baseline.restore()
        self._armed = plan = self._next
        assert plan is not None, "it has been asked for"
        assert plan.soft_timeout_s is not None, "otherwise nothing is armed"
        signal.setitimer(signal.ITIMER_REAL, plan.soft_timeout_s)

    def __exit__(self, *_raised: object) -> None:
        self._armed = None
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, _signal: int, _frame: object) -> None:
        plan, self._armed = self._armed, None
        if plan is not None:
            name, limit_s = plan.task.name, plan.soft_timeout_s
            raise SoftTimeLimitExceeded(f"{name} ran longer than its soft time limit of {limit_s:g} s.")
