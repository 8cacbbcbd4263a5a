"""What a check of a store's file looks for in workflows: that their counts are those of their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import apsw
import msgspec

from penstock.model.store_file import Finding
from penstock.model.workflow_views import StepState
from penstock.store.sqlite.workflow_rows import step_row
from penstock.store.sqlite.workflow_work import Work, WorkKind
from penstock.workflow.rows import GroupRow, StepRow, WorkflowRow

_workflow_of: Final = msgspec.msgpack.Decoder(WorkflowRow).decode
_step_of: Final = msgspec.msgpack.Decoder(StepRow).decode
_work_of: Final = msgspec.msgpack.Decoder(Work).decode

_UNENDED: Final = """
SELECT count(*) FROM job WHERE step BETWEEN ? AND ? AND ifnull(place, 0) >= 0
    AND seq NOT IN (SELECT seq FROM finished)
"""
_MEMBERS: Final = """
SELECT finished.state, count(*) FROM job LEFT JOIN finished ON finished.seq = job.seq
WHERE job.step = ? AND job.place >= 0
    AND NOT EXISTS (SELECT 1 FROM member_block WHERE member_block.step = job.step AND member_block.place = job.place)
GROUP BY finished.state
"""
_HELD: Final = "SELECT ifnull(sum(count), 0) FROM held_members WHERE step = ? AND opened = 0"
_WORK: Final = "SELECT work FROM workflow_work WHERE workflow = ?"
_BLOCKS: Final = "SELECT count(*) FROM member_block WHERE step = ?"


def check_workflows(connection: apsw.Connection) -> Iterator[Finding]:
    """The findings of each workflow whose rows do not agree."""
    for number, workflow, state, standing in connection.execute("SELECT number, id, state, standing FROM workflow"):
        name = workflow.hex() if isinstance(workflow, bytes) else str(workflow)
        try:
            told = list(_checked(connection, int(number), str(state), _workflow_of(standing)))
        except (msgspec.DecodeError, TypeError) as error:
            told = [f"it cannot be read ({error})"]
        if told:
            yield Finding("workflow-differs", f"workflow {name}: {'; '.join(told)}", len(told))


def _checked(connection: apsw.Connection, number: int, state: str, row: WorkflowRow) -> Iterator[str]:
    """What is wrong with one workflow, in words."""
    first, last = step_row(number, 0), step_row(number + 1, 0) - 1
    if state != row.state:
        yield f"it is {row.state}, and is found as {state}"
    steps = {
        int(one): _step_of(standing)
        for one, standing in connection.execute(
            "SELECT row, standing FROM step WHERE row BETWEEN ? AND ?", (first, last)
        )
    }
    if sorted(steps) != list(range(first, first + row.steps)):
        yield f"it has {row.steps} steps, and {len(steps)} are there"
    found = Counter(step.state for step in steps.values())
    counted = {name: count for name, count in row.counts.items() if count}
    if found != counted:
        yield f"its steps are counted as {_said(counted)}, and are {_said(found)}"
    work = [_work_of(one).kind for (one,) in connection.execute(_WORK, (number,))]
    unended = connection.execute(_UNENDED, (first, last)).get
    if unended != row.jobs and WorkKind.TELL not in work:
        yield f"{row.jobs} of its jobs are counted as handed out, and {unended} have not ended"
    if row.is_over and row.jobs:
        yield "it is over, and has jobs that have not ended"
    is_at_work = row.chores or work
    for one, step in steps.items():
        if step.group is not None and not step.inherited and not is_at_work:
            yield from _group(connection, one, step, step.group)


def _said(counts: Mapping[StepState, int]) -> str:
    return ", ".join(f"{count} {name.value}" for name, count in sorted(counts.items())) or "none"


def _group(connection: apsw.Connection, row: int, step: StepRow, group: GroupRow) -> Iterator[str]:
    """What is wrong with the counts of a group. Members that could not be enqueued are counted, and no more; and those
    that a fork has not opened are its source's."""
    members = {state: int(count) for state, count in connection.execute(_MEMBERS, (row,))}
    succeeded = members.get("succeeded", 0)
    # A call that was returned while its workflow was set aside, and came too late then, counts as cancelled.
    # One that is to run whole once more, and has not begun, counts none; its jobs are as they were.
    has_begun = step.started_at is not None or not step.anew
    if has_begun and not 0 <= succeeded - group.jobs_succeeded <= group.cancelled:
        yield f"group {row}: {group.jobs_succeeded} members are counted as succeeded, and {succeeded} have"
    held, blocks = connection.execute(_HELD, (row,)).get, connection.execute(_BLOCKS, (row,)).get
    if blocks != group.blocks:
        yield f"group {row}: {group.blocks} members are counted as blocks, and {blocks} are"
    there = sum(members.values()) + int(held) + int(blocks)
    may_miss = bool(group.failed or (group.from_source and (group.held or group.cancelled)))
    if there > group.there or (there < group.there and not may_miss):
        yield f"group {row}: {group.there} members are counted, and {there} are there"
