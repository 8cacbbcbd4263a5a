"""A store for the machine that keeps everything packed, does what the machine decides, and checks what must hold."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from penstock.model.entry import JobEntry, JobGroup
from penstock.model.job_error import JobError
from penstock.model.workflow_plan import Callback, GroupPlan, Members, Output, StepPlan, WorkflowPlan
from penstock.model.workflow_views import StepState
from penstock.workflow import values
from penstock.workflow.checks import check_members, check_plan
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
from penstock.workflow.forking import fork
from penstock.workflow.hand_over import as_result
from penstock.workflow.machine import Machine
from penstock.workflow.rows import StepFacts, StepRow, WorkflowRow

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
FAILED = JobError("ValueError", "no good")


def body(*args: Any, **kwargs: Any) -> bytes:
    return b"m" + pack((args, kwargs))


def call(number: int, *args: Any, **kwargs: Any) -> JobGroup:
    data = body(*args, **kwargs)
    return JobGroup("t", [JobEntry(number.to_bytes(16, "big"), data, zlib.crc32(data))])


_numbers = iter(range(1, 1 << 60))


def job(name: str, *args: Any, **options: Any) -> StepPlan:
    return StepPlan(name, call(next(_numbers), *args), **options)


def group(name: str, total: int | None = None, **options: Any) -> StepPlan:
    plan = {key: options.pop(key) for key in ("failures_max", "on_failure", "open_s", "closes") if key in options}
    return StepPlan(name, None, GroupPlan(total, **plan), **options)


def callback(*args: Any, takes: bool = True) -> Callback:
    return Callback(call(next(_numbers), *args), takes)


def jobs(count: int, *args: Any) -> list[JobGroup]:
    return [call(next(_numbers), *args) for _ in range(count)]


def plan(*steps: StepPlan, out: int | None = None, **options: Any) -> WorkflowPlan:
    outputs = options.pop("outputs", [] if out is None else [Output(out)])
    return WorkflowPlan(next(_numbers).to_bytes(16, "big"), "w", list(steps), outputs, **options)


def with_new_ids(plan: WorkflowPlan, members: Sequence[Members]) -> tuple[WorkflowPlan, list[Members]]:
    """A plan as it is made again by the same code."""
    new = replace(plan, steps=[_step_with_new_ids(step) for step in plan.steps])
    return new, [replace(one, groups=[_call_with_new_ids(each) for each in one.groups]) for one in members]


def _step_with_new_ids(step: StepPlan) -> StepPlan:
    return replace(
        step,
        call=step.call and _call_with_new_ids(step.call),
        on_success=[Callback(_call_with_new_ids(one.call), one.takes) for one in step.on_success],
        on_error=[Callback(_call_with_new_ids(one.call), one.takes) for one in step.on_error],
    )


def _call_with_new_ids(one: JobGroup) -> JobGroup:
    return replace(one, jobs=[replace(entry, id=next(_numbers).to_bytes(16, "big")) for entry in one.jobs])


@dataclass
class Job:
    """``state``: live, asked, or how it ended."""

    id: bytes
    step: int
    place: int | None
    body: bytes
    state: str = "live"
    result: bytes | None = None
    kind: str = "step"
    runs: int = 1

    @property
    def is_live(self) -> bool:
        return self.state in {"live", "asked"}


@dataclass
class Paper:
    """A workflow on paper. ``step``: the machine handles about as many steps at once."""

    steps_max: int = 500
    now: float = 1_000.0
    source: Paper | None = None
    plan_bytes: bytes = b""
    id: bytes = b""
    workflow_bytes: bytes = b""
    facts: list[bytes] = field(default_factory=list)
    rows_bytes: list[bytes] = field(default_factory=list)
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    jobs: dict[bytes, Job] = field(default_factory=dict)
    member_ids: dict[tuple[int, int], bytes] = field(default_factory=dict)
    held: dict[int, dict[int, tuple[bytes, bytes]]] = field(default_factory=dict)
    bulk: list[Decision] = field(default_factory=list)
    called: list[tuple[bytes, Any]] = field(default_factory=list)
    alarms: dict[int | None, float] = field(default_factory=dict)
    over: list[str] = field(default_factory=list)

    # --- rows
    @property
    def plan(self) -> WorkflowPlan:
        return unpack(self.plan_bytes, type=WorkflowPlan)

    def workflow(self) -> WorkflowRow:
        return unpack(self.workflow_bytes, type=WorkflowRow)

    def put_workflow(self, row: WorkflowRow) -> None:
        self.workflow_bytes = pack(row)

    def step(self, number: int) -> tuple[StepFacts, StepRow]:
        return unpack(self.facts[number], type=StepFacts), unpack(self.rows_bytes[number], type=StepRow)

    def put_step(self, number: int, row: StepRow) -> None:
        self.rows_bytes[number] = pack(row)

    def add_steps(self, first: int, steps: Sequence[tuple[StepFacts, StepRow]]) -> None:
        assert first == len(self.facts)
        self.facts += [pack(facts) for facts, _ in steps]
        self.rows_bytes += [pack(row) for _, row in steps]

    def put_block(self, group: int, place: int, first: int) -> None:
        assert (group, place) not in self.places
        self.places[group, place] = first

    def new_job_id(self) -> bytes:
        return next(_numbers).to_bytes(16, "big")

    # --- results
    @property
    def rows(self) -> Paper:
        return self

    def origin(self) -> Paper:
        assert self.source is not None
        return self.source

    def result(self, step: int) -> bytes | None:
        facts, row = self.step(step)
        assert facts.plan.call is not None
        found = self.jobs[row.job or facts.plan.call.jobs[0].id]
        assert found.state == "succeeded", "only values that are there are handed over"
        return found.result

    def members(self, step: int) -> Iterator[bytes | int | None]:
        total = self.step(step)[1].group.there
        for place in range(total):
            if (step, place) in self.places:
                yield self.places[step, place]
            else:
                found = self.jobs.get(self.member_ids.get((step, place), b""))
                yield found.result if found is not None and found.state == "succeeded" else None

    # --- calls of the store
    def start(self, plan: WorkflowPlan, *members: Members) -> Paper:
        check_plan(plan, self.now)
        check_members(dict(enumerate(plan.steps)).get, members, self.now)
        self.id, self.plan_bytes = plan.id, pack(replace(plan, steps=[]))
        machine = Machine(self, self.now, self.steps_max)
        machine.begin(plan)
        self._do(machine)
        machine = Machine(self, self.now, self.steps_max)
        self._place(machine, members, at_start=True)
        self._do(machine)
        return self

    def add(self, *members: Members, close: Sequence[int] = (), by_member: bool = False) -> None:
        machine = Machine(self, self.now, self.steps_max)
        self._place(machine, members, by_member=by_member)
        for number in close:
            machine.close_group(number)
        self._do(machine)

    def _place(self, machine: Machine, members: Sequence[Members], offset: int = 0, **kind: bool) -> None:
        for more in members:
            step = more.step + offset
            entries = [entry for one in more.groups for entry in one.jobs]
            first, is_held = machine.place_members(step, len(entries), more.first, **kind)
            for place, entry in enumerate(entries, first):
                assert (step, place) not in self.member_ids
                assert (step, place) not in self.places
                self.member_ids[step, place] = entry.id
                self.held.setdefault(step, {})[place] = (entry.id, entry.body)
                if not is_held:
                    self._enqueue_member(step, place, machine)

    def tell(self, *events: tuple[str, tuple[Any, ...]]) -> None:
        machine = Machine(self, self.now, self.steps_max)
        for name, arguments in events:
            getattr(machine, name)(*arguments)
        self._do(machine)

    def fork(self, step: int) -> Paper:
        new = Paper(self.steps_max, self.now, self, replace(self.plan, id=self.new_job_id()) and self.plan_bytes)
        new.id = self.new_job_id()
        workflow, steps, copied = fork(self, self.id, step, self.now, self.new_job_id)
        for number in copied:
            for place, (_, data) in self._members_bodies(number).items():
                if (number, place) in new.places:
                    continue
                new.member_ids[number, place] = new.new_job_id()
                new.held.setdefault(number, {})[place] = (new.member_ids[number, place], data)
        machine = Machine(new, self.now, self.steps_max)
        machine.begin_with(workflow, steps)
        new._do(machine)
        return new

    def _members_bodies(self, number: int) -> dict[int, tuple[bytes, bytes]]:
        if self.step(number)[1].inherited:
            return self.origin()._members_bodies(number)
        return self.held.get(number, {})

    # --- jobs end
    def live(self) -> list[Job]:
        return [one for one in self.jobs.values() if one.is_live]

    def job(self, step: int | str, place: int | None = None) -> Job:
        number = step if isinstance(step, int) else self.number(step)
        found = [one for one in self.jobs.values() if (one.step, one.place, one.kind) == (number, place, "step")]
        assert len(found) == 1
        return found[0]

    def number(self, name: str) -> int:
        return next(number for number in range(len(self.facts)) if self.step(number)[0].plan.name == name)

    def end(self, one: Job | str | int, value: Any = None, *members: Members, place: int | None = None) -> None:
        """A job ends: with a value, an error, "cancelled", or a plan that takes its place."""
        one = one if isinstance(one, Job) else self.job(one, place)
        assert one.is_live
        machine = Machine(self, self.now, self.steps_max)
        if one.kind == "compensation":
            one.state = "failed" if isinstance(value, JobError) else "succeeded"
            machine.compensation_ended(value if isinstance(value, JobError) else None)
        elif isinstance(value, WorkflowPlan):
            value, members = with_new_ids(value, members)
            offset = machine.job_became(one.step, value, one.place)
            one.state = {int: "succeeded", JobError: "failed"}.get(type(offset), "cancelled")
            self._do(machine)
            if isinstance(offset, int):
                machine = Machine(self, self.now, self.steps_max)
                self._place(machine, members, offset, at_start=True)
        else:
            self._end(machine, one, value)
        self._do(machine)

    def _end(self, machine: Machine, one: Job, value: Any) -> None:
        if isinstance(value, JobError):
            one.state = "failed"
            if one.place is None:
                machine.job_failed(one.step, value)
            else:
                machine.members_ended(one.step, failed=1, error=value)
        elif value == "cancelled":
            one.state = "cancelled"
            if one.place is None:
                machine.job_cancelled(one.step)
            else:
                machine.members_ended(one.step, cancelled=1)
        else:
            one.state, one.result = "succeeded", as_result(pack(value))
            if one.place is None:
                machine.job_succeeded(one.step, len(one.result) - 1)
            else:
                machine.members_ended(one.step, succeeded=1, result_bytes=len(one.result) - 1)

    # --- what was decided
    def tick(self) -> bool:
        """A step of each chore. Answers whether there was something to do."""
        busy = bool(self.workflow().chores or self.bulk)
        self._do(Machine(self, self.now, self.steps_max))
        for number, at in sorted(self.alarms.items(), key=lambda one: one[1]):
            if at <= self.now:
                del self.alarms[number]
                busy = True
                self.tell(("alarm", (number,)))
        for decision in self.bulk[:1]:
            if isinstance(decision, OpenMembers):
                self._open_some(decision)
            else:
                self._cancel_some(decision)
        self.check()
        return busy

    def settle(self) -> Paper:
        while self.tick():
            pass
        return self

    def _open_some(self, decision: OpenMembers) -> None:
        started = 0
        machine = Machine(self, self.now, self.steps_max)
        for place in self.held.get(decision.step, {}):
            if started == self.steps_max or (decision.step, place) in self.places:
                continue
            one = self.jobs.get(self.member_ids[decision.step, place])
            runs_again = decision.again and one is not None and not one.is_live
            if one is None or (runs_again and (decision.anew or one.state != "succeeded")):
                if one is not None and (decision.step, place, self.workflow().retries) in self._reopened:
                    continue
                self._reopened.add((decision.step, place, self.workflow().retries))
                self._enqueue_member(decision.step, place, machine)
                started += 1
        if not started:
            self.bulk.pop(0)
        else:
            machine.members_started(decision.step, started)
        self._do(machine)

    _reopened: set[tuple[int, int, int]] = field(default_factory=set)

    def _cancel_some(self, decision: CancelMembers) -> None:
        live = [one for one in self.live() if (one.step, one.kind) == (decision.step, "step") and one.state == "live"]
        for one in live[: self.steps_max]:
            one.state = "asked"
        if len(live) <= self.steps_max:
            self.bulk.pop(0)

    def _enqueue_member(self, step: int, place: int, machine: Machine) -> None:
        job_id, data = self.held[step][place]
        self._enqueue(Job(job_id, step, place, values.MemberBodies(self, step).body(data)))

    def _enqueue(self, one: Job) -> None:
        before = self.jobs.get(one.id)
        if before is not None:
            assert not before.is_live
            one.runs = before.runs + 1
        self.jobs[one.id] = one

    def _do(self, machine: Machine) -> None:
        for decision in machine.decide():
            if isinstance(decision, StartJob):
                self._enqueue(Job(decision.job, decision.step, None, values.step_body(self, decision.step)))
            elif isinstance(decision, OpenMembers):
                self.bulk.append(decision)
            elif isinstance(decision, CancelMembers):
                self.bulk = [one for one in self.bulk if one.step != decision.step]
                self.bulk.append(decision)
            elif isinstance(decision, CancelJob):
                self.jobs[decision.job].state = "asked"
            elif isinstance(decision, Call):
                self._call(decision)
            elif isinstance(decision, Compensate):
                data = values.compensation_body(self, decision.step)
                self._enqueue(Job(decision.job, decision.step, None, data, kind="compensation"))
            elif isinstance(decision, SetAlarm):
                self.alarms.pop(decision.step, None)
                if decision.at is not None:
                    self.alarms[decision.step] = decision.at
            else:
                assert isinstance(decision, Over)
                self.over.append(decision.state)
        self.check()

    def _call(self, decision: Call) -> None:
        assert decision.job not in dict(self.called), "a callback is called once"
        self.called.append((decision.job, unpack(values.callback_body(self, decision)[1:])))

    # --- what is there
    @property
    def state(self) -> str:
        return self.workflow().state

    @property
    def states(self) -> dict[str, str]:
        steps = [self.step(number) for number in range(len(self.facts))]
        return {facts.plan.name: row.state for facts, row in steps}

    def value(self) -> Any:
        return unpack(values.workflow_value(self), ext_hook=lambda code, data: (code, bytes(data)))

    def value_of(self, name: str) -> Any:
        return unpack(values.value(self, self.number(name)))

    def arguments(self, step: int | str, place: int | None = None) -> Any:
        return unpack(self.job(step, place).body[1:])[0]

    def calls(self, one: Callback) -> list[Any]:
        return [data[0] for job_id, data in self.called if job_id == one.call.jobs[0].id]

    def check(self) -> None:
        """What holds at all times."""
        workflow = self.workflow()
        steps = [self.step(number) for number in range(len(self.facts))]
        counts: dict[str, int] = {}
        members = [0, 0, 0, 0]
        for facts, row in steps:
            counts[row.state] = counts.get(row.state, 0) + 1
            if row.group is not None:
                for at, name in enumerate(("there", "succeeded", "failed", "cancelled")):
                    members[at] += getattr(row.group, name)
                assert 0 <= row.group.held <= row.group.there - row.group.blocks
                assert row.group.ended <= row.group.there
            if row.state is StepState.WAITING and row.unmet < 1 << 39:
                assert row.unmet >= 0, facts.plan.name
        assert {key: count for key, count in workflow.counts.items() if count} == counts
        assert list(workflow.members) == members
        assert workflow.jobs == sum(one.kind == "step" for one in self.live())
        assert len(self.over) <= 1 + workflow.retries
        if workflow.is_over:
            assert not self.live()
            assert not counts.keys() & {StepState.WAITING, StepState.RUNNING}
