"""``penstock stats``: counts by queue, and the node's processes."""

from __future__ import annotations

from typing import Final

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached
from penstock.model import limits
from penstock.model.states import State
from penstock.model.wording import counted
from penstock.process.terminal_text import visible

_ALWAYS: Final = frozenset({State.SCHEDULED, State.READY, State.RUNNING, State.SUCCEEDED, State.DEAD})
"""The states that a person expects; others are shown where there are jobs in them."""


@click.command("stats")
@options.url
@options.as_json
@click.option(
    "--limit", type=options.Whole(1, 10_000), default=limits.PAGE_QUEUES, show_default=True, help="Queues in one page."
)
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
def command(url: str | None, as_json: bool, limit: int, cursor: str | None) -> None:
    """Count jobs by queue and state and workflows by state, and list the processes that `penstock up` runs."""
    from msgspec import to_builtins

    from penstock.gate.job_json import counts_json, stats_json
    from penstock.process import process_file
    from penstock.store.paging import full_stats

    config = options.configured(url=url)
    with reached(config) as client:
        page = full_stats(client, cursor=cursor, limit=limit)
        totals = client.totals()
        health = client.health()
    node = process_file.read(config.url)
    if as_json:
        running = [{"role": entry.role, "pid": entry.pid} for entry in node.processes]
        output.print_json(
            {
                "queues": stats_json(page.queues),
                "cursor": page.cursor,
                "totals": counts_json(totals.counts),
                "workflows": totals.workflows,
                "processes": running,
                "store": to_builtins(health),
            }
        )
        return
    states = [
        state.value
        for state in State
        if state in _ALWAYS or any(getattr(counts, state.value) for counts in page.queues.values())
    ]
    columns = ["queue", *states, "accepted", "oldest"]
    rows = [
        [queue, *(f"{getattr(counts, state):,}" for state in states), f"{counts.accepted_total:,}"]
        + [output.span(counts.oldest_ready_age_s)]
        for queue, counts in sorted(page.queues.items())
    ]
    if totals.queues > len(rows):
        together = [f"{getattr(totals.counts, state):,}" for state in states]
        rows.append([f"all {totals.queues:,}", *together, f"{totals.counts.accepted_total:,}", ""])
    output.print_table(columns, rows, numbers=columns[1:])
    if page.cursor is not None:
        output.print_text(f"There are more queues: --cursor {page.cursor}")
    if totals.workflows:
        counts = ", ".join(f"{count:,} {state}" for state, count in sorted(totals.workflows.items()))
        output.print_text(f"workflows: {counts}")
    for problem in health.problems():
        output.print_text(f"! {visible(problem)}")
    if health.results_dropped or health.records_dropped:
        output.print_text(
            f"dropped while the disk was full: {counted(health.results_dropped, 'result')}, "
            f"{counted(health.records_dropped, 'record')}"
        )
    if node.under_up:
        output.print_text("  ".join(f"{entry.role} {entry.pid}" for entry in node.processes))
