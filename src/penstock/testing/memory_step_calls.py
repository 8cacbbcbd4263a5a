"""The calls of the in-memory store that are about durable steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from penstock.model.audit import check_by
from penstock.model.durable_steps import History, JobRecords, Recorded, Signalled
from penstock.model.errors import WorkflowNotFound
from penstock.model.ids import id_text
from penstock.model.states import TERMINAL
from penstock.model.step_history import check_name, check_value
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_operators import Operators
from penstock.testing.memory_slots import WithSlots, serving
from penstock.testing.memory_table import Row


class StepCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` that is about durable steps."""

    _moves: Moves
    _operators: Operators

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @abstractmethod
    def _find(self, job_id: bytes) -> Row | None:
        """The job, if there is a record of it."""

    def record(self, jobs: Sequence[JobRecords]) -> list[Recorded]:
        """Record what running jobs have done. Answers for each."""
        self._open()
        return self._moves.steps.record(jobs)

    def history(self, job: bytes, *, first: int = 0) -> History:
        """What a job has recorded, from this place on, in pages."""
        self._open()
        return self._moves.steps.history(job, first)

    def published(self, workflow: bytes, names: Sequence[str] | None = None) -> dict[str, tuple[bytes, float]]:
        """The values that were published under this id."""
        self._open()
        return self._moves.steps.published(workflow, names)

    @serving
    def signal(self, workflow: bytes, event: str, payload: bytes, *, by: str | None = None) -> Signalled:
        """Deliver an event, or keep it for the first that will wait for it."""
        self._open()
        check_name(event, "an event")
        check_value(payload, f"the event {event!r}")
        check_by(by)
        steps = self._moves.steps
        if not steps.is_open_workflow(workflow):
            row = self._find(workflow)
            if row is None or row.state in TERMINAL or steps.workflow_of(row) is not None:
                raise WorkflowNotFound("There is neither a workflow nor a lone job of this id, or it is over.")
        signalled = steps.signal(workflow, event, payload, self._moves.event_came)
        if by is not None:
            self._operators.note(by, "signal", f"workflow:{id_text(workflow)}", note=event)
        return signalled
