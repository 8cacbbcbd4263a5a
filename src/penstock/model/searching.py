"""What a search may ask for, and which jobs it finds. Pure; every store decides so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import Filter, JobView, TaskRecord

_NAMES_SHOWN: Final = 20


def check_filter(where: Filter, records: Iterable[TaskRecord], is_stored: Callable[[str], bool]) -> None:
    """Pass when this may be searched for.

    Args:
        where: what is asked.
        records: the tasks that are registered.
        is_stored: whether some job of the store has a searchable argument of this name, whatever its task declares now.

    Raises:
        InvalidOption: a time is not a number, a text is too long, or an argument is none that jobs are found by.
    """
    for field, time_s in (("since", where.since), ("until", where.until)):
        if time_s is not None and not math.isfinite(time_s):
            raise InvalidOption(f"{field} is a time in Unix seconds, not {time_s}.", field=field)
    if where.key is not None and len(where.key.encode()) > limits.IDEMPOTENCY_KEY_BYTES_MAX:
        raise InvalidOption(f"A key has at most {limits.IDEMPOTENCY_KEY_BYTES_MAX} bytes.", field="key")
    if where.error is not None and not 0 < len(where.error) <= limits.ERROR_TYPE_LENGTH_MAX:
        raise InvalidOption(
            f"The type of an error, such as ValueError, has 1 to {limits.ERROR_TYPE_LENGTH_MAX} characters.",
            field="error",
        )
    if where.arguments:
        _check_arguments(where.arguments, where.task, records, is_stored)


def _check_arguments(
    arguments: dict[str, str], task: str | None, records: Iterable[TaskRecord], is_stored: Callable[[str], bool]
) -> None:
    if len(arguments) > limits.JOB_VALUES_MAX:
        raise InvalidOption(f"A search names at most {limits.JOB_VALUES_MAX} arguments.", field="arguments")
    concerned = [record for record in records if task in (None, record.name)]
    is_recorded = task is not None and bool(concerned)
    declared = {name for record in concerned if record.flow is not None for name in record.flow.searchable}
    for name in arguments:
        # Jobs may have come before any worker that records their task.
        if name not in declared and (is_recorded or not is_stored(name)):
            raise _undeclared(name, task if is_recorded else None, declared)


def _undeclared(name: str, task: str | None, declared: set[str]) -> InvalidOption:
    who = "No task declares" if task is None else f"{task} does not declare"
    shown = sorted(declared)[:_NAMES_SHOWN]
    there = f"declared are {', '.join(shown)}" if shown else "none is declared"
    return InvalidOption(
        f"{who} the argument {name[:100]!r} as searchable; {there}. "
        f'A task declares it so: @app.task(searchable=("{name[:100]}",)).',
        field="arguments",
    )


def matches(view: JobView, where: Filter) -> bool:
    """Whether a job is one that the filter means, as far as its view tells: ``key`` and ``arguments`` are compared by
    the store."""
    return (
        (where.state is None or view.state is where.state)
        and (where.queue is None or view.queue == where.queue)
        and (where.task is None or view.task == where.task)
        and (where.tag is None or where.tag in (view.tags or ()))
        and (where.error is None or (view.error is not None and view.error.type == where.error))
        and (where.since is None or view.created_at >= where.since)
        and (where.until is None or view.created_at < where.until)
    )


def has_arguments(searchable: dict[str, str] | None, where: Filter) -> bool:
    """Whether a job with these searchable arguments has those that the filter names."""
    if not where.arguments:
        return True
    return searchable is not None and where.arguments.items() <= searchable.items()
