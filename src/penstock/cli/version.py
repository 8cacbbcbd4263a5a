"""``penstock version``."""

from __future__ import annotations

import platform

import click

from penstock.cli import options
from penstock.model.version import installed_version


@click.command("version")
@options.as_json
def command(as_json: bool) -> None:
    """Print versions."""
    if not as_json:
        click.echo(f"penstock {installed_version()} (Python {platform.python_version()})")
        return
    from penstock.cli import output

    names = ("penstock", "apsw", "httptools", "msgspec", "uvloop")
    output.print_json({"python": platform.python_version()} | {name: installed_version(name) for name in names})
