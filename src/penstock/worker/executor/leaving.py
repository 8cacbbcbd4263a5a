"""How an executor ends, whichever of its threads finds that it must. The supervisor then sees to its jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def fatal() -> Iterator[None]:
    """Whatever is raised inside ends the executor. A thread that died alone would leave its jobs held for ever."""
    try:
        yield
    except ConnectionError:
        # The supervisor has closed the socket, perhaps without having read the last report.
        leave(0)
    except BaseException:  # noqa: BLE001 - nothing below this frame would report it
        try:
            sys.excepthook(*sys.exc_info())
        finally:
            leave(1)


def leave(status: int) -> NoReturn:
    """End the process now, without waiting for threads, and without what jobs registered for its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S110 - a job may have put anything there, None for instance
            pass
    os._exit(status)
