"""Examples of the calls about workflows that are applied once, for `penstock.testing.conformance.repeating`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec.structs import replace

from penstock.model.ids import new_id
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.ports import AsyncStore
from penstock.testing.conformance.workflow_kit import call, gathering, job, plan

LATER_S: Final = 900.0
"""Jobs of these workflows are not ready while an example runs."""
RUNNING: Final = plan(gathering("g"), name="running")
OVER: Final = plan(job("a"), name="over")
NEW: Final = plan(job("a"), name="new")
FORK: Final = new_id()
MEMBERS: Final = [replace(call("m"), delay_s=LATER_S)]


def _later(made: WorkflowPlan) -> WorkflowPlan:
    steps = [
        step if step.call is None else replace(step, call=replace(step.call, delay_s=LATER_S)) for step in made.steps
    ]
    return replace(made, steps=steps)


ONCE: Final[dict[str, Callable[[AsyncStore, list[int]], Awaitable[Any]]]] = {
    "start_workflow": lambda store, _: store.start_workflow(_later(NEW)),
    "add_members": lambda store, _: store.add_members(RUNNING.id, [Members(0, MEMBERS)]),
    "cancel_workflow": lambda store, _: store.cancel_workflow(RUNNING.id, by="ann"),
    "pause_workflow": lambda store, _: store.pause_workflow(RUNNING.id, by="ann"),
    "resume_workflow": lambda store, _: store.resume_workflow(RUNNING.id, by="ann"),
    "retry_workflow": lambda store, _: store.retry_workflow(OVER.id, by="ann"),
    "fork_workflow": lambda store, _: store.fork_workflow(OVER.id, 0, FORK, by="ann"),
    "delete_workflow": lambda store, _: store.delete_workflow(OVER.id, by="ann"),
}
"""By name, as in `penstock.testing.conformance.repeating`."""


async def prepare(store: AsyncStore) -> None:
    """Start a workflow with an open group, and one that is over."""
    await store.start_workflow(RUNNING)
    await store.start_workflow(_later(OVER))
    await store.cancel_workflow(OVER.id)


async def story_of(store: AsyncStore) -> list[Any]:
    """What there is of workflows, without ids that stores make and times."""
    story: list[Any] = []
    for view in (await store.workflows()).workflows:
        page = await store.steps(view.id)
        steps = [(step.name, step.state, step.total, step.members) for step in page.steps]
        story.append((view.id, view.name, view.state, view.paused, view.steps, view.members, view.forked_from, steps))
    return story
