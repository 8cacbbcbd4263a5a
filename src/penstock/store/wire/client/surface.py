"""The calls of a store as the clients' methods, made from the table of calls (`penstock.store.wire.calls`).

`StoreCalls` is for threads, `AsyncStoreCalls` for an event loop. Each has a method for every call of the table, with
the name, the parameters and the documentation that the port gives it: it sends one request and waits for the answer.
A client overrides the methods for which it does more than that: enqueueing, leasing and waiting.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Any

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
