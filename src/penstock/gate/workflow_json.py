"""Workflows, their steps and what jobs recorded, as JSON. The command line prints the same."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from penstock.gate.job_json import job_id_text, time_text
from penstock.model.durable_steps import History, Record, RecordKind, Signalled
from penstock.model.errors import InvalidResult
from penstock.model.job_error import JobError
from penstock.model.workflow_views import ResultsPage, StepView, WorkflowView
from penstock.tasks.arguments.result_json import result_json

_MEMBERS: Final = ("total", "succeeded", "failed", "cancelled")


def workflow_json(view: WorkflowView, *, with_traceback: bool = True) -> dict[str, Any]:
    """A workflow; among many without the traceback, which may be long."""
    return {
        "id": job_id_text(view.id),
        "name": view.name,
        "state": view.state.value,
        "paused": view.paused,
        "created_at": time_text(view.created_at),
        "finished_at": time_text(view.finished_at),
        "deadline_at": time_text(view.deadline_at),
        "keep_until": time_text(view.keep_until),
        "error": error_json(view.error, with_traceback=with_traceback),
        "steps": view.steps,
        "members": dict(zip(_MEMBERS, view.members, strict=True)),
        "result_bytes": view.result_bytes,
        "forked_from": None if view.forked_from is None else job_id_text(view.forked_from),
    }


def step_json(view: StepView, *, with_traceback: bool = True) -> dict[str, Any]:
    """A step; among many without the traceback. ``total`` and ``members`` are those of a group: how many members it has
    once it is closed, and how many are there and have ended how."""
    return {
        "number": view.number,
        "name": view.name,
        "kind": view.kind,
        "task": view.task,
        "state": view.state.value,
        "reason": view.reason,
        "job": None if view.job is None else job_id_text(view.job),
        "needs": view.needs,
        "owner": view.owner,
        "total": view.total,
        "members": None if view.members is None else dict(zip(_MEMBERS, view.members, strict=True)),
        "started_at": time_text(view.started_at),
        "finished_at": time_text(view.finished_at),
        "error": error_json(view.error, with_traceback=with_traceback),
    }


def error_json(error: JobError | None, *, with_traceback: bool = True) -> dict[str, Any] | None:
    """What went wrong; None: nothing did."""
    if error is None:
        return None
    traceback = error.traceback if with_traceback else None
    return {"type": error.type, "message": error.message, "traceback": traceback}


def results_json(page: ResultsPage, what: str) -> dict[str, Any]:
    """A page of results in the order of their places. Null stands for a result that is not there (its place is in
    ``missing``: that member failed, or has not ended), and for one that JSON cannot say (why is in ``notes``, by its
    place). ``what``: whose results they are, for the notes."""
    results: list[Raw | None] = []
    missing, notes = [], {}
    for place, data in enumerate(page.results, page.first):
        said = said_in_json(data, what)
        if data is None:
            missing.append(place)
        elif isinstance(said, str):
            notes[str(place)] = said
        results.append(said if isinstance(said, Raw) else None)
    cursor = None if page.cursor is None else str(page.cursor)
    return {
        "first": page.first,
        "total": page.total,
        "results": results,
        "missing": missing,
        "notes": notes,
        "cursor": cursor,
    }


def values_json(values: dict[str, tuple[bytes, float]]) -> dict[str, Any]:
    """Published values by name, each with when. One that JSON cannot say is null, with a ``note`` that says so."""
    found: dict[str, Any] = {}
    for name, (data, at) in sorted(values.items()):
        said = said_in_json(data, f"value {name!r}")
        rest = {"value": None, "note": said} if isinstance(said, str) else {"value": said}
        found[name] = {"at": time_text(at), **rest}
    return found


def said_in_json(data: bytes | None, what: str) -> Raw | str | None:
    """A stored value as JSON, or why JSON cannot say it; None: there is none. ``what``: of what it is."""
    if data is None:
        return None
    try:
        return Raw(result_json(data, what))
    except InvalidResult as error:
        return error.message


def signalled_json(signalled: Signalled) -> dict[str, Any]:
    """What became of a signal."""
    return {"delivered": signalled.delivered, "kept": signalled.kept}


# --- what jobs recorded ----------------------------------------------------------------------------------------------
def history_json(history: History) -> dict[str, Any]:
    """What a job has recorded of its durable steps, without the values of these, which may be private, and large.
    ``more``: these are not all."""
    return {
        "recorded": [_record_json(record, history.now) for record in history.records],
        "checkpoint": history.checkpoint is not None,
        "more": history.cursor is not None,
    }


def _record_json(record: Record, now: float) -> dict[str, Any]:
    return {
        "place": record.place,
        "name": record.name,
        "kind": record.kind.value,
        "state": record_state(record, now),
        "until": time_text(record.until),
        "tries": record.tries,
        "error": error_json(record.error, with_traceback=False),
    }


def record_state(record: Record, now: float) -> str:
    """Where a record's step, sleep or event is: ``done``, ``failed``, ``timed-out`` or ``waiting``. ``now``: by the
    store's clock."""
    if record.timed_out:
        return "timed-out"
    if record.kind is RecordKind.STEP:
        return "done" if record.error is None else "failed"
    if record.kind is RecordKind.SLEEP:
        return "done" if record.until is not None and record.until <= now else "waiting"
    return "done" if record.value is not None else "waiting"
