"""One HTTP request as the gate's routes see it, and what they answer."""

from __future__ import annotations

import asyncio
import re
from typing import Final, Protocol

from penstock.gate.admission import Flight, RequestBody
from penstock.gate.problems import Problem
from penstock.http.head_checks import decoded
from penstock.http.messages import Headers

_PARAMETERS_MAX = 32
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_SHOWN: Final = 60


class HttpRequest(RequestBody, Protocol):
    """A request as the server hands it to the gate: its head, its body, and the way to answer.

    `penstock.http.exchange.HttpExchange` is one; tests have their own.

    Attributes:
        task: the task that answers.
        client: whose request it is, as `penstock.http.client_shares.client_of` tells.
    """

    task: asyncio.Task[None] | None
    client: str | None

    @property
    def method(self) -> str:
        """In capitals."""
        ...

    @property
    def path(self) -> str:
        """Decoded."""
        ...

    @property
    def query_string(self) -> str:
        """Not decoded."""
        ...

    @property
    def headers(self) -> Headers:
        """RouteRequest headers."""
        ...

    def answer(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """Answer, once. Raises ClientGone."""
        ...

    def delivered(self) -> asyncio.Future[None] | None:
        """Done when the client has taken the answer, except for a little, or is gone. None: it has already."""
        ...

    def unsent_bytes(self) -> int:
        """How much of the answer the client has not taken."""
        ...

    def give_up(self) -> None:
        """End the connection: the client does not take the answer."""
        ...


class RouteRequest:
    """A request as its route gets it, with what admission keeps of it.

    Attributes:
        subject: the part of the path that names something, empty when the route has none.
    """

    __slots__ = ("flight", "headers", "incoming", "query_string", "subject")

    def __init__(
        self, query_string: str, headers: Headers, incoming: RequestBody, flight: Flight, subject: str
    ) -> None:
        self.query_string = query_string
        self.headers = headers
        self.incoming = incoming
        self.flight = flight
        self.subject = subject

    def parameters(self, *known: str, prefix: str | None = None) -> dict[str, str]:
        """The query's parameters by name. ``prefix``: those whose names begin so, and go on, are known too.

        Raises:
            Problem: ``invalid-option``: one is not ``known``, or is there twice; ``malformed-request``: it cannot be
                decoded.
        """
        if not self.query_string:
            return {}
        found: dict[str, str] = {}
        if self.query_string.count("&") >= _PARAMETERS_MAX:
            raise Problem("invalid-option", "The query has too many parameters.")
        for pair in filter(None, self.query_string.split("&")):
            name, _, value = (decoded(part.replace("+", " ")) for part in pair.partition("="))
            is_prefixed = prefix is not None and len(name) > len(prefix) and name.startswith(prefix)
            if name not in known and not is_prefixed:
                there = known if prefix is None else (*known, f"{prefix}NAME")
                takes = f"`{'`, `'.join(there)}`" if there else "none"
                raise Problem("invalid-option", f"`{name}`: no such parameter here; there is {takes}.", field=name)
            if name in found:
                raise Problem("invalid-option", f"`{name}` is given twice.", field=name)
            found[name] = value
        return found


def page_limit(parameters: dict[str, str], default: int, most: int, what: str) -> int:
    """How many of ``what`` a page is to have, by the parameter ``limit``.

    Raises:
        Problem: ``invalid-option``: it is no number from 1 to ``most``.
    """
    text = parameters.get("limit", str(default))
    limit = int(text) if _WHOLE.fullmatch(text) else 0
    if not 1 <= limit <= most:
        detail = f"`limit` is 1 to {most} {what}, not {text[:_SHOWN]!r}."
        raise Problem("invalid-option", detail, field="limit")
    return limit
