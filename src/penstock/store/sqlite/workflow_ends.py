"""What becomes of workflows when their jobs end: in the transaction in which these end, at the end of the call.

A settlement may end thousands of members of a group. They are counted with one statement for the whole batch, and the
machine is told once of each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from penstock.model.errors import InvalidOption, PenstockError
from penstock.model.interests import Ending, Interest
from penstock.model.job import JobError, JobGroup
from penstock.model.states import TERMINAL, State
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.workflow_decisions import Deciding, Placed
from penstock.store.sqlite.workflow_rows import COMPENSATION, StoredWorkflow, step_of, workflow_at, workflow_of
from penstock.workflow.job_ends import Ends, error_of

_encode_json: Final = msgspec.json.Encoder().encode
_decode_error: Final = msgspec.msgpack.Decoder(JobError).decode
_JOB, _COMPENSATION, _MEMBER = range(3)
"""What a job is to its step."""


class Became(NamedTuple):
    """A job of a workflow that returned a call."""

    plan: WorkflowPlan
    members: Sequence[Members]


class WorkflowEnds:
    """Hears of the ends of jobs of workflows, and tells the machine."""

    def __init__(self, deciding: Deciding) -> None:
        self.deciding = deciding
        self.database = deciding.database
        deciding.listeners.register(Interest.PARENT, self._hear)
        deciding.listeners.parts_succeeded = self._count
        self.forget()

    def forget(self) -> None:
        """The open transaction was undone."""
        self._ended: list[int] = []
        self._counted: dict[tuple[int, int], list[int]] = {}
        self._became: dict[int, Became] = {}
        self._joining: dict[int, list[JobGroup]] = {}

    def _hear(self, endings: Sequence[Ending]) -> None:
        # The machine may end other jobs: not while somebody is ending these.
        self._ended += [ending.seq for ending in endings if ending.source not in TERMINAL]

    def _count(self, parts: Sequence[Lease]) -> None:
        """As `_hear`, of many that have succeeded."""
        if self._became or self._joining:
            self._ended += [held.seq for held in parts]
            return
        steps = [held.step for held in parts]
        if len(steps) > 1 and steps.count(steps[0]) == len(steps):
            # Several of one step: members of a group, as most of a batch are.
            self._add(steps[0] or 0, _MEMBER, len(steps), sum([held.result_bytes for held in parts]))
            return
        for held in parts:
            kind = _JOB if held.place is None else _COMPENSATION if held.place < 0 else _MEMBER
            self._add(held.step or 0, kind, 1, held.result_bytes)

    def _add(self, row: int, kind: int, count: int, size_bytes: int) -> None:
        counted = self._counted.setdefault((row, kind), [0, 0])
        counted[0] += count
        counted[1] += size_bytes

    # --- what lands with a success -----------------------------------------------------------------------------------
    def land(self, seq: int, outcome: Became | list[JobGroup]) -> None:
        """A job of a workflow is about to succeed, and has returned a call, or adds members to its group."""
        if isinstance(outcome, Became):
            self._became[seq] = outcome
        else:
            self._joining[seq] = outcome

    # --- the end of a call -------------------------------------------------------------------------------------------
    def after_call(self) -> None:
        """Let workflows go on whose jobs have ended."""
        while self._ended or self._counted:
            ended, self._ended = self._ended, []
            became = {seq: self._became.pop(seq) for seq in ended if seq in self._became} if self._became else {}
            joining = {seq: self._joining.pop(seq) for seq in ended if seq in self._joining} if self._joining else {}
            self._go_on(ended, became, joining)

    def _go_on(self, ended: list[int], became: dict[int, Became], joining: dict[int, list[JobGroup]]) -> None:
        batch = _Batch(self.deciding)
        counted, self._counted = self._counted, {}
        for (row, kind), (count, size_bytes) in counted.items():
            for told in batch.of(row):
                told.succeeded(row, kind, count, size_bytes)
        failed = set[int]()
        for seq in sorted(became.keys() | joining.keys()):
            row, place = self.database.row("step_of_job", seq) or (0, None)
            for told in batch.of(row):
                if not told.land(row, place, became.get(seq), joining.get(seq)):
                    failed.add(seq)
        if became or failed:
            ended = [seq for seq in ended if seq not in became and seq not in failed]
        if ended:
            seqs = _encode_json(ended).decode()
            for row, kind, count, size_bytes in self.database.rows("ended_well", seqs):
                for told in batch.of(row):
                    told.succeeded(row, kind, count, size_bytes)
            for row, place, state, error in self.database.rows("ended_otherwise", seqs):
                for told in batch.of(row):
                    told.ended(row, place, State(state), _decode_error(error) if error else None)
        batch.go_on()


class _Batch:
    """What the machines of workflows are told of a batch of ends."""

    def __init__(self, deciding: Deciding) -> None:
        self.deciding = deciding
        self._workflows: dict[int, list[_Told]] = {}

    def of(self, row: int) -> list[_Told]:
        """Who hears of this step: one, or nobody, where the file is damaged and its workflow missing."""
        number = workflow_of(row)
        if number not in self._workflows:
            stored = workflow_at(self.deciding.database, number)
            self._workflows[number] = [] if stored is None else [_Told(self.deciding, stored)]
        return self._workflows[number]

    def go_on(self) -> None:
        """Let them decide."""
        for told in self._workflows.values():
            for one in told:
                one.go_on()


class _Told:
    """What one workflow's machine is told of a batch of ends."""

    def __init__(self, deciding: Deciding, stored: StoredWorkflow) -> None:
        self.deciding = deciding
        self.stored = stored
        self.machine = deciding.machine(stored)
        self.ends = Ends()

    def land(self, row: int, place: int | None, became: Became | None, joining: list[JobGroup] | None) -> bool:
        """A job succeeds, and has returned a call, or adds members. False: it could not, and has failed instead."""
        step, placed = step_of(row), list[Placed]()
        try:
            if joining is not None:
                group = self.machine.group_around(step) if place is None else step
                if group is None:
                    raise InvalidOption("The job is in no group, so it cannot add members to it.")
                placed.append(self._place(Members(group, joining), by_member=True))
        except PenstockError as error:
            self.ended(row, place, State.DEAD, error_of(error))
            return False
        if became is not None:
            first = self.machine.job_became(step, became.plan, place)
            if isinstance(first, int):
                placed += [self._place(replace(more, step=more.step + first), at_start=True) for more in became.members]
        for some in placed:
            self.deciding.put(self.stored, self.machine, some)
        return True

    def _place(self, more: Members, *, by_member: bool = False, at_start: bool = False) -> Placed:
        return self.deciding.place(self.stored, self.machine, more, by_member=by_member, at_start=at_start)

    def succeeded(self, row: int, kind: int, count: int, size_bytes: int) -> None:
        """So many have succeeded, with results of this size."""
        if kind == _MEMBER:
            self.ends.members_succeeded(step_of(row), count, size_bytes)
        elif kind == _COMPENSATION:
            self.ends.compensation(State.SUCCEEDED, None)
        else:
            self.ends.job(step_of(row), None, State.SUCCEEDED, None, size_bytes)

    def ended(self, row: int, place: int | None, state: State, error: JobError | None) -> None:
        """One has ended otherwise."""
        if place == COMPENSATION:
            self.ends.compensation(state, error)
        else:
            self.ends.job(step_of(row), place, state, error, 0)

    def go_on(self) -> None:
        """Let the machine decide."""
        self.ends.tell(self.machine)
        self.deciding.carry_out(self.stored, self.machine)
