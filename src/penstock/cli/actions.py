"""``penstock actions``: what is done to all jobs that match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli import acting, options, output
from penstock.cli.reaching import reached, user_name
from penstock.model.actions import Verb

if TYPE_CHECKING:
    from penstock.model.actions import Action

_VERBS: Final = ("retry", "cancel", "delete", "move", "replay")


@click.command("actions")
@click.argument("what", metavar="[retry|cancel|delete|move|replay|ID]", required=False)
@click.argument("stop", type=click.Choice(["stop"]), metavar="[stop]", required=False)
@options.url
@options.as_json
@acting.chosen(with_state=True)
@click.option("--to", metavar="QUEUE", help="Where `move` puts them.")
@acting.throttled
def command(
    what: str | None,
    stop: str | None,
    url: str | None,
    as_json: bool,
    to: str | None,
    dry_run: bool,
    per_s: float | None,
    note: str | None,
    wait: bool,
    **which: Any,
) -> int:
    """Retry, cancel, delete, move or replay all jobs that match; list such actions, show one, stop one.

    A replay takes a channel and times (--queue TOPIC:CHANNEL --since 2h) and delivers messages once more that were
    finished, as far as records of them are kept. The store goes on with an action by itself, in small steps, also when
    its owner is killed. Exit status 1: the action has failed, or there is none of this ID.
    """
    given = [name for name, value in which.items() if value is not None]
    if what not in _VERBS and (given or to or dry_run or per_s or note):
        raise click.UsageError(f"Say what to do with them first: penstock actions {'|'.join(_VERBS)} …")
    if what in _VERBS and stop:
        raise click.UsageError("stop goes with the ID of an action: penstock actions ID stop")
    with reached(options.configured(url=url)) as client:
        if what is None:
            return _list(client.actions(), as_json)
        if what in _VERBS:
            where = acting.filter_of(**which)
            pace = acting.Pace(dry_run, per_s, note, wait)
            return acting.tell(acting.act(client, Verb(what), where, pace, to=to), as_json)
        key = _id(what)
        found = client.stop_action(key, by=user_name()) if stop else next(iter(client.actions([key])), None)
    if found is None:
        output.print_error(f"penstock: there is no action {what}.")
        return 1
    return _show(found, as_json)


def _id(text: str) -> bytes:
    from penstock.model.ids import parse_id

    try:
        return parse_id(text)
    except ValueError:
        verbs = ", ".join(_VERBS)
        raise click.UsageError(f"{text!r} is neither {verbs} nor the ID of an action (a UUID).") from None


def _list(actions: list[Action], as_json: bool) -> int:
    from penstock.gate.operator_json import action_json
    from penstock.model.audit import filter_text
    from penstock.model.ids import id_text

    if as_json:
        output.print_json({"actions": [action_json(action) for action in actions]})
    elif not actions:
        output.print_text("No actions.")
    else:
        output.print_table(
            ["id", "what", "which", "state", "changed", "of", "by", "begun"],
            [
                [id_text(one.id), _what(one), filter_text(one.where), one.state.value, f"{one.changed:,}"]
                + [f"{one.matched:,}", one.by, output.when(one.created_at)]
                for one in actions
            ],
            numbers=["changed", "of"],
        )
    return 0


def _what(action: Action) -> str:
    to = f" to {action.to}" if action.to is not None else ""
    return f"{action.verb.value}{to}{' (dry run)' if action.dry_run else ''}"


def _show(action: Action, as_json: bool) -> int:
    if as_json:
        return acting.tell(action, as_json)
    from penstock.model.audit import filter_text
    from penstock.model.ids import id_text

    pairs = [
        ("id", id_text(action.id)),
        ("what", _what(action)),
        ("which", filter_text(action.where)),
        ("state", action.state.value),
        ("changed", f"{action.changed:,} of {action.matched:,}"),
        ("at most", "" if action.per_s is None else f"{action.per_s:g} a second"),
        ("by", action.by),
        ("note", action.note or ""),
        ("begun", output.when(action.created_at)),
        ("ended", output.when(action.finished_at)),
        ("oldest message", output.when(action.oldest_at)),
        ("error", action.error or ""),
    ]
    output.print_pairs(pair for pair in pairs if pair[1])
    return 1 if action.error else 0
