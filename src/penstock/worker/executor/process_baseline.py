"""State of an executor's process or thread that a job may have changed, and that is put back before later jobs.

A job may install a handler for SIGALRM, block signals, or leave a timer or a tracer behind. For later jobs, soft time
limits would then not work, or stray signals would hit them. What the limits and the lanes depend on is put back. All
else stays as a job left it, for that is the application's business: handlers of other signals, the working directory,
the umask, the environment, the default socket timeout, the locale.

Putting back costs a microsecond or two. So it is not done after each of many short jobs, but whenever outcomes are
sent.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from typing import Any, Final

# The C module under `signal`. The latter makes an enum member of every answer, which takes longer than all the rest.
_bare_signal: Final[Any] = importlib.import_module("_signal")


class Baseline:
    """That state as it was when this was made. For one lane; made in the thread that runs it, and used there only."""

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
        """Put back what the next call of any function would run into: tracer, profiler, recursion limit. Lanes do this
        before they send outcomes: a tracer that raises must not raise in there."""
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
        # The timer first: once SIGALRM has its default handler, a timer would end the process. The signal mask last: it
        # may hold back signals that are for the handlers.
        if signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers:
            if _bare_signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        self._restore_wakeup()

    def _restore_wakeup(self) -> None:
        signal.set_wakeup_fd(self._wakeup_fd, warn_on_full_buffer=False)
