"""What a supervisor knows of the application's tasks, from the sheets that the forkserver has sent. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model import limits
from penstock.worker.messages import ASYNC_LANE, PROCESS_LANE, THREAD_LANE, LaneOrder, TaskSheet


class Catalogue:
    """The tasks, by name.

    Attributes:
        names: of all of them. The supervisor asks the store for jobs of these tasks only.
        lane_of: the kind of lane that each runs in.
        orders: the lanes that an executor has: those that tasks ask for, at least one.
    """

    def __init__(self, sheets: Sequence[TaskSheet] = (), concurrency: int = limits.CONCURRENCY) -> None:
        self._sheets = {sheet.name: sheet for sheet in sheets}
        self.names = list(self._sheets)
        self.lane_of = {sheet.name: sheet.lane for sheet in sheets}
        slots = {PROCESS_LANE: 1, ASYNC_LANE: concurrency, THREAD_LANE: min(concurrency, limits.THREADS_MAX)}
        kinds = set(self.lane_of.values()) or {PROCESS_LANE}
        self.orders = [LaneOrder(kind, count) for kind, count in slots.items() if kind in kinds]

    def names_of(self, kind: str | None) -> list[str]:
        """The names of the tasks that run in this kind of lane; None: of all tasks."""
        if kind is None:
            return self.names
        return [name for name, lane in self.lane_of.items() if lane == kind]

    def sheet(self, task: str | None) -> TaskSheet | None:
        """The sheet of a task; None: there is no such task, or it is not known which one it is."""
        return None if task is None else self._sheets.get(task)

    def limit_of(self, task: str) -> float | None:
        """A task's time limit; None: it has none."""
        sheet = self._sheets.get(task)
        return None if sheet is None else sheet.timeout_s
