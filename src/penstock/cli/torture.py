"""``penstock torture``: the kill loop."""

from __future__ import annotations

import click


@click.command(
    "torture",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
def command(arguments: tuple[str, ...]) -> int:
    """Kill and stop processes at random under load, then check the ledger. --help lists the options."""
    from penstock.testing import torture

    status: int = torture.main(list(arguments))
    return status
