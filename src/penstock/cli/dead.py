"""``penstock dead``: dead jobs by task and error."""

from __future__ import annotations

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached


@click.command("dead")
@options.url
@options.as_json
def command(url: str | None, as_json: bool) -> None:
    """Count dead jobs by task and type of error. `penstock jobs --state dead --task … --error …` lists them."""
    from penstock.gate.job_json import dead_json

    with reached(options.configured(url=url)) as client:
        counts = client.dead_counts()
    if as_json:
        output.print_json(dead_json(counts))
        return
    if not counts.kinds and not counts.others:
        output.print_text("No jobs are dead.")
        return
    rows = [[kind.task, kind.error, f"{kind.count:,}"] for kind in counts.kinds]
    if counts.others:
        rows.append(["all others", "", f"{counts.others:,}"])
    output.print_table(["task", "error", "dead"], rows, numbers=["dead"])
