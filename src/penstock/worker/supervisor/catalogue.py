"""What a supervisor knows of the application's tasks, from the sheets that the forkserver has sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.job import PackedBatch
from penstock.model.topics import MESSAGE_TASK
from penstock.worker.messages import ASYNC_LANE, PROCESS_LANE, THREAD_LANE, LaneOrder, TaskSheet


class Catalogue:
    """The tasks, by name.

    Attributes:
        names: of all of them. The supervisor asks the store for jobs of these tasks only.
        consumer_of: by channel (``topic:channel``), the name of the consumer that takes its messages.
        lane_of: the kind of lane that each runs in.
        orders: the lanes that an executor has: those that tasks ask for, at least one.
    """

    def __init__(self, sheets: Sequence[TaskSheet] = (), concurrency: int = limits.CONCURRENCY) -> None:
        self._sheets = {sheet.name: sheet for sheet in sheets}
        self.names = [sheet.name for sheet in sheets if sheet.channel is None]
        self.consumer_of = {sheet.channel: sheet.name for sheet in sheets if sheet.channel is not None}
        self.lane_of = {sheet.name: sheet.lane for sheet in sheets}
        slots = {PROCESS_LANE: 1, ASYNC_LANE: concurrency, THREAD_LANE: min(concurrency, limits.THREADS_MAX)}
        kinds = set(self.lane_of.values()) or {PROCESS_LANE}
        self.orders = [LaneOrder(kind, count) for kind, count in slots.items() if kind in kinds]

    def names_of(self, kind: str | None) -> list[str]:
        """The names of the tasks that run in this kind of lane; None: of all tasks."""
        if kind is None:
            return self.names
        return [name for name in self.names if self.lane_of[name] == kind]

    def channels_of(self, kind: str | None) -> list[str] | None:
        """The channels whose consumers run in this kind of lane; None as ``kind``: all. None as the answer: none."""
        found = [channel for channel, name in self.consumer_of.items() if kind in (None, self.lane_of[name])]
        return found or None

    def sheet(self, task: str | None) -> TaskSheet | None:
        """The sheet of a task; None: there is no such task, or it is not known which one it is."""
        return None if task is None else self._sheets.get(task)

    def limit_of(self, task: str) -> float | None:
        """A task's time limit; None: it has none."""
        sheet = self._sheets.get(task)
        return None if sheet is None else sheet.timeout_s


class _Front(Struct, array_like=True, gc=False):
    """The front of a packed `penstock.model.job.LeasedJob`. What comes behind it is not decoded."""

    id: bytes
    attempt: int
    queue: str


_NAMES_MAX: Final = 256
"""Different tasks in one batch: the number of one is a byte."""
_front: Final = msgspec.msgpack.Decoder(_Front).decode


def with_consumers(batch: PackedBatch, consumer_of: Mapping[str, str]) -> list[PackedBatch]:
    """A leased batch in which each message has the name of its consumer in place of that of the task of all messages.

    Args:
        batch: as the store sent it.
        consumer_of: the names of consumers, by channel. Messages of other channels keep the task's name, which no
            executor knows: they come only when the application has lost a consumer while a request was parked.

    Returns:
        The batch; in parts, in order, if it names more tasks then than a batch can.
    """
    if MESSAGE_TASK not in batch.tasks:
        return [batch]
    message = batch.tasks.index(MESSAGE_TASK)
    names = [
        batch.tasks[index] if index != message else consumer_of.get(_front(job).queue, MESSAGE_TASK)
        for index, job in zip(batch.task_of, batch.jobs, strict=True)
    ]
    return _named(batch, names)


def _named(batch: PackedBatch, names: list[str]) -> list[PackedBatch]:
    """The batch with a name for each of its jobs."""
    places = {name: at for at, name in enumerate(dict.fromkeys(names))}
    if len(places) <= _NAMES_MAX:
        return [replace(batch, tasks=list(places), task_of=bytes([places[name] for name in names]))]
    middle = len(names) // 2
    return [
        part
        for start, end in ((0, middle), (middle, len(names)))
        for part in _named(_cut(batch, start, end), names[start:end])
    ]


def _cut(batch: PackedBatch, start: int, end: int) -> PackedBatch:
    limited = batch.limited
    return replace(
        batch,
        first_fence=batch.first_fence + start,
        jobs=batch.jobs[start:end],
        alone=[place - start for place in batch.alone if start <= place < end],
        limited=None if limited is None else [place - start for place in limited if start <= place < end],
    )
