"""The ends of the jobs of one workflow that are told its machine together: of members of a group only counts."""

from __future__ import annotations

from typing import Final

from penstock.model.errors import PenstockError
from penstock.model.job_error import JobError
from penstock.model.states import State
from penstock.workflow.machine import Machine

CONFLICT: Final = JobError("Conflict", "Another job has its unique key, or its id, so it was not enqueued.")
EXPIRED: Final = JobError("Expired", "It was not started before its time was up (expires_s).")
KEY_TAKEN: Final = "Its idempotency key was used before for another workflow."
"""Of a call that a job of no workflow returns."""
COMPENSATION_CANCELLED: Final = JobError("JobCancelled", "The job that undoes it was cancelled.")


def error_of(error: PenstockError) -> JobError:
    """An error of ours as that of a job."""
    return JobError(type(error).__name__, error.message)


class _Members:
    """How members of one group have ended."""

    def __init__(self) -> None:
        self.succeeded = self.result_bytes = self.failed = self.cancelled = 0
        self.error: JobError | None = None


class Ends:
    """Collects ends. `tell` tells the machine: successes of steps, then what else became of steps, then members."""

    def __init__(self) -> None:
        self._succeeded: list[tuple[int, int]] = []
        self._failed: list[tuple[int, JobError]] = []
        self._cancelled: list[int] = []
        self._members: dict[int, _Members] = {}
        self._compensations: list[JobError | None] = []

    def job(self, step: int, place: int | None, state: State, error: JobError | None, result_bytes: int) -> None:
        """The job of a step, or of its member at this place, has ended in this state."""
        if place is not None:
            members = self._members.setdefault(step, _Members())
            members.succeeded += state is State.SUCCEEDED
            members.result_bytes += result_bytes
            members.cancelled += state is State.CANCELLED
            if state in {State.DEAD, State.EXPIRED}:
                members.failed += 1
                members.error = members.error or error or EXPIRED
        elif state is State.SUCCEEDED:
            self._succeeded.append((step, result_bytes))
        elif state is State.CANCELLED:
            self._cancelled.append(step)
        else:
            self._failed.append((step, error or EXPIRED))

    def members_succeeded(self, step: int, count: int, result_bytes: int) -> None:
        """So many members of a group have succeeded, and what is kept of their results takes so much together."""
        members = self._members.setdefault(step, _Members())
        members.succeeded += count
        members.result_bytes += result_bytes

    def compensation(self, state: State, error: JobError | None) -> None:
        """The compensation that runs has ended in this state."""
        reasons = {State.SUCCEEDED: None, State.CANCELLED: COMPENSATION_CANCELLED}
        self._compensations.append(reasons.get(state, error or EXPIRED))

    def tell(self, machine: Machine) -> None:
        """Tell the machine."""
        for error in self._compensations:
            machine.compensation_ended(error)
        for step, result_bytes in self._succeeded:
            machine.job_succeeded(step, result_bytes)
        for step, reason in self._failed:
            machine.job_failed(step, reason)
        for step in self._cancelled:
            machine.job_cancelled(step)
        for step, members in self._members.items():
            machine.members_ended(
                step,
                succeeded=members.succeeded,
                result_bytes=members.result_bytes,
                failed=members.failed,
                cancelled=members.cancelled,
                error=members.error,
            )
