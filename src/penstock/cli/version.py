"""``penstock version``."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from penstock.cli import options


@click.command("version")
@options.as_json
def command(as_json: bool) -> None:
    """Print versions."""
    if not as_json:
        click.echo(f"penstock {metadata.version('penstock')} (Python {platform.python_version()})")
        return
    from penstock.cli import output

    names = ("penstock", "apsw", "granian", "msgspec", "uvloop")
    output.print_json({"python": platform.python_version()} | {name: metadata.version(name) for name in names})
