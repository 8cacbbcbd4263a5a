"""Workflows of the in-memory store: what the machine decides is done at once, whatever its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import JobGroup, checksum
from penstock.model.states import TERMINAL, Event, State
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.model.workflow_views import WorkflowState
from penstock.ports import Clock
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_table import Part, Row, Table
from penstock.testing.memory_workflow_rows import WorkflowRecord
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
from penstock.workflow.job_ends import CONFLICT, Ends, error_of
from penstock.workflow.machine import Machine
from penstock.workflow.values import MemberBodies, callback_body, compensation_body, step_body

Told = Callable[[Machine], object]
"""Tells the machine what has happened."""
Enqueue = Callable[[JobGroup, Part | None], bool]
"""Enqueues a call of one job, as a part of a workflow or on its own. Answers whether it is a new job."""


class Placed(NamedTuple):
    """A new member of a group."""

    step: int
    place: int
    call: JobGroup
    is_held: bool


class Key(NamedTuple):
    """What an idempotency key was first used for, and until when it counts."""

    id: bytes
    identity: tuple[int, int] | None
    until: float


class Workflows:
    """All workflows by id, and the jobs of them that have ended in the call that is being done.

    Attributes:
        records: the workflows.
        over: are told of each workflow that is over: its id and its end.
    """

    def __init__(self, table: Table, moves: Moves, clock: Clock, enqueue: Enqueue) -> None:
        self.records: dict[bytes, WorkflowRecord] = {}
        self.over: list[Callable[[bytes, WorkflowState], None]] = []
        self._table = table
        self._moves = moves
        self._clock = clock
        self._enqueue = enqueue
        self._started = 0
        self._ended: list[Row] = []
        self._keys: dict[str, Key] = {}
        table.listeners.append(self._moved)
        moves.steps.workflow_of = lambda row: None if row.part is None else row.part.workflow
        moves.steps.is_open_workflow = self.is_open

    def is_open(self, workflow: bytes) -> bool:
        """Whether there is a workflow of this id that is not over."""
        record = self.records.get(workflow)
        return record is not None and not record.workflow().is_over

    def counts(self) -> dict[str, int]:
        """How many workflows there are by state."""
        return dict(Counter(record.workflow().state.value for record in self.records.values()))

    def new_record(self, plan: WorkflowPlan, source: WorkflowRecord | None = None) -> WorkflowRecord:
        """A workflow whose rows are to be made."""
        self._started += 1
        record = WorkflowRecord(self._started, plan, source, self._table.rows.get)
        self.records[plan.id] = record
        return record

    def first_of_key(self, plan: WorkflowPlan) -> Key | None:
        """The first use of a plan's key that still counts, if any."""
        key = None if plan.idempotency_key is None else self._keys.get(plan.idempotency_key)
        return key if key is not None and self._clock.time() < key.until else None

    def remember_key(self, plan: WorkflowPlan) -> None:
        """Note what a plan's key is used for."""
        if plan.idempotency_key is not None:
            until = self._clock.time() + limits.IDEMPOTENCY_S
            self._keys[plan.idempotency_key] = Key(plan.id, plan.identity, until)

    def machine(self, record: WorkflowRecord) -> Machine:
        """The machine of a workflow."""
        return Machine(record, self._clock.time())

    def drive(self, record: WorkflowRecord, *told: Told) -> None:
        """Tell the machine something, and do what it decides."""
        machine = self.machine(record)
        for tell in told:
            tell(machine)
        self.carry_out(record, machine)

    def carry_out(self, record: WorkflowRecord, machine: Machine) -> None:
        """Do what the machine decides, and what follows from that."""
        while decisions := machine.decide():
            for tell in [tell for decision in decisions for tell in self._do(record, decision)]:
                tell(machine)
        if not record.workflow().is_over:
            # It may have been, before it was retried.
            record.forget_at = None

    # --- what is decided ---------------------------------------------------------------------------------------------
    def _do(self, record: WorkflowRecord, decision: Decision) -> Iterable[Told]:
        """Do one thing. Answers what the machine is to be told of it."""
        match decision:
            case StartJob(step, job):
                return self._start(record, step, job)
            case Compensate(step, job):
                return self._compensate(record, step, job)
            case OpenMembers():
                return self._open(record, decision)
            case CancelJob(_, job):
                self._moves.cancel_or_ask(self._table.rows[job])
            case CancelMembers(step):
                for place in record.places(step):
                    row = record.member_job(step, place)
                    if row is not None:
                        self._moves.cancel_or_ask(row)
            case Call():
                self._enqueue(_with(decision.callback.call, decision.job, _or_bare(record, decision)), None)
            case SetAlarm(number, None):
                record.alarms.pop(number, None)
            case SetAlarm(number, at):
                assert at is not None, "the other case is above"
                record.alarms[number] = at
            case Over():
                record.forget_at = self._clock.time() + record.plan.keep_s
                for tell in self.over:
                    tell(record.id, record.workflow().state)
        return ()

    def _start(self, record: WorkflowRecord, step: int, job: bytes) -> Iterable[Told]:
        call = record.step(step)[0].plan.call
        assert call is not None, "a group has no job of its own"
        try:
            body = step_body(record, step)
        except InvalidOption as error:
            reason = error_of(error)
            return [lambda machine: machine.job_failed(step, reason)]
        if self._run(_with(call, job, body), Part(record.id, step), body):
            return ()
        return [lambda machine: machine.job_failed(step, CONFLICT)]

    def _compensate(self, record: WorkflowRecord, step: int, job: bytes) -> Iterable[Told]:
        callback = record.step(step)[0].plan.compensation
        assert callback is not None, "it has one"
        try:
            body = compensation_body(record, step)
        except InvalidOption as error:
            reason = error_of(error)
            return [lambda machine: machine.compensation_ended(reason)]
        if self._run(_with(callback.call, job, body), Part(record.id, step, undoes=True), body):
            return ()
        return [lambda machine: machine.compensation_ended(CONFLICT)]

    def _run(self, call: JobGroup, part: Part, body: bytes | None) -> bool:
        """Enqueue a job, or let it run again. ``body``: of its next run; None: as before. Answers whether it does."""
        row = self._table.rows.get(call.jobs[0].id)
        if row is None:
            return self._enqueue(call, part)
        return row.part == part and self._moves.repeat(row, body)

    def _open(self, record: WorkflowRecord, decision: OpenMembers) -> Iterable[Told]:
        """Hand out the members of a group that are held, or that run again."""
        step = decision.step
        group = record.step(step)[1].group
        assert group is not None, "only groups have members"
        try:
            bodies = MemberBodies(record, step)
            done = [self._hand_out(record, decision, place, bodies) for place in record.places(step)]
        except InvalidOption as error:
            count, refused, reason = group.held, group.held, error_of(error)
        else:
            count, refused, reason = len(done) - done.count(None), done.count(False), CONFLICT
        return [
            lambda machine: machine.members_started(step, count),
            lambda machine: machine.members_ended(step, failed=refused, error=reason) if refused else None,
        ]

    def _hand_out(self, record: WorkflowRecord, decision: OpenMembers, place: int, bodies: MemberBodies) -> bool | None:
        """Let a member start. Answers whether it does; None: it is not to."""
        call, row = record.calls[decision.step, place], record.member_job(decision.step, place)
        runs_again = decision.again and (decision.anew or (row is not None and row.state is not State.SUCCEEDED))
        if row is not None and (row.state not in TERMINAL or not runs_again):
            return None
        body = bodies.body(call.jobs[0].body, each=call.each)
        changed = body if bodies.changes else None
        return self._run(_with(call, call.jobs[0].id, body), Part(record.id, decision.step, place), changed)

    # --- members -----------------------------------------------------------------------------------------------------
    def place(
        self,
        record: WorkflowRecord,
        machine: Machine,
        more: Members,
        *,
        by_member: bool = False,
        at_start: bool = False,
    ) -> list[Placed]:
        """Find places for new members of a group. Nothing is kept yet; `put` follows.

        Raises:
            Conflict, InvalidOption: the group takes none.
        """
        calls = record.new_members(more.step, more.groups)
        first, is_held = machine.place_members(
            more.step, len(calls), more.first, by_member=by_member, at_start=at_start
        )
        return [Placed(more.step, place, call, is_held) for place, call in enumerate(calls, first)]

    def put(self, record: WorkflowRecord, machine: Machine, placed: Sequence[Placed]) -> None:
        """Keep new members, and make jobs of those that are not held."""
        for one in placed:
            record.calls[one.step, one.place] = one.call
            if one.is_held:
                continue
            body = MemberBodies(record, one.step).body(one.call.jobs[0].body, each=one.call.each)
            if not self._enqueue(_with(one.call, one.call.jobs[0].id, body), Part(record.id, one.step, one.place)):
                machine.members_ended(one.step, failed=1, error=CONFLICT)

    # --- jobs end ----------------------------------------------------------------------------------------------------
    def _moved(self, row: Row, _event: Event, source: State | None, target: State | None) -> None:
        if row.part is not None and source not in TERMINAL and target in TERMINAL:
            self._ended.append(row)

    def go_on(self, landing: Callable[[WorkflowRecord, Machine, Row], bool] = lambda *_: False) -> None:
        """Let workflows go on whose jobs have ended.

        Args:
            landing: tells the machine of a job that returned a call; answers whether it was one.
        """
        while self._ended:
            ended, self._ended = self._ended, []
            for workflow in dict.fromkeys(row.part.workflow for row in ended if row.part is not None):
                record = self.records[workflow]
                machine, ends = self.machine(record), Ends()
                for row in ended:
                    if row.part is not None and row.part.workflow == workflow and not landing(record, machine, row):
                        self._tell(ends, row, row.part)
                ends.tell(machine)
                self.carry_out(record, machine)

    @staticmethod
    def _tell(ends: Ends, row: Row, part: Part) -> None:
        assert row.state is not None, "its record is kept"
        size_bytes = max(0, len(row.result or b"") - 1)
        if part.undoes:
            ends.compensation(row.state, row.error)
        else:
            ends.job(part.step, part.place, row.state, row.error, size_bytes)

    # --- time passes -------------------------------------------------------------------------------------------------
    def step(self) -> int:
        """What is due: alarms, work that machines have left for later, and records that go. Answers how much it was."""
        done, now = 0, self._clock.time()
        for record in list(self.records.values()):
            if record.forget_at is not None and record.forget_at <= now:
                done += self.forget(record)
                continue
            for number in [number for number, at in record.alarms.items() if at <= now]:
                # One that rings first may have ended what another one was set for.
                record.alarms.pop(number, None)
                self.drive(record, _alarm_of(number))
                done += 1
            if record.workflow().chores:
                self.drive(record)
                done += 1
        return done

    def next_at(self) -> float | None:
        """When something is due, in monotonic seconds; None: nothing is."""
        records = [record for record in self.records.values() if not self._is_kept_for_forks(record)]
        if any(record.workflow().chores for record in records):
            return self._clock.monotonic()
        times = [at for record in records for at in record.alarms.values()]
        times += [record.forget_at for record in records if record.forget_at is not None]
        return self._clock.monotonic() + max(0.0, min(times) - self._clock.time()) if times else None

    def _is_kept_for_forks(self, record: WorkflowRecord) -> bool:
        return any(one.source is record for one in self.records.values())

    def forget(self, record: WorkflowRecord) -> bool:
        """Throw away a workflow that is over, with its jobs. False: others were forked from it, and it is kept as long
        as these."""
        if self._is_kept_for_forks(record):
            return False
        del self.records[record.id]
        for row in [row for row in self._table.rows.values() if row.part and row.part.workflow == record.id]:
            self._moves.trim(row)
        self._moves.steps.forget_owner(record.id)
        return True


def _alarm_of(number: int | None) -> Told:
    return lambda machine: machine.alarm(number)


def _with(call: JobGroup, job: bytes, body: bytes) -> JobGroup:
    """A call of one job, with this id and these arguments."""
    return replace(call, jobs=[replace(call.jobs[0], id=job, body=body, checksum=checksum(body))])


def _or_bare(record: WorkflowRecord, call: Call) -> bytes:
    """The body of a callback. It is called all the same when what it would be given cannot be handed over."""
    try:
        return callback_body(record, call)
    except InvalidOption:
        return call.callback.call.jobs[0].body
