"""Requests that wait with ``?wait_s=`` for the end of something."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from penstock.gate.admission import Admission
from penstock.gate.problems import Problem
from penstock.gate.requests import RouteRequest
from penstock.model import limits

T = TypeVar("T")

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_SHOWN: Final = 36


class ParkedRequests:
    """Parks requests until what they wait for is there, their time is up, their client leaves or the gate drains.

    Args:
        admission: how many may be parked.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Let parked requests go, with what they ask about as it is; park no more."""
        self._draining.set()

    @property
    def is_draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining.is_set()

    async def wait(
        self, request: RouteRequest, wait_s: float, ended: Callable[[], Awaitable[T]], now: Callable[[], Awaitable[T]]
    ) -> T:
        """What ``ended`` answers once it does, or ``now`` where the request is let go before.

        Raises:
            Problem: ``overloaded``: too many are parked.
        """
        self._admission.take_waiter(request.flight, wait_s)
        waiting = asyncio.ensure_future(ended())
        draining = asyncio.ensure_future(self._draining.wait())
        # Who has left is not seen from who only sends no more: both are answered at once, and one of them reads it.
        leaving = request.incoming.leaving()
        try:
            await asyncio.wait((waiting, draining, leaving), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            return await now()
        finally:
            waiting.cancel()
            draining.cancel()
            leaving.cancel()
            self._admission.release_waiter(request.flight)


def wait_s_of(parameters: dict[str, str]) -> float:
    """How long a request is willing to wait.

    Raises:
        Problem: ``invalid-option``: it is no number of seconds, or too long.
    """
    text = parameters.get("wait_s", "0")
    wait_s = float(text) if _SECONDS.fullmatch(text) else math.nan
    if not 0 <= wait_s <= limits.WAIT_S_MAX:
        detail = f"`wait_s` is 0 to {limits.WAIT_S_MAX:.0f} seconds, not {text[:_SHOWN]!r}."
        raise Problem("invalid-option", detail, field="wait_s")
    return wait_s
