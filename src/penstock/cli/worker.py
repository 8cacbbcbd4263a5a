"""``penstock worker APP``: a supervisor and its executors."""

from __future__ import annotations

import click

from penstock.cli import options


@click.command("worker")
@options.app_argument
@options.app_url
@options.sizes
@options.queues
def command(
    app: str,
    url: str | None,
    executors: int | None,
    concurrency: int | None,
    queues: tuple[str, ...] | None,
) -> int:
    """Run APP's jobs until told to stop. Starts an owner for the store if there is none."""
    from penstock import node

    config = options.configured(url=url, executors=executors, concurrency=concurrency, queues=queues)
    options.serve(config)
    return node.run_supervisor_part(node.resolve(config, app), app, None) or 0
