"""What workflows are, for people and programs that ask: views in pages, and results."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from penstock.model import limits
from penstock.model.errors import WorkflowNotFound
from penstock.model.ids import id_text
from penstock.model.workflow_views import ResultsPage, StepsPage, WorkflowsPage, WorkflowState, WorkflowView
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.workflow_rows import StoredWorkflow, find_workflow, read_step, step_of, step_row, workflow_at
from penstock.workflow.hand_over import as_result
from penstock.workflow.rows import places_of
from penstock.workflow.values import block_value, value, workflow_value
from penstock.workflow.views import (
    cursor_after_step,
    cursor_before_workflow,
    step_after,
    step_view,
    workflow_before,
    workflow_view,
)

_PAGE_MAX: Final = 1_000
"""Workflows, steps or results in one page."""
_PAGE_BYTES_MAX: Final = limits.ANSWER_BYTES_MAX // 4
"""Results in one page; the one that reaches this is its last."""


class WorkflowReading:
    """Answers without changing anything."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.database = books.database

    def find(self, workflow: bytes) -> StoredWorkflow:
        """A workflow by its id.

        Raises:
            WorkflowNotFound: there is none.
        """
        found = find_workflow(self.database, workflow)
        if found is None:
            raise not_found(workflow)
        return found

    def view(self, workflow: bytes) -> WorkflowView | None:
        """One workflow; None: there is none."""
        found = find_workflow(self.database, workflow)
        return None if found is None else _view(found)

    def is_open(self, workflow: bytes) -> bool:
        """Whether there is a workflow of this id that is not over."""
        found = find_workflow(self.database, workflow)
        return found is not None and not found.workflow().is_over

    def page(self, state: WorkflowState | None, name: str | None, cursor: str | None, limit: int) -> WorkflowsPage:
        """Workflows, newest first; as many as are found in one slice of time."""
        limit = max(1, min(limit, _PAGE_MAX))
        below, until = workflow_before(cursor), self.books.clock.monotonic() + limits.SLICE_S
        views: list[WorkflowView] = []
        while len(views) < limit:
            row = self.database.row("workflow_below", below)
            if row is None:
                return WorkflowsPage(views, None)
            below, found_state, found_name = row
            if state in (None, found_state) and name in (None, found_name):
                stored = workflow_at(self.database, below)
                assert stored is not None, "it was just found"
                views.append(_view(stored))
            if self.books.clock.monotonic() >= until:
                break
        return WorkflowsPage(views, cursor_before_workflow(below))

    def steps(self, workflow: bytes, cursor: str | None, limit: int) -> StepsPage:
        """Steps by number; as many as fit one page and one slice of time."""
        limit = max(1, min(limit, _PAGE_MAX))
        stored = self.find(workflow)
        until = self.books.clock.monotonic() + limits.SLICE_S
        first, last = step_after(cursor), stored.workflow().steps
        views = []
        rows = self.database.rows(
            "steps_from", step_row(stored.number, first), step_row(stored.number + 1, 0), min(limit, last)
        )
        for row, facts, standing in rows:
            views.append(step_view(step_of(row), *read_step(facts, standing), stored.workflow()))
            first = step_of(row) + 1
            if self.books.clock.monotonic() >= until:
                break
        return StepsPage(views, cursor_after_step(first - 1) if first < last else None)

    # --- results -----------------------------------------------------------------------------------------------------
    def results(self, workflow: bytes, step: int | None, first: int, limit: int) -> ResultsPage:
        """Results of a step, or the workflow's own."""
        stored = self.find(workflow)
        if step is None:
            over = stored.workflow().state is WorkflowState.SUCCEEDED
            return ResultsPage([as_result(workflow_value(stored)) if over else None], total=1)
        if not 0 <= step < stored.workflow().steps:
            raise WorkflowNotFound(f"The workflow {id_text(workflow)} has no step {step}.")
        return self._of_step(stored, step, max(0, first), max(1, min(limit, _PAGE_MAX)))

    def _of_step(self, stored: StoredWorkflow, step: int, first: int, limit: int) -> ResultsPage:
        facts, row = stored.step(step)
        if row.inherited:
            origin = stored.origin()
            assert isinstance(origin, StoredWorkflow), "it is in this file too"
            return self._of_step(origin, step, first, limit)
        if row.group is None or row.value_from is not None:
            ended = as_result(value(stored, step)) if row.state == "succeeded" else None
            return ResultsPage([ended], total=1)
        results, size_bytes = list[bytes | None](), 0
        for result in islice(_member_results(stored, step, first), limit):
            results.append(result)
            size_bytes += len(result or b"")
            if size_bytes >= _PAGE_BYTES_MAX:
                break
        behind = first + len(results)
        total = places_of(facts, row)
        return ResultsPage(results, first, behind if behind < total else None, total)


def _member_results(stored: StoredWorkflow, step: int, first: int) -> Iterator[bytes | None]:
    """The results of the members of a group from this place on."""
    for member in stored.members_from(step, first):
        if not isinstance(member, int):
            yield member
            continue
        block = stored.step(member)[1].block
        done = block is not None and block.has_succeeded
        yield as_result(block_value(stored, member)) if done else None


def _view(stored: StoredWorkflow) -> WorkflowView:
    return workflow_view(stored.id, stored.plan, stored.workflow())


def not_found(workflow: bytes) -> WorkflowNotFound:
    """The error for an id that no workflow has."""
    return WorkflowNotFound(f"There is no workflow {id_text(workflow)} (any more).")
