"""Accepting workflows and members of their groups. All that may be refused is looked at before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.workflow_plan import Members, StepPlan, WorkflowPlan
from penstock.model.workflow_views import MembersAdded, WorkflowStarted
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.workflow_decisions import Deciding
from penstock.store.sqlite.workflow_forks import begin_fork
from penstock.store.sqlite.workflow_rows import StoredWorkflow, insert_workflow
from penstock.workflow.checks import calls_of, check_first_members, check_members, check_plan

_KEYS_OF_WORKFLOWS: Final = 0
"""In the table of idempotency keys: the number of the task that keys of workflows stand under."""
_NO_IDENTITY: Final = (0, 0)


class Starting:
    """Accepts workflows and members."""

    def __init__(self, acceptor: Acceptor, deciding: Deciding) -> None:
        self.acceptor = acceptor
        self.deciding = deciding
        self.books = deciding.books
        self.database = deciding.database

    # --- workflows ---------------------------------------------------------------------------------------------------
    def start(self, plan: WorkflowPlan, members: Sequence[Members]) -> WorkflowStarted:
        """See `penstock.ports.workflows.WorkflowStore.start_workflow`."""
        self.acceptor.check_room()
        self.check(plan, members)
        if self.database.value("workflow_number", plan.id) is not None:
            return WorkflowStarted(plan.id, duplicate=True)
        before = self.first_of_key(plan)
        if before is not None:
            return before
        self.acceptor.check_intake(calls_of(plan, members))
        self.land(plan, members)
        return WorkflowStarted(plan.id)

    def check(self, plan: WorkflowPlan, members: Sequence[Members]) -> None:
        """Pass when a workflow is sound.

        Raises:
            InvalidOption, BodyTooLarge: it is not.
        """
        now = self.books.clock.time()
        check_plan(plan, now)
        check_members(lambda number: plan.steps[number] if 0 <= number < len(plan.steps) else None, members, now)
        check_first_members(plan, members)

    def first_of_key(self, plan: WorkflowPlan) -> WorkflowStarted | None:
        """What is answered to a workflow whose key was used before; None: it was not."""
        if plan.idempotency_key is None:
            return None
        key = (_KEYS_OF_WORKFLOWS, plan.idempotency_key)
        first = self.database.row("idempotency", *key, self.books.clock.time())
        if first is None:
            return None
        same = tuple(first[1:]) == (plan.identity or _NO_IDENTITY)
        return WorkflowStarted(first[0], duplicate=same, conflict=not same)

    def land(self, plan: WorkflowPlan, members: Sequence[Members]) -> None:
        """Start a workflow that was looked at: it may use what is kept back for a full disk."""
        stored = insert_workflow(self.database, plan, None)
        machine = self.deciding.machine(stored)
        machine.begin(plan)
        # Groups that wait for nothing have started by then, so that their members need not be held.
        self.deciding.carry_out(stored, machine)
        placed = [self.deciding.place(stored, machine, more, at_start=True) for more in members]
        for some in placed:
            self.deciding.put(stored, machine, some)
        if plan.idempotency_key is not None:
            until = self.books.clock.time() + limits.IDEMPOTENCY_S
            key = (_KEYS_OF_WORKFLOWS, plan.idempotency_key)
            self.database.run("insert_idempotency", *key, plan.id, *(plan.identity or _NO_IDENTITY), until)
        self.deciding.carry_out(stored, machine)

    def fork(self, source: StoredWorkflow, step: int, new: bytes) -> WorkflowStarted:
        """See `penstock.ports.workflows.WorkflowStore.fork_workflow`."""
        self.acceptor.check_room()
        if len(new) != 16:
            raise InvalidOption("The id of a workflow has 16 bytes.", field="new")
        begun = begin_fork(self.books, source, step, new)
        if begun is None:
            return WorkflowStarted(new, duplicate=True)
        self.deciding.carry_out(*begun)
        return WorkflowStarted(new)

    # --- members -----------------------------------------------------------------------------------------------------
    def add(self, stored: StoredWorkflow, members: Sequence[Members], close: Sequence[int]) -> MembersAdded:
        """See `penstock.ports.workflows.WorkflowStore.add_members`."""
        self.acceptor.check_room()
        steps = stored.workflow().steps

        def step_of(number: int) -> StepPlan | None:
            return stored.step(number)[0].plan if 0 <= number < steps else None

        check_members(step_of, [*members, *(Members(number, []) for number in close)], self.books.clock.time())
        machine = self.deciding.machine(stored)
        placed = [self.deciding.place(stored, machine, more) for more in members]
        self.acceptor.check_intake([group for some in placed for group in some.groups])
        for number in close:
            machine.close_group(number)
        for some in placed:
            self.deciding.put(stored, machine, some)
        self.deciding.carry_out(stored, machine)
        groups = [stored.step(number)[1].group for number in {*close, *(more.step for more in members)}]
        return MembersAdded(
            sum(some.number for some in placed), sum(group.there for group in groups if group is not None)
        )
