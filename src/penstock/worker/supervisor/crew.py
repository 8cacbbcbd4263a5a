"""The executors of one supervisor: started, listened to, replaced when they die."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol, cast

import msgspec

from penstock.model import limits
from penstock.process.process_tree import kill_group
from penstock.worker.messages import (
    FrameReader,
    Interrupt,
    LaneOrder,
    Lot,
    Recall,
    Report,
    frame,
    report_decoder,
)
from penstock.worker.scoreboard import Scoreboard, scoreboard_fd
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.ledger import LaneLedger, Piece
from penstock.worker.supervisor.output import Output
from penstock.worker.supervisor.template import Template
from penstock.worker.supervisor.watch import Running, Watch

EXIT_WAIT_S = 0.05
"""How long one sign that an executor is gone (a closed socket, its exit) waits for the other."""

_log = logging.getLogger("penstock.worker")


class CrewListener(Protocol):
    """Who is told what executors say and how they end."""

    def reported(self, lane: Lane, report: Report, size_bytes: int) -> None:
        """A lane has something to say."""
        ...

    def ready(self, executor: Executor) -> None:
        """All lanes of an executor are ready."""
        ...

    def dying(self, executor: Executor) -> None:
        """An executor is going or gone: whoever replaces it should begin."""
        ...

    def dead(self, executor: Executor) -> None:
        """It is gone for certain, and all it said has been heard: what it held may run elsewhere."""
        ...


class Lane(asyncio.Protocol):
    """One lane of one executor: its connection, its ledger, its scoreboard and the watch over it."""

    def __init__(self, executor: Executor, ledger: LaneLedger, board: Scoreboard, watch: Watch) -> None:
        self.executor = executor
        self.ledger = ledger
        self.board = board
        self.watch = watch
        self._reader = FrameReader()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is on the loop now."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Reports."""
        for body in self._reader.feed(data):
            try:
                report = report_decoder.decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self.executor.garbled(self, error)
                return
            self.executor.hear(self, report, len(body))

    def connection_lost(self, _exc: Exception | None) -> None:
        """The executor is gone, or was let go."""
        self._transport = None
        self.executor.lane_lost(self)

    def hand_over(self, piece: Piece, now: float) -> None:
        """Give it jobs. The rows go out as they came in."""
        first = piece.fences[0]
        fences = None if isinstance(piece.fences, range) else list(piece.fences)
        data = frame(Lot(first, fences, piece.tasks, piece.task_of, piece.rows, piece.leased_at))  # type: ignore[arg-type]  # still encoded
        self.ledger.assign(piece, len(data), now)
        self._write(data)

    def recall(self) -> bool:
        """Have it forget what it has not started. Answers as `Scoreboard.recall_to`: from then on it starts nothing of
        what it has."""
        settled = self.board.recall_to(self.ledger.assigned_to)
        self.ledger.recalling = True
        self._write(frame(Recall()))
        return settled

    def interrupt(self, job: Running, *, overdue: bool) -> None:
        """Ask a job to end, in every way it may hear."""
        if not overdue:
            self.board.ask_to_end(job.slot, job.fence)
        self._write(frame(Interrupt(job.fence, overdue)))

    def close(self) -> None:
        """Let go of the executor: it ends when its lanes are closed."""
        if self._transport is not None:
            self._transport.close()

    def _write(self, data: bytearray) -> None:
        if self._transport is not None:
            self._transport.write(data)


