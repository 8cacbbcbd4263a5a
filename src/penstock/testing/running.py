"""Running what was enqueued, here and now: a worker of one call, for the tests of an application."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from penstock.model.errors import InvalidArguments
from penstock.model.job import Cancelled, JobExtra, LeasedJob, LeaseRequest, Outcomes, Succeeded
from penstock.ports import Clock, Store
from penstock.tasks.app import Penstock
from penstock.tasks.canvas.composition import Canvas
from penstock.tasks.child_jobs import Children
from penstock.tasks.context import Context
from penstock.tasks.task import Task
from penstock.worker.executor.async_run import AsyncRun
from penstock.worker.executor.blocking_run import BlockingRun
from penstock.worker.executor.durable_run import DurableRun, RunOver, cause_of
from penstock.worker.executor.returned_values import VALUES, NothingRan, finished, finished_async
from penstock.worker.executor.task_plan import TaskPlan, extra_of
from penstock.worker.outcomes import failure, hopeless, never_ran, unfit

_PLAIN: Final = JobExtra()
_APPLICATION: Final = "penstock.testing"
_HOLDER: Final = b"penstock.testing"
"""Who holds the leases. The same each time: a job that was refused once is not leased at once again."""


def run_ready(app: Penstock, store: Store, clock: Clock, *, limit: int = 100, seed: int = 1) -> int:
    """Lease jobs that are ready and run them one after the other in this thread, as an executor would.

    Outcomes, retries, snoozes and results are settled as they would be; time limits are not applied. Durable steps are
    recorded in the application's store, and jobs that sleep or wait for an event are suspended. What a job enqueues
    with ``ctx.enqueue``, or returns as a call, lands with its success. It stays for the next call, and what waits for a
    time needs ``clock.advance`` and ``store.tick()`` first.

    Args:
        limit: at most this many jobs.
        seed: of the jitter of retries.

    Returns:
        How many jobs ran; 0: nothing was ready. A job whose arguments do not fit is refused, and not counted.

    Channels of the application's consumers are made, and their messages run as well. Schedules that it declares are
    recorded at the first call, and fire in ``store.tick()``.

    Raises:
        UnknownTask: a job of another application's task, or a message of another's channel, was ready.
    """
    consumers = {consumer.queue: consumer for consumer in app.consumers.values()}
    for consumer in consumers.values():
        store.create_channel(consumer.topic, consumer.channel)
    declared = [consumer.channel_record for consumer in consumers.values() if consumer.channel_record is not None]
    store.register_tasks(
        [task.record() for task in app.tasks.values()],
        [*app.queues.values(), *declared],
        schedules=app.schedule_records(),
        application=_APPLICATION,
    )
    generator = random.Random(seed)
    batch = store.lease(LeaseRequest(_HOLDER, limit))
    ran = 0
    for place, leased in enumerate(batch.jobs):
        task = consumers.get(leased.queue) or app.get(batch.tasks[batch.task_of[place]])
        outcomes = _run(task, leased, batch.first_fence + place, clock.time(), generator)
        store.settle(outcomes)
        ran += not outcomes.refused
    return ran


def _run(task: Task[..., Any], leased: LeasedJob, fence: int, now: float, generator: random.Random) -> Outcomes:
    extra = _PLAIN if leased.extra is None else extra_of(leased.extra)
    plan = TaskPlan(task).suited(extra)
    children = Children(task.connection)
    run = (AsyncRun if task.is_async else BlockingRun)(task.connection, leased.id, fence)
    context = Context(
        job_id=leased.id,
        task=task.name,
        queue=leased.queue,
        attempt=leased.attempt,
        max_attempts=task.retry.max_attempts,
        deadline=None if task.timeout_s is None else now + task.timeout_s,
        headers=extra.headers,
        enqueue=children.add,
        add_member=children.add_member,
        durable=lambda: run,
    )
    outcomes = Outcomes(_HOLDER)
    try:
        args, kwargs = plan.decode(leased.body)
    except InvalidArguments as error:
        outcomes.add(unfit(fence, error))
        return outcomes
    except NothingRan as error:
        outcomes.add(never_ran(fence, now, error.cause))
        return outcomes
    try:
        value = _called(plan, (context, *args) if task.takes_context else args, kwargs, run, has_history=extra.recorded)
    except asyncio.CancelledError:
        outcomes.add(Cancelled(fence, task.keep_record_s))
        return outcomes
    except NothingRan as error:
        outcomes.add(hopeless(fence, now, error.cause))
        return outcomes
    except (Exception, RunOver) as error:  # noqa: BLE001 - whatever a job raises is that job's failure
        found = run.outcome(now, error)
        outcomes.add(found or failure(task.retry, fence, leased.attempt, now, cause_of(error), generator))
        return outcomes
    found = run.outcome(now, None)
    if found is not None:
        outcomes.add(found)
        return outcomes
    result = None
    try:
        if isinstance(value, Canvas):
            children.expand(value, inside=plan.is_step)
        elif plan.keeps_result:
            result = plan.encode_result(value)
    except Exception as error:  # noqa: BLE001 - a value may raise anything when it is encoded
        outcomes.add(hopeless(fence, now, error))
        return outcomes
    outcomes.add(Succeeded(fence, now, now, result, task.keep_result_s, task.keep_record_s))
    children.land(outcomes, fence)
    return outcomes


def _called(
    plan: TaskPlan, args: tuple[Any, ...], kwargs: dict[str, Any], run: DurableRun, *, has_history: bool
) -> Any:
    """What the function returns in the end."""
    name = plan.task.name

    async def awaited() -> Any:
        if has_history:
            await run.load()
        try:
            return await finished_async(name, plan.function(*args, **kwargs))
        finally:
            await run.finish()

    if plan.task.is_async:
        return asyncio.run(awaited())
    if has_history:
        run.load()
    try:
        value = plan.function(*args, **kwargs)
        return value if type(value) in VALUES else finished(name, value)
    finally:
        run.finish()
