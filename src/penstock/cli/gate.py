"""``penstock gate [APP]``: the HTTP door alone."""

from __future__ import annotations

import click

from penstock.cli import options, output


@click.command("gate")
@click.argument("app", metavar="[APP]", required=False)
@options.app_url
@options.gate_address
@options.gates
def command(app: str | None, url: str | None, gate: str | None, gates: int | None) -> int:
    """Answer HTTP until told to stop.

    With APP, arguments are checked against its tasks' signatures; without, tasks are known by the names that workers
    have recorded, and workers check the arguments.
    """
    from penstock import node

    config = options.configured(url=url, gate=gate, gates=gates)
    options.serve(config)
    config = node.resolve(config, app) if app is not None else config
    status, reason = node.gates(config, app)
    if reason is not None:
        output.print_error(f"penstock: {reason}")
    return status