class Executor:
    """One executor process.

    Attributes:
        pid: 0 until it is forked.
        is_ready: all its lanes are.
        killed_for: the job for which it was killed. None: it was not, or not for a job.
        killed: the supervisor has killed it.
        lone: it was forked for one suspect. It has the lanes of any other: the job finds what it found before.
        given_at: when that was handed over, on the monotonic clock; None: not yet.
        is_leaving: it was let go.
        status: how it exited; below 0 a signal. None: not known.
    """

    def __init__(self, number: int, listener: CrewListener, output: Output, output_fd: int) -> None:
        self.number = number
        self.lone = False
        self.given_at: float | None = None
        self.is_leaving = False
        self.pid = 0
        self.lanes: list[Lane] = []
        self.is_ready = False
        self.killed_for: tuple[Lane, Running] | None = None
        self.killed = False
        self.status: int | None = None
        self.started_at = time.monotonic()
        self._listener = listener
        self._output = output
        self._output_fd = output_fd
        self._silent: set[Lane] = set()
        self._lost: set[Lane] = set()
        self.is_going = False
        self._timer: asyncio.TimerHandle | None = None
        self.is_dead = False

    def expect(self, lane: Lane) -> None:
        """It has this lane, not ready yet."""
        self.lanes.append(lane)
        self._silent.add(lane)

    def hear(self, lane: Lane, report: Report, size_bytes: int) -> None:
        """A lane's report; the first one only says that it is ready."""
        if lane in self._silent:
            self._silent.discard(lane)
            lane.ledger.ready = True
            if not self._silent:
                self.is_ready = True
                self._listener.ready(self)
            return
        self._listener.reported(lane, report, size_bytes)

    def garbled(self, lane: Lane, error: Exception) -> None:
        """A lane's report cannot be read, so what became of its jobs is not known: end it. That is a loss for those
        that run, which may be to blame; otherwise they would be run for ever."""
        _log.error("executor %d cannot be understood: %s", self.pid, error, extra={"action": "executor-garbled"})
        self.signal(signal.SIGKILL)
        lane.close()

    def tail(self) -> str:
        """The last of what it printed."""
        return self._output.tail(self._output_fd)

    def kill(self, cause: tuple[Lane, Running] | None = None) -> None:
        """SIGKILL. A second one does nothing."""
        if self.killed or self.is_dead:
            return
        self.killed = True
        self.killed_for = cause
        for lane in self.lanes:
            lane.ledger.ready = False
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send it a signal, should it be there; SIGKILL ends what its jobs have started too."""
        if self.pid and self.status is None and not (number == signal.SIGKILL and kill_group(self.pid)):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def leave(self) -> None:
        """Let it end by itself; it holds nothing."""
        self.killed = self.is_leaving = True
        for lane in self.lanes:
            lane.close()

    def run_alone(self, kind: str, piece: Piece, now: float) -> None:
        """Give a lone executor its one job, for its lane of this kind."""
        self.given_at = now
        for lane in self.lanes:
            if lane.ledger.kind == kind:
                lane.hand_over(piece, now)

    def holds(self) -> bool:
        """Whether any of its lanes has a job."""
        return any(lane.ledger.held for lane in self.lanes)

    def lane_lost(self, lane: Lane) -> None:
        """One of its sockets is closed: everything that lane said has been heard."""
        self._lost.add(lane)
        self._sign()

    def exited(self, status: int) -> None:
        """Its exit was reported."""
        self.status = status
        self._sign()

    def _sign(self) -> None:
        if self.is_dead:
            return
        if not self.is_going:
            self.is_going = True
            self._timer = asyncio.get_running_loop().call_later(EXIT_WAIT_S, self._insist)
            self._listener.dying(self)
        if self.status is not None and len(self._lost) == len(self.lanes):
            self._end()

    def _insist(self) -> None:
        if self.status is not None:
            self._end()
            return
        # Without an exit it might still run; its jobs may not start elsewhere before it certainly does not. When the
        # template is gone too nobody tells of the exit, and on Linux it is gone already.
        self.signal(signal.SIGKILL)
        self._timer = asyncio.get_running_loop().call_later(limits.END_GRACE_S, self._end)

    def _end(self) -> None:
        if self.is_dead:
            return
        self.is_dead = True
        if self._timer is not None:
            self._timer.cancel()
        self._listener.dead(self)
        for lane in self.lanes:
            lane.close()
            lane.board.close()
        self._output.forget(self._output_fd)


async def start_executor(
    number: int,
    template: Template,
    catalogue: Catalogue,
    listener: CrewListener,
    output: Output,
    enlist: Callable[[Executor], None],
) -> Executor:
    """Fork an executor and connect to its lanes. It is ready when it says so.

    Args:
        enlist: takes it before anything can be heard of it.

    Raises:
        TemplateGone: the template ended first.
        OSError: there are too many open files.
    """
    loop = asyncio.get_running_loop()
    read_fd, write_fd = os.pipe()
    executor = Executor(number, listener, output, read_fd)
    ours, fds = [], [write_fd]
    with ExitStack() as theirs, ExitStack() as failed:
        theirs.callback(os.close, write_fd)
        failed.callback(os.close, read_fd)
        for order in catalogue.orders:
            mine, its = socket.socketpair()
            failed.callback(mine.close)
            theirs.callback(its.close)
            board_fd = scoreboard_fd(order.slots)
            theirs.callback(os.close, board_fd)
            ours.append((_lane(executor, order, Scoreboard(board_fd, order.slots), catalogue), mine))
            fds += [its.fileno(), board_fd]
        executor.pid = await template.fork(number, catalogue.orders, fds)
        failed.pop_all()
    output.follow(read_fd)
    for lane, _ in ours:
        executor.expect(lane)
    enlist(executor)
    for lane, mine in ours:
        mine.setblocking(False)
        await loop.create_unix_connection(lambda lane=lane: lane, sock=mine)  # type: ignore[misc]  # its own lane
    return executor


def _lane(executor: Executor, order: LaneOrder, board: Scoreboard, catalogue: Catalogue) -> Lane:
    ledger = LaneLedger(order.kind, order.slots)

    def task_of(fence: int) -> str | None:
        assigned = ledger.held.get(fence)
        return None if assigned is None else assigned.task(fence)

    return Lane(executor, ledger, board, Watch(order.kind, task_of, catalogue.limit_of))
