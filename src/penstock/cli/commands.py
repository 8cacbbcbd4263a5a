"""The commands by name; each is imported when it is called."""

from __future__ import annotations

import importlib
from typing import Final

import click

from penstock.model.version import installed_version

__all__ = ["penstock"]

COMMANDS: Final = {
    "up": "Run everything for an application: owner, gate, supervisor, executors.",
    "worker": "Run an application's jobs.",
    "gate": "Answer HTTP.",
    "nsqlookupd": "Tell NSQ's clients which nsqd has which topic; its flags are nsqlookupd's.",
    "nsqd": "Answer NSQ's clients; its flags are nsqd's.",
    "enqueue": "Enqueue one job.",
    "publish": "Publish a message to a topic.",
    "topics": "List topics and their channels; create or delete one.",
    "jobs": "List jobs, newest first.",
    "dead": "Count dead jobs by task and error; retry or delete them.",
    "job": "Show one job; wait for it, cancel it, retry it, also with other arguments.",
    "workflows": "List workflows; show one with its steps, draw it, cancel, pause, retry, fork or signal it.",
    "queues": "List queues; pause, drain, resume, empty or remove one.",
    "actions": "Retry, cancel, delete or move all jobs that match; watch and stop it.",
    "audit": "List what operators have done.",
    "schedules": "List what is started when; add, remove, run, pause, resume or backfill it.",
    "stats": "Count jobs by queue and state.",
    "limits": "List limits, change them while all runs, restore what is declared.",
    "tasks": "List the tasks that workers have recorded; pause, drain, resume or empty one.",
    "store": "Check, back up, compact or upgrade a store's file; import from an nsqd, export to one.",
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


@click.group(cls=LazyGroup, name="penstock", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Print the version."
)
def penstock() -> None:
    """A durable job system. APP is module:attribute, such as shop.jobs:app."""
