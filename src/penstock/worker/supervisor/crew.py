"""One executor as its supervisor sees it: its process, its lanes, what it says, and when it counts as dead.

`staffing.Staffing` starts executors with `start_executor`. The supervisor is their `CrewListener`: it is told of
reports, of executors that are ready, and of their end.
"""

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
    Interrupt,
    LaneOrder,
    Lot,
    MessageReader,
    Recall,
    Report,
    frame,
    report_decoder,
)
from penstock.worker.scoreboard import Scoreboard, scoreboard_fd
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.lane_load import LaneLedger, Piece
from penstock.worker.supervisor.output import Output
from penstock.worker.supervisor.template import Template
from penstock.worker.supervisor.watch import Running, Watch

EXIT_WAIT_S = 0.05
"""An executor's end shows in two ways: its sockets close, and the forkserver tells of its exit. After the first sign,
the supervisor waits for the second one for so long."""

_log = logging.getLogger("penstock.worker")


class CrewListener(Protocol):
    """Who is told what executors say and how they end."""

    def reported(self, lane: Lane, report: Report, size_bytes: int) -> None:
        """A lane has sent a report of this size."""
        ...

    def ready(self, executor: Executor) -> None:
        """All lanes of an executor are ready."""
        ...

    def dying(self, executor: Executor) -> None:
        """An executor is ending or has ended, so another may be started in its place. It may have more to say."""
        ...

    def dead(self, executor: Executor) -> None:
        """An executor has certainly ended, and everything that it said has been heard. What it held may run elsewhere
        now."""
        ...


class Lane(asyncio.Protocol):
    """One lane of one executor: its connection, its ledger, its scoreboard and the watch over it."""

    def __init__(self, executor: Executor, ledger: LaneLedger, board: Scoreboard, watch: Watch) -> None:
        self.executor = executor
        self.ledger = ledger
        self.board = board
        self.watch = watch
        self._reader = MessageReader()
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
        """Give the lane jobs. Their bytes go out as they came from the store."""
        first = piece.fences[0]
        fences = None if isinstance(piece.fences, range) else list(piece.fences)
        data = frame(Lot(first, fences, piece.tasks, piece.task_of, piece.rows, piece.leased_at))  # type: ignore[arg-type]  # still encoded
        self.ledger.assign(piece, len(data), now)
        self._write(data)

    def recall(self) -> bool:
        """Take back what the lane has not started. Answers as `Scoreboard.recall_to`: whether the scoreboard shows
        already which jobs have started. The lane starts none of the others."""
        settled = self.board.recall_to(self.ledger.assigned_to)
        self.ledger.recalling = True
        self._write(frame(Recall()))
        return settled

    def interrupt(self, job: Running, *, overdue: bool) -> None:
        """Ask a job to end: on the scoreboard, which its context reads, and with a message, which ends a coroutine or a
        thread."""
        if not overdue:
            self.board.ask_to_end(job.slot, job.fence)
        self._write(frame(Interrupt(job.fence, overdue)))

    def close(self) -> None:
        """Close the socket. An executor ends when the sockets of its lanes are closed."""
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
        """Add a lane, which is not ready yet."""
        self.lanes.append(lane)
        self._silent.add(lane)

    def hear(self, lane: Lane, report: Report, size_bytes: int) -> None:
        """Take a lane's report. The first one only says that the lane is ready."""
        if lane in self._silent:
            self._silent.discard(lane)
            lane.ledger.ready = True
            if not self._silent:
                self.is_ready = True
                self._listener.ready(self)
            return
        self._listener.reported(lane, report, size_bytes)

    def garbled(self, lane: Lane, error: Exception) -> None:
        """A lane's report cannot be decoded, so it is not known what became of its jobs. Kill the executor. The jobs
        that run there count as lost, since one of them may be to blame: if they were released, they would run for
        ever."""
        _log.error("executor %d cannot be understood: %s", self.pid, error, extra={"action": "executor-garbled"})
        self.signal(signal.SIGKILL)
        lane.close()

    def tail(self) -> str:
        """The last of what it printed."""
        return self._output.tail(self._output_fd)

    def kill(self, cause: tuple[Lane, Running] | None = None) -> None:
        """Kill the process, for the job in ``cause`` (None: not for a job). A second call does nothing."""
        if self.killed or self.is_dead:
            return
        self.killed = True
        self.killed_for = cause
        for lane in self.lanes:
            lane.ledger.ready = False
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send the process a signal, if it still runs. SIGKILL goes to its process group, so it ends what jobs have
        started as well."""
        if self.pid and self.status is None and not (number == signal.SIGKILL and kill_group(self.pid)):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def leave(self) -> None:
        """Close all lanes, so that the executor ends by itself. It must hold no job."""
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
        """A lane's socket is closed, after everything that the lane had sent was read."""
        self._lost.add(lane)
        self._sign()

    def exited(self, status: int) -> None:
        """The forkserver has told of the executor's exit."""
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
        # As long as no exit was told it might still run, and its jobs must not start elsewhere meanwhile. When the
        # forkserver is gone as well, nobody tells of exits; on Linux the kernel has ended the executors with it.
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
        enlist: is called with the executor before anything can arrive from it.

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
