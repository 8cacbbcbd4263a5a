"""Jobs that a worker cannot run: counted, and logged once for each task and reason, however many jobs there are."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from penstock.model.job import Refused
from penstock.worker.outcomes import unknown
from penstock.worker.supervisor.lane_load import Piece

TOLD_MAX: Final = 1_000
"""Pairs of a task and a reason that are logged. Jobs of others are only counted."""

_log = logging.getLogger("penstock.worker")


class RefusalLog:
    """Counts and logs the jobs that one supervisor refuses.

    Attributes:
        count: jobs refused since the start.
    """

    def __init__(self) -> None:
        self.count = 0
        self._told: set[tuple[str, str]] = set()

    def note(self, task: str, refused: Refused) -> None:
        """A job of this task is refused."""
        self.count += 1
        reason = (refused.error.type if not refused.is_unfit else task, refused.error.message)
        if reason in self._told or len(self._told) >= TOLD_MAX:
            return
        self._told.add(reason)
        _log.warning(
            "this worker cannot run jobs of %s, and leaves them to others: %s",
            task,
            refused.error.message,
            extra={"action": "job-refused", "task": task},
        )

    def of_unknown(self, piece: Piece) -> list[Refused]:
        """Refuse jobs whose tasks this worker does not know."""
        refused = [unknown(piece.tasks[at], fence) for fence, at in zip(piece.fences, piece.task_of, strict=True)]
        for one, at in zip(refused, piece.task_of, strict=True):
            self.note(piece.tasks[at], one)
        return refused

    def note_all(self, refused: Iterable[tuple[str, Refused]]) -> None:
        """`note` each, with its task."""
        for task, one in refused:
            self.note(task, one)
