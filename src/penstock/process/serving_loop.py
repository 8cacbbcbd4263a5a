"""The event loop of a process that serves others, and how it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Final

__all__ = ["EXIT_INTERRUPTED", "loop_factory", "stop_at_signals"]

EXIT_INTERRUPTED: Final = 130
"""The exit status of a process that a SIGINT stopped."""


def stop_at_signals() -> tuple[asyncio.Event, list[int]]:
    """Set by the first SIGTERM or SIGINT; the second ends the process. With the signals that came."""
    stop = asyncio.Event()
    signals: list[int] = []
    loop = asyncio.get_running_loop()

    def stop_or_leave(number: int) -> None:
        signals.append(number)
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED if signal.SIGINT in signals else 1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_or_leave, number)
    return stop, signals


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop: uvloop where that is installed. None: asyncio."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
