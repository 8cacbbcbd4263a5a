"""The event loop on which the async lane runs jobs.

Nothing that a job does to the loop ends the executor. In a process that a job forks, the loop runs nothing any more.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.worker.event_loop import new_event_loop
from penstock.worker.executor import after_fork

_log = logging.getLogger("penstock.worker")


def run_jobs_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a lane on a new event loop of this thread. What is left on the loop at the end is not waited for: the process
    ends next.

    A loop stops when SystemExit or KeyboardInterrupt comes out of a task or a callback, or when somebody calls its
    ``stop``. Here only a job can have done that, and the other jobs must go on: so the loop is run again.
    """
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(after_fork.Threads(thread_name_prefix="asyncio"))
    part_at_fork(loop)
    lane = loop.create_task(main())
    while not lane.done():
        try:
            loop.run_until_complete(lane)
        except (SystemExit, KeyboardInterrupt) as error:
            if lane.done():
                raise
            if after_fork.is_child:
                after_fork.end(error)
            kind = type(error).__name__
            _log.error(
                "%s was raised in a task or a callback that a job left on the event loop", kind,
                exc_info=error, extra={"action": "job-exit"},
            )  # fmt: skip
        except RuntimeError:
            if lane.done():
                raise
            _log.warning("a job stopped the event loop; it goes on", extra={"action": "job-stopped-loop"})
    lane.result()


def part_at_fork(loop: asyncio.AbstractEventLoop) -> None:
    """Prepare for forks by jobs. In a process that is forked from this thread, the loop will run nothing but that
    process's end. And whatever the process does with the descriptors that the loop watches does not change what the
    loop of the parent watches, although a fork shares the epoll instance."""
    thread = threading.get_ident()
    waiting = ready_queue(loop)
    poll = _poll_descriptor(loop)

    def part() -> None:
        if poll is not None and hasattr(select, "epoll"):
            # Replaced by an empty one and not closed: libuv aborts when it has none.
            fresh = select.epoll()
            os.dup2(fresh.fileno(), poll, inheritable=False)
            fresh.close()
        if threading.get_ident() != thread:
            return
        if waiting is not None:
            waiting.clear()
        for timer in timers(loop):
            timer.cancel()
        loop.call_soon(after_fork.end_on_loop)

    after_fork.in_child(part)


def ready_queue(loop: asyncio.AbstractEventLoop) -> deque[Any] | None:
    """The calls that a loop makes next. None: they cannot be found. uvloop shows them in no attribute."""
    mark = loop.call_soon(_nothing)
    try:
        for found in (getattr(loop, "_ready", None), *gc.get_referents(loop)):
            if type(found) is deque and any(call is mark for call in found):
                return found
        return None
    finally:
        mark.cancel()


def timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """The calls that uvloop makes later, and before those that are ready. asyncio makes them after those."""
    return [
        call
        for found in gc.get_referents(loop)
        if type(found) is set
        for call in found
        if type(call).__name__ == "TimerHandle"
    ]


def _poll_descriptor(loop: Any) -> int | None:
    """The descriptor of the epoll instance (or the like) by which a loop watches others. A fork shares it. None: there
    is none to be found."""
    found: object = None
    if hasattr(loop, "_get_backend_id"):
        found = loop._get_backend_id()  # noqa: SLF001 - there is no other way to it
    elif hasattr(loop, "_selector"):
        found = loop._selector.fileno()  # noqa: SLF001 - as above
    return found if isinstance(found, int) and found >= 0 else None


def _nothing() -> None:
    pass
