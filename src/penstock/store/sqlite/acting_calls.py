"""The calls by which people act on jobs: by id, and by filter a step a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.model.acceptance import check_edit, check_edited
from penstock.model.audit import check_by, jobs_text
from penstock.model.ids import id_text
from penstock.model.job import Filter, JobEntry, JobView, Step
from penstock.model.states import TERMINAL, WAITING, State
from penstock.model.unique import REVIVABLE
from penstock.store.sqlite.operator_actions import Operating
from penstock.store.sqlite.operator_calls import OperatorCalls
from penstock.store.sqlite.transactions import draining


class ActingCalls(OperatorCalls):
    """The part of `penstock.store.sqlite.store.SqliteStore` that acts on single jobs."""

    _operating: Operating

    # --- by id -------------------------------------------------------------------------------------------------------
    @draining
    def cancel(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """See `penstock.ports.Store.cancel`."""
        return self._each(ids, self._operating.cancel, _may_be_cancelled, "cancel", by)

    @draining
    def revive(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """See `penstock.ports.Store.revive`."""
        return self._each(ids, self._operating.revive, self._may_be_revived, "retry", by)

    @draining
    def revive_edited(self, entry: JobEntry, *, by: str | None = None) -> State | None:
        """See `penstock.ports.Store.revive_edited`."""
        view = self._inspector.view(entry.id)
        check_edited(entry, None if view is None else view.task)
        (state,) = self._each(
            [entry.id],
            lambda _: self._operating.revive_edited(entry),
            lambda before: self._may_be_revived(before, entry.unique_key),
            "edit and retry",
            by,
        )
        return state

    @draining
    def move(self, ids: Sequence[bytes], queue: str, *, by: str | None = None) -> list[State | None]:
        """See `penstock.ports.Store.move`."""
        self._check_target(queue)
        return self._each(
            ids,
            lambda job_id: self._operating.move(job_id, queue),
            lambda before: before.state in WAITING and before.queue != queue,
            "move",
            by,
        )

    @draining
    def delete(self, ids: Sequence[bytes], *, by: str | None = None) -> list[bool]:
        """See `penstock.ports.Store.delete`."""
        check_by(by)
        self._line.write_all()
        deleted = [self._operating.delete(job_id) for job_id in ids]
        self._note_jobs(by, "delete", ids, sum(deleted))
        return deleted

    @draining
    def edit(
        self,
        ids: Sequence[bytes],
        *,
        priority: int | None = None,
        run_at: float | None = None,
        by: str | None = None,
    ) -> list[State | None]:
        """See `penstock.ports.Store.edit`."""
        check_edit(priority, run_at, self.clock.time())
        return self._each(
            ids,
            lambda job_id: self._operating.edit(job_id, priority, run_at),
            lambda before: before.state in WAITING,
            "edit",
            by,
        )

    def _each(
        self,
        ids: Sequence[bytes],
        act: Callable[[bytes], State | None],
        changes: Callable[[JobView], bool],
        verb: str,
        by: str | None,
    ) -> list[State | None]:
        """Act on each job. Only where somebody asks by hand it is counted how many of them that changes."""
        check_by(by)
        self._line.write_all()
        if by is None:
            return [act(job_id) for job_id in ids]
        answer: list[State | None] = []
        changed = 0
        for job_id in ids:
            before = self._inspector.view(job_id)
            changed += before is not None and changes(before)
            answer.append(act(job_id))
        self._note_jobs(by, verb, ids, changed)
        return answer

    def _may_be_revived(self, before: JobView, other_key: str | None = None) -> bool:
        return before.state in REVIVABLE and not self._unique.is_kept_away(before.id, other_key)

    def _note_jobs(self, by: str | None, verb: str, ids: Sequence[bytes], changed: int) -> None:
        if by is not None and changed:
            self._records.note(by, verb, jobs_text([id_text(job_id) for job_id in ids]), changed)

    # --- by filter ---------------------------------------------------------------------------------------------------
    @draining
    def cancel_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """See `penstock.ports.Store.cancel_where`."""
        self._line.write_all()
        return self._operating.step(where, cursor, self._operating.cancels)

    @draining
    def revive_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """See `penstock.ports.Store.revive_where`."""
        self._line.write_all()
        return self._operating.step(where, cursor, self._operating.revives)

    @draining
    def move_where(self, where: Filter, queue: str, *, cursor: str | None = None) -> Step:
        """See `penstock.ports.Store.move_where`."""
        self._check_target(queue)
        self._line.write_all()
        return self._operating.step(where, cursor, lambda job_id: self._operating.moves(job_id, queue))

    @draining
    def delete_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """See `penstock.ports.Store.delete_where`."""
        self._line.write_all()
        return self._operating.step(where, cursor, self._operating.delete)


def _may_be_cancelled(before: JobView) -> bool:
    return before.state not in TERMINAL and not before.cancel_requested
