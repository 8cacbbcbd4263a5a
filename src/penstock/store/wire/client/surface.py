"""The calls of a store as the clients' methods, made from the table of calls (`penstock.store.wire.calls`).

`StoreCalls` is for threads, `AsyncStoreCalls` for an event loop. Each has a method for every call of the table, with
the name, the parameters and the documentation that the port gives it: it sends one request and waits for the answer.
A client overrides the methods for which it does more than that: enqueueing, leasing and waiting.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from penstock.model import limits
from penstock.model.acceptance import check_wait
from penstock.model.job import JobView
from penstock.model.states import TERMINAL
from penstock.ports import AsyncStore, BlockingStore
from penstock.store.wire.calls import CALLS, Call, OwnerCalls


class StoreCalls(BlockingStore, OwnerCalls):
    """For threads."""

    @abstractmethod
    def ask(self, call: Call, request: Any, *, wait_s: float = 0.0) -> Any:
        """Send a request and wait for its answer; it may be parked at the owner for ``wait_s``."""


class AsyncStoreCalls(AsyncStore):
    """For an event loop."""

    @abstractmethod
    async def ask(self, call: Call, request: Any, *, wait_s: float = 0.0) -> Any:
        """Send a request and wait for its answer; it may be parked at the owner for ``wait_s``."""


def parts_of(wait_s: float) -> Iterator[float]:
    """How long to wait with each of the requests that make up a wait of ``wait_s``, one after the other, until the
    caller has what it waits for. The owner parks a request for WAIT_S_MAX at most.

    Raises:
        InvalidOption: nobody waits for so long.
    """
    check_wait(wait_s)
    until = time.monotonic() + wait_s
    while True:
        part_s = min(wait_s, limits.WAIT_S_MAX)
        yield part_s
        wait_s = until - time.monotonic()
        if part_s < limits.WAIT_S_MAX or wait_s <= 0:
            return


def have_ended(views: list[JobView | None]) -> bool:
    """Whether there is nothing left to wait for: all these jobs have ended, or are gone."""
    return all(view is None or view.state in TERMINAL for view in views)


def _asking(call: Call) -> Callable[..., Any]:
    shape = call.shape

    @wraps(call.port)
    def method(self: StoreCalls, *arguments: Any, **named: Any) -> Any:
        return self.ask(call, shape(*arguments, **named))

    return method


def _asking_on_a_loop(call: Call) -> Callable[..., Any]:
    shape = call.shape

    @wraps(call.port)
    async def method(self: AsyncStoreCalls, *arguments: Any, **named: Any) -> Any:
        return await self.ask(call, shape(*arguments, **named))

    return method


for _call in CALLS.values():
    setattr(StoreCalls, _call.name, _asking(_call))
    setattr(AsyncStoreCalls, _call.name, _asking_on_a_loop(_call))
