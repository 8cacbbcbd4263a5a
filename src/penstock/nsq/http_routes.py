"""What the HTTP APIs of nsqd and nsqlookupd have in common: how a request finds its route, how its query is read, and
the form of answers. Pure.

Both are written with Go's net/http and httprouter, and clients have come to lean on what these do: a path with a slash
too many, or in capitals, is redirected to the right one; OPTIONS tells the methods; a query with a semicolon or half an
escape in it is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes

import msgspec

from penstock.http.messages import Answer

__all__ = ["EMPTY", "ApiError", "Query", "Routes", "json_answer", "plain_answer", "text_answer"]

_NSQ: Final = ("x-nsq-content-type", "nsq; version=1.0")
_JSON: Final = ("content-type", "application/json; charset=utf-8")
_TEXT: Final = ("content-type", "text/plain; charset=utf-8")
_HTML: Final = ("content-type", "text/html; charset=utf-8")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FALSE: Final = ("false", "0")
_PARAMETER: Final = ":"
_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_SAFE: Final = "/:@!$&'()*+,;=~-._"
"""Characters of a path that Go does not escape in a redirect."""

EMPTY: Final[Answer] = (200, (_NSQ,), b"")
"""Done, and there is nothing to say."""

Handler = TypeVar("Handler")


class ApiError(Exception):
    """A request is refused.

    Attributes:
        status: of the answer.
        message: NSQ's word for why: ``MISSING_ARG_TOPIC`` and the like.
        headers: more headers of the answer.
        detail: what is wrong, for people, where NSQ has no word for it; empty: there is no need.
    """

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[str, str], ...] = (), *, detail: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.detail = detail

    def answer(self) -> Answer:
        """As it is sent."""
        body = go_json({"message": self.message, "detail": self.detail} if self.detail else {"message": self.message})
        return self.status, (*self.headers, _JSON, _NSQ), body

    def text_answer(self) -> Answer:
        """As routes send it that speak plain text."""
        return self.status, (*self.headers, _TEXT), self.message.encode()


def go_json(value: object) -> bytes:
    """JSON as Go writes it: fit to stand in HTML."""
    text = msgspec.json.encode(value)
    for character, escaped in ((b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e")):
        text = text.replace(character, escaped)
    return text


def json_answer(value: object, status: int = 200) -> Answer:
    """A value, as JSON."""
    return status, (_JSON, _NSQ), go_json(value)


def plain_answer(text: str) -> Answer:
    """A text, as routes answer it that have JSON otherwise."""
    return (200, (_TEXT, _NSQ), text.encode("utf-8", "replace")) if text else EMPTY


def text_answer(text: str) -> Answer:
    """A text, as it is."""
    return 200, (_TEXT,), text.encode()


# --- the query -------------------------------------------------------------------------------------------------------
class Query:
    """The parameters of a request, as Go's `url.ParseQuery` finds them.

    Args:
        text: the query string, not decoded.

    Raises:
        ApiError: 400 ``INVALID_REQUEST``: it has a semicolon, or half an escape.
    """

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}
        for pair in filter(None, text.split("&")):
            if ";" in pair or _BROKEN_ESCAPE.search(pair):
                raise ApiError(400, "INVALID_REQUEST")
            name, _, value = (_decoded(part) for part in pair.partition("="))
            self._values.setdefault(name, []).append(value)

    def get(self, name: str) -> str | None:
        """The first value of a parameter; None: it is not there."""
        values = self._values.get(name)
        return values[0] if values else None

    def flag(self, name: str) -> bool:
        """Whether a parameter is true, which it is unless it says otherwise."""
        return self.get(name) not in _FALSE

    def need(self, name: str) -> str:
        """The first value of a parameter.

        Raises:
            ApiError: 400 ``MISSING_ARG_…``: it is not there.
        """
        value = self.get(name)
        if value is None:
            raise ApiError(400, f"MISSING_ARG_{name.upper()}")
        return value


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


# --- routes ----------------------------------------------------------------------------------------------------------
class Routes(Generic[Handler]):
    """What answers which path, by method.

    Args:
        routes: by method and path. The last part of a path may be ``:name``, which is any text without a slash.
    """

    def __init__(self, routes: Mapping[tuple[str, str], Handler]) -> None:
        self._routes = dict(routes)
        self._open = {
            (method, path.rpartition("/")[0]): handler
            for (method, path), handler in routes.items()
            if path.rpartition("/")[2].startswith(_PARAMETER)
        }

    def find(self, method: str, path: str, query_string: str) -> tuple[Handler, str]:
        """What answers a request, with what stands in the place of ``:name``, or an empty text.

        Args:
            method: in capitals.
            path: decoded.
            query_string: not decoded; a redirect has it too.

        Raises:
            ApiError: nothing does: 404, or 405 with the methods that there are.
            Elsewhere: it has another path, or OPTIONS was asked.
        """
        found = self._exact(method, path)
        if found is not None:
            return found
        right = self._right_path(method, path)
        if right is not None:
            raise Elsewhere(_redirect(method, right, query_string))
        allowed = self._allowed(path)
        if allowed and method == "OPTIONS":
            raise Elsewhere((200, (("allow", allowed),), b""))
        if allowed:
            raise ApiError(405, "METHOD_NOT_ALLOWED", (("allow", allowed),))
        raise ApiError(404, "NOT_FOUND")

    def _exact(self, method: str, path: str) -> tuple[Handler, str] | None:
        handler = self._routes.get((method, path))
        if handler is not None and _PARAMETER not in path:
            return handler, ""
        base, _, last = path.rpartition("/")
        handler = self._open.get((method, base))
        return (handler, last) if handler is not None and last else None

    def _allowed(self, path: str) -> str:
        methods = [method for method in _METHODS if self._exact(method, path) is not None]
        return ", ".join(sorted({*methods, "OPTIONS"})) if methods else ""

    def _right_path(self, method: str, path: str) -> str | None:
        """The path that was meant, where slashes or capitals are wrong; None: there is none."""
        clean = posixpath.normpath(f"/{path.lstrip('/')}")
        known = {route.lower(): route for of, route in self._routes if of == method}
        right = known.get(clean.lower())
        if right is not None:
            return right if right != path else None
        base, _, last = clean.rpartition("/")
        for of, open_base in self._open:
            if of == method and open_base == base.lower() and last and f"{open_base}/{last}" != path:
                return f"{open_base}/{last}"
        return None


class Elsewhere(Exception):
    """A request is answered by how it was asked, before anything reads it.

    Attributes:
        answer: a redirect to the right path, or the methods of a path.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


def _redirect(method: str, path: str, query_string: str) -> Answer:
    status = 301 if method == "GET" else 307
    location = quote(path, safe=_SAFE, errors="surrogateescape") + (f"?{query_string}" if query_string else "")
    if method != "GET":
        return status, (("location", location),), b""
    shown = location.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
    body = f'<a href="{shown}">{HTTPStatus(status).phrase}</a>.\n\n'
    return status, (_HTML, ("location", location)), body.encode()
