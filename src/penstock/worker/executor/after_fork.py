"""A process that a job forks: how it is cut off from its executor, and how it ends when it comes back into our code.

``os.fork()`` in a job makes a copy of the whole executor: the same lane, in the middle of the same job, with the same
connection and the same scoreboard. What that process does inside the job is the job's affair. But it must not send
reports, take the next job, or change what the scoreboard says about its parent. So:

* At the fork its copies of our descriptors are pointed at the null device, its outboxes are muted, our signal handlers
  are taken back, and the event loop, should it have been forked from there, runs nothing any more but its end. None of
  this needs a free descriptor: the job may have used them all up.
* When the job's function returns or raises, it ends: each lane asks `is_child` right after the call.

The same holds for the children that `multiprocessing` forks, which never come back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any, NoReturn, TypeVar

from penstock.worker.executor.leaving import leave

T = TypeVar("T")

is_child: list[int] = []
"""Empty in an executor. In a process that one of its jobs has forked: that process's id. It is a list, so that lanes
can keep it in a local variable: they look at it after every job."""

_watching = False
_masks = threading.local()
_parting = True
_descriptors: list[int] = []
_null_fd = -1
"""The null device, opened beforehand."""
_calls: list[Callable[[], object]] = []
_TAKEN = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name))
"""Signals for which an executor has handlers of its own."""


def ignore(_signal: int, _frame: FrameType | None) -> None:
    """A handler that does nothing. Not SIG_IGN, which every program that a job starts would inherit."""


_ours: list[object] = [ignore]


def watch_forks() -> None:
    """From now on, cut every forked process off from this one. The forkserver calls this before it imports the
    application, and an executor before its lanes run: what the forkserver had registered is forgotten there."""
    global _watching, _null_fd  # noqa: PLW0603 - what is done at a fork is done for the whole process
    for kept in (is_child, _descriptors, _calls):
        kept.clear()
    if _null_fd < 0:
        _null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    if not _watching:
        os.register_at_fork(before=_hold_signals, after_in_parent=_let_signals_in, after_in_child=_part)
    _watching = True


def fork_executor() -> int:
    """``os.fork()`` for a process that is to be an executor, and is not cut off."""
    global _parting  # noqa: PLW0603 - as above
    _parting = False
    try:
        return os.fork()
    finally:
        _parting = True


def handler_is_ours(handler: object) -> None:
    """A signal handler that children do not inherit."""
    _ours.append(handler)


def keep(*descriptors: int) -> None:
    """Descriptors that belong to this process alone: in forked processes they lead to the null device."""
    _descriptors.extend(descriptors)


def in_child(call: Callable[[], object]) -> None:
    """Have this called in every forked process. It must not wait for locks, which nobody there may ever release."""
    _calls.append(call)


def end(error: BaseException | None = None) -> NoReturn:
    """End this process, a child whose job returned, or raised ``error``. The status is as at the end of a program."""
    if error is None:
        leave(0)
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            leave((error.code or 0) & 0xFF)
        _say(str(error.code))
        leave(1)
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        leave(1)


def end_on_loop() -> NoReturn:
    """End this process, a child that came back to the event loop."""
    _say(
        "penstock: a process that a job forked came back to the event loop of its executor, and was ended there. "
        "It has no loop: let it call os._exit, or use subprocess or multiprocessing."
    )
    leave(1)


class Threads(ThreadPoolExecutor):
    """Threads for calls from an event loop (`asyncio.to_thread`). A child that is forked in one ends with its call."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """As in the base class."""
        return super().submit(_call, fn, args, kwargs)


def _call(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        if is_child:
            end(error)
        raise
    if is_child:
        end()
    return value


def _hold_signals() -> None:
    """A signal that comes before the child has its own handlers would be lost, and who terminates it would wait."""
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN)


def _let_signals_in() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _part() -> None:
    """Cut this process, which a job has just forked, off from its parent."""
    try:
        # A child of a child: its descriptors of these numbers may be others by now.
        if _parting and not is_child:
            is_child.append(os.getpid())
            _give_signals_back()
            _let_go()
    finally:
        _let_signals_in()


def _let_go() -> None:
    """Let go of the parent's descriptors and of whatever else was registered."""
    global _null_fd  # noqa: PLW0603 - as above
    for descriptor in _descriptors:
        # Not closed: the number would be used again, and a late write end in somebody's file.
        os.dup2(_null_fd, descriptor, inheritable=False)
    # One of the calls opens a descriptor for a moment. Now there is a number for it, even if the job has used up all.
    os.close(_null_fd)
    _null_fd = -1
    for call in _calls:
        call()


def _give_signals_back() -> None:
    """Take back the executor's own signal handlers. Those that the job has installed stay."""
    signal.set_wakeup_fd(-1)
    for number in _TAKEN:
        if signal.getsignal(number) in _ours:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL:
        # libuv sets a handler for SIGCHLD without Python knowing. Setting the default in Python removes it.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _say(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
    except (AttributeError, OSError, ValueError):
        pass
