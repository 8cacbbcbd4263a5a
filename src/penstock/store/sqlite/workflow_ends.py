"""What becomes of workflows when their jobs end: in the transaction in which these end, at the end of the call.

A settlement may end thousands of members of a group. They are counted with one statement for the whole batch, and the
machine is told once of each step. A workflow whose machine raises is set aside (`workflow_aside`), so that the others
are not held up by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from penstock.model.interests import Ending, Interest
from penstock.model.job import JobError, JobGroup
from penstock.model.states import TERMINAL, State
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.workflow_aside import CannotGoOn
from penstock.store.sqlite.workflow_decisions import Deciding
from penstock.store.sqlite.workflow_rows import workflow_at, workflow_of
from penstock.store.sqlite.workflow_told import JOB, MEMBER, UNDOING, Became, Later, Told

_encode_json: Final = msgspec.json.Encoder().encode
_decode_error: Final = msgspec.msgpack.Decoder(JobError).decode


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
            self._add(steps[0] or 0, MEMBER, len(steps), sum([held.result_bytes for held in parts]))
            return
        for held in parts:
            kind = JOB if held.place is None else UNDOING if held.place < 0 else MEMBER
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
            if not batch.land(row, place, became.get(seq), joining.get(seq)):
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
        self._workflows: dict[int, list[Told | Later]] = {}
        self._failure: CannotGoOn | None = None

    def of(self, row: int) -> list[Told | Later]:
        """Who hears of this step: one, or nobody, where the file is damaged and its workflow missing."""
        number = workflow_of(row)
        if number not in self._workflows:
            self._workflows[number] = hears = list[Told | Later]()
            if number in self.deciding.aside:
                hears.append(Later(self.deciding, number))
            else:
                with self._noted(number):
                    stored = workflow_at(self.deciding.database, number)
                    hears += [] if stored is None else [Told(self.deciding, stored)]
        return self._workflows[number]

    def land(self, row: int, place: int | None, became: Became | None, joining: list[JobGroup] | None) -> bool:
        """A job succeeds, and has returned a call, or adds members. False: it could not, and has failed instead."""
        landed = True
        for told in self.of(row):
            with self._noted(workflow_of(row)):
                landed = told.land(row, place, became, joining)
        return landed

    def go_on(self) -> None:
        """Let them decide.

        Raises:
            CannotGoOn: some cannot, all of which are set aside now.
        """
        for number, told in self._workflows.items():
            for one in told:
                with self._noted(number):
                    one.go_on()
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def _noted(self, number: int) -> Iterator[None]:
        """While something is done with a workflow. That it cannot go on is raised when all have been tried: what is
        written until then is undone."""
        try:
            with self.deciding.aside.watched(number):
                yield
        except CannotGoOn as error:
            self._failure = self._failure or error
