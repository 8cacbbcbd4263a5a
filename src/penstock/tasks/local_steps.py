"""Durable calls of a function that is called by hand: nothing is recorded, and nothing waits."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from penstock.model.errors import EventTimeout, InvalidOption, StepFailed
from penstock.tasks.arguments.step_values import UNTYPED, values_of
from penstock.tasks.replay import Replay
from penstock.tasks.retry import Retry

T = TypeVar("T")


class LocalSteps:
    """Behind a `penstock.tasks.context.Context` of no job. Steps are called, each time; what they return must be what
    could be recorded. Names and order are checked as in a job.

    In a coroutine function, which is told by its running event loop, the calls give something to await.
    """

    def __init__(
        self, events: Mapping[str, Any], restored: Any, on_sleep: Callable[[float], object], on_publish: OnPublish
    ) -> None:
        """See `penstock.tasks.context.Context.local`."""
        self._replay = Replay()
        self._events = events
        self._restored = restored
        self._on_sleep = on_sleep
        self._on_publish = on_publish

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        retry: Retry | None,
    ) -> Any:
        """Call the function. ``retry`` is not heeded."""
        del retry
        todo = self._replay.step(name)

        def recorded(value: Any) -> Any:
            data, value = values_of(function).recorded(value, f"step {name!r}")
            self._replay.returned(todo, data)
            return value

        async def awaited() -> Any:
            with self._failing():
                value = function(*args, **kwargs)
                if inspect.isawaitable(value):
                    value = await value
            return recorded(value)

        if _is_awaiting():
            return awaited()
        with self._failing():
            value = function(*args, **kwargs)
        return recorded(value)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What is raised in here is a step's failure."""
        try:
            yield
        except Exception as error:
            self._replay.left()
            raise StepFailed(str(error), error_type=type(error).__name__) from error

    def sleep(self, delay_s: float) -> Any:
        """Do not wait, but say so."""
        self._replay.sleep()
        self._replay.left()
        self._on_sleep(delay_s)
        return _answer(None)

    def wait_for(self, event: str, timeout_s: float | None) -> Any:
        """Answer the payload that was given."""
        self._replay.event(event)
        self._replay.left()
        if event in self._events:
            return _answer(self._events[event])
        if timeout_s is None:
            raise InvalidOption(
                f"Nobody signals {event!r} here: give Context.local(events={{{event!r}: payload}}).", field="event"
            )
        raise EventTimeout(f"The event {event!r} has not come in time.")

    def checkpoint(self, value: Any) -> Any:
        """Keep the value for `restored`."""
        _, self._restored = UNTYPED.recorded(value, "a checkpoint")
        return _answer(None)

    def restored(self) -> Any:
        """The last checkpoint, or what was given."""
        return self._restored

    def publish_value(self, name: str, value: Any) -> None:
        """Check the value, and hand it on."""
        _, value = UNTYPED.recorded(value, f"the published value {name!r}")
        self._on_publish(name, value)


OnPublish = Callable[[str, Any], object]
"""Is told of a published value: its name, and the value."""


def _is_awaiting() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _answer(value: T) -> T | Awaitable[T]:
    """A value, in a coroutine function as something to await."""
    return _given(value) if _is_awaiting() else value


async def _given(value: T) -> T:
    return value
