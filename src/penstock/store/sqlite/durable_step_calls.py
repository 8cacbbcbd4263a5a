"""The calls about durable steps, over the embedded file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.model.audit import check_by
from penstock.model.durable_steps import History, JobRecords, Recorded, Signalled
from penstock.model.errors import WorkflowNotFound
from penstock.model.ids import id_text
from penstock.model.states import TERMINAL
from penstock.model.step_history import check_jobs, check_name, check_value
from penstock.store.sqlite.transactions import Transactions, draining


class DurableStepCalls(Transactions):
    """The calls of the engine that are about durable steps.

    Attributes:
        is_open_workflow: whether there is a workflow of this id that is not over.
    """

    is_open_workflow: Callable[[bytes], bool] = staticmethod(lambda _: False)

    @draining
    def record(self, jobs: Sequence[JobRecords]) -> list[Recorded]:
        """See `penstock.ports.DurableStepStore.record`."""
        check_jobs(jobs)
        return self._endings.steps.record(jobs)

    def history(self, job: bytes, *, first: int = 0) -> History:
        """See `penstock.ports.DurableStepStore.history`."""
        seq = self._inspector.seq_of(job)
        return History(now=self.clock.time()) if seq is None else self._endings.steps.history(seq, first)

    def published(self, workflow: bytes, names: Sequence[str] | None = None) -> dict[str, tuple[bytes, float]]:
        """See `penstock.ports.DurableStepStore.published`."""
        return self._endings.steps.published(workflow, names)

    @draining
    def signal(self, workflow: bytes, event: str, payload: bytes, *, by: str | None = None) -> Signalled:
        """See `penstock.ports.DurableStepStore.signal`."""
        check_name(event, "an event")
        check_value(payload, f"the event {event!r}")
        check_by(by)
        lone = None if self.is_open_workflow(workflow) else self._lone_job(workflow)
        signalled = self._endings.steps.signal(workflow, event, payload, lone)
        if by is not None:
            self._records.note(by, "signal", f"workflow:{id_text(workflow)}", None, event)
        return signalled

    def _lone_job(self, job_id: bytes) -> int:
        """The row of the lone job of this id.

        Raises:
            WorkflowNotFound: there is none, or it is over, or it is of a workflow.
        """
        seq = self._inspector.seq_of(job_id)
        view = None if seq is None else self._inspector.view_row(seq)
        if seq is None or view is None or view.state in TERMINAL:
            told = "is over" if view is not None else "is not there, neither as a workflow nor as a job"
            raise WorkflowNotFound(f"{_text(job_id)} {told}: nobody can wait for an event there.")
        workflow = self._endings.steps.workflow_of(seq)
        if workflow is not None:
            raise WorkflowNotFound(
                f"The job {_text(job_id)} is of the workflow {_text(workflow)}, whose events it waits for: signal that."
            )
        return seq


def _text(found: bytes) -> str:
    return id_text(found) if len(found) == 16 else repr(found)
