"""``/v1/limits``: which limits are in force, live changes, and the way back to what is declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.limits_json import LimitChange, limits_json
from penstock.gate.problems import Problem
from penstock.gate.request_bodies import read_object
from penstock.gate.requests import RouteRequest
from penstock.gate.side_thread import SideThread
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model.limit_changes import KnownScopes
from penstock.model.limits_in_force import LimitView, check_scope
from penstock.ports import AsyncStore

_CHANGE: Final = msgspec.json.Decoder(LimitChange)
_AT_ONCE: Final = 200
"""Limits whose JSON is made on the event loop."""


class LimitRoutes:
    """Answers about limits, and changes them.

    Args:
        store: where they are in force.
        admission: for what a request brings and takes.
        side_thread: where large answers are made.
        caller: how the audit log names who asks, by the address that the client has on another machine.
    """

    def __init__(
        self, store: AsyncStore, admission: Admission, side_thread: SideThread, caller: Callable[[str | None], str]
    ) -> None:
        self._store = store
        self._admission = admission
        self._side_thread = side_thread
        self._caller = caller

    async def get_all(self, request: RouteRequest) -> Answer:
        """Every limit in force; of one queue or task where the path or ``?scope=`` names it."""
        scope = _one("scope", request.subject or None, request.parameters("scope").get("scope"))
        if scope is not None:
            check_scope(scope)
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            return await self._answer(await self._store.limits(), scope)

    async def put(self, request: RouteRequest) -> Answer:
        """Put live limits over what a queue or a task declares. Answers what holds for it then."""
        per = request.parameters("per").get("per")
        change = await read_object(request, self._admission, _CHANGE)
        scope = _one("scope", request.subject or None, change.scope)
        if scope is None:
            raise Problem("invalid-option", "Name a scope: queue:NAME or task:NAME.", field="scope")
        change.per = _one("per", per, change.per)
        rules = change.rules()
        (await self._known(scope)).check(scope, rules)
        await self._store.put_limits(scope, rules, by=self._caller(request.flight.client))
        return await self._answer(await self._store.limits(), scope)

    async def delete(self, request: RouteRequest) -> Answer:
        """Take live limits away: with ``?per=`` those of that name, without it all of the queue or task. Answers what
        holds for it then."""
        per = request.parameters("per").get("per")
        await self._store.restore_limits(request.subject, per, by=self._caller(request.flight.client))
        return await self._answer(await self._store.limits(), request.subject)

    async def _known(self, scope: str) -> KnownScopes:
        queue, _ = check_scope(scope)
        page = None if queue is None else await self._store.queues(names=[queue])
        with_jobs = [] if page is None else [view.name for view in page.queues]
        return KnownScopes(await self._store.tasks(), await self._store.declared_queues(), with_jobs)

    async def _answer(self, views: list[LimitView], scope: str | None) -> Answer:
        chosen = [view for view in views if scope is None or view.scope == scope]
        if scope is not None and not chosen:
            # More often a name that was mistyped than a queue that has no limits.
            (await self._known(scope)).check_there(scope)
        text = await self._side_thread.run(_text, chosen) if len(chosen) > _AT_ONCE else _text(chosen)
        return 200, JSON_HEADERS, text


def _text(views: list[LimitView]) -> bytes:
    return msgspec.json.encode(limits_json(views))


def _one(field: str, outside: Any, inside: Any) -> Any:
    """What the path or the query says, or the body. None: neither.

    Raises:
        Problem: ``invalid-option``: they contradict each other.
    """
    if outside is not None and inside not in (None, outside):
        raise Problem(
            "invalid-option", f"`{field}` is {outside!r} in the address and {inside!r} in the body.", field=field
        )
    return inside if outside is None else outside
