"""Forks: a copy of a workflow in which a step, and all that needs it, runs anew. What else succeeded stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from penstock.model.errors import Conflict, InvalidOption, WorkflowNotFound
from penstock.model.workflow_plan import Block
from penstock.model.workflow_views import StepState
from penstock.workflow.machine import new_row
from penstock.workflow.rows import GroupRow, Rows, StepFacts, StepRow, WorkflowRow


class Fork(NamedTuple):
    """What a workflow that is forked begins with (`Machine.begin_with`).

    Attributes:
        copied: the groups whose members that are jobs are to be copied from the source, under new ids and with the
            places that they have there, and held. Those of which a block has taken the place are copied too.
    """

    workflow: WorkflowRow
    steps: list[tuple[StepFacts, StepRow]]
    copied: list[int]


def fork(source: Rows, workflow: bytes, step: int, now: float, new_job_id: Callable[[], bytes]) -> Fork:
    """Copy a workflow.

    Args:
        source: its rows.
        workflow: its id.
        step: runs anew, with all that needs it.

    Raises:
        WorkflowNotFound: there is no such step.
        InvalidOption: it is inside of another.
        Conflict: a step that it needs has not succeeded, or one that would stand may still be undone.
    """
    before = source.workflow()
    if not 0 <= step < before.steps:
        raise WorkflowNotFound(f"The workflow has no step {step}.")
    steps = [source.step(number) for number in range(before.steps)]
    tops = _tops(steps)
    facts = steps[step][0]
    if tops[step] != step:
        name = steps[tops[step]][0].plan.name
        raise InvalidOption(f"The step {facts.plan.name!r} is inside of {name!r}; fork from that one.", field="step")
    for need in facts.plan.needs():
        if steps[need][1].state is not StepState.SUCCEEDED:
            raise Conflict(f"The step {facts.plan.name!r} needs {steps[need][0].plan.name!r}, which has not succeeded.")
    anew = _anew(steps, tops, step)
    if not before.is_over:
        _check_lasting(steps, tops, anew)
    planned = _planned(steps)
    copied: list[int] = []
    new: list[tuple[StepFacts, StepRow]] = []
    for number, (one, row) in enumerate(steps):
        if tops[number] not in anew:
            new.append((one, _standing(row)))
        elif number >= planned:
            new.append((one, StepRow(state=StepState.SKIPPED, dropped=True, group=_no_group(one))))
        else:
            fresh = new_row(one)
            fresh.unmet -= sum(tops[need] not in anew for need in one.plan.needs())
            if one.plan.call is not None:
                fresh.job = new_job_id()
            if fresh.group is not None and row.group is not None:
                _copy_group(fresh.group, row.group, steps, number, one)
                if fresh.group.held:
                    copied.append(number)
            new.append((one, fresh))
    return Fork(_workflow(source, workflow, new, now), new, copied)


def _tops(steps: list[tuple[StepFacts, StepRow]]) -> list[int]:
    """For each step, the one at the top that it is inside of, or itself. Owners come before what they own."""
    tops: list[int] = []
    for number, (facts, _) in enumerate(steps):
        block = facts.plan.block
        tops.append(number if block is None else tops[block.owner])
    return tops


def _planned(steps: list[tuple[StepFacts, StepRow]]) -> int:
    """How many steps were planned at the start: those that calls were returned for come after them."""
    ends = [facts.end for number, (facts, _) in enumerate(steps) if facts.plan.block is None]
    return max(ends) + 1


def _anew(steps: list[tuple[StepFacts, StepRow]], tops: list[int], step: int) -> set[int]:
    """The steps at the top that run anew: this one, those that have not succeeded, and all that need one of these."""
    needed_by: dict[int, set[int]] = {}
    for number, (facts, _) in enumerate(steps):
        for need in facts.plan.needs():
            needed_by.setdefault(tops[need], set()).add(tops[number])
    first = {
        number for number in set(tops) if steps[number][1].state is not StepState.SUCCEEDED or steps[number][1].undone
    }
    anew, reached = {step, *first}, [step, *first]
    for number in reached:
        for dependent in needed_by.get(number, ()):
            if dependent not in anew:
                anew.add(dependent)
                reached.append(dependent)
    return anew


def _check_lasting(steps: list[tuple[StepFacts, StepRow]], tops: list[int], anew: set[int]) -> None:
    """Pass when what stands cannot be undone any more: it would have another value when the source is retried.

    Raises:
        Conflict: it can.
    """
    for number, (facts, row) in enumerate(steps):
        can_be_undone = facts.plan.compensation is not None and row.state is StepState.SUCCEEDED and not row.inherited
        if can_be_undone and tops[number] not in anew:
            top = steps[tops[number]][0].plan.name
            raise Conflict(
                f"The step {facts.plan.name!r} has a compensation, and is undone if the workflow fails: fork from"
                f" {top!r}, or when the workflow is over."
            )


def _standing(row: StepRow) -> StepRow:
    state = row.state if row.has_ended else StepState.CANCELLED
    return replace(row, state=state, inherited=True, undo_before=None, asked=False, stands_in=None)


def _no_group(facts: StepFacts) -> GroupRow | None:
    return None if facts.plan.group is None else GroupRow()


def _copy_group(
    fresh: GroupRow, group: GroupRow, steps: list[tuple[StepFacts, StepRow]], number: int, facts: StepFacts
) -> None:
    """The members of a group as they were when none had started."""
    fresh.blocks = sum(
        _is_planned_member(steps[inner][0], inner, number, facts) for inner in range(number + 1, facts.last + 1)
    )
    fresh.held = group.there - fresh.blocks
    fresh.there, fresh.next = group.there, group.next
    fresh.total = fresh.from_source = group.there if group.total is None else group.total


def _is_planned_member(inner: StepFacts, number: int, owner: int, facts: StepFacts) -> bool:
    block: Block | None = inner.plan.block
    return block is not None and block.owner == owner and block.first == number and block != facts.plan.alternative


def _workflow(source: Rows, workflow: bytes, steps: list[tuple[StepFacts, StepRow]], now: float) -> WorkflowRow:
    counts: dict[StepState, int] = {}
    members = (0, 0, 0, 0)
    for _, row in steps:
        counts[row.state] = counts.get(row.state, 0) + 1
        if row.group is not None:
            group = row.group
            members = (
                members[0] + group.there,
                members[1] + group.succeeded,
                members[2] + group.failed,
                members[3] + group.cancelled,
            )
    deadline_s = source.plan.deadline_s
    return WorkflowRow(
        created_at=now,
        steps=len(steps),
        counts=counts,
        members=members,
        deadline_at=None if deadline_s is None else now + deadline_s,
        forked_from=workflow,
    )
