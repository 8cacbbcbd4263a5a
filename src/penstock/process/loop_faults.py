"""What goes wrong in the background of an event loop, where nobody waits for it.

An exception in a timer, a callback of a connection, or a task that nobody awaits ends in the loop's exception handler.
Here that is told once with its traceback, then counted, and the loop goes on. Whoever starts something that must go on
for ever sees to that itself; this is for what nobody expected.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Final

from penstock.process.repeated_faults import Faults

__all__ = ["note_faults_of", "place_of"]

TELL_S: Final = 10.0
"""How often what came again is told, where that is due."""
_OWN: Final = "penstock."


def note_faults_of(loop: asyncio.AbstractEventLoop, faults: Faults) -> None:
    """From now on what goes wrong in the background of this loop is noted there. Call it on the loop's thread."""

    def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        message = str(context.get("message") or "something")
        if error is None:
            # The message may name an object by its address, which would be another name each time.
            faults.note("the event loop", message, time.monotonic())
        else:
            faults.note(place_of(error), error, time.monotonic())

    def tell() -> None:
        loop.call_later(TELL_S, tell)
        faults.tell(time.monotonic())

    loop.set_exception_handler(note)
    loop.call_later(TELL_S, tell)


def place_of(error: BaseException) -> str:
    """Where it was raised: the innermost function of ours (``penstock.gate.reads.get``), else the innermost."""
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
