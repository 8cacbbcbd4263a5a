"""By what two plans are the same work: an idempotency key compares them by it."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import msgspec

from penstock.model.job import JobGroup
from penstock.model.workflow_plan import Callback, Members, StepPlan, WorkflowPlan


def plan_identity(plan: WorkflowPlan, members: Sequence[Members]) -> tuple[int, int]:
    """Checksum and length of what is asked for, without ids. Of groups that are sent in parts, of the first part."""
    blank = msgspec.structs.replace(plan, id=b"", steps=[_without_id(step) for step in plan.steps])
    blank = msgspec.structs.replace(
        blank,
        on_success=[_blank(callback) for callback in plan.on_success],
        on_error=[_blank(callback) for callback in plan.on_error],
    )
    jobs = [(one.step, one.first, [_blank_group(group) for group in one.groups]) for one in members]
    data = msgspec.msgpack.encode((blank, jobs))
    return crc32(data), len(data)


def _without_id(step: StepPlan) -> StepPlan:
    return msgspec.structs.replace(
        step,
        call=None if step.call is None else _blank_group(step.call),
        compensation=None if step.compensation is None else _blank(step.compensation),
        on_success=[_blank(callback) for callback in step.on_success],
        on_error=[_blank(callback) for callback in step.on_error],
    )


def _blank(callback: Callback) -> Callback:
    return msgspec.structs.replace(callback, call=_blank_group(callback.call))


def _blank_group(group: JobGroup) -> JobGroup:
    entries = [msgspec.structs.replace(entry, id=b"") for entry in group.jobs]
    return msgspec.structs.replace(group, jobs=entries)
