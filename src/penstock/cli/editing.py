"""Retrying one job with other arguments, which are checked as those of a new job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from penstock.cli import output
from penstock.gate.json_nesting import nested_too_deep

if TYPE_CHECKING:
    from penstock.gate.task_catalog import KnownTask
    from penstock.model.job import JobEntry, JobView
    from penstock.ports import BlockingStore


def edited(
    client: BlockingStore, view: JobView, args_text: str | None, kwargs_text: str | None, app: str | None
) -> JobEntry:
    """The job with its new arguments.

    Args:
        args_text: a JSON array; None: none by position.
        kwargs_text: a JSON object; None: none by name.
        app: the application whose signature they are checked against; None: the worker checks them.

    Raises:
        click.UsageError: a text is not JSON of its kind.
        InvalidArguments: they do not fit the task.
        UnknownTask: the application, or the store, knows no such task.
    """
    from penstock.gate.edited_jobs import NewArguments, edited_entry
    from penstock.gate.problems import Problem
    from penstock.model.errors import InvalidArguments

    wanted = NewArguments(
        msgspec.Raw(_json("--args", args_text or "[]", list[Any], "array, such as '[\"cat.png\", 3]'")),
        msgspec.Raw(_json("--kwargs", kwargs_text or "{}", dict[str, Any], "object, such as '{\"width\": 400}'")),
    )
    try:
        return edited_entry(view, _task(client, view.task, app), wanted)
    except Problem as problem:
        raise InvalidArguments(problem.detail, field=problem.field) from None


def _json(option: str, text: str, kind: Any, what: str) -> bytes:
    try:
        if nested_too_deep(text.encode()):
            raise click.UsageError(f"{option} is nested too deep.")
        msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise click.UsageError(f"{option} takes one JSON {what}.") from None
    return text.encode()


def _task(client: BlockingStore, name: str, app: str | None) -> KnownTask:
    """The task, as the application has it, or as workers recorded it.

    Raises:
        UnknownTask: there is none of this name.
    """
    from penstock.gate.task_catalog import app_catalog, recorded_tasks
    from penstock.model.errors import UnknownTask

    if app is not None:
        from penstock.tasks.loading import load_app

        output.keep_for_answers()
        found = app_catalog(load_app(app, None).tasks.values()).get(name)
        if found is None:
            raise UnknownTask(f"{app} has no task {name!r}.")
        return found
    recorded = recorded_tasks(client.tasks(), client.declared_queues()).get(name)
    if recorded is None:
        raise UnknownTask(f"No worker has recorded the task {name!r}: name the application with --app.")
    return recorded
