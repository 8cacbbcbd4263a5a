"""Requests to an application of HTTP, without a connection: what is asked, and what was answered."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from penstock.http.messages import ClientGone
from penstock.nsq.http_application import HttpApplication


@dataclass
class Asked:
    """A request, as the server hands it over.

    Attributes:
        chunks: of the body.
        error: what reading the body ends with, behind the chunks.
        gone: the client does not wait for the answer.
        slow: done when it has taken the answer. None: it does at once.
    """

    method: str
    target: str
    chunks: list[bytes] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    client: str | None = None
    error: Exception | None = None
    gone: bool = False
    slow: asyncio.Future[None] | None = None
    given_up: bool = False
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    taken: int = 0
    ended: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query_string(self) -> str:
        return self.target.partition("?")[2]

    @property
    def complete(self) -> bool:
        return self.ended or not (self.chunks or self.error)

    async def chunk(self) -> bytes:
        if self.taken < len(self.chunks):
            self.taken += 1
            return self.chunks[self.taken - 1]
        if self.error is not None:
            raise self.error
        self.ended = True
        return b""

    def answer(self, status: int, headers: Any, body: bytes) -> None:
        if self.gone:
            raise ClientGone
        self.answers.append((status, dict(headers), body))

    def delivered(self) -> asyncio.Future[None] | None:
        return self.slow

    def give_up(self) -> None:
        self.given_up = True


@dataclass
class Said:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and message of one that refuses."""
        assert self.headers["content-type"] == "application/json; charset=utf-8", self
        return self.status, self.json["message"]


async def ask(
    application: HttpApplication,
    method: str,
    target: str,
    body: bytes | None = None,
    *,
    client: str | None = None,
    **headers: str,
) -> Said:
    """One request and its answer; a header's ``_`` stands for ``-``."""
    given = {"host": "127.0.0.1:4151"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given.setdefault("content-length", str(len(body)))
    asked = Asked(method, target, [body] if body else [], {k: v for k, v in given.items() if v}, client)
    return await serve(application, asked)


async def serve(application: HttpApplication, asked: Any) -> Said:
    """Let this one be answered."""
    await application.serve(asked)
    (answer,) = asked.answers
    return Said(*answer)


def call(application: HttpApplication, method: str, target: str, body: bytes | None = None, **named: Any) -> Said:
    """`ask`, on an event loop of its own."""
    return asyncio.run(ask(application, method, target, body, **named))
