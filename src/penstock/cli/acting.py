"""What commands share that act on many jobs: which jobs, how fast, and how it went."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from penstock.cli import options, output
from penstock.cli.reaching import user_name
from penstock.model.actions import Action, ActionRequest, ActionState, Verb, why_none
from penstock.model.states import State
from penstock.model.wording import counted

if TYPE_CHECKING:
    from penstock.model.job import Filter
    from penstock.ports import BlockingStore

F = TypeVar("F", bound=Callable[..., Any])

_LOOK_S: Final = 0.1
"""How often an action that is waited for is looked at."""
_COUNT_S: Final = 2.0
"""How long its count is waited for by who does not wait for it."""

note = click.option("--note", metavar="TEXT", help="Why; shown, and kept in the audit log.")


@dataclass(frozen=True, slots=True)
class Pace:
    """How a bulk action is to go on: what the options of `throttled` say."""

    dry_run: bool = False
    per_s: float | None = None
    note: str | None = None
    wait: bool = False


def throttled(function: F) -> F:
    """The options of whatever is a bulk action."""
    for option in (
        click.option("--wait", is_flag=True, help="Wait until it is done. It goes on as well without."),
        click.option(
            "--per-s", "per_s", type=options.Seconds(), metavar="N", help="At most so many jobs a second. [no limit]"
        ),
        click.option("--dry-run", is_flag=True, help="Only count the jobs that match."),
        note,
    ):
        function = option(function)
    return function


def chosen(*, with_state: bool) -> Callable[[F], F]:
    """The options that say which jobs, as those of ``penstock jobs``."""

    def add(function: F) -> F:
        given = [
            click.option(
                "--arg",
                "arguments",
                multiple=True,
                metavar="NAME=TEXT",
                callback=options.named_texts,
                help="With this argument, if the task declares it as searchable.",
            ),
            click.option("--until", type=options.Time(), metavar="TIME", help="Accepted before this time."),
            click.option("--since", type=options.Time(), metavar="TIME", help="Accepted at this time or later."),
            click.option("--error", metavar="TYPE", help="With an error of this type, such as ValueError."),
            click.option("--key", metavar="KEY", help="With this idempotency or unique key, or blocked for this key."),
            click.option("--tag", type=options.Name("tag"), metavar="TAG", help="With this tag."),
            click.option("--task", type=options.Name("task"), metavar="NAME", help="Of this task."),
            click.option("--queue", metavar="NAME", help="In this queue, or topic:channel."),
        ]
        if with_state:
            states = click.Choice([state.value for state in State])
            given.append(click.option("--state", type=states, help="In this state. [those that the verb acts on]"))
        for option in given:
            function = option(function)
        return function

    return add


def filter_of(state: str | None = None, **given: Any) -> Filter:
    """The filter that these options make."""
    from penstock.model.job import Filter

    return Filter(State(state) if state else None, **given)


def act(client: BlockingStore, verb: Verb, where: Filter, pace: Pace, *, to: str | None = None) -> Action:
    """Begin a bulk action, and wait for its end if that is asked for.

    Raises:
        InvalidOption, QueueNotFound, UnknownTask: it may not be asked for so.
    """
    from penstock.model.ids import id_text, new_id

    wanted = ActionRequest(new_id(), verb, where, to, pace.dry_run, pace.per_s, pace.note)
    action = client.start_action(wanted, by=user_name())
    # A count is what was asked for, so it is waited for in any case; for a while also by who asks for more.
    waits = pace.wait or pace.dry_run
    if waits and action.is_under_way:
        output.print_error(f"Waiting for action {id_text(action.id)}; it goes on when you stop waiting.")
    pause, counted_by = threading.Event(), time.monotonic() + _COUNT_S
    while action.is_under_way and (waits or (action.state is ActionState.COUNTING and time.monotonic() < counted_by)):
        pause.wait(_LOOK_S)
        found = client.actions([action.id])
        if not found:
            break
        action = found[0]
    return action


def tell(action: Action, as_json: bool) -> int:
    """Print how an action stands. Answers the exit status: 1 when it has failed."""
    if as_json:
        from penstock.gate.operator_json import action_json

        output.print_json(action_json(action))
    else:
        output.print_text(told(action))
    return 1 if action.state is ActionState.FAILED else 0


def told(action: Action) -> str:
    """An action in one line."""
    from penstock.model.ids import id_text

    nothing = why_none(action)
    if nothing:
        return nothing
    jobs = counted(action.matched, "message" if action.verb is Verb.REPLAY else "job")
    name = f"action {id_text(action.id)}"
    since = f" The oldest of which there is a record is of {output.when(action.oldest_at)}." if action.oldest_at else ""
    if action.dry_run:
        return f"{jobs} would be {_DONE[action.verb]}.{since}"
    if action.state is ActionState.COUNTING:
        return f"{name} counts, {action.matched:,} so far: penstock actions {id_text(action.id)}"
    if action.state is ActionState.RUNNING:
        return f"{jobs} will be {_DONE[action.verb]}, by {name}: penstock actions {id_text(action.id)}{since}"
    left = " The others were in another state by then." if action.changed < action.matched else ""
    ends = {ActionState.DONE: left, ActionState.STOPPED: " Stopped.", ActionState.FAILED: f" Failed: {action.error}"}
    return f"{action.changed:,} of {jobs} {_DONE[action.verb]}.{ends[action.state]}{since}"


_DONE: Final = {
    Verb.RETRY: "retried",
    Verb.CANCEL: "cancelled",
    Verb.DELETE: "deleted",
    Verb.MOVE: "moved",
    Verb.EMPTY: "deleted",
    Verb.REPLAY: "delivered once more",
}
