"""Short ways to say what claims about workflows need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from penstock.model.ids import new_id
from penstock.model.job import Buried, JobEntry, JobExtra, JobGroup, Outcomes, Succeeded, checksum
from penstock.model.workflow_plan import Callback, GroupPlan, Members, Output, StepPlan, WorkflowPlan
from penstock.model.workflow_views import StepView, WorkflowView
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import ERROR, HOLDER, HeldJob, rest, take

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode

FAILS = object()
"""What a job comes to: it is dead."""


def call(*args: Any, task: str = "app.work", **options: Any) -> JobGroup:
    """One job with these arguments."""
    body = b"m" + pack((args, {}))
    return JobGroup(task, [JobEntry(new_id(), body, checksum(body))], **options)


def calls(count: int, *args: Any) -> list[JobGroup]:
    """So many jobs, alike in all but their ids."""
    entries = [entry for _ in range(count) for entry in call(*args).jobs]
    return [JobGroup("app.work", entries)] if entries else []


def job(name: str, *args: Any, **options: Any) -> StepPlan:
    """A step that is a job."""
    return StepPlan(name, call(*args), **options)


def gathering(name: str, total: int | None = None, **options: Any) -> StepPlan:
    """A step that is a group."""
    of_group = {key: options.pop(key) for key in ("failures_max", "on_failure", "open_s", "closes") if key in options}
    return StepPlan(name, None, GroupPlan(total, **of_group), **options)


def callback(*args: Any, takes: bool = True) -> Callback:
    """A callback, whose job is of the task ``app.told``."""
    return Callback(call(*args, task="app.told"), takes)


def plan(*steps: StepPlan, out: int | None = None, name: str = "flow", **options: Any) -> WorkflowPlan:
    """A workflow. ``out``: the step whose value is its result."""
    outputs = options.pop("outputs", [] if out is None else [Output(out)])
    return WorkflowPlan(new_id(), name, list(steps), outputs, **options)


def start(store: Store, made: WorkflowPlan, *members: Members) -> bytes:
    """Start a workflow. Answers its id."""
    started = store.start_workflow(made, list(members))
    assert (started.id, started.duplicate, started.conflict) == (made.id, False, False)
    return made.id


# --- jobs run --------------------------------------------------------------------------------------------------------
def extra_of(held: HeldJob) -> JobExtra:
    """What was leased with a job."""
    return JobExtra() if held.job.extra is None else unpack(held.job.extra, type=JobExtra)


def arguments(held: HeldJob) -> Any:
    """Its positional arguments."""
    return unpack(held.job.body[1:])[0]


def result(value: Any) -> bytes:
    """A value as a stored result."""
    return b"m" + pack(value)


def value(stored: bytes | None) -> Any:
    """A stored result as a value; references as their code and their bytes."""
    assert stored is not None
    return unpack(stored[1:], ext_hook=lambda code, data: (code, bytes(data)))


def returned(held: HeldJob, clock: VirtualClock, what: Any = None) -> Succeeded:
    """It returned this just now."""
    return Succeeded(held.fence, clock.time(), clock.time(), result(what))


def end(store: Store, clock: VirtualClock, held: HeldJob, what: Any = None) -> None:
    """End a job: it returns a value, or is dead."""
    if what is FAILS:
        store.settle(Outcomes(HOLDER, buried=[Buried(held.fence, ERROR)]))
    else:
        store.settle(Outcomes(HOLDER, succeeded=[returned(held, clock, what)]))


def take_step(store: Store) -> HeldJob:
    """Lease the only job that is ready."""
    rest(store)
    (held,) = take(store)
    return held


def run(store: Store, clock: VirtualClock, come_to: Callable[[HeldJob], Any]) -> list[Any]:
    """Lease and end jobs until none is ready. Answers the arguments of each, in the order in which they were leased.

    Args:
        come_to: what a job returns, or `FAILS`.
    """
    ran: list[Any] = []
    while True:
        rest(store)
        held = take(store)
        if not held:
            return ran
        for one in held:
            ran.append(arguments(one))
            end(store, clock, one, come_to(one))


# --- what is seen ----------------------------------------------------------------------------------------------------
def view(store: Store, workflow: bytes) -> WorkflowView:
    """A workflow that must be there."""
    found = store.workflow(workflow)
    if found is None:
        pytest.fail("there is no such workflow")
    return found


def state(store: Store, workflow: bytes) -> str:
    """The state of one."""
    return view(store, workflow).state.value


def steps(store: Store, workflow: bytes) -> list[StepView]:
    """All its steps."""
    found, cursor = list[StepView](), None
    while True:
        page = store.steps(workflow, cursor=cursor)
        found += page.steps
        cursor = page.cursor
        if cursor is None:
            return found


def states(store: Store, workflow: bytes) -> dict[str, str]:
    """The states of its steps, by name."""
    return {step.name: step.state.value for step in steps(store, workflow)}


def result_of(store: Store, workflow: bytes, step: int | None = None) -> Any:
    """The result of a workflow, or a step of it."""
    page = store.results(workflow, step)
    assert (len(page.results), page.cursor) == (1, None)
    return value(page.results[0])
