"""Problems: every refusal of the gate as an RFC 9457 answer with a stable code."""

from __future__ import annotations

from typing import Final

from penstock.http.problems import HTTP_CODES, PROBLEM_TYPE, HttpProblem
from penstock.model.errors import PenstockError

__all__ = ["CODES", "PROBLEM_TYPE", "Problem", "problem_of"]

CODES: Final[dict[str, tuple[int, str]]] = {
    **HTTP_CODES,
    "workflow-not-found": (404, "There is no such workflow, or no such step of it"),
    "invalid-result": (406, "The result cannot be said in JSON"),
    "not-finished": (409, "It has not finished"),
    "conflict": (409, "It conflicts with what is there"),
    "job-failed": (409, "It has failed and has no result"),
    "job-cancelled": (409, "It was cancelled and has no result"),
    "job-expired": (409, "The job expired before it started and has no result"),
    "result-expired": (410, "The result is no longer kept"),
    "unsupported-media-type": (415, "This kind of body is not taken"),
    "unknown-task": (422, "No such task"),
    "invalid-arguments": (422, "The arguments do not fit the task"),
    "invalid-option": (422, "An option is not what it may be"),
    "batch-refused": (422, "Another job of the batch was refused"),
    "internal": (500, "The gate failed"),
    "queue-draining": (503, "The queue takes no new jobs"),
    "store-full": (507, "The store is full"),
}
"""Status and title of each code. Codes of the error tree that are not here are answered as ``internal``."""

_SAID_AS: Final = {
    "queue-not-found": "not-found",
    "topic-not-found": "not-found",
    "channel-not-found": "not-found",
    "result-too-large": "body-too-large",
    "schedule-not-found": "not-found",
}
"""Codes of the error tree that have another name over HTTP."""


class Problem(HttpProblem):
    """A refusal by the gate. `codes` are those of `CODES`; else as its base."""

    codes = CODES
    retried = HttpProblem.retried | {"queue-draining"}


def problem_of(error: PenstockError) -> Problem:
    """The problem that says what ``error`` says."""
    code = _SAID_AS.get(error.code, error.code)
    code = code if code in CODES else "internal"
    field = getattr(error, "field", None)
    return Problem(code, error.message, field=field if isinstance(field, str) else None)
