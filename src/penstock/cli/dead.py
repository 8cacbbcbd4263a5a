"""``penstock dead``: dead jobs by task and error, and what can be done about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli import acting, options, output
from penstock.cli.reaching import one_job, parsed_id, reached, user_name
from penstock.model.actions import Verb
from penstock.model.states import TERMINAL, State

if TYPE_CHECKING:
    from penstock.ports import BlockingStore

_ACTIONS: Final = ("count", "retry", "delete")
_ALIVE: Final = frozenset(State) - TERMINAL


@click.command("dead")
@click.argument("action", type=click.Choice(_ACTIONS), default="count", metavar="[count|retry|delete]")
@click.argument("ids", nargs=-1, metavar="[ID…]")
@options.url
@options.as_json
@acting.chosen(with_state=False)
@click.option("--args", "args_text", metavar="JSON", help="Of one ID: other arguments by position, a JSON array.")
@click.option("--kwargs", "kwargs_text", metavar="JSON", help="Of one ID: other arguments by name, a JSON object.")
@click.option("--app", metavar="APP", help="Check them against this application. [the worker checks them]")
@acting.throttled
def command(  # noqa: PLR0917 - one for each option
    action: str,
    ids: tuple[str, ...],
    url: str | None,
    as_json: bool,
    args_text: str | None,
    kwargs_text: str | None,
    app: str | None,
    dry_run: bool,
    per_s: float | None,
    note: str | None,
    wait: bool,
    **which: Any,
) -> int:
    """Count dead jobs by task and type of error; retry or delete those that match, or those of these IDs.

    With --args or --kwargs one job runs again with other arguments; what is not given is empty then. `penstock jobs
    --state dead` lists dead jobs one by one. Exit status 1: of these IDs some are not dead.
    """
    pace = acting.Pace(dry_run, per_s, note, wait)
    edits = args_text is not None or kwargs_text is not None
    _check_usage(action, ids, edits=edits, app=app, pace=pace, which=which)
    keys = [parsed_id(one) for one in ids]
    with reached(options.configured(url=url)) as client:
        if action == "count":
            return _count(client, as_json)
        if edits:
            from penstock.cli.editing import edited

            entry = edited(client, one_job(client, keys[0]), args_text, kwargs_text, app)
            return _told({ids[0]: client.revive_edited(entry, by=user_name()) in _ALIVE}, action, as_json)
        if keys:
            return _each(client, action, dict(zip(ids, keys, strict=True)), as_json)
        where = acting.filter_of("dead", **which)
        return acting.tell(acting.act(client, Verb(action), where, pace), as_json)


def _check_usage(
    action: str, ids: tuple[str, ...], *, edits: bool, app: str | None, pace: acting.Pace, which: dict[str, Any]
) -> None:
    """Pass when what is given goes together.

    Raises:
        click.UsageError: it does not.
    """
    chooses = any(value is not None for value in which.values())
    paces = pace != acting.Pace()
    if action == "count" and (ids or chooses or paces or edits or app):
        raise click.UsageError("Say what to do with them: penstock dead retry … or penstock dead delete …")
    if ids and (chooses or paces):
        raise click.UsageError("Give either IDs, or what the jobs have in common (--task, --error, …), not both.")
    if edits and (action != "retry" or len(ids) != 1):
        raise click.UsageError("Other arguments are for one job: penstock dead retry ID --args … --kwargs …")
    if app is not None and not edits:
        raise click.UsageError("--app goes with --args and --kwargs.")


def _count(client: BlockingStore, as_json: bool) -> int:
    from penstock.gate.job_json import dead_json

    counts = client.dead_counts()
    if as_json:
        output.print_json(dead_json(counts))
        return 0
    if not counts.kinds and not counts.others:
        output.print_text("No jobs are dead.")
        return 0
    rows = [[kind.task, kind.error, f"{kind.count:,}"] for kind in counts.kinds]
    if counts.others:
        rows.append(["all others", "", f"{counts.others:,}"])
    output.print_table(["task", "error", "dead"], rows, numbers=["dead"])
    return 0


def _each(client: BlockingStore, action: str, keys: dict[str, bytes], as_json: bool) -> int:
    """Retry or delete these jobs, as far as they are dead."""
    views = dict(zip(keys, client.get(list(keys.values())), strict=True))
    dead = {text: keys[text] for text, view in views.items() if view is not None and view.state is State.DEAD}
    if action == "retry":
        done = [state in _ALIVE for state in client.revive(list(dead.values()), by=user_name())]
    else:
        done = client.delete(list(dead.values()), by=user_name())
    return _told(dict.fromkeys(keys, False) | dict(zip(dead, done, strict=True)), action, as_json)


def _told(done: dict[str, bool], action: str, as_json: bool) -> int:
    """Print which of the jobs were acted on. Answers 1 when some were not."""
    word = "retried" if action == "retry" else "deleted"
    if as_json:
        output.print_json({"jobs": [{"id": text, word: is_done} for text, is_done in done.items()]})
    else:
        for text, is_done in done.items():
            output.print_text(f"{text} {word}" if is_done else f"{text} is not dead, or there is no record of it")
    return 0 if all(done.values()) else 1
