"""What a store checks before it accepts a workflow, so that every store refuses the same with the same words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from penstock.model import limits
from penstock.model.acceptance import CHECKSUM_MAX, check_groups
from penstock.model.entry import JobGroup
from penstock.model.errors import InvalidOption
from penstock.model.workflow_plan import Callback, GroupPlan, Members, StepPlan, WorkflowPlan
from penstock.workflow.hand_over import FORMAT
from penstock.workflow.layout import check_layout

_NAME_CHARS_MAX = 200


def check_plan(plan: WorkflowPlan, now: float, *, there: int = 0) -> None:
    """Pass when a workflow may be started, or appended to one.

    Args:
        now: Unix seconds by the store's clock.
        there: how many steps the workflow has that it is appended to.

    Raises:
        InvalidOption: the plan is not sound; the message names the step.
        BodyTooLarge: a body is over its limit.
    """
    if len(plan.id) != 16:
        raise InvalidOption("The id of a workflow has 16 bytes.", field="id")
    _check_name("workflow", plan.name)
    if not plan.steps:
        raise InvalidOption(f"The workflow {plan.name!r} has no step.", field="steps")
    if there + len(plan.steps) > limits.WORKFLOW_STEPS_MAX:
        raise InvalidOption(
            f"The workflow {plan.name!r} has {there + len(plan.steps)} steps; the limit (WORKFLOW_STEPS_MAX) is"
            f" {limits.WORKFLOW_STEPS_MAX}. Plain calls in a group are no steps: use map, starmap or chunks.",
            field="steps",
        )
    names: set[str] = set()
    for step in plan.steps:
        _check_name("step", step.name)
        if step.name in names:
            raise _wrong(step, "has the name of another step; each name is used once")
        names.add(step.name)
        _check_step(step, now)
    check_layout(plan.steps)
    _check_outputs(plan)
    _check_callbacks(f"The workflow {plan.name!r}", (*plan.on_success, *plan.on_error), now)
    _check_times(plan)


def check_members(steps: Callable[[int], StepPlan | None], members: Sequence[Members], now: float) -> None:
    """Pass when these jobs may become members, as far as the plan alone can tell.

    Args:
        steps: the step of a number; None: there is none.
        now: Unix seconds by the store's clock.

    Raises:
        InvalidOption: they may not; the message names the step.
        BodyTooLarge: a body is over its limit, or there are too many jobs.
    """
    check_groups([group for more in members for group in more.groups], now)
    for more in members:
        step = steps(more.step)
        if step is None:
            raise InvalidOption(f"There is no step {more.step}, so it has no members.", field="members")
        if step.group is None:
            raise _wrong(step, "is a job, and only groups have members", "members")
        for group in more.groups:
            _check_entries(step, group, takes=bool(step.takes or step.takes_error))
        count = sum(len(group.jobs) for group in more.groups)
        if more.first is not None and (
            step.group.total is None or not 0 <= more.first <= more.first + count <= step.group.total
        ):
            raise _wrong(step, f"has no places {more.first} to {more.first + count - 1}", "members")


def calls_of(plan: WorkflowPlan, members: Sequence[Members] = ()) -> list[JobGroup]:
    """All calls of a plan, and of the members that come with it."""
    callbacks = [*plan.on_success, *plan.on_error]
    for step in plan.steps:
        callbacks += [*step.on_success, *step.on_error, *([] if step.compensation is None else [step.compensation])]
    calls = [step.call for step in plan.steps if step.call is not None]
    return [*calls, *(one.call for one in callbacks), *(group for more in members for group in more.groups)]


def check_first_members(plan: WorkflowPlan, members: Sequence[Members]) -> None:
    """Pass when the members that come with a sound plan, and passed `check_members`, have places of their own.

    Raises:
        InvalidOption: they have not; the message names the step.
    """
    taken: dict[int, set[int]] = {}
    for step in plan.steps:
        if step.block is not None and step.block != plan.steps[step.block.owner].alternative:
            taken.setdefault(step.block.owner, set()).add(step.block.place)
    behind: dict[int, int] = {}
    for more in members:
        step = plan.steps[more.step]
        total = limits.GROUP_MEMBERS_MAX if step.group is None or step.group.total is None else step.group.total
        first = behind.get(more.step, 0) if more.first is None else more.first
        last = first + sum(len(group.jobs) for group in more.groups)
        places = taken.setdefault(more.step, set())
        if last > total:
            raise _wrong(step, f"has {total} members and no more", "members")
        if not places.isdisjoint(range(first, last)):
            raise _wrong(step, "has several members at one place", "members")
        places.update(range(first, last))
        behind[more.step] = max(behind.get(more.step, 0), last)


def _check_name(what: str, name: str) -> None:
    if not 0 < len(name) <= _NAME_CHARS_MAX:
        raise InvalidOption(
            f"The name of a {what} has 1 to {_NAME_CHARS_MAX} characters, not {len(name)}.", field="name"
        )


def _wrong(step: StepPlan, what: str, field: str = "steps") -> InvalidOption:
    return InvalidOption(f"The step {step.name!r} {what}.", field=field)


def _check_step(step: StepPlan, now: float) -> None:
    if (step.call is None) is (step.group is None):
        raise _wrong(step, "is either a job or a group: give one of call and group")
    takes = bool(step.takes or step.takes_error)
    if step.call is not None:
        check_groups([step.call], now)
        if len(step.call.jobs) != 1:
            raise _wrong(step, f"has {len(step.call.jobs)} jobs; a step is one job, or a group")
        _check_entries(step, step.call, takes=takes)
    if step.group is not None:
        _check_group(step, step.group)
    names = [take.name for take in step.takes if take.name is not None]
    if len(set(names)) < len(names):
        raise _wrong(step, "takes two values by the same name")
    if step.part is not None and not step.into:
        raise _wrong(step, "names a part of a value (part) that it is not part of (into)")
    callbacks = [*step.on_success, *step.on_error, *([] if step.compensation is None else [step.compensation])]
    _check_callbacks(f"The step {step.name!r}", callbacks, now)


def _check_entries(step: StepPlan, group: JobGroup, *, takes: bool) -> None:
    for entry in group.jobs:
        if entry.idempotency_key is not None:
            raise _wrong(step, "has a job with an idempotency key; give the workflow one", "idempotency_key")
        if takes and entry.body[:1] != FORMAT:
            raise _wrong(step, "takes values, so the arguments of its call have to be msgpack", "body")


def _check_group(step: StepPlan, group: GroupPlan) -> None:
    if group.total is not None and not 0 <= group.total <= limits.GROUP_MEMBERS_MAX:
        raise _wrong(
            step, f"has {group.total} members; a group has 0 to {limits.GROUP_MEMBERS_MAX} (GROUP_MEMBERS_MAX)"
        )
    if group.failures_max < 0:
        raise _wrong(step, f"allows {group.failures_max} failures; give 0 or more")
    if not 0 < group.open_s <= limits.DELAY_S_MAX:
        raise _wrong(step, f"is abandoned after {group.open_s} s; give more than 0")


def _check_callbacks(whose: str, callbacks: Sequence[Callback], now: float) -> None:
    for callback in callbacks:
        jobs = callback.call.jobs
        check_groups([callback.call], now)
        if len(jobs) != 1 or jobs[0].idempotency_key is not None:
            raise InvalidOption(f"{whose}: a callback is one job without an idempotency key.", field="callbacks")
        if callback.takes and jobs[0].body[:1] != FORMAT:
            raise InvalidOption(
                f"{whose}: a callback that is given what happened has msgpack arguments.", field="callbacks"
            )


def _check_outputs(plan: WorkflowPlan) -> None:
    names = [output.name for output in plan.outputs]
    if (None in names and len(names) > 1) or len(set(names)) < len(names):
        raise InvalidOption(
            f"The result of the workflow {plan.name!r} is the value of one step, or several under different names.",
            field="outputs",
        )
    for output in plan.outputs:
        if not 0 <= output.step < len(plan.steps):
            raise InvalidOption(
                f"The result of the workflow {plan.name!r} is of step {output.step}, which is not there.",
                field="outputs",
            )
        if plan.steps[output.step].block is not None:
            raise _wrong(plan.steps[output.step], "is inside of another; the result is of steps at the top", "outputs")


def _check_times(plan: WorkflowPlan) -> None:
    if plan.deadline_s is not None and not 0 < plan.deadline_s <= limits.DELAY_S_MAX:
        raise InvalidOption(f"A deadline is more than 0 seconds away, not {plan.deadline_s}.", field="deadline_s")
    if not 0 <= plan.keep_s <= limits.DELAY_S_MAX or not math.isfinite(plan.keep_s):
        raise InvalidOption(f"A workflow is kept for 0 seconds or more, not {plan.keep_s}.", field="keep_s")
    key = plan.idempotency_key
    if key is not None and len(key.encode()) > limits.IDEMPOTENCY_KEY_BYTES_MAX:
        raise InvalidOption(
            f"An idempotency key has at most {limits.IDEMPOTENCY_KEY_BYTES_MAX} bytes.", field="idempotency_key"
        )
    if plan.identity is not None and not all(0 <= number <= CHECKSUM_MAX for number in plan.identity):
        raise InvalidOption("What a key is compared by is a CRC-32 and a length.", field="identity")
