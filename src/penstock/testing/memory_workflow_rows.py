"""One workflow of the in-memory store: its rows for the machine, its members, and the results of its jobs.

Rows are kept packed, and what is read is read anew, so that a change that was not put back is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from penstock.model.entry import JobEntry, JobGroup
from penstock.model.ids import new_id
from penstock.model.states import State
from penstock.model.workflow_plan import WorkflowPlan
from penstock.testing.memory_table import Row
from penstock.workflow.rows import StepFacts, StepRow, WorkflowRow, places_of

_pack: Final = msgspec.msgpack.Encoder().encode


class WorkflowRecord:
    """A workflow. It is both what the machine needs (`penstock.workflow.rows.Rows`) and what values are put together
    from (`penstock.workflow.values.Results`).

    Attributes:
        number: its place among all, in the order in which they were started.
        plan: without its steps.
        source: what it was forked from; None: nothing.
        calls: of members that are jobs: the call of each, a group of one, by step and place. It stays as it was given.
        blocks: members that are blocks: the step that each begins with, by step and place.
        alarms: when the machine is to be called, in Unix seconds, by step; None: about the whole.
        forget_at: when its record goes, in Unix seconds; None: it is not over.
    """

    def __init__(
        self, number: int, plan: WorkflowPlan, source: WorkflowRecord | None, job_of: Callable[[bytes], Row | None]
    ) -> None:
        """``job_of``: the job of an id; None: there is none."""
        self.number = number
        self.plan = replace(plan, steps=[], idempotency_key=None)
        self.source = source
        self.calls: dict[tuple[int, int], JobGroup] = {}
        self.blocks: dict[tuple[int, int], int] = {}
        self.alarms: dict[int | None, float] = {}
        self.forget_at: float | None = None
        self._job_of = job_of
        self._workflow = b""
        self._facts: list[bytes] = []
        self._steps: list[bytes] = []

    # --- what the machine reads and writes ---------------------------------------------------------------------------
    def workflow(self) -> WorkflowRow:
        """The workflow."""
        return msgspec.msgpack.decode(self._workflow, type=WorkflowRow)

    def put_workflow(self, row: WorkflowRow) -> None:
        """Keep the workflow."""
        self._workflow = _pack(row)

    def step(self, number: int) -> tuple[StepFacts, StepRow]:
        """One step."""
        facts = msgspec.msgpack.decode(self._facts[number], type=StepFacts)
        return facts, msgspec.msgpack.decode(self._steps[number], type=StepRow)

    def put_step(self, number: int, row: StepRow) -> None:
        """Keep a step."""
        self._steps[number] = _pack(row)

    def add_steps(self, first: int, steps: Sequence[tuple[StepFacts, StepRow]]) -> None:
        """Add steps."""
        assert first == len(self._steps), "steps are numbered on"
        self._facts += [_pack(facts) for facts, _ in steps]
        self._steps += [_pack(row) for _, row in steps]

    def put_block(self, group: int, place: int, first: int) -> None:
        """Keep that a member is a block."""
        self.blocks[group, place] = first

    @staticmethod
    def new_job_id() -> bytes:
        """An id for a job that has to be another one than in the plan."""
        return new_id()

    # --- what values are put together from ---------------------------------------------------------------------------
    @property
    def id(self) -> bytes:
        """The workflow's."""
        return self.plan.id

    @property
    def rows(self) -> WorkflowRecord:
        """Its rows."""
        return self

    def origin(self) -> WorkflowRecord:
        """The workflow that it was forked from."""
        assert self.source is not None, "only a fork has taken something over"
        return self.source

    def result(self, step: int) -> bytes | None:
        """The stored result of the job of a step, which has succeeded."""
        facts, row = self.step(step)
        assert facts.plan.call is not None, "a group has no job of its own"
        job = self._job_of(row.job or facts.plan.call.jobs[0].id)
        assert job is not None, "jobs of a workflow are kept as long as it is"
        return job.result

    def members(self, step: int) -> Iterator[bytes | int | None]:
        """The members of a group by place: stored results of jobs, and the steps that blocks begin with."""
        return (self._member(step, place) for place in range(places_of(*self.step(step))))

    def _member(self, step: int, place: int) -> bytes | int | None:
        if (step, place) in self.blocks:
            return self.blocks[step, place]
        job = self.member_job(step, place)
        return job.result if job is not None and job.state is State.SUCCEEDED else None

    # --- members -----------------------------------------------------------------------------------------------------
    def places(self, step: int) -> list[int]:
        """The places of a group at which there are jobs, or will be, in order."""
        return sorted(place for one, place in self.calls if one == step and (one, place) not in self.blocks)

    def member_job(self, step: int, place: int) -> Row | None:
        """The job of a member; None: it has not been handed out."""
        call = self.calls.get((step, place))
        return None if call is None else self._job_of(call.jobs[0].id)

    def new_members(self, step: int, groups: Sequence[JobGroup]) -> list[JobGroup]:
        """Those that are not there yet, each as a group of one."""
        known = {call.jobs[0].id for (one, _), call in self.calls.items() if one == step}
        fresh: dict[bytes, JobGroup] = {}
        for group in groups:
            for entry in group.jobs:
                if entry.id not in known and self._job_of(entry.id) is None:
                    fresh.setdefault(entry.id, replace(group, jobs=[entry]))
        return list(fresh.values())

    def copy_members(self, step: int) -> None:
        """A group runs anew in this fork: its members are those of the source, with ids of their own."""
        source: WorkflowRecord = self.origin()
        while source.step(step)[1].inherited:
            source = source.origin()
        for (one, place), call in source.calls.items():
            if one == step and (one, place) not in self.blocks:
                self.calls[one, place] = replace(call, jobs=[_renamed(call.jobs[0])])


def _renamed(entry: JobEntry) -> JobEntry:
    return replace(entry, id=new_id(), idempotency_key=None)
