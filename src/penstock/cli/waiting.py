"""Waiting for one job, and reading what it returned."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.cli.reaching import one_job
from penstock.model import limits
from penstock.model.errors import InvalidResult, JobNotFound, ResultTimeout
from penstock.model.ids import id_text
from penstock.model.states import TERMINAL

if TYPE_CHECKING:
    from penstock.model.job import JobView
    from penstock.ports import BlockingStore

__all__ = ["result_document", "result_text", "wait_for"]


def wait_for(client: BlockingStore, job_id: bytes, timeout_s: float | None) -> JobView:
    """The job once it has ended, with its result. ``timeout_s`` None: however long that takes.

    Raises:
        JobNotFound: there is no record of it.
        ResultTimeout: it has not ended in time.
    """
    one_job(client, job_id)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = limits.WAIT_S_MAX if deadline is None else min(limits.WAIT_S_MAX, deadline - time.monotonic())
        view = client.wait([job_id], wait_s=max(0.0, left_s), result=True)[0]
        if view is None:
            raise JobNotFound(f"Job {id_text(job_id)} has ended, and its record is not kept.")
        if view.state in TERMINAL:
            return view
        if left_s <= 0:
            raise ResultTimeout(f"Job {id_text(job_id)} is still {view.state.value} after {timeout_s:g} s.")


def result_document(view: JobView) -> dict[str, Any]:
    """What the job returned, as a member of a JSON document; a note where JSON cannot say it, nothing where nothing is
    kept."""
    if view.result is None:
        return {}
    from penstock.tasks.arguments.result_json import result_json

    try:
        return {"result": msgspec.Raw(result_json(view.result, view.task))}
    except InvalidResult as error:
        return {"result_note": error.message}


def result_text(view: JobView) -> str:
    """What the job returned, for people: JSON, or Python's own words where JSON cannot say it."""
    document = result_document(view)
    if "result" in document or view.result is None:
        return bytes(document.get("result", b"null")).decode()
    from penstock.tasks.arguments.codec import decode_result

    try:
        return f"{decode_result(view.result, view.task)!r} (JSON cannot say it)"
    except InvalidResult:
        return f"({document['result_note']})"
