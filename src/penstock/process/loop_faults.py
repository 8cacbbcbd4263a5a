"""Exceptions in the background of an event loop, where no caller receives them.

An exception in a timer, in a callback of a connection, or in a task that nobody awaits ends in the loop's exception
handler. The handler that is installed here logs it once with its traceback, then counts it, and the loop goes on. This
is for errors that nobody expected: code that must go on for ever handles its own.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Final

from penstock.process.repeated_faults import Faults

__all__ = ["note_faults_of", "place_of"]

TELL_S: Final = 10.0
"""How often it is checked whether repeated faults are to be summed up in the log."""
_OWN: Final = "penstock."


def note_faults_of(loop: asyncio.AbstractEventLoop, faults: Faults) -> None:
    """From now on, note exceptions in the background of ``loop`` in ``faults``. Call it on the loop's thread."""

    def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        message = str(context.get("message") or "something")
        if error is None:
            # One name for all of them: the message may hold an object's address, and would be a new name each time.
            faults.note("the event loop", message, time.monotonic())
        else:
            faults.note(place_of(error), error, time.monotonic())

    def tell() -> None:
        loop.call_later(TELL_S, tell)
        faults.tell(time.monotonic())

    loop.set_exception_handler(note)
    loop.call_later(TELL_S, tell)


def place_of(error: BaseException) -> str:
    """Where an exception was raised: the innermost function of Penstock's (``penstock.gate.reads.get``), or, if none is
    in the traceback, the innermost function."""
    found, step = "background work", error.__traceback__
    is_own = False
    while step is not None:
        name = _name(step)
        if name.startswith(_OWN) or not is_own:
            found, is_own = name, is_own or name.startswith(_OWN)
        step = step.tb_next
    return found


def _name(step: TracebackType) -> str:
    frame = step.tb_frame
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}"
