"""One attempt at a job: what all lanes share about it, and the attempt itself for the lanes of plain functions.

A lane makes one `Attempts`. It looks up a `TaskPlan` for each task it is given jobs of, and the outcomes go to the
lane's `Outbox`. The async lane awaits its functions itself, and uses only the parts around that.
"""

from __future__ import annotations

import random
import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, Final, Protocol

from penstock.model.errors import InvalidArguments, InvalidOption, TimeLimitExceeded
from penstock.model.job import Cancelled, JobExtra, LeasedJob, Progress, Succeeded
from penstock.tasks.canvas.composition import Canvas
from penstock.tasks.child_jobs import Children
from penstock.tasks.context import Composition, Context, TaskCall
from penstock.tasks.retry import Random
from penstock.tasks.store_connection import StoreConnection
from penstock.worker.executor import after_fork
from penstock.worker.executor.blocking_run import BlockingRun
from penstock.worker.executor.durable_run import DurableRun, cause_of
from penstock.worker.executor.outbox import Outbox, Outcome, Parent
from penstock.worker.executor.returned_values import VALUES, NothingRan, finished
from penstock.worker.executor.task_plan import Runnable, TaskPlan, extra_of
from penstock.worker.messages import Lot, fences_in
from penstock.worker.outcomes import Retries, failure, hopeless, never_ran, unfit
from penstock.worker.scoreboard import Scoreboard

_NO_EXTRA: Final = JobExtra()

WaitingJob = tuple[int, TaskPlan | None, str, LeasedJob, float | None]
"""A job that a lane has been given and not started: its fence, the plan of its task (None: not known here) and the
task's name, the job, and when it is too late to start (monotonic seconds; None: never)."""


class ContextCalls:
    """Answers what a running job calls on its `Context`.

    Attributes:
        fence: of the lease that the job runs under.
        noticed: the job has asked whether it is to end, and heard yes.
        children: what it has asked to be enqueued with its success; None: nothing.
        run: its durable calls; None: it has made none, and has no history.
        ended: the attempt is over, so nothing may be added to ``children`` any more.
    """

    __slots__ = ("_attempts", "_job", "_plan", "_slot", "_told", "children", "ended", "fence", "noticed", "run")

    def __init__(self, attempts: Attempts, plan: TaskPlan, slot: int, fence: int, job: bytes) -> None:
        self._attempts = attempts
        self._slot = slot
        self._told = False
        self._plan = plan
        self._job = job
        self.fence = fence
        self.noticed = False
        self.run: DurableRun | None = None
        self.children: Children | None = None
        self.ended = False

    def is_cancelled(self) -> bool:
        """Whether the job has been asked to end."""
        if self._attempts.board.asked_to_end(self._slot, self.fence):
            self.noticed = True
        return self.noticed

    def report_progress(self, latest: Progress) -> None:
        """Note the job's progress. The first is sent at once, later ones in batches."""
        outbox = self._attempts.outbox
        outbox.progress[self.fence] = latest
        outbox.hurry(first=not self._told)
        self._told = True

    def enqueue(self, call: TaskCall | Composition) -> bytes:
        """Keep a call, or a canvas, until the job has succeeded. See `Context.enqueue`."""
        return self._kept("ctx.enqueue", "enqueues others").add(call)

    def add_member(self, call: TaskCall) -> bytes:
        """Keep a call that joins the group that the job is in. See `Context.add_members`."""
        if not self._plan.is_step:
            raise InvalidOption(
                "ctx.add_members is for a member of a group, and this job is of no workflow: use ctx.enqueue.",
                field="call",
            )
        return self._kept("ctx.add_members", "adds members").add_member(call)

    def _kept(self, caller: str, what: str) -> Children:
        """What lands with the job.

        Raises:
            InvalidOption: it could not land any more.
        """
        if self.ended:
            # From a thread that the job has left behind. What it asks for could not land with the job any more.
            raise InvalidOption(
                f"This attempt has ended: a job {what} before it returns. What goes on uses task.enqueue().",
                field="call",
            )
        if after_fork.is_child:
            # What is kept here ends with this process, and the job that forked it would never hear of it.
            raise InvalidOption(
                f"A process that a job has forked cannot enqueue with that job: let the job itself call {caller}, or"
                " use task.enqueue().",
                field="call",
            )
        if self.children is None:
            self.children = Children(self._plan.task.connection)
        return self.children

    def durable(self) -> Any:
        """What answers the job's durable calls."""
        if self.run is None:
            self.run = self._attempts.make_run(self._plan.task.connection, self._job, self.fence)
        return self.run


