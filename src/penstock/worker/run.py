"""Running a worker as a process: the command line's ``worker``, and a child of ``up``."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from penstock.model import limits
from penstock.model.errors import PenstockError, StoreUnavailable
from penstock.ports import AsyncStore
from penstock.process.terminal_text import visible, visible_lines
from penstock.worker.event_loop import run_on_loop
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor.staffing import WorkerFailed
from penstock.worker.supervisor.supervisor import Supervisor

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_APPLICATION = 2
EXIT_STORE = 3
EXIT_INTERRUPTED = 130

Connect = Callable[[Callable[[], list[int]]], Awaitable[AsyncStore]]
"""Connects to the store. Takes the function that answers which fences are held: the client reports them after a
reconnect."""


def run_worker(
    connect: Connect,
    app: str,
    *,
    executors: int = 1,
    concurrency: int = limits.CONCURRENCY,
    queues: list[str] | None = None,
    grace_s: float = limits.GRACE_S,
    log: str = "info",
    log_format: str = "text",
    holder: bytes | None = None,
    on_ready: Callable[[], None] | None = None,
    on_processes: Callable[[list[tuple[str, int]]], None] | None = None,
    on_failed: Callable[[str], None] | None = None,
) -> int:
    """Work until SIGTERM or SIGINT, which drain; a second one stops at once.

    Answers the exit status: 0; 130 when there was a SIGINT; 1 when it cannot go on; 2 when the application cannot be
    imported; 3 when the store cannot be reached.

    Args:
        connect: see `Connect`.
        app: ``module:attribute`` of the application; imported in executors only.
        executors: processes that run jobs.
        concurrency: async jobs at a time in each of them.
        queues: in order of preference. None: all.
        grace_s: how long running jobs may go on after the first signal.
        log: the least severe level that executors log.
        log_format: text or json.
        holder: see `WorkerOptions`.
        on_ready: called once, when all executors are ready.
        on_processes: called with (role, pid) of the forkserver and of every ready executor, whenever they change.
        on_failed: called with the reason, in one line, before a status other than 0 is answered; standard error has
            more. None: standard error has the reason too.
    """
    names = None if queues is None else tuple(queues)
    options = WorkerOptions(app, executors, concurrency, names, grace_s, log, log_format, holder)
    hooks = _Hooks(on_ready or _nothing, on_processes or _unheard, on_failed or _say)
    return run_on_loop(lambda: _run(connect, options, hooks))


@dataclass(frozen=True, slots=True)
class _Hooks:
    ready: Callable[[], None]
    processes: Callable[[list[tuple[str, int]]], None]
    failed: Callable[[str], None]


def _nothing() -> None:
    pass


def _unheard(_said: object) -> None:
    pass


async def _run(connect: Connect, options: WorkerOptions, hooks: _Hooks) -> int:
    supervisor = Supervisor(options)
    supervisor.on_ready = hooks.ready
    supervisor.on_processes = hooks.processes
    loop = asyncio.get_running_loop()
    signals: list[int] = []

    def stop(number: int) -> None:
        signals.append(number)
        supervisor.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        store = await connect(supervisor.held_fences)
        try:
            await supervisor.run(store)
        finally:
            await store.close()
    except WorkerFailed as failed:
        return _report(hooks, str(failed), failed.detail, EXIT_APPLICATION if failed.is_final else EXIT_FAILED)
    except PenstockError as error:
        return _report(hooks, error.message, "", EXIT_STORE if isinstance(error, StoreUnavailable) else EXIT_FAILED)
    return EXIT_INTERRUPTED if signal.SIGINT in signals else EXIT_DONE


def _report(hooks: _Hooks, reason: str, detail: str, status: int) -> int:
    hooks.failed(visible(reason) or "it failed")
    if detail.strip():
        sys.stderr.write(visible_lines(detail.rstrip()) + "\n")
    return status


def _say(reason: str) -> None:
    sys.stderr.write(f"penstock: {reason}\n")
