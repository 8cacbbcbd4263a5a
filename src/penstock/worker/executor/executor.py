"""An executor: a process forked from the template, which runs jobs in its lanes until the supervisor lets go of it.

The lane that needs the main thread most has it: ``process`` (signals for soft limits), else ``async``, else
``thread``. The others have a thread each. Every lane has a socket of its own, so that none waits for another.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NoReturn

from penstock.process.process_tree import set_title
from penstock.worker import memory_barrier
from penstock.worker.executor import after_fork
from penstock.worker.executor.leaving import fatal, leave
from penstock.worker.executor.task_plan import Runnable
from penstock.worker.messages import ASYNC_LANE, PROCESS_LANE, LaneOrder
from penstock.worker.scoreboard import Scoreboard

_MAIN_FIRST = (PROCESS_LANE, ASYNC_LANE)


def run_executor(tasks: Mapping[str, Runnable], output_fd: int, lanes: list[tuple[LaneOrder, int, int]]) -> NoReturn:
    """Become an executor. Never returns: the process ends when the supervisor closes the sockets of its lanes.

    Args:
        output_fd: where standard output and error go.
        lanes: what to run, each with its socket and its scoreboard as file descriptors.
    """
    with fatal():
        _settle_in(output_fd)
        after_fork.watch_forks()
        runs = [_lane(tasks, order, socket_fd, board_fd) for order, socket_fd, board_fd in _main_first(lanes)]
        for run in runs[1:]:
            threading.Thread(target=_run_and_leave, args=(run,), daemon=True).start()
        runs[0]()
    leave(0)


def _settle_in(output_fd: int) -> None:
    """Give the new process its name, its output and its signal handlers."""
    set_title("penstock executor")
    os.dup2(output_fd, 1)
    os.dup2(output_fd, 2)
    os.close(output_fd)
    for stream in (sys.stdout, sys.stderr):
        # What a job prints is to be seen while it runs, and not lost when it is killed.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    faulthandler.enable(file=2)
    random.seed()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The supervisor decides when to stop.
        signal.signal(number, after_fork.ignore)
    if signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
        # A timer that a job leaves behind must not end its executor.
        signal.signal(signal.SIGALRM, after_fork.ignore)


def _main_first(lanes: list[tuple[LaneOrder, int, int]]) -> list[tuple[LaneOrder, int, int]]:
    ranks = {kind: rank for rank, kind in enumerate(_MAIN_FIRST)}
    return sorted(lanes, key=lambda lane: ranks.get(lane[0].kind, len(ranks)))


def _lane(tasks: Mapping[str, Runnable], order: LaneOrder, socket_fd: int, board_fd: int) -> Callable[[], None]:
    """A lane, ready to be run."""
    board = Scoreboard(board_fd, order.slots)
    if memory_barrier.register():
        board.reached()
    os.close(board_fd)
    sock = socket.socket(fileno=socket_fd)
    # A process that a job forks must not speak for this one, nor keep the supervisor from seeing that it is gone.
    after_fork.keep(socket_fd)
    if order.kind == PROCESS_LANE:
        from penstock.worker.executor.process_lane import ProcessLane

        return ProcessLane(sock, board, tasks).run
    if order.kind == ASYNC_LANE:
        return lambda: _run_loop(sock, board, tasks, order.slots)
    from penstock.worker.executor.thread_lane import ThreadLane

    return ThreadLane(sock, board, tasks, order.slots).run


def _run_loop(sock: socket.socket, board: Scoreboard, tasks: Mapping[str, Runnable], slots: int) -> None:
    from penstock.worker.executor.async_lane import AsyncLane
    from penstock.worker.executor.job_event_loop import run_jobs_loop

    run_jobs_loop(lambda: AsyncLane(board, tasks, slots).run(sock))


def _run_and_leave(run: Callable[[], None]) -> None:
    """Run a lane in its thread; the end of one lane is the end of the executor."""
    with fatal():
        run()
    leave(0)
