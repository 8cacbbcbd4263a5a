"""What a store offers for durable steps: the history of a running job, and the events that jobs wait for.

It is a part of the contract of a store (`penstock.ports.Store`). How a job is suspended: `Outcomes.suspended`, with
`Store.settle`. Which record stands where: `penstock.model.step_history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model.durable_steps import History, JobRecords, Recorded, Signalled
from penstock.ports.effects import reads


class DurableStepStore(Protocol):
    """The calls about durable steps. Each is one atomic step."""

    def record(self, jobs: Sequence[JobRecords]) -> list[Recorded]:
        """Record what running jobs have done: durable when this returns. Answers for each job.

        What was recorded is there until the job's record goes, however often it runs, also when it is retried by hand.
        Only where it is given other arguments (`revive_edited`, a unique job that is replaced) it begins anew.

        Raises:
            InvalidOption: a job has too many records or published names, or a name is none; nothing was recorded.
            ResultTooLarge: a value is over `limits.RECORD_BYTES_MAX`; nothing was recorded.
        """
        ...

    @reads
    def history(self, job: bytes, *, first: int = 0) -> History:
        """What a job has recorded, from this place on, in pages of a bounded size. Nothing when there is no such job
        (any more)."""
        ...

    @reads
    def published(self, workflow: bytes, names: Sequence[str] | None = None) -> dict[str, tuple[bytes, float]]:
        """The values that a workflow's jobs, or the lone job of this id, have published, each with when (Unix
        seconds). ``names`` None: all.

        Raises:
            BodyTooLarge: these are over `limits.ANSWER_BYTES_MAX` together.
        """
        ...

    def signal(self, workflow: bytes, event: str, payload: bytes, *, by: str | None = None) -> Signalled:
        """Deliver an event to the job of the workflow, or to the lone job of this id, that has waited for it longest,
        which is ready then; or keep it for the first that will wait. ``payload``: encoded as a result.

        Raises:
            WorkflowNotFound: there is neither a workflow nor a lone job of this id, or it is over.
            InvalidOption: that is no name for an event.
            ResultTooLarge: the payload is over `limits.RECORD_BYTES_MAX`.
            StoreFull: too many are kept (`limits.SIGNALS_KEPT_MAX`).
        """
        ...
