"""The commands by name, and how every error ends: as one or two lines that say what to do, and an exit status."""

from __future__ import annotations

import errno
import importlib
import io
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

from penstock import config as configuration
from penstock.cli import output
from penstock.model.errors import (
    AddressUnavailable,
    InvalidArguments,
    InvalidOption,
    PenstockError,
    StoreUnavailable,
    UnknownTask,
)
from penstock.model.version import installed_version
from penstock.process.terminal_text import visible_lines

__all__ = ["run"]

COMMANDS: Final = {
    "up": "Run everything for an application: owner, gate, supervisor, executors.",
    "worker": "Run an application's jobs.",
    "gate": "Answer HTTP.",
    "enqueue": "Enqueue one job.",
    "jobs": "List jobs, newest first.",
    "job": "Show one job; wait for it, cancel it, retry it.",
    "stats": "Count jobs by queue and state.",
    "tasks": "List the tasks that workers have recorded.",
    "config": "Print what is in force, and where each value came from.",
    "version": "Print versions.",
    "torture": "Kill and stop processes at random under load, then check the ledger.",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is called; the list of commands imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"penstock.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"penstock {installed_version()}")
        ctx.exit()


_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@click.group(cls=LazyGroup, name="penstock", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Print the version."
)
def penstock() -> None:
    """A durable job system. APP is module:attribute, such as shop.jobs:app."""


def run(arguments: Sequence[str] | None) -> int:
    """Run one command; answer the exit status."""
    standard_output = sys.stdout
    try:
        answer = penstock.main(args=arguments, prog_name="penstock", standalone_mode=False)
        output.flush()
    except (KeyboardInterrupt, click.Abort):
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
    """The exit status for an error."""
    if isinstance(error, StoreUnavailable | AddressUnavailable):
        return 3
    return 2 if isinstance(error, InvalidOption | InvalidArguments | UnknownTask) else 1
