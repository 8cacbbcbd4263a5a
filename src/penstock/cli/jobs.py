"""``penstock jobs``: search."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached
from penstock.model.states import State

_SEARCH_S: Final = 10.0
"""How long a search goes on to fill its page."""

if TYPE_CHECKING:
    from penstock.model.job import JobView


@click.command("jobs")
@options.url
@options.as_json
@click.option("--state", type=click.Choice([state.value for state in State]), help="In this state.")
@click.option("--queue", type=options.Name("queue", or_channel=True), metavar="NAME", help="In this queue.")
@click.option("--task", type=options.Name("task"), metavar="NAME", help="Of this task.")
@click.option("--tag", type=options.Name("tag"), metavar="TAG", help="With this tag.")
@click.option("--key", metavar="KEY", help="With this idempotency or unique key, or blocked for this key.")
@click.option("--error", metavar="TYPE", help="With an error of this type, such as ValueError.")
@click.option("--since", type=options.Time(), metavar="TIME", help="Accepted at this time or later.")
@click.option("--until", type=options.Time(), metavar="TIME", help="Accepted before this time.")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=TEXT",
    callback=options.named_texts,
    help="With this argument, if the task declares it as searchable. May be given several times.",
)
@click.option("--limit", type=options.Whole(1, 1_000), default=20, show_default=True, help="Jobs in one page.")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
def command(  # noqa: PLR0917 - one for each option
    url: str | None,
    as_json: bool,
    state: str | None,
    queue: str | None,
    task: str | None,
    tag: str | None,
    key: str | None,
    error: str | None,
    since: float | None,
    until: float | None,
    arguments: dict[str, str] | None,
    limit: int,
    cursor: str | None,
) -> None:
    """List jobs, newest first. Every option that is given must match.

    A TIME is RFC 3339 with its offset (2027-01-01T08:00:00+01:00, 2027-01-01T07:00:00Z), or as long ago as 90s, 15m, 2h
    or 3d.
    """
    from penstock.gate.job_json import view_json
    from penstock.model.job import Filter
    from penstock.store.paging import full_page

    where = Filter(State(state) if state else None, queue, task, tag, key, error, since, until, arguments)
    end = time.monotonic() + _SEARCH_S
    with reached(options.configured(url=url)) as client:
        page = full_page(client, where, cursor=cursor, limit=limit, goes_on=lambda: time.monotonic() < end)
    if as_json:
        output.print_json({"jobs": [view_json(view) for view in page.jobs], "cursor": page.cursor})
        return
    if not page.jobs:
        if page.cursor is None:
            output.print_text("No jobs match.")
        else:
            output.print_text(f"None of those that were looked at match. Go on with --cursor {page.cursor}")
        return
    now = time.time()
    columns = ["id", "task", "queue", "state", "attempt", "age", "took", "error"]
    rows = [_row(view, now) for view in page.jobs]
    if any(view.reason for view in page.jobs):
        columns.append("why it waits")
        rows = [[*row, view.reason or ""] for row, view in zip(rows, page.jobs, strict=True)]
    output.print_table(columns, rows, numbers=["attempt", "age", "took"])
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
