"""``penstock queues``: queues, what holds them, and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from penstock.cli import acting, holding, options, output
from penstock.cli.reaching import reached, user_name
from penstock.model import limits

if TYPE_CHECKING:
    from penstock.model.holds import QueueView
    from penstock.ports import BlockingStore

_ACTIONS: Final = ("pause", "resume", "drain", "empty", "remove")
_COLUMNS: Final = ("scheduled", "blocked", "ready", "running", "dead")


@click.command("queues")
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("action", type=click.Choice(_ACTIONS), metavar=f"[{'|'.join(_ACTIONS)}]", required=False)
@options.url
@options.as_json
@acting.throttled
@click.option("--limit", type=options.Whole(1, limits.PAGE_QUEUES_MAX), help="Queues in one page. [500]")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
def command(
    name: str | None,
    action: str | None,
    url: str | None,
    as_json: bool,
    dry_run: bool,
    per_s: float | None,
    note: str | None,
    wait: bool,
    limit: int | None,
    cursor: str | None,
) -> int:
    """List queues; show one; pause, resume, drain, empty or remove it. NAME may be topic:channel.

    \b
    pause   give out no jobs; new ones are taken in, running ones go on
    drain   take in no new jobs, work off those that are there
    resume  undo both
    empty   delete the jobs that wait, not those that run
    remove  forget a queue that has neither jobs nor records

    Exit status 1: there is no such queue, or it is not empty and cannot be removed.
    """
    if action is None and name in _ACTIONS:
        raise click.UsageError(f"Name the queue first: penstock queues NAME {name}")
    pace = acting.Pace(dry_run, per_s, note, wait)
    holding.check_usage(action, pace)
    if name is not None and (limit is not None or cursor is not None):
        raise click.UsageError("--limit and --cursor go with the list of queues.")
    with reached(options.configured(url=url)) as client:
        if name is None:
            return _list(client, limit or limits.PAGE_QUEUES, cursor, as_json)
        if action == "remove":
            client.remove_queue(name, by=user_name())
            _say_removed(name, as_json)
            return 0
        if action == "empty":
            where = acting.filter_of(queue=name)
            return holding.empty(client, where, as_json, pace)
        if action is not None:
            holding.hold(client, action, note, queue=name)
        if wait:
            holding.wait_until_drained(client, name)
        return _show(client, name, as_json)


def _list(client: BlockingStore, limit: int, cursor: str | None, as_json: bool) -> int:
    from penstock.gate.operator_json import hold_json, queue_json
    from penstock.store.paging import full_queues

    page = full_queues(client, cursor=cursor, limit=limit)
    views, cursor = page.queues, page.cursor
    tasks = [hold for hold in client.holds() if hold.queue is None]
    if as_json:
        held = [hold_json(hold) for hold in tasks]
        output.print_json({"queues": [queue_json(view) for view in views], "cursor": cursor, "holds": held})
        return 0
    if not views:
        output.print_text("No queues yet: the first job for one makes it.")
    else:
        output.print_table(
            ["queue", *_COLUMNS, "oldest", "held"],
            [_row(view) for view in views],
            numbers=[*_COLUMNS, "oldest"],
        )
    for hold in tasks:
        output.print_text(f"task {hold.task}: {holding.held_text([hold])}")
    if cursor is not None:
        output.print_text(f"There are more queues: --cursor {cursor}")
    return 0


def _row(view: QueueView) -> list[str]:
    counts = [f"{getattr(view.counts, name):,}" for name in _COLUMNS]
    return [view.name, *counts, output.span(view.counts.oldest_ready_age_s), _held(view)]


def _held(view: QueueView) -> str:
    """What holds a queue: what operators have put on it, then any other reason why it gives out nothing."""
    others = [reason.value for reason in view.closed if reason.value != "paused" or not view.holds]
    return "; ".join(filter(None, [holding.held_text(view.holds), *others]))


def _show(client: BlockingStore, name: str, as_json: bool) -> int:
    from penstock.gate.operator_json import queue_json
    from penstock.model.holds import check_there

    page = client.queues(names=[name])
    if not page.queues:
        known = [view.name for view in client.queues().queues]
        check_there(name, None, known)
        return 0
    (view,) = page.queues
    if as_json:
        output.print_json(queue_json(view))
        return 0
    counts = view.counts
    pairs = [("queue", name), ("held", _held(view) or "no")]
    pairs += [(state, f"{getattr(counts, state):,}") for state in (*_COLUMNS[:4], "succeeded", "dead", "cancelled")]
    pairs += [("expired", f"{counts.expired:,}"), ("accepted", f"{counts.accepted_total:,} in all")]
    pairs += [("oldest", output.span(counts.oldest_ready_age_s))]
    output.print_pairs(pair for pair in pairs if pair[1])
    return 0


def _say_removed(name: str, as_json: bool) -> None:
    if as_json:
        output.print_json({"name": name, "removed": True})
    else:
        output.print_text("Removed.")
