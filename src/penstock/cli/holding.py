"""What ``penstock queues`` and ``penstock tasks`` share: pausing, draining, resuming, emptying."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli import acting, output
from penstock.cli.reaching import user_name
from penstock.model.actions import Verb
from penstock.model.holds import Hold, HoldKind

if TYPE_CHECKING:
    from penstock.model.job import Filter
    from penstock.ports import BlockingStore

HOLDING: Final = ("pause", "resume", "drain")
_LOOK_S: Final = 0.2


def check_usage(action: str | None, pace: acting.Pace) -> None:
    """Pass when the options go with the action.

    Raises:
        click.UsageError: they do not.
    """
    allowed = {
        "empty": {"--dry-run", "--per-s", "--note", "--wait"},
        "drain": {"--note", "--wait"},
        "pause": {"--note"},
    }
    given = {"--dry-run": pace.dry_run, "--per-s": pace.per_s, "--note": pace.note, "--wait": pace.wait}
    for option, value in given.items():
        if value not in (None, False) and option not in allowed.get(action or "", ()):
            *others, last = [one for one, options in allowed.items() if option in options]
            goes_with = f"{', '.join(others)} or {last}" if others else last
            raise click.UsageError(f"{option} goes with {goes_with}.")


def hold(client: BlockingStore, action: str, note: str | None, **scope: str) -> None:
    """Pause, resume or drain a queue or a task.

    Raises:
        QueueNotFound, UnknownTask: it is not there.
    """
    options: dict[str, Any] = {**scope, "by": user_name()}
    if action != "resume":
        options["note"] = note
    getattr(client, action)(**options)


def empty(client: BlockingStore, where: Filter, as_json: bool, pace: acting.Pace) -> int:
    """Delete what waits. Answers the exit status."""
    return acting.tell(acting.act(client, Verb.EMPTY, where, pace), as_json)


def wait_until_drained(client: BlockingStore, name: str) -> None:
    """Return when nothing waits or runs in the queue any more."""
    pause = threading.Event()
    while left_in(client, name):
        pause.wait(_LOOK_S)


def left_in(client: BlockingStore, name: str) -> int:
    """How many jobs wait or run in a queue."""
    counts = [view.counts for view in client.queues(names=[name]).queues]
    return sum(one.scheduled + one.blocked + one.ready + one.running for one in counts)


def held_text(holds: Iterable[Hold]) -> str:
    """Holds in words: ``paused by ann since 2027-01-01 08:00:00: a deploy``. Empty: there are none."""
    words = {HoldKind.PAUSED: "paused", HoldKind.DRAINING: "draining"}
    told = []
    for one in holds:
        task = f" ({one.task})" if one.queue is not None and one.task is not None else ""
        why = f": {one.note}" if one.note else ""
        told.append(f"{words[one.kind]}{task} by {one.by or 'somebody'} since {output.when(one.at)}{why}")
    return "; ".join(told)
