"""Checks an application without importing it into this process: a child imports it, reports, and ends.

So a wrong ``APP`` is refused before anything is started, and no user code runs in the root or the supervisor.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from typing import Final

import msgspec

from penstock.model.errors import InvalidOption, PenstockError
from penstock.process import process_tree
from penstock.process.ending_in_words import ending

__all__ = ["probe"]

_FAILURE_CHARACTERS_MAX: Final = 5_000
"""A message of this length fits into a pipe at once, whatever characters it has."""


class Found(msgspec.Struct, frozen=True):
    """What the child says: where the application's jobs are, or why it cannot be used."""

    url: str = ""
    failure: str = ""


def probe(app: str) -> str:
    """The URL of the application ``module:attribute``.

    Raises:
        InvalidOption: it cannot be loaded, has no task, or one of which workers and gates could not know all they must;
            the message says why.
    """
    reading, writing = os.pipe()
    root = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _look(app, root, writing)
    os.close(writing)
    try:
        _, status = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        raise
    # All that the child wrote is in the pipe. The pipe may not end: processes that the application started may hold it
    # open.
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    if not said:
        how = ending(os.waitstatus_to_exitcode(status))
        raise InvalidOption(f"{app} ended its process ({how}) while it was imported.", field="app")
    found = msgspec.json.decode(said, type=Found)
    if found.failure:
        raise InvalidOption(found.failure, field="app")
    return found.url


def _look(app: str, root_pid: int, writing: int) -> None:
    """The child's whole life: import the application, write what was found, end the process."""
    try:
        process_tree.leave_with_parent(root_pid)
        # A crash in an extension shows on standard error which import it was.
        faulthandler.enable(file=2)
        from penstock.tasks.loading import check_tasks, load_app

        try:
            application = load_app(app)
            check_tasks(app, application)
            found = Found(url=application.url)
        except PenstockError as error:
            found = Found(failure=error.message[:_FAILURE_CHARACTERS_MAX])
        os.write(writing, msgspec.json.encode(found))
    except KeyboardInterrupt:
        # The parent hears of it too, and ends the command.
        pass
    except BaseException:  # noqa: BLE001 - a forked child must never run its parent's code
        traceback.print_exc()
    finally:
        os._exit(0)
