"""How a process ended, in words."""

from __future__ import annotations

import signal

__all__ = ["ending"]


def ending(status: int) -> str:
    """``status 3``, ``SIGSEGV``, or ``signal 40`` for one without a name.

    Args:
        status: as from `os.waitstatus_to_exitcode`: below 0 it is a signal.
    """
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
