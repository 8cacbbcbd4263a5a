"""What the machine of one workflow is told of a batch of ends, at once or, when it is set aside, later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.model.errors import InvalidOption, PenstockError
from penstock.model.job import JobError, JobGroup
from penstock.model.states import State
from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.store.sqlite.workflow_decisions import Deciding, Placed
from penstock.store.sqlite.workflow_rows import COMPENSATION, StoredWorkflow, step_of
from penstock.store.sqlite.workflow_work import Work, WorkKind
from penstock.workflow.job_ends import Ends, error_of

JOB, UNDOING, MEMBER = range(3)
"""What a job is to its step. Stored: a number that was given out keeps its meaning."""


class Became(NamedTuple):
    """A job of a workflow that returned a call."""

    plan: WorkflowPlan
    members: Sequence[Members]


class Told:
    """What a machine is told."""

    def __init__(self, deciding: Deciding, stored: StoredWorkflow) -> None:
        self.deciding = deciding
        self.stored = stored
        self.machine = deciding.machine(stored)
        self.ends = Ends()

    def land(
        self,
        row: int,
        place: int | None,
        became: Became | None,
        joining: list[JobGroup] | None,
        *,
        late: bool = False,
    ) -> bool:
        """A job succeeds, and has returned a call, or adds members to its group.

        Args:
            late: it has succeeded before. Where its group has ended meanwhile, it adds no members.

        Returns:
            Whether it does. False: it could not, and has failed instead.
        """
        step, placed = step_of(row), list[Placed]()
        try:
            if joining is not None:
                group = self.machine.group_around(step) if place is None else step
                if group is None:
                    raise InvalidOption("The job is in no group, so it cannot add members to it.")
                placed.append(self._place(Members(group, joining), by_member=True))
        except PenstockError as error:
            if not late:
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
        if kind == MEMBER:
            self.ends.members_succeeded(step_of(row), count, size_bytes)
        elif kind == UNDOING:
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


class _Untold(Struct, array_like=True):
    """What a machine was not told: the arguments of the methods of `Told`."""

    succeeded: list[tuple[int, int, int, int]] = []
    ended: list[tuple[int, int | None, State, JobError | None]] = []
    landed: list[tuple[int, int | None, Became | None, list[JobGroup] | None]] = []


_encode: Final = msgspec.msgpack.Encoder().encode
_untold_of: Final = msgspec.msgpack.Decoder(_Untold).decode


class Later:
    """As `Told`, for a workflow that is set aside: it is kept in the file until the machine can be told.

    Args:
        workflow: its number.
    """

    def __init__(self, deciding: Deciding, workflow: int) -> None:
        self.deciding = deciding
        self.workflow = workflow
        self._untold = _Untold()

    def land(self, row: int, place: int | None, became: Became | None, joining: list[JobGroup] | None) -> bool:
        """A job succeeds, and has returned a call, or adds members."""
        self._untold.landed.append((row, place, became, joining))
        return True

    def succeeded(self, row: int, kind: int, count: int, size_bytes: int) -> None:
        """So many have succeeded, with results of this size."""
        self._untold.succeeded.append((row, kind, count, size_bytes))

    def ended(self, row: int, place: int | None, state: State, error: JobError | None) -> None:
        """One has ended otherwise."""
        self._untold.ended.append((row, place, state, error))

    def go_on(self) -> None:
        """Keep it."""
        self.deciding.work.add(self.workflow, Work(WorkKind.TELL, untold=_encode(self._untold)))


def tell(deciding: Deciding, stored: StoredWorkflow, untold: bytes) -> None:
    """Tell the machine what it was not told, and let it decide."""
    kept, told = _untold_of(untold), Told(deciding, stored)
    for landing in kept.landed:
        told.land(*landing, late=True)
    for success in kept.succeeded:
        told.succeeded(*success)
    for end in kept.ended:
        told.ended(*end)
    told.go_on()
