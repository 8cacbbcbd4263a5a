"""What lands with the success of a job beside its children: returned calls, workflows, members of its group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

from penstock.model.acceptance import check_groups
from penstock.model.errors import Conflict, InvalidOption, PenstockError
from penstock.model.interests import Interest
from penstock.model.job import Buried, Cancelled, JobError, JobGroup, Outcomes
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.settling import Settling
from penstock.store.sqlite.workflow_ends import WorkflowEnds
from penstock.store.sqlite.workflow_rows import COMPENSATION, StoredWorkflow, step_of, workflow_at, workflow_of
from penstock.store.sqlite.workflow_starting import Starting
from penstock.store.sqlite.workflow_told import Became
from penstock.workflow.checks import calls_of, check_plan
from penstock.workflow.job_ends import KEY_TAKEN

_NO_GROUP: Final = "The job is in no group, so it cannot add members to one."
Look = Callable[[Lease], bool]
"""Whether a job is cancelled instead of succeeding, as its workflow is about to end. Raises PenstockError: it has
failed instead, as what would land with it may not be accepted."""


class Looked(NamedTuple):
    """What lands, all of which has been looked at.

    Attributes:
        outcomes: what is to be settled: jobs with something that cannot land have failed.
        workflows: they start.
        became: jobs of no workflow that returned a call: the number of the row of each, and the call. It becomes
            this workflow, or the one that has its key.
        parts: jobs of workflows, by the numbers of their rows, and what they returned or add.
    """

    outcomes: Outcomes
    workflows: list[tuple[WorkflowPlan, Sequence[Members]]]
    became: list[tuple[int, WorkflowPlan]]
    parts: list[tuple[int, Became | list[JobGroup]]]


class Landing:
    """Looks at it before the settlement, so that nothing of this is refused midway, and lets it land after it."""

    def __init__(self, acceptor: Acceptor, settling: Settling, starting: Starting, ends: WorkflowEnds) -> None:
        self.acceptor = acceptor
        self.settling = settling
        self.starting = starting
        self.ends = ends
        self.database = acceptor.database
        self.clock = acceptor.books.clock

    def look(self, outcomes: Outcomes) -> Looked:
        """What is to be settled, and what lands with it. Nothing is written."""
        succeeding = self.settling.succeeding(outcomes)
        ends: dict[int, Buried | Cancelled] = {}
        for fence, look in self._looks(outcomes):
            held = succeeding.get(fence)
            if held is None or fence in ends:
                continue
            try:
                if look(held):
                    ends[fence] = Cancelled(fence)
            except PenstockError as error:
                ends[fence] = Buried(fence, JobError(type(error).__name__, error.message), held.started_at)
        if ends:
            outcomes = outcomes.only(set(outcomes.fences()) - ends.keys())
            for one in ends.values():
                outcomes.add(one)
            succeeding = {fence: held for fence, held in succeeding.items() if fence not in ends}
        return self._landing(outcomes, succeeding)

    def _landing(self, outcomes: Outcomes, succeeding: dict[int, Lease]) -> Looked:
        looked = Looked(outcomes, [], [], [])
        for fence, plan, members in outcomes.workflows:
            if fence in succeeding:
                looked.workflows.append((plan, members))
        for fence, plan, members in outcomes.expansions:
            held = succeeding.get(fence)
            if held is not None and held.interest & Interest.PARENT:
                looked.parts.append((held.seq, Became(plan, members)))
            elif held is not None:
                looked.workflows.append((plan, members))
                looked.became.append((held.seq, plan))
        for fence, groups in outcomes.members:
            held = succeeding.get(fence)
            if held is not None:
                looked.parts.append((held.seq, groups))
        return looked

    # --- looking -----------------------------------------------------------------------------------------------------
    def _looks(self, outcomes: Outcomes) -> Iterator[tuple[int, Look]]:
        """With the fence of a job, what looks at something that lands with it."""
        for fence, plan, members in outcomes.workflows:
            yield fence, partial(self._look_at_plan, plan, members)
        for fence, plan, members in outcomes.expansions:
            yield fence, partial(self._look_at_call, plan, members)
        for fence, groups in outcomes.members:
            yield fence, partial(self._look_at_members, groups)

    def _look_at_plan(self, plan: WorkflowPlan, members: Sequence[Members], _: Lease) -> bool:
        self.starting.check(plan, members)
        self.acceptor.check_queues({group.queue for group in calls_of(plan, members)})
        return False

    def _look_at_call(self, plan: WorkflowPlan, members: Sequence[Members], held: Lease) -> bool:
        self._look_at_plan(plan, members, held)
        if held.step is None:
            first = self.starting.first_of_key(plan)
            if first is not None and first.conflict:
                raise Conflict(KEY_TAKEN)
            return False
        if held.place == COMPENSATION:
            raise InvalidOption("A job that undoes a step returns no call; let it enqueue what it needs.")
        return self._asked(held.step, partial(self._takes_no_call, plan, step_of(held.step)))

    def _takes_no_call(self, plan: WorkflowPlan, step: int, stored: StoredWorkflow) -> bool:
        check_plan(plan, self.clock.time(), there=stored.workflow().steps)
        return not self.starting.deciding.machine(stored).takes_call(step)

    def _look_at_members(self, groups: list[JobGroup], held: Lease) -> bool:
        check_groups(groups, self.clock.time())
        self.acceptor.check_queues({group.queue for group in groups})
        if held.step is None:
            raise InvalidOption(_NO_GROUP, field="members")
        return self._asked(held.step, partial(self._takes_no_members, groups, step_of(held.step), held.place))

    def _takes_no_members(
        self, groups: list[JobGroup], own: int, place: int | None, stored: StoredWorkflow
    ) -> Literal[False]:
        machine = self.starting.deciding.machine(stored)
        group = own if place is not None else machine.group_around(own)
        if group is None:
            raise InvalidOption(_NO_GROUP, field="members")
        # This machine decides nothing: what it is told is forgotten.
        machine.place_members(group, sum(len(one.jobs) for one in groups), by_member=True)
        return False

    def _asked(self, row: int, ask: Callable[[StoredWorkflow], bool]) -> bool:
        """What is answered about the workflow of a step. False: it is gone, or set aside, and hears of it later."""
        aside, number, answer = self.starting.deciding.aside, workflow_of(row), False
        if number not in aside:
            with aside.watched(number, PenstockError):
                stored = workflow_at(self.database, number)
                answer = stored is not None and ask(stored)
        return answer

    # --- landing -----------------------------------------------------------------------------------------------------
    def before(self, looked: Looked) -> None:
        """The settlement is about to be committed."""
        for seq, outcome in looked.parts:
            self.ends.land(seq, outcome)

    def after(self, looked: Looked) -> None:
        """It is."""
        for plan, members in looked.workflows:
            is_new = self.database.value("workflow_number", plan.id) is None
            if is_new and self.starting.first_of_key(plan) is None:
                self.starting.land(plan, members)
        for seq, plan in looked.became:
            first = self.starting.first_of_key(plan)
            self.database.run("note_became", plan.id if first is None or first.conflict else first.id, seq)
