"""An application on the in-memory store, and a worker of three lines that runs what was enqueued."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest

from penstock.model.ids import new_id
from penstock.model.job import Buried, Cancelled, JobError, LeaseRequest, Outcomes, Retried, Succeeded
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(time_s=1_795_000_000.0)


@pytest.fixture
def store(clock: VirtualClock) -> Iterator[MemoryStore]:
    store = MemoryStore(clock)
    yield store
    store.close()


@pytest.fixture
def app(store: MemoryStore) -> Penstock:
    return Penstock(store=store)


@pytest.fixture
def work(app: Penstock, store: MemoryStore, clock: VirtualClock) -> Callable[[], int]:
    """Lease everything that is ready and run it, as an executor would. Answers how many jobs ran."""
    store.register_tasks([task.record() for task in app.tasks.values()])

    def run() -> int:
        batch = store.lease(LeaseRequest(new_id(), 100))
        for place, leased in enumerate(batch.jobs):
            task = app.get(batch.tasks[batch.task_of[place]])
            store.settle(_outcome(task, leased, batch.first_fence + place, clock.time()))
        return len(batch.jobs)

    return run


def _outcome(task, leased, fence, now):
    context = Context(
        job_id=leased.id,
        task=task.name,
        queue=leased.queue,
        attempt=leased.attempt,
        max_attempts=task.retry.max_attempts,
    )
    try:
        args, kwargs = task.decode(leased.body)
        value = task(context, *args, **kwargs) if task.takes_context else task(*args, **kwargs)
        value = asyncio.run(value) if task.is_async else value
        result = task.encode_result(value) if task.keep_result_s else None
    except asyncio.CancelledError:
        return Outcomes(cancelled=[Cancelled(fence)])
    except Exception as exception:  # noqa: BLE001 - a task may raise anything
        error = JobError(type(exception).__name__, str(exception), "Traceback: here")
        delay_s = task.retry.decide(exception, leased.attempt, random.Random(1))
        if delay_s is None:
            return Outcomes(buried=[Buried(fence, error, now)])
        return Outcomes(retried=[Retried(fence, delay_s, error)])
    done = Succeeded(fence, now, now, result, task.keep_result_s, task.keep_record_s)
    return Outcomes(succeeded=[done])