class Attempts:
    """What the jobs of one lane share: the tasks, the scoreboard, the outbox. Makes attempts and notes their
    outcomes."""

    def __init__(
        self,
        tasks: Mapping[str, Runnable],
        board: Scoreboard,
        outbox: Outbox,
        make_run: Callable[[StoreConnection, bytes, int], DurableRun] = BlockingRun,
    ) -> None:
        """``make_run``: makes what answers the durable calls of a job, of its application's connection, its id and its
        fence."""
        self.make_run = make_run
        self.board = board
        self.outbox = outbox
        self.random = random.Random()
        self._tasks = tasks
        self._plans: dict[str, TaskPlan | None] = {}

    def plans(self, names: list[str]) -> list[TaskPlan | None]:
        """The plans of these tasks; None: there is no such task here."""
        known = self._plans
        for name in names:
            if name not in known:
                # Only tasks that exist are remembered: unknown names come from outside, and there is no end of them.
                task = self._tasks.get(name)
                if task is None:
                    return [TaskPlan(found) if (found := self._tasks.get(n)) is not None else None for n in names]
                known[name] = TaskPlan(task)
        return [known[name] for name in names]

    def waiting(self, lot: Lot) -> list[WaitingJob]:
        """The jobs of a lot, for a lane in which they wait for a place."""
        plans = list(map(self.plans(lot.tasks).__getitem__, lot.task_of))
        names = map(lot.tasks.__getitem__, lot.task_of)
        start_bys: list[float | None] = [None] * len(plans)
        for place, job in enumerate(lot.jobs):
            if job.extra is not None:
                extra, plan = extra_of(job.extra), plans[place]
                start_bys[place] = start_by(extra, lot.leased_at)
                plans[place] = None if plan is None else plan.suited(extra)
        return list(zip(fences_in(lot), plans, names, lot.jobs, start_bys, strict=True))

    def context(
        self, plan: TaskPlan, slot: int, fence: int, job: LeasedJob, started_at: float
    ) -> tuple[Context, ContextCalls]:
        """The first argument of a task that wants one. ``started_at``: Unix seconds. Where there are `ContextCalls.run`
        already, the job has a history, which is to be loaded first."""
        calls = ContextCalls(self, plan, slot, fence, job.id)
        task = plan.task
        extra = _NO_EXTRA if job.extra is None else extra_of(job.extra)
        if extra.recorded:
            calls.durable()
        context = Context(
            job_id=job.id,
            task=task.name,
            queue=job.queue,
            attempt=job.attempt,
            max_attempts=task.retry.max_attempts,
            deadline=None if task.timeout_s is None else started_at + task.timeout_s,
            headers=extra.headers,
            report_progress=calls.report_progress,
            is_cancelled=calls.is_cancelled,
            enqueue=calls.enqueue,
            add_member=calls.add_member,
            durable=calls.durable,
        )
        return context, calls

    def returned(
        self, plan: TaskPlan, fence: int, started_at: float, value: Any, calls: ContextCalls | None
    ) -> Outcome | None:
        """The outcome of a job that returned; None: nothing of it is kept. ``calls``: those on its context; None: it
        has none. A canvas that it returned takes the place of a value."""
        task = plan.task
        children = None
        if calls is not None:
            calls.ended = True
            found = None if calls.run is None else calls.run.outcome(started_at, None)
            if found is not None:
                return found
            if calls.noticed:
                return Cancelled(fence, task.keep_record_s)
            children = calls.children
        is_call = type(value) not in VALUES and isinstance(value, Canvas)
        if plan.forgets and children is None and not is_call:
            return None
        result = None
        try:
            if is_call:
                children = Children(task.connection) if children is None else children
                children.expand(value, inside=plan.is_step)
            elif plan.keeps_result:
                result = plan.encode_result(value)
        except Exception as error:  # noqa: BLE001 - a value may raise anything when it is encoded
            return hopeless(fence, started_at, error)
        outcome = Succeeded(fence, started_at, time.time(), result, task.keep_result_s, task.keep_record_s)
        if children is None:
            return outcome
        return Parent(outcome, children)

    def note(self, fence: int, outcome: Outcome | None) -> None:
        """Put what `attempt` or `returned` has answered into the outbox. Once for each job: an outcome counts."""
        if outcome is None:
            self.outbox.forgotten.append(fence)
        else:
            self.outbox.outcomes.append(outcome)

    def raised(
        self,
        plan: TaskPlan,
        slot: int,
        fence: int,
        job: LeasedJob,
        started_at: float,
        error: BaseException,
        calls: ContextCalls | None = None,
    ) -> Outcome:
        """The outcome of a job that raised. In a process that a job forked, its end. ``calls``: those on its context;
        None: it has none."""
        if after_fork.is_child:
            after_fork.end(error)
        if calls is not None and calls.run is not None:
            outcome = calls.run.outcome(started_at, error)
            if outcome is not None:
                return outcome
            error = cause_of(error)
        if isinstance(error, Unfit):
            return unfit(fence, error.cause)
        if isinstance(error, NothingRan):
            return never_ran(fence, started_at, error.cause)
        if self.board.asked_to_end(slot, fence) and not isinstance(error, TimeLimitExceeded):
            return Cancelled(fence, plan.task.keep_record_s)
        # The outermost frames are ours, and say nothing to the user, whose frames come below.
        retry = _Cancelled(plan.retry) if isinstance(error, CancelledError) else plan.retry
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("penstock.worker"):
            trace = trace.tb_next
        return failure(retry, fence, job.attempt, started_at, error.with_traceback(trace), self.random)

    def attempt(
        self, plan: TaskPlan, slot: int, fence: int, job: LeasedJob, started_at: float, limit: SoftLimit
    ) -> Outcome | None:
        """Make an attempt at a job of a plain function. Answers its outcome, which the lane notes; None: the job has
        succeeded, and nothing of it is kept."""
        calls = None
        try:
            try:
                args, kwargs = plan.decode(job.body)
            except InvalidArguments as error:
                raise Unfit(error) from None
            if plan.takes_context:
                context, calls = self.context(plan, slot, fence, job, started_at)
                args = (context, *args)
                if calls.run is not None:
                    calls.run.load()
            run = copy_context().run
            if plan.soft_timeout_s is None:
                value = run(plan.function, *args, **kwargs)
                if value is not None and type(value) not in VALUES:
                    value = run(finished, plan.task.name, value)
            else:
                with limit.of(plan):
                    value = run(finished, plan.task.name, run(plan.function, *args, **kwargs))
            if after_fork.is_child:
                after_fork.end()
            if calls is not None and calls.run is not None:
                calls.run.finish()
        except BaseException as error:  # noqa: BLE001 - whatever a job raises is that job's failure
            if calls is not None:
                calls.ended = True
                if calls.run is not None and not after_fork.is_child:
                    calls.run.finish()
            return self.raised(plan, slot, fence, job, started_at, error, calls)
        return self.returned(plan, fence, started_at, value, calls)


