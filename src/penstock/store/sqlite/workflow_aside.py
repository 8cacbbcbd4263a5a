"""Workflows that cannot go on, because of a defect or a damaged record: set aside, so that they hold up nobody else.

When the machine of a workflow raises, or what it works on cannot be read, the transaction is undone, the workflow is
noted here, and who wanted the transaction does the same once more. This time the machine is not asked: that jobs have
ended is committed as ever, and what the machine was to be told is kept in the file with it
(`penstock.store.sqlite.workflow_told.Later`). Every ASIDE_S the tick tries to tell it. What has been mended by then, as
by a newer version, goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import apsw

from penstock.model.errors import PenstockError, StoreFull, StoreUnavailable
from penstock.model.ids import id_text
from penstock.ports import Clock
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.failing_chores import ASIDE_S

_SHOWN: Final = 200


class CannotGoOn(Exception):
    """The machine of a workflow raised. What it was part of has to be undone.

    Attributes:
        passes_again: the same, done once more, leaves this workflow aside.
    """

    passes_again = True


class WorkflowsAside:
    """Which workflows are set aside. In memory: after an opening the first failure finds it out again.

    Attributes:
        latest: which was set aside last, and why, for people.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.latest = ""
        self._database = database
        self._clock = clock
        self._until: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, workflow: object) -> bool:
        return workflow in self._until

    @contextmanager
    def watched(self, workflow: int, *refuses: type[PenstockError]) -> Iterator[None]:
        """While something is done with a workflow, by its number. Whatever that raises sets the workflow aside.

        Args:
            refuses: errors that say no more than that it does not take what was asked.

        Raises:
            CannotGoOn: instead of any other error; those of a disk that is full or fails stay as they are.
        """
        try:
            yield
        except refuses:
            raise
        except Exception as error:
            if self._is_of_disk(error):
                raise
            raise self._put(workflow, error) from error

    def _is_of_disk(self, error: Exception) -> bool:
        told = self._database.translate(error) if isinstance(error, apsw.Error) else error
        return isinstance(told, StoreFull) or (isinstance(told, StoreUnavailable) and not told.damaged)

    def _put(self, workflow: int, error: Exception) -> CannotGoOn:
        self._until[workflow] = self._clock.monotonic() + ASIDE_S
        row = self._database.row("workflow_at", workflow)
        name = f"number {workflow}" if row is None else id_text(row[1])
        why = f"{type(error).__name__}: {error}"[:_SHOWN]
        self.latest = f"{name} ({why})"
        return CannotGoOn(
            f"The workflow {name} cannot go on: {why}. It is set aside and tried again after {ASIDE_S:.0f} s; what"
            " becomes of its jobs is kept until then."
        )

    # --- the tick ----------------------------------------------------------------------------------------------------
    def passed_over(self) -> set[int]:
        """Those whose time to be tried again has not come."""
        now = self._clock.monotonic()
        return {workflow for workflow, until in self._until.items() if until > now}

    def next_at(self) -> float | None:
        """When the first of them is tried again, in monotonic seconds; None: there is none."""
        return min(self._until.values(), default=None)

    def goes_on(self, workflow: int) -> None:
        """Something that was to be done with it could be done, or there is nothing to be done."""
        self._until.pop(workflow, None)

    def forget_all_but(self, passed_over: Collection[int], has_work: Callable[[int], bool]) -> None:
        """Those whose time has come, and for which there is nothing to be done, are not aside any more."""
        for workflow in [one for one in self._until if one not in passed_over and not has_work(one)]:
            self.goes_on(workflow)
