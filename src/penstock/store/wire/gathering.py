"""Many small enqueues become one request, and its answer is taken apart again. Pure.

Callers whose jobs are alike in all but their arguments share a group, so that a thousand callers with one job each
cost the store one group of a thousand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.flow_texts import told_bytes
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobGroup

BATCH_BYTES_MAX: Final = limits.REQUEST_BYTES_MAX
_JOB_BYTES: Final = 64
"""What a job takes in a request besides its body, at least."""


class Share:
    """One caller's part of a batch. ``waker`` is whatever the maker of the batch needs to answer that caller."""

    __slots__ = ("count", "groups", "size", "waker")

    def __init__(self, groups: Sequence[JobGroup], waker: Any = None) -> None:
        self.groups = groups
        self.waker = waker
        self.count = self.size = 0
        for group in groups:
            self.count += len(group.jobs)
            for job in group.jobs:
                self.size += len(job.body) + _JOB_BYTES
            if group.jobs and (group.jobs[0].values is not None or group.jobs[0].searchable is not None):
                self.size += sum(told_bytes(job.values) + told_bytes(job.searchable) for job in group.jobs)


class _Merged:
    """A group that several callers share.

    Attributes:
        first: the first caller's group, whose options all have.
        jobs: of all callers, one after the other.
        starts: where in `jobs` each caller's begin.
        owners: each caller, with the index that the first of these jobs has among that caller's own.
    """

    __slots__ = ("first", "jobs", "owners", "starts")

    def __init__(self, first: JobGroup) -> None:
        self.first = first
        self.jobs: list[JobEntry] = []
        self.starts: list[int] = []
        self.owners: list[tuple[Share, int]] = []


class Batch:
    """Shares that become one request."""

    def __init__(self) -> None:
        self.shares: list[Share] = []
        self._merged: dict[Any, _Merged] = {}
        self._count = 0
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self.shares)

    def fits(self, share: Share) -> bool:
        """Whether a share may be added: the request stays within its limits, or is that share alone."""
        count, size = self._count + share.count, self._size + share.size
        return not self.shares or (count <= limits.BATCH_JOBS_MAX and size <= BATCH_BYTES_MAX)

    def add(self, share: Share) -> None:
        """Take a caller's jobs along."""
        self.shares.append(share)
        self._count += share.count
        self._size += share.size
        index = 0
        for group in share.groups:
            merged = self._place(group, alone=len(share.groups) == 1)
            merged.starts.append(len(merged.jobs))
            merged.owners.append((share, index))
            merged.jobs += group.jobs
            index += len(group.jobs)

    def _place(self, group: JobGroup, *, alone: bool) -> _Merged:
        key: Any = (group.task, group.queue, group.priority, group.delay_s, group.run_at, group.expires_s, group.unique)
        if group.headers or group.tags or not alone:
            # One caller's groups keep their order among each other.
            key = id(group)
        merged = self._merged.get(key)
        if merged is None:
            merged = self._merged[key] = _Merged(group)
        return merged

    def groups(self) -> list[JobGroup]:
        """What to send."""
        return [replace(merged.first, jobs=merged.jobs) for merged in self._merged.values()]

    def split(self, answer: EnqueueAnswer) -> list[EnqueueAnswer]:
        """Each share's own answer, in the order of the shares."""
        if not answer.exceptions:
            return [EnqueueAnswer(share.count, []) for share in self.shares]
        merged = list(self._merged.values())
        firsts = [0]
        for each in merged:
            firsts.append(firsts[-1] + len(each.jobs))
        told: dict[int, list[Enqueued]] = {}
        for exception in answer.exceptions:
            place = bisect_right(firsts, exception.index) - 1
            while not merged[place].jobs:
                place -= 1
            offset = exception.index - firsts[place]
            part = bisect_right(merged[place].starts, offset) - 1
            share, base = merged[place].owners[part]
            index = base + offset - merged[place].starts[part]
            told.setdefault(id(share), []).append(replace(exception, index=index))
        return [_own_answer(share, told.get(id(share), [])) for share in self.shares]


def _own_answer(share: Share, exceptions: list[Enqueued]) -> EnqueueAnswer:
    exceptions.sort(key=lambda exception: exception.index)
    refused = sum(exception.duplicate or exception.conflict for exception in exceptions)
    return EnqueueAnswer(share.count - refused, exceptions)
