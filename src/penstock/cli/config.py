"""``penstock config``: what is in force."""

from __future__ import annotations

import click

from penstock.cli import options, output


@click.command("config")
@options.url
@options.gate_address
@options.as_json
def command(url: str | None, gate: str | None, as_json: bool) -> None:
    """Print what is in force, and whether a flag, the environment or a default says so."""
    config = options.configured(url=url, gate=gate)
    values = config.values()
    if as_json:
        output.print_json({name: {"value": value, "from": str(config.origins[name])} for name, value in values.items()})
        return
    output.print_table(
        ["name", "value", "from"],
        [[name, _text(value), str(config.origins[name])] for name, value in values.items()],
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    return ",".join(value) if isinstance(value, tuple) else str(value)
