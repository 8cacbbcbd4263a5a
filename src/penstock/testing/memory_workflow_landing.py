"""What lands with the success of a job of the in-memory store beside its children: calls that it returned, workflows,
members of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.model.acceptance import check_groups
from penstock.model.entry import JobGroup
from penstock.model.errors import Conflict, InvalidOption, PenstockError
from penstock.model.job import Buried, Cancelled, Outcomes
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.ports import Clock
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_table import Row, Table
from penstock.testing.memory_workflow_rows import WorkflowRecord
from penstock.testing.memory_workflows import Workflows
from penstock.workflow.checks import calls_of, check_first_members, check_members, check_plan
from penstock.workflow.job_ends import KEY_TAKEN, error_of
from penstock.workflow.layout import moved_members
from penstock.workflow.machine import Machine


class Looked(NamedTuple):
    """What is settled, and what lands with it.

    Attributes:
        outcomes: jobs with something that cannot land have failed.
        workflows: they start; with the job that became one, if it returned it.
        returned: calls that jobs of workflows returned, with their members, by the id of the job.
        members: members that jobs add to their groups, by the id of the job.
    """

    outcomes: Outcomes
    workflows: list[tuple[WorkflowPlan, list[Members], Row | None]]
    returned: dict[bytes, tuple[WorkflowPlan, list[Members]]]
    members: dict[bytes, list[JobGroup]]


class Landing:
    """Looks at what lands before a settlement, and lets it land."""

    def __init__(self, table: Table, workflows: Workflows, queues: Queues, clock: Clock) -> None:
        self._table = table
        self._workflows = workflows
        self._queues = queues
        self._clock = clock

    def look(self, outcomes: Outcomes) -> Looked:
        """What is settled, and what lands. Nothing changes."""
        ends: dict[int, Buried | Cancelled] = {}
        looked = Looked(outcomes, [], {}, {})
        for fence in sorted({*outcomes.forgotten, *(one.fence for one in outcomes.succeeded)}):
            row = self._table.held(outcomes.holder, fence)
            if row is None:
                continue
            try:
                if not self._look(row, fence, looked):
                    ends[fence] = Cancelled(fence)
            except PenstockError as error:
                ends[fence] = Buried(fence, error_of(error), row.started_at)
        if not ends:
            return looked
        left = outcomes.only(set(outcomes.fences()) - ends.keys())
        for one in ends.values():
            left.add(one)
        return self.look(left)

    def _look(self, row: Row, fence: int, looked: Looked) -> bool:
        """Look at all that lands with a job. Answers False if it is cancelled, as its workflow is about to end."""
        outcomes = looked.outcomes
        for plan, members in [(plan, members) for one, plan, members in outcomes.workflows if one == fence]:
            self._check(plan, members)
            looked.workflows.append((plan, members, None))
        for plan, members in [(plan, members) for one, plan, members in outcomes.expansions if one == fence]:
            self._check(plan, members)
            if row.part is None:
                first = self._workflows.first_of_key(plan)
                if first is not None and first.identity != plan.identity:
                    raise Conflict(KEY_TAKEN)
                looked.workflows.append((plan, members, row))
                continue
            if row.part.undoes:
                raise InvalidOption("A job that undoes a step returns no call; let it enqueue what it needs.")
            record = self._workflows.records[row.part.workflow]
            check_plan(plan, self._clock.time(), there=record.workflow().steps)
            if not self._workflows.machine(record).takes_call(row.part.step):
                return False
            looked.returned[row.id] = (plan, members)
        for groups in [groups for one, groups in outcomes.members if one == fence]:
            self._look_at_members(row, groups)
            looked.members[row.id] = groups
        return True

    def _check(self, plan: WorkflowPlan, members: Sequence[Members]) -> None:
        check_plan(plan, self._clock.time())
        check_members(dict(enumerate(plan.steps)).get, members, self._clock.time())
        check_first_members(plan, members)
        self._queues.admit({group.queue for group in calls_of(plan, members)})

    def _look_at_members(self, row: Row, groups: Sequence[JobGroup]) -> None:
        check_groups(groups, self._clock.time())
        self._queues.admit({group.queue for group in groups})
        group = None
        if row.part is not None:
            machine = self._workflows.machine(self._workflows.records[row.part.workflow])
            group = row.part.step if row.part.place is not None else machine.group_around(row.part.step)
            if group is not None:
                # This machine decides nothing: what it is told is forgotten.
                machine.place_members(group, sum(len(one.jobs) for one in groups), by_member=True)
        if group is None:
            raise InvalidOption("The job is in no group, so it cannot add members to one.", field="members")

    # --- landing -----------------------------------------------------------------------------------------------------
    def lands(self, looked: Looked) -> Callable[[WorkflowRecord, Machine, Row], bool]:
        """Tells a machine of what lands with a job of its workflow. Answers whether the job returned a call."""

        def land(record: WorkflowRecord, machine: Machine, row: Row) -> bool:
            assert row.part is not None, "it is of this workflow"
            part = row.part
            placed = []
            if row.id in looked.members:
                group = part.step if part.place is not None else machine.group_around(part.step)
                assert group is not None, "that has been looked at"
                placed += self._workflows.place(
                    record, machine, Members(group, looked.members.pop(row.id)), by_member=True
                )
            plan, members = looked.returned.pop(row.id, (None, []))
            if plan is not None:
                first = machine.job_became(part.step, plan, part.place)
                for more in moved_members(members, first) if isinstance(first, int) else ():
                    placed += self._workflows.place(record, machine, more, at_start=True)
            self._workflows.put(record, machine, placed)
            return plan is not None

        return land
