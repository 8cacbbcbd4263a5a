"""What the commands ``penstock nsqd`` and ``penstock nsqlookupd`` share: arguments in Go's syntax, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from penstock.cli import output
from penstock.cli.exit_status import status_of
from penstock.model.errors import InvalidOption, PenstockError

__all__ = ["daemon"]


class _GoCommand(click.Command):
    """A command that reads its arguments itself: click knows no flag of several letters behind one dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


def daemon(program: str, told: str, options: type[Any], run: Callable[[Any], int]) -> click.Command:
    """The command of one of NSQ's daemons.

    Args:
        program: its name.
        told: what it does, in a line.
        options: the class of its options.
        run: runs it with a `penstock.nsq.flags.CommandLine`; answers its exit status.
    """

    def command(arguments: tuple[str, ...]) -> int:
        from penstock.nsq.flags import parse, usage
        from penstock.nsq.loading import version_line

        try:
            line = parse(arguments, options)
            if line.wants_help:
                output.print_text(f"{told}\n\n{usage(program, options)}")
                return 0
            if line.wants_version:
                output.print_text(version_line(program))
                return 0
            return run(line)
        except InvalidOption as error:
            output.print_error(f"{program}: {error.message}")
            output.print_error(f"{program} -h lists the flags.")
            return 2
        except PenstockError as error:
            output.print_error(f"{program}: {error.message}")
            return status_of(error)

    return _GoCommand(program, callback=command, help=told, add_help_option=False)
