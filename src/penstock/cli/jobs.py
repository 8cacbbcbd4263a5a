"""``penstock jobs``: search."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from penstock.cli import options, output
from penstock.cli.store import reached
from penstock.model.states import State

if TYPE_CHECKING:
    from penstock.model.job import JobView


@click.command("jobs")
@options.url
@options.as_json
@click.option("--state", type=click.Choice([state.value for state in State]), help="In this state.")
@click.option("--queue", type=options.Name("queue"), metavar="NAME", help="In this queue.")
@click.option("--task", type=options.Name("task"), metavar="NAME", help="Of this task.")
@click.option("--tag", type=options.Name("tag"), metavar="TAG", help="With this tag.")
@click.option("--limit", type=options.Whole(1, 1_000), default=20, show_default=True, help="Jobs in one page.")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
def command(
    url: str | None,
    as_json: bool,
    state: str | None,
    queue: str | None,
    task: str | None,
    tag: str | None,
    limit: int,
    cursor: str | None,
) -> None:
    """List jobs, newest first."""
    from penstock.gate.job_json import view_json
    from penstock.model.job import Filter
    from penstock.store.paging import full_page

    where = Filter(State(state) if state else None, queue, task, tag)
    with reached(options.configured(url=url)) as client:
        page = full_page(client, where, cursor=cursor, limit=limit)
    if as_json:
        output.print_json({"jobs": [view_json(view) for view in page.jobs], "cursor": page.cursor})
        return
    if not page.jobs:
        output.print_text("No jobs match.")
        return
    now = time.time()
    output.print_table(
        ["id", "task", "queue", "state", "attempt", "age", "took", "error"],
        [_row(view, now) for view in page.jobs],
        numbers=["attempt", "age", "took"],
    )
    if page.cursor is not None:
        output.print_text(f"There are more: --cursor {page.cursor}")


def _row(view: JobView, now: float) -> list[str]:
    from penstock.model.ids import id_text

    took = view.finished_at - view.started_at if view.finished_at and view.started_at else None
    return [
        id_text(view.id),
        view.task,
        view.queue,
        view.state.value,
        f"{view.attempt}/{view.max_attempts}",
        output.span(max(0.0, now - view.created_at)),
        output.span(took),
        view.error.type if view.error else "",
    ]
