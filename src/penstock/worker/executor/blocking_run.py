"""Durable calls of plain functions: a call returns when it has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from penstock.model.durable_steps import History, JobRecords, Recorded
from penstock.model.errors import PenstockError, TimeLimitExceeded
from penstock.tasks.retry import Retry
from penstock.tasks.store_connection import StoreConnection
from penstock.worker.executor.durable_run import PUBLISH_S, Call, DurableRun, Steps, Write
from penstock.worker.executor.returned_values import VALUES, finished


class BlockingRun(DurableRun):
    """For plain functions: a call returns when it has ended."""

    def __init__(self, connection: StoreConnection, job: bytes, fence: int) -> None:
        super().__init__(connection, job, fence)
        self._sending = threading.Lock()
        self._timer: threading.Timer | None = None

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

    def _drive(self, steps: Steps) -> Any:
        answer, error = None, None
        try:
            while True:
                effect = steps.send(answer) if error is None else steps.throw(error)
                answer = error = None
                try:
                    answer = self._do(effect)
                except BaseException as raised:  # noqa: BLE001 - the call makes of it what it does
                    error = raised
        except StopIteration as stop:
            return stop.value
        finally:
            # A time limit is raised anywhere.
            steps.close()

    def _do(self, effect: Call | Write) -> Any:
        if isinstance(effect, Write):
            sent = self._records(effect)
            self._recorded(sent, effect, self._send(sent))
            return None
        value = effect.function(*effect.args, **effect.kwargs)
        return value if type(value) in VALUES else finished(f"step {effect.name!r}", value)

    def _send(self, sent: JobRecords) -> Recorded:
        try:
            return self._connection.store().record([sent])[0]
        except TimeLimitExceeded:
            raise
        except PenstockError as error:
            raise self._store_failed(error) from error

    def load(self) -> None:
        """See `DurableRun.load`."""
        pages, first = list[History](), 0
        try:
            while not pages or pages[-1].cursor is not None:
                pages.append(self._connection.store().history(self._job, first=first))
                first = pages[-1].cursor or 0
        except TimeLimitExceeded:
            raise
        except PenstockError as error:
            raise self._store_failed(error) from error
        self._loaded(pages)

    def publish_value(self, name: str, value: Any) -> None:
        """See `DurableContext.publish_value`."""
        self._published(name, value)
        if self._timer is None:
            self._timer = timer = threading.Timer(PUBLISH_S, self._publish)
            timer.daemon = True
            timer.start()

    def _publish(self) -> None:
        """Send what was published. What cannot be sent now is sent with what comes next, or not at all."""
        with self._sending:
            self._timer = None
            sent = self._publication()
            if sent.published and not self._gone:
                with suppress(PenstockError):
                    self._connection.store().record([sent])
                    self._sent(sent)

    def finish(self) -> None:
        """See `DurableRun.finish`."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._pending or self._timer is not None:
            self._publish()
