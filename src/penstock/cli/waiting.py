"""Waiting for one job, and reading what it returned."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.cli.store import one_job
from penstock.model import limits
from penstock.model.errors import JobNotFound, PenstockError, ResultTimeout
from penstock.model.ids import id_text
from penstock.model.states import TERMINAL

if TYPE_CHECKING:
    from penstock.model.job import JobView
    from penstock.store.wire.client import Client

__all__ = ["result_value", "wait_for"]


def wait_for(client: Client, job_id: bytes, timeout_s: float | None) -> JobView:
    """The job once it has ended, with its result. ``timeout_s`` None: however long that takes.

    Raises:
        JobNotFound: there is no record of it.
        ResultTimeout: it has not ended in time.
    """
    one_job(client, job_id)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = limits.WAIT_S_MAX if deadline is None else min(limits.WAIT_S_MAX, deadline - time.monotonic())
        view = client.wait([job_id], max(0.0, left_s), result=True)[0]
        if view is None:
            raise JobNotFound(f"Job {id_text(job_id)} has ended, and its record is not kept.")
        if view.state in TERMINAL:
            return view
        if left_s <= 0:
            raise ResultTimeout(f"Job {id_text(job_id)} is still {view.state.value} after {timeout_s:g} s.")


def result_value(view: JobView) -> Any:
    """What the job returned, as plain values.

    Raises:
        PenstockError: it is in a form that this version does not know.
    """
    assert view.result is not None
    form, encoded = view.result[:1], view.result[1:]
    if form == b"m":
        return msgspec.msgpack.decode(encoded)
    if form == b"j":
        return msgspec.json.decode(encoded)
    raise PenstockError(f"The result has a form ({form!r}) that this version does not know; upgrade Penstock.")
