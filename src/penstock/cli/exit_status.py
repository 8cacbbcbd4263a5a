"""How every command ends: an error becomes one or two lines that say what to do, and an exit status."""

from __future__ import annotations

import errno
import io
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

from penstock import config as configuration
from penstock.cli import output
from penstock.cli.commands import penstock
from penstock.model.errors import (
    AddressUnavailable,
    InvalidArguments,
    InvalidOption,
    PenstockError,
    StoreUnavailable,
)
from penstock.process.terminal_text import visible_lines

__all__ = ["run", "status_of"]

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def run(arguments: Sequence[str] | None) -> int:
    """Run one command; answer the exit status."""
    standard_output = sys.stdout
    try:
        answer = penstock.main(args=arguments, prog_name="penstock", standalone_mode=False)
        output.flush()
    except (KeyboardInterrupt, click.Abort):
        # An interrupt in code that is run from text (so the methods of data classes are made, when a module is
        # imported) is noted by Python as unhandled, whatever becomes of it, and Python would end itself by the signal
        # in the end. The next such code takes the note away.
        exec("")  # noqa: S102 - it does nothing else
        return 130
    except click.ClickException as error:
        # The message may quote an argument, and that may hold characters that a terminal would act upon.
        said = io.StringIO()
        error.show(said)
        click.echo(visible_lines(said.getvalue()), err=True)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has closed it. Point the output elsewhere, so that the interpreter's last flush does
        # not fail too.
        output.lead_nowhere()
        return 0
    except SystemExit:
        # The same inside a command: click has caught it, replaced the standard streams and exited with 1.
        if sys.stdout is standard_output:
            raise
        output.lead_nowhere()
        return 0
    except PenstockError as error:
        output.print_error(f"penstock: {error.message}")
        return status_of(error)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            return _unexpected(error)
        output.lead_nowhere()
        output.print_error(f"penstock: the answer could not be written: {error.strerror}.")
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a line to report
        return _unexpected(error)
    return answer if isinstance(answer, int) else 0


def _unexpected(error: Exception) -> int:
    """Print an error that nobody expected: one line, or the whole traceback where the log level is ``debug``."""
    if _is_debug():
        click.echo(visible_lines("".join(traceback.format_exception(error))), err=True)
        return 1
    text = " ".join(str(error).split())
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    output.print_error(f"penstock: unexpected {told} (PENSTOCK_LOG=debug shows where)")
    return 1


def _is_debug() -> bool:
    try:
        return configuration.load().log.lower() == "debug"
    except PenstockError:
        return False


def status_of(error: PenstockError) -> int:
    """The exit status for an error. What is named and not there (a task, a queue, a topic, a job) is no wrong usage."""
    if isinstance(error, StoreUnavailable | AddressUnavailable):
        return 3
    return 2 if isinstance(error, InvalidOption | InvalidArguments) else 1
