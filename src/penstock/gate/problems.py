"""Problems: every refusal of the gate as an RFC 9457 answer with a stable code."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.errors import PenstockError

PROBLEM_TYPE: Final = "application/problem+json"

CODES: Final[dict[str, tuple[int, str]]] = {
    "malformed-request": (400, "This is not a request of HTTP/1.1"),
    "malformed-body": (400, "The body cannot be read"),
    "unauthorized": (401, "A token is needed"),
    "forbidden": (403, "This request is not allowed here"),
    "not-found": (404, "There is no such thing"),
    "workflow-not-found": (404, "There is no such workflow, or no such step of it"),
    "method-not-allowed": (405, "This resource has no such method"),
    "invalid-result": (406, "The result cannot be said in JSON"),
    "expectation-failed": (417, "This expectation cannot be met"),
    "request-timeout": (408, "The body did not arrive in time"),
    "not-finished": (409, "It has not finished"),
    "conflict": (409, "It conflicts with what is there"),
    "job-failed": (409, "It has failed and has no result"),
    "job-cancelled": (409, "It was cancelled and has no result"),
    "job-expired": (409, "The job expired before it started and has no result"),
    "result-expired": (410, "The result is no longer kept"),
    "body-too-large": (413, "Too large"),
    "unsupported-media-type": (415, "This kind of body is not taken"),
    "unknown-task": (422, "No such task"),
    "invalid-arguments": (422, "The arguments do not fit the task"),
    "invalid-option": (422, "An option is not what it may be"),
    "batch-refused": (422, "Another job of the batch was refused"),
    "rate-limited": (429, "Too many requests"),
    "head-too-large": (431, "The head of the request is too large"),
    "coding-not-supported": (501, "This transfer coding is not taken"),
    "version-not-supported": (505, "This version of HTTP is not taken"),
    "internal": (500, "The gate failed"),
    "queue-draining": (503, "The queue takes no new jobs"),
    "overloaded": (503, "Too much is waiting; come back later"),
    "unavailable": (503, "The store cannot be reached"),
    "store-full": (507, "The store is full"),
}
"""Status and title of each code. Codes of the error tree that are not here are answered as ``internal``."""

_DETAIL_CHARS_MAX: Final = 500
_FIELD_CHARS_MAX: Final = 200
"""A refusal may quote what was sent, but no more than the beginning of it."""
_RETRY: Final = frozenset({"rate-limited", "overloaded", "unavailable", "queue-draining"})
_SAID_AS: Final = {
    "queue-not-found": "not-found",
    "topic-not-found": "not-found",
    "channel-not-found": "not-found",
    "result-too-large": "body-too-large",
    "schedule-not-found": "not-found",
}
"""Codes of the error tree that have another name over HTTP."""


class Problem(Exception):
    """A refusal.

    Attributes:
        code: a key of `CODES`.
        detail: what is wrong, for people.
        field: the member of the request that is to blame; None: none is.
        headers: more headers for the answer, name and value.
    """

    def __init__(
        self, code: str, detail: str, *, field: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.status, self.title = CODES[code]
        self.headers = headers

    def members(self) -> dict[str, Any]:
        """The JSON object, as it also stands in the answer for a batch."""
        found: dict[str, Any] = {
            "type": f"urn:penstock:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": _beginning(self.detail, _DETAIL_CHARS_MAX),
            "code": self.code,
        }
        if self.field is not None:
            found["field"] = _beginning(self.field, _FIELD_CHARS_MAX)
        return found

    def answer(self) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """Status, headers and body."""
        retry = (("retry-after", str(limits.GATE_RETRY_AFTER_S)),) if self.code in _RETRY else ()
        headers = (("content-type", PROBLEM_TYPE), *self.headers, *retry)
        return self.status, headers, msgspec.json.encode(self.members())


def _beginning(text: str, chars_max: int) -> str:
    """Text that can be sent: its beginning where it is long, and without halves of characters."""
    cut = text if len(text) <= chars_max else f"{text[:chars_max]}…"
    return cut.encode("utf-8", "replace").decode()


def problem_of(error: PenstockError) -> Problem:
    """The problem that says what ``error`` says."""
    code = _SAID_AS.get(error.code, error.code)
    code = code if code in CODES else "internal"
    field = getattr(error, "field", None)
    return Problem(code, error.message, field=field if isinstance(field, str) else None)
