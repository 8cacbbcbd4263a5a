"""``penstock up APP``: a whole node in one command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from penstock.cli import options, output
from penstock.config import pass_on_redo

if TYPE_CHECKING:
    from penstock.config import Config
    from penstock.process.process_file import Processes


@click.command("up")
@options.app_argument
@options.app_url
@options.gate_address
@options.gates
@options.sizes
@options.queues
@click.option(
    "--redo", type=click.Choice(["on", "off"]), help="off: no redo log; each enqueue a transaction. [PENSTOCK_REDO; on]"
)
@click.option("--nsq", is_flag=True, help="Answer NSQ's clients too, on 127.0.0.1:4150 and, by HTTP, 4151.")
@click.option("--nsq-config", metavar="FILE", help="As --nsq, with the options in nsqd's configuration file.")
@click.option("-v", "--verbose", is_flag=True, help="Show each process.")
def command(
    app: str,
    *,
    url: str | None,
    gate: str | None,
    gates: int | None,
    executors: int | None,
    concurrency: int | None,
    queues: tuple[str, ...] | None,
    redo: str | None,
    nsq: bool,
    nsq_config: str | None,
    verbose: bool,
) -> int:
    """Run owner, gate, supervisor and executors for APP until told to stop; with --nsq the door for NSQ's clients.

    Ctrl-C (or SIGTERM) drains: no more requests, running jobs get 30 s, unfinished ones go back. Once more stops now.
    """
    from penstock.node import nsqd_of, resolve
    from penstock.node import up as run

    config = options.configured(
        url=url, gate=gate, gates=gates, executors=executors, concurrency=concurrency, queues=queues
    )
    pass_on_redo(redo)
    options.serve(config)
    config = resolve(config, app)
    door = nsqd_of(config, nsq_config) if nsq or nsq_config is not None else None
    status, reason = run(config, app, lambda running: _announce(config, app, running, verbose), door)
    if reason is not None:
        output.print_error(f"penstock: {reason}")
    return status


def _announce(config: Config, app: str, node: Processes, verbose: bool) -> None:
    """Say, once, that everything is ready, and where."""
    executors = f"{config.executors} executor{'s' if config.executors != 1 else ''}"
    if config.log_format == "json":
        import logging

        logging.getLogger("penstock").info(
            "Ready.",
            extra={"action": "ready", "app": app, "gate": node.gate, "url": config.url, "pid": os.getpid()}
            | ({"nsqd": node.nsqd} if node.nsqd else {}),
        )
        return
    nsq = f"NSQ at {node.nsqd}, " if node.nsqd else ""
    output.print_text(
        f"Penstock runs {app}: http://{node.gate}, {nsq}jobs in {config.url}, {executors}. Ctrl-C drains and stops."
    )
    if verbose:
        output.print_text(
            "  ".join([f"root {os.getpid()}", *(f"{entry.role} {entry.pid}" for entry in node.processes)])
        )
