"""What a request of HTTP/1.1 may be refused for, whatever it asks, as an RFC 9457 answer with a stable code.

Whoever answers requests may have more codes (`penstock.gate.problems`), or answer a problem in another form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from penstock.model import limits

PROBLEM_TYPE: Final = "application/problem+json"

HTTP_CODES: Final[dict[str, tuple[int, str]]] = {
    "malformed-request": (400, "This is not a request of HTTP/1.1"),
    "malformed-body": (400, "The body cannot be read"),
    "unauthorized": (401, "A token is needed"),
    "forbidden": (403, "This request is not allowed here"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This resource has no such method"),
    "expectation-failed": (417, "This expectation cannot be met"),
    "request-timeout": (408, "The body did not arrive in time"),
    "body-too-large": (413, "Too large"),
    "rate-limited": (429, "Too many requests"),
    "head-too-large": (431, "The head of the request is too large"),
    "coding-not-supported": (501, "This transfer coding is not taken"),
    "version-not-supported": (505, "This version of HTTP is not taken"),
    "overloaded": (503, "Too much is waiting; come back later"),
    "unavailable": (503, "The store cannot be reached"),
}
"""Status and title of each code."""

_DETAIL_CHARS_MAX: Final = 500
_FIELD_CHARS_MAX: Final = 200
"""A refusal may quote what was sent, but no more than the beginning of it."""


class HttpProblem(Exception):
    """A refusal.

    Attributes:
        codes: status and title of each code that there is.
        retried: the codes whose answer says when to come back.
        code: one of them.
        detail: what is wrong, for people.
        field: the member of the request that is to blame; None: none is.
        headers: more headers for the answer, name and value.
    """

    codes: ClassVar[Mapping[str, tuple[int, str]]] = HTTP_CODES
    retried: ClassVar[frozenset[str]] = frozenset({"rate-limited", "overloaded", "unavailable"})

    def __init__(
        self, code: str, detail: str, *, field: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.status, self.title = self.codes[code]
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
        retry = (("retry-after", str(limits.HTTP_RETRY_AFTER_S)),) if self.code in self.retried else ()
        headers = (("content-type", PROBLEM_TYPE), *self.headers, *retry)
        return self.status, headers, msgspec.json.encode(self.members())


def _beginning(text: str, chars_max: int) -> str:
    """Text that can be sent: its beginning where it is long, and without halves of characters."""
    cut = text if len(text) <= chars_max else f"{text[:chars_max]}…"
    return cut.encode("utf-8", "replace").decode()
