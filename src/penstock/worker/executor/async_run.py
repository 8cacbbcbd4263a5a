"""Durable calls of coroutine functions: a call is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from penstock.model.durable_steps import History, JobRecords, Recorded
from penstock.model.errors import PenstockError
from penstock.tasks.retry import Retry
from penstock.tasks.store_connection import StoreConnection
from penstock.worker.executor.durable_run import PUBLISH_S, Call, DurableRun, Steps, Write
from penstock.worker.executor.returned_values import VALUES, finished_async


class AsyncRun(DurableRun):
    """For coroutine functions: a call is awaited."""

    def __init__(
        self, connection: StoreConnection, job: bytes, fence: int, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        """``loop``: that the function runs on; None: published values are not sent before it has ended."""
        super().__init__(connection, job, fence)
        self._sending: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = loop

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        retry: Retry | None,
    ) -> Any:
        """See `DurableContext.step`."""
        return self._drive(self._step(name, function, args, kwargs, retry))

    def sleep(self, delay_s: float) -> Any:
        """See `DurableContext.sleep`."""
        return self._drive(self._sleep(delay_s))

    def wait_for(self, event: str, timeout_s: float | None) -> Any:
        """See `DurableContext.wait_for`."""
        return self._drive(self._wait_for(event, timeout_s))

    def checkpoint(self, value: Any) -> Any:
        """See `DurableContext.checkpoint`."""
        return self._drive(self._checkpoint(value))

    def _drive(self, steps: Steps) -> Coroutine[Any, Any, Any]:
        """Begin a call at once, so that calls have their places in the order in which they are made, and one that is
        not awaited is noticed."""
        try:
            effect = next(steps)
        except StopIteration as stop:
            return _given(stop.value)
        self._asked += 1
        return self._go_on(steps, effect)

    async def _go_on(self, steps: Steps, effect: Call | Write) -> Any:
        self._asked -= 1
        try:
            while True:
                try:
                    answer = await self._do(effect)
                except BaseException as raised:  # noqa: BLE001 - the call makes of it what it does
                    effect = steps.throw(raised)
                else:
                    effect = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()

    async def _do(self, effect: Call | Write) -> Any:
        if isinstance(effect, Write):
            sent = self._records(effect)
            self._recorded(sent, effect, await self._send(sent))
            return None
        value = effect.function(*effect.args, **effect.kwargs)
        return value if type(value) in VALUES else await finished_async(f"step {effect.name!r}", value)

    async def _send(self, sent: JobRecords) -> Recorded:
        try:
            store = await self._connection.async_store()
            return (await store.record([sent]))[0]
        except PenstockError as error:
            raise self._store_failed(error) from error

    async def load(self) -> None:
        """See `DurableRun.load`."""
        pages, first = list[History](), 0
        try:
            store = await self._connection.async_store()
            while not pages or pages[-1].cursor is not None:
                pages.append(await store.history(self._job, first=first))
                first = pages[-1].cursor or 0
        except PenstockError as error:
            raise self._store_failed(error) from error
        self._loaded(pages)

    def publish_value(self, name: str, value: Any) -> None:
        """See `DurableContext.publish_value`."""
        self._published(name, value)
        if self._loop is not None:
            # From whichever thread the job calls.
            self._loop.call_soon_threadsafe(self._publish_soon)

    def _publish_soon(self) -> None:
        if self._timer is None and not self.ended and self._loop is not None:
            self._timer = self._loop.call_later(PUBLISH_S, self._publish_now)

    def _publish_now(self) -> None:
        self._timer = None
        if not self.ended and (self._sending is None or self._sending.done()):
            # Not by loop.create_task: a job may have installed a task factory of its own.
            self._sending = asyncio.Task(self._publish(), loop=self._loop)

    async def _publish(self) -> None:
        """Send what was published. What cannot be sent now is sent with what comes next, or not at all."""
        sent = self._publication()
        if sent.published and not self._gone:
            with suppress(PenstockError):
                store = await self._connection.async_store()
                await store.record([sent])
                self._sent(sent)

    async def finish(self) -> None:
        """See `DurableRun.finish`."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._sending is not None and not self._sending.done():
            await asyncio.wait({self._sending})
        if self._pending:
            await self._publish()


async def _given(value: Any) -> Any:
    return value
