"""What nsqd's HTTP API lacks: delivering messages of a channel once more, those that were finished or are dead.

Both are bulk actions of the store, which goes on with them by itself; the answer is the action as it is then, and
``GET /action`` tells how far it has come.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from penstock.http.messages import Answer
from penstock.model.actions import Action, ActionRequest, Verb
from penstock.model.filter import Filter
from penstock.model.ids import id_text, new_id
from penstock.model.states import State
from penstock.model.topics import channel_queue
from penstock.nsq.http_application import Request
from penstock.nsq.http_routes import ApiError, json_answer
from penstock.nsq.notation import seconds_of
from penstock.ports import AsyncStore

__all__ = ["ActionRoutes", "moment_of"]

_SECONDS_MAX: Final = 1 << 40


class ActionRoutes:
    """What the routes do.

    Args:
        store: of the door.
        channel: the topic and the channel that a request names, which are there.
        caller: how the audit log names who asked.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: AsyncStore,
        channel: Callable[[Request], Awaitable[tuple[str, str]]],
        caller: Callable[[Request], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._channel = channel
        self._caller = caller
        self._clock = clock

    async def replay(self, request: Request) -> Answer:
        """``POST /channel/replay``: deliver once more what was published from ``since`` on, up to ``until``, and
        finished, as far as it is kept."""
        queue = channel_queue(*await self._channel(request))
        since, until = (self._moment(request, name) for name in ("since", "until"))
        if since is None:
            raise ApiError(400, "MISSING_ARG_SINCE")
        return await self._begin(request, Verb.REPLAY, Filter(queue=queue, since=since, until=until))

    async def retry_dead(self, request: Request) -> Answer:
        """``POST /channel/retry_dead``: deliver dead messages again, with no attempts counted."""
        queue = channel_queue(*await self._channel(request))
        return await self._begin(request, Verb.RETRY, Filter(state=State.DEAD, queue=queue))

    async def show(self, request: Request) -> Answer:
        """``GET /action``: how far an action has come."""
        found = await self._store.actions([_id_of(request.query().need("id"))])
        if not found:
            raise ApiError(404, "ACTION_NOT_FOUND")
        return json_answer(_shown(found[0]))

    async def _begin(self, request: Request, verb: Verb, where: Filter) -> Answer:
        action = await self._store.start_action(ActionRequest(new_id(), verb, where), by=self._caller(request))
        return json_answer(_shown(action))

    def _moment(self, request: Request, name: str) -> float | None:
        text = request.query().get(name)
        if text is None:
            return None
        try:
            return moment_of(text, self._clock())
        except ValueError:
            raise ApiError(400, f"INVALID_ARG_{name.upper()}") from None


def moment_of(text: str, now: float) -> float:
    """A time in Unix seconds: such seconds, a time as of RFC 3339 (of UTC, if it does not say), or how long ago it was,
    as ``2h30m``.

    Raises:
        ValueError: it is nothing of it.
    """
    if text.isascii() and text.replace(".", "", 1).isdigit():
        moment = float(text)
    elif text[:4].isdigit() and text[4:5] == "-":
        found = datetime.fromisoformat(text)
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    else:
        moment = now - abs(seconds_of(text))
    if not 0 <= moment < _SECONDS_MAX:
        raise ValueError("There is no such time.")
    return moment


def _id_of(text: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError:
        raise ApiError(400, "INVALID_ARG_ID") from None


def _shown(action: Action) -> dict[str, Any]:
    return {
        "id": id_text(action.id),
        "verb": action.verb.value,
        "channel": action.where.queue,
        "state": action.state.value,
        "matched": action.matched,
        "changed": action.changed,
        "oldest_at": action.oldest_at,
        "error": action.error,
    }