class _Cancelled:
    """A retry policy that is asked about CancelledError in a job that nobody has cancelled: something the job awaited
    was cancelled. That is a failure like any other. Python does not derive CancelledError from Exception, so a policy
    for all exceptions would not cover it; therefore the policy is asked about a plain Exception too."""

    def __init__(self, retry: Retries) -> None:
        self._retry = retry

    def decide(self, exception: BaseException, attempt: int, random: Random) -> float | None:
        """See `Retries`."""
        delay_s = self._retry.decide(exception, attempt, random)
        return self._retry.decide(Exception(), attempt, random) if delay_s is None else delay_s


class Unfit(Exception):
    """The arguments of a job do not fit its task here, or are in a format that is not known here: another version made
    them. `cause` says what does not. A lane raises it itself, so that it is told from what a job raises."""

    def __init__(self, cause: InvalidArguments) -> None:
        super().__init__(cause.message)
        self.cause = cause


def start_by(extra: JobExtra, leased_at: float) -> float | None:
    """When it is too late to start a job (monotonic seconds). None: never.

    Args:
        extra: of the job.
        leased_at: when it was leased (monotonic seconds).
    """
    return None if extra.expires_in_s is None else leased_at + extra.expires_in_s


class SoftLimit(Protocol):
    """How a lane raises SoftTimeLimitExceeded inside a job."""

    def of(self, plan: TaskPlan) -> Any:
        """A context manager for the time that a job runs. Asked for only where the task has a soft limit."""
        ...
