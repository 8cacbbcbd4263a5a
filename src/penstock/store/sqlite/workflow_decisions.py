"""Carrying out what the machine of workflows has decided, in the transaction in which it decided it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.model.errors import InvalidOption
from penstock.model.job import JobError, JobGroup
from penstock.model.workflow_plan import Members
from penstock.model.workflow_views import WorkflowState
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.listeners import Listeners
from penstock.store.sqlite.workflow_aside import WorkflowsAside
from penstock.store.sqlite.workflow_jobs import Enqueued, WorkflowJobs
from penstock.store.sqlite.workflow_rows import StoredWorkflow, step_row
from penstock.store.sqlite.workflow_work import Work, WorkKind, WorkList
from penstock.workflow.decisions import (
    Call,
    CancelJob,
    CancelMembers,
    Compensate,
    Decision,
    OpenMembers,
    Over,
    SetAlarm,
    StartJob,
)
from penstock.workflow.job_ends import CONFLICT
from penstock.workflow.machine import Machine
from penstock.workflow.values import MemberBodies, callback_body, compensation_body, step_body

Tell = Callable[[Machine], object]
"""Tells the machine of what has happened."""


class Placed(NamedTuple):
    """New members of a group, and where they stand in it."""

    step: int
    groups: Sequence[JobGroup]
    number: int
    first: int
    are_held: bool


class Deciding:
    """Drives the machine.

    Attributes:
        work: what is left for later.
        aside: the workflows whose machines raise.
        ended: is told of workflows that are over.
    """

    def __init__(self, books: Books, jobs: WorkflowJobs, listeners: Listeners) -> None:
        self.books = books
        self.database = books.database
        self.jobs = jobs
        self.listeners = listeners
        self.work = WorkList(books.database)
        self.aside = WorkflowsAside(books.database, books.clock)
        self.ended: list[Callable[[bytes, WorkflowState], None]] = []

    def machine(self, stored: StoredWorkflow) -> Machine:
        """The machine of a workflow."""
        return Machine(stored, self.books.clock.time())

    def drive(self, stored: StoredWorkflow, *told: Tell) -> None:
        """Tell the machine something, and carry out what it decides."""
        machine = self.machine(stored)
        for tell in told:
            tell(machine)
        self.carry_out(stored, machine)

    def carry_out(self, stored: StoredWorkflow, machine: Machine) -> None:
        """Do what the machine decides of what it was told. What cannot be done, it is told in turn."""
        while True:
            told: list[Tell] = []
            for decision in machine.decide():
                told += self._carry_out(stored, decision)
            if not told:
                break
            for tell in told:
                tell(machine)
        if stored.workflow().chores:
            self._go_on_later(stored)
        if self.work.resting and not stored.workflow().starts_nothing:
            self.work.wake(stored.number)

    def _go_on_later(self, stored: StoredWorkflow) -> None:
        if all(work.kind is not WorkKind.MACHINE for _, work in self.work.of(stored.number)):
            self.work.add(stored.number, Work(WorkKind.MACHINE))

    def _carry_out(self, stored: StoredWorkflow, decision: Decision) -> Sequence[Tell]:
        """Do one thing. Answers what the machine is to be told of it."""
        match decision:
            case StartJob(step, job):
                return self._start(stored, step, job)
            case Compensate(step, job):
                return self._compensate(stored, step, job)
            case OpenMembers(step, again, anew):
                return self._open(stored, step, again=again, anew=anew)
            case CancelJob(_, job):
                self.jobs.cancel(job)
            case CancelMembers(step):
                self._cancel(stored, step)
            case Call():
                self._call(stored, decision)
            case SetAlarm(step, at):
                self._set_alarm(stored, step, at)
            case Over(state):
                self._over(stored, state)
        return ()

    # --- single jobs -------------------------------------------------------------------------------------------------
    def _start(self, stored: StoredWorkflow, step: int, job: bytes) -> Sequence[Tell]:
        call = stored.step(step)[0].plan.call
        assert call is not None, "a group has no job of its own"
        try:
            body = step_body(stored, step)
        except InvalidOption as error:
            failure = _error_of(error)
            return [lambda machine: machine.job_failed(step, failure)]
        if self.jobs.start(stored, step, job, call, body):
            return ()
        return [lambda machine: machine.job_failed(step, CONFLICT)]

    def _compensate(self, stored: StoredWorkflow, step: int, job: bytes) -> Sequence[Tell]:
        callback = stored.step(step)[0].plan.compensation
        assert callback is not None, "it has one"
        try:
            body = compensation_body(stored, step)
        except InvalidOption as error:
            failure = _error_of(error)
            return [lambda machine: machine.compensation_ended(failure)]
        if self.jobs.start(stored, step, job, callback.call, body, undoes=True):
            return ()
        return [lambda machine: machine.compensation_ended(CONFLICT)]

    def _call(self, stored: StoredWorkflow, call: Call) -> None:
        try:
            body = callback_body(stored, call)
        except InvalidOption:
            # What it would be given cannot be handed over. It is called all the same, as without `takes`.
            body = call.callback.call.jobs[0].body
        self.jobs.call(call.callback.call, call.job, body)

    # --- members -----------------------------------------------------------------------------------------------------
    def place(
        self,
        stored: StoredWorkflow,
        machine: Machine,
        more: Members,
        *,
        by_member: bool = False,
        at_start: bool = False,
    ) -> Placed:
        """Find places for new members of a group. Nothing is written yet; `put` follows.

        Args:
            by_member: they land with the success of a member.
            at_start: they came with the plan that the group is in.

        Raises:
            Conflict, InvalidOption: the group takes none.
        """
        groups = self.jobs.new_members(stored, more.step, more.groups)
        count = sum(len(group.jobs) for group in groups)
        first, are_held = machine.place_members(more.step, count, more.first, by_member=by_member, at_start=at_start)
        return Placed(more.step, groups, count, first, are_held=are_held)

    def put(self, stored: StoredWorkflow, machine: Machine, placed: Placed) -> None:
        """Make jobs of new members, or hold them."""
        if placed.are_held:
            self.jobs.hold(stored, placed.step, placed.groups, placed.first, opened=False)
            return
        done = self._enqueue(stored, placed.step, placed.groups, placed.first)
        if done.refused:
            machine.members_ended(placed.step, failed=done.refused, error=CONFLICT)

    def _enqueue(self, stored: StoredWorkflow, step: int, groups: Sequence[JobGroup], first: int) -> Enqueued:
        """Make jobs of members at once."""
        plan = stored.step(step)[0].plan
        if not (plan.takes or plan.takes_error):
            return self.jobs.enqueue(stored, step, groups, first, None)
        bodies = MemberBodies(stored, step)
        self.jobs.hold(stored, step, groups, first, opened=True)
        return self.jobs.enqueue(stored, step, groups, first, bodies)

    def _open(self, stored: StoredWorkflow, step: int, *, again: bool, anew: bool) -> Sequence[Tell]:
        for number, begun in self.work.of(stored.number):
            if begun.step != step or begun.kind not in (WorkKind.OPEN, WorkKind.REPEAT, WorkKind.CANCEL):
                continue
            if begun.kind is WorkKind.REPEAT and not again:
                # It opens what is held once it has come to its end.
                return ()
            self.work.save(number, None)
        work = Work(WorkKind.OPEN, step)
        group = stored.step(step)[1].group
        if again and group is not None:
            work = Work(WorkKind.REPEAT, step, anew=anew, behind=max(group.next, group.total or 0))
        done, left = self.some_members(stored, work)
        if left is not None:
            self.work.add(stored.number, left)
        return done

    def some_members(self, stored: StoredWorkflow, work: Work) -> tuple[Sequence[Tell], Work | None]:
        """Let some more members of a group start. Answers what the machine is to be told, and what is left to do."""
        step = work.step
        try:
            if work.kind is WorkKind.REPEAT:
                done, left = self.jobs.repeat_some(stored, work)
                left = Work(WorkKind.OPEN, step) if left is None else left
            else:
                done, left = self.jobs.open_some(stored, work)
        except InvalidOption as error:
            return self._cannot_open(stored, step, _error_of(error)), None
        group = stored.step(step)[1].group
        count, refused = done.jobs + done.refused, done.refused
        if left is None and group is not None:
            # There is nothing more of members that could not be enqueued when it was their turn than their count.
            refused += group.held - count
            count = group.held
        told: list[Tell] = []
        if count:
            told.append(lambda machine: machine.members_started(step, count))
        if refused:
            told.append(lambda machine: machine.members_ended(step, failed=refused, error=CONFLICT))
        return told, left

    def _cannot_open(self, stored: StoredWorkflow, step: int, error: JobError) -> Sequence[Tell]:
        """What a group takes cannot be handed over: its members fail."""
        group = stored.step(step)[1].group
        held = 0 if group is None else group.held
        return [
            lambda machine: machine.members_started(step, held),
            lambda machine: machine.members_ended(step, failed=held, error=error),
        ]

    def _cancel(self, stored: StoredWorkflow, step: int) -> None:
        for number, work in self.work.of(stored.number):
            if work.step == step and work.kind in (WorkKind.OPEN, WorkKind.REPEAT):
                self.work.save(number, None)
        left = self.jobs.cancel_some(stored, Work(WorkKind.CANCEL, step))
        if left is not None:
            self.work.add(stored.number, left)

    # --- the whole ---------------------------------------------------------------------------------------------------
    def _set_alarm(self, stored: StoredWorkflow, step: int | None, at: float | None) -> None:
        if step is None:
            self.database.run("set_workflow_due", at, stored.number)
        else:
            self.database.run("set_step_due", at, step_row(stored.number, step))

    def _over(self, stored: StoredWorkflow, state: WorkflowState) -> None:
        self.database.run("set_workflow_due", self.books.clock.time() + stored.plan.keep_s, stored.number)
        if stored.id in self.listeners.watched:
            self.listeners.ended.append(stored.id)
        for tell in self.ended:
            tell(stored.id, state)


def _error_of(error: InvalidOption) -> JobError:
    return JobError(type(error).__name__, error.message)
