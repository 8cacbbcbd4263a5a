"""What belongs to an executor's process or thread and a job may have changed: put back after it.

A job that installs a handler for SIGALRM, blocks signals, leaves a timer or a tracer behind would break the limits of
jobs that come later, and let signals loose on them. What is put back is what limits and lanes depend on. What is the
application's own business stays as a job left it: other signals' handlers, the working directory, the umask, the
environment, the default socket timeout, the locale.

It costs a microsecond or two, so it is not done after each of many short jobs but whenever their outcomes are sent.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from typing import Any, Final

# What `signal` stands on, without the enum members it makes of every answer: that takes longer than all the rest.
_bare_signal: Final[Any] = importlib.import_module("_signal")


class Baseline:
    """How things were when it was made. For one lane, made in the thread that runs it, and used there only."""

    def __init__(self) -> None:
        self._is_main = threading.current_thread() is threading.main_thread()
        self._mask = _bare_signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._recursion = sys.getrecursionlimit()
        numbers = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM) if self._is_main else ()
        self._handlers = [(number, _bare_signal.getsignal(number)) for number in numbers]
        self._wakeup_fd = -1
        if self._is_main:
            self._wakeup_fd = signal.set_wakeup_fd(-1)
            self._restore_wakeup()

    def restore_hooks(self) -> None:
        """Put back what would strike in the next call of any function. Lanes do this before they send outcomes, so that
        the job whose tracer it is has its own."""
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)
        if sys.getprofile() is not self._profile:
            sys.setprofile(self._profile)
        if sys.getrecursionlimit() < self._recursion:
            sys.setrecursionlimit(self._recursion)

    def restore(self) -> None:
        """Put back what is not as it was. No job may be running in this thread."""
        self.restore_hooks()
        if self._is_main:
            self._restore_signals()
        if _bare_signal.pthread_sigmask(signal.SIG_BLOCK, ()) != self._mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _restore_signals(self) -> None:
        # The timer first: without its handler it would end the process. The mask last, which may hold signals back.
        if signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers:
            if _bare_signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        self._restore_wakeup()

    def _restore_wakeup(self) -> None:
        signal.set_wakeup_fd(self._wakeup_fd, warn_on_full_buffer=False)
