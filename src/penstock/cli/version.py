"""``penstock version``."""

from __future__ import annotations

import platform

import click

from penstock.cli import options, output
from penstock.model.version import installed_version


@click.command("version")
@options.as_json
def command(as_json: bool) -> None:
    """Print versions."""
    if not as_json:
        output.print_text(f"penstock {installed_version()} (Python {platform.python_version()})")
        return
    names = ("penstock", "apsw", "httptools", "msgspec", "uvloop")
    output.print_json({"python": platform.python_version()} | {name: installed_version(name) for name in names})
