"""``penstock job ID``: one job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from penstock.cli import options, output
from penstock.cli.reaching import one_job, parsed_id, reached, user_name
from penstock.cli.waiting import wait_for
from penstock.model import limits
from penstock.model.errors import Conflict, JobNotFound
from penstock.model.states import MOVES, TERMINAL, Event, State, why_not_now
from penstock.model.unique import KEY_IS_TAKEN
from penstock.process.terminal_text import visible_lines

if TYPE_CHECKING:
    from penstock.model.job import JobView
    from penstock.ports import BlockingStore

_ACTIONS: Final = ("show", "cancel", "retry", "run-now", "delete")
_REVIVABLE: Final = MOVES[Event.REVIVE].sources


@click.command("job")
@click.argument("job_id", metavar="ID")
@click.argument("action", type=click.Choice(_ACTIONS), default="show", metavar="[show|cancel|retry|run-now|delete]")
@options.url
@options.as_json
@click.option("--args", "args_text", metavar="JSON", help="Retry it with other arguments by position, a JSON array.")
@click.option("--kwargs", "kwargs_text", metavar="JSON", help="Retry it with other arguments by name, a JSON object.")
@click.option("--app", metavar="APP", help="Check them against this application. [the worker checks them]")
@click.option("--wait", is_flag=True, help="Wait until it has ended.")
@click.option("--timeout", "timeout_s", type=options.Seconds(), help="Wait at most this long (seconds).")
def command(
    job_id: str,
    action: str,
    url: str | None,
    as_json: bool,
    args_text: str | None,
    kwargs_text: str | None,
    app: str | None,
    wait: bool,
    timeout_s: float | None,
) -> int:
    """Show one job, or act on it: cancel it, let one that has ended otherwise than well run again, let one that waits
    for a time start now, delete it.

    Exit status 1: there is no such job, the action came too late, or the job was waited for and did not succeed.
    """
    key = parsed_id(job_id)
    edits = args_text is not None or kwargs_text is not None
    if action != "retry" and (edits or app is not None):
        raise click.UsageError("--args, --kwargs and --app go with retry: penstock job ID retry --args …")
    if app is not None and not edits:
        raise click.UsageError("--app goes with --args and --kwargs.")
    with reached(options.configured(url=url)) as client:
        if edits:
            _retry_edited(client, key, args_text, kwargs_text, app)
        elif action != "show":
            _act(client, key, action)
        if action == "delete":
            _say_deleted(job_id, as_json)
            return 0
        waited = wait or timeout_s is not None
        view = wait_for(client, key, timeout_s) if waited else one_job(client, key, result=True)
        _print(client, view, as_json)
    return 1 if waited and view.state is not State.SUCCEEDED else 0


def _retry_edited(
    client: BlockingStore, key: bytes, args_text: str | None, kwargs_text: str | None, app: str | None
) -> None:
    """Retry with other arguments.

    Raises:
        JobNotFound, Conflict: as `_act`.
        InvalidArguments, UnknownTask: they do not fit the task, or there is no such task.
    """
    from penstock.cli.editing import edited

    view = one_job(client, key)
    if view.state not in _REVIVABLE:
        raise Conflict(_not_to_be_retried(view.state))
    entry = edited(client, view, args_text, kwargs_text, app)
    state = client.revive_edited(entry, by=user_name())
    if state is None:
        raise JobNotFound
    if state in _REVIVABLE:
        raise Conflict(f"The job is {state.value}, and {KEY_IS_TAKEN}")
    if state in TERMINAL:
        raise Conflict(_not_to_be_retried(state))


def _not_to_be_retried(state: State) -> str:
    return f"The job is {state.value}; only a dead, cancelled or expired one can be retried."


def _act(client: BlockingStore, key: bytes, action: str) -> None:
    """Cancel, retry, start now or delete.

    Raises:
        JobNotFound: there is no record of it.
        Conflict: it is not in a state in which that can be done.
    """
    view = one_job(client, key)
    before = view.state
    if action == "delete":
        if not client.delete([key], by=user_name())[0]:
            raise Conflict(f"The job is {before.value} and cannot be deleted now; cancel it first.")
        return
    if action == "run-now":
        problem = why_not_now(before, view.reason)
        if problem is not None:
            raise Conflict(problem)
        client.edit([key], run_at=0.0, by=user_name())
        return
    after = (client.cancel if action == "cancel" else client.revive)([key], by=user_name())[0]
    if after is None and action == "retry":
        raise JobNotFound
    if action == "retry" and before not in _REVIVABLE:
        raise Conflict(_not_to_be_retried(before))
    if action == "retry" and after in _REVIVABLE:
        raise Conflict(f"The job is {before.value}, and {KEY_IS_TAKEN}")
    if action == "cancel" and after in TERMINAL and after is not State.CANCELLED:
        raise Conflict(f"The job has {before.value} already.")


def _say_deleted(job_id: str, as_json: bool) -> None:
    if as_json:
        output.print_json({"id": job_id, "deleted": True})
    else:
        output.print_text("Deleted.")


def _print(client: BlockingStore, view: JobView, as_json: bool) -> None:
    from penstock.cli.waiting import result_document, result_text
    from penstock.cli.workflow_shown import print_history, workflow_pairs
    from penstock.gate.job_json import view_json
    from penstock.gate.workflow_json import history_json

    document = view_json(view)
    history = client.history(view.id) if view.recorded else None
    if as_json:
        recorded = {} if history is None else history_json(history)
        output.print_json(document | recorded | result_document(view))
        return
    pairs = [
        ("id", document["id"]),
        ("task", view.task),
        ("queue", f"{view.queue}, priority {view.priority}"),
        ("state", view.state.value + (" (asked to cancel)" if view.cancel_requested else "")),
        ("why it waits", view.reason or ""),
        *workflow_pairs(client, view),
        ("key", view.key or ""),
        ("attempt", f"{view.attempt} of {view.max_attempts}"),
        ("lost", _lost(view)),
        ("created", output.when(view.created_at)),
        ("may start", output.when(view.run_at) if view.started_at is None else ""),
        ("started", output.when(view.started_at)),
        ("finished", output.when(view.finished_at)),
        ("took", output.span(view.finished_at - view.started_at) if view.finished_at and view.started_at else ""),
        ("progress", _progress(view)),
        ("tags", ", ".join(view.tags or [])),
        ("headers", ", ".join(f"{name}={value}" for name, value in (view.headers or {}).items())),
        ("result", "" if view.result is None else result_text(view)),
        ("error", f"{view.error.type}: {view.error.message}" if view.error else ""),
    ]
    output.print_pairs(pair for pair in pairs if pair[1])
    if history is not None and history.records:
        output.print_text("\nRecorded:")
        print_history(history)
    if view.error and view.error.traceback:
        output.print_text("\n" + visible_lines(view.error.traceback.rstrip()))


def _lost(view: JobView) -> str:
    """How often it was lost, and what follows from that. Empty: never."""
    parts = []
    if view.losses:
        parts.append(f"{view.losses} of {limits.LOSSES_MAX} times alone in an executor that died")
    if view.strays:
        parts.append(f"{view.strays} of {limits.STRAYS_MAX} times with its worker or its lease")
    if view.suspect and view.state not in TERMINAL:
        parts.append("runs alone, since it may have killed an executor")
    return ", ".join(parts)


def _progress(view: JobView) -> str:
    if view.progress is None:
        return ""
    total = "" if view.progress.total is None else f" of {view.progress.total:g}"
    return f"{view.progress.done:g}{total} {view.progress.note or ''}".rstrip()
