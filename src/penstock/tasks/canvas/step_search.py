"""Finding a step of a workflow by what people call it, for doors that read steps in pages. It does no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.model.errors import WorkflowNotFound
from penstock.model.ids import id_text
from penstock.model.workflow_views import StepView
from penstock.tasks.names import closest
from penstock.workflow.views import cursor_after_step

_PAGE: Final = 1_000
_DIGITS_MAX: Final = 9
_COMPARED_MAX: Final = 1_000
"""Names among which one is looked for that may have been meant."""
_SHOWN: Final = 60
_TOLD: Final = 10
"""So many names are all told where none is near."""


def step_of(text: str) -> str | int:
    """What people type or write for a step: digits alone are its number, anything else is its name."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else text


class StepSearch:
    """Looks for one step: ``while search.is_open``, ask the store for the steps of `cursor` with at most `limit` of
    them, and `look` at what it answers.

    Args:
        workflow: whose step it is.
        step: its name or its number.

    Attributes:
        cursor: of the next page; None: at the start.
        limit: how many steps to ask for.
    """

    def __init__(self, workflow: bytes, step: str | int) -> None:
        self._workflow = workflow
        self._step = step
        self._found: StepView | None = None
        self._names: list[str] = []
        by_number = isinstance(step, int)
        self.limit = 1 if by_number else _PAGE
        self.cursor = cursor_after_step(step - 1) if isinstance(step, int) and step > 0 else None
        self.is_open = not (isinstance(step, int) and step < 0)

    def look(self, steps: Iterable[StepView], cursor: str | None) -> None:
        """Look at a page, and take the cursor that it came with."""
        for view in steps:
            if self._step in (view.number, view.name):
                self._found = view
            self._names.append(view.name)
        self.cursor = cursor
        seen_enough = self._found is not None or (isinstance(self._step, int) and self._names)
        self.is_open = cursor is not None and not seen_enough

    def found(self) -> StepView:
        """The step.

        Raises:
            WorkflowNotFound: there is none of this name or number.
        """
        if self._found is None:
            raise no_step(self._workflow, self._step, self._names)
        return self._found


def no_step(workflow: bytes, step: str | int, names: list[str]) -> WorkflowNotFound:
    """The error for a step that is not there, with the name that may have been meant, or all where they are few."""
    shown = step if isinstance(step, int) else step[:_SHOWN]
    close = None if isinstance(shown, int) else closest(shown, names[:_COMPARED_MAX])
    told = f"; it has {', '.join(map(repr, names))}." if 0 < len(names) <= _TOLD and not isinstance(step, int) else "."
    rest = f"; did you mean {close!r}?" if close else told
    return WorkflowNotFound(f"Workflow {id_text(workflow)} has no step {shown!r}{rest}")
