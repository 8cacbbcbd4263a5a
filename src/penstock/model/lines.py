"""Lines, and which of them are closed. Pure; every store decides so.

A line is the ready jobs of one task in one queue. While it is closed, none of them is given out: they stay ready, keep
their places, and are shown with the reason. Lines are closed by queue, by task, or one by one, at a cost that does not
depend on how many jobs stand in them. The channels of a topic are closed together by its queue ``topic:``, those to
come as well; what the topic keeps is closed anyhow.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from penstock.model import limits
from penstock.model.acceptance import check_task
from penstock.model.errors import InvalidOption
from penstock.model.topics import check_held_queue, is_cleared, is_kept, is_of_topic, topic_scope


class Closed(StrEnum):
    """Why a line gives out nothing. Where there are several reasons, the first in this order is shown."""

    PAUSED = "paused"
    RATE = "rate"
    NO_CHANNEL = "no-channel"
    """The messages wait for the first channel of their topic."""
    DELETED = "deleted"
    """Their channel was deleted; they are being discarded."""


_ORDER = list(Closed)


class ClosedLine(Struct, array_like=True, frozen=True):
    """All lines of a queue (``task`` is None), all of a task (``queue`` is None), or the one of both."""

    queue: str | None
    task: str | None
    reason: Closed


class ClosedLines:
    """Those that are closed now."""

    def __init__(self, closed: Iterable[ClosedLine] = ()) -> None:
        self._reasons: dict[tuple[str | None, str | None], set[Closed]] = {}
        for one in closed:
            self.close(one)

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def close(self, one: ClosedLine) -> None:
        """Close lines, for one reason more.

        Raises:
            InvalidOption: neither a queue nor a task is named, or so many are closed already; nothing has changed.
        """
        _check(one.queue, one.task)
        reasons = self._reasons.get((one.queue, one.task))
        if reasons is None:
            if len(self._reasons) >= limits.CLOSED_LINES_MAX:
                raise InvalidOption(
                    f"Lines are closed {limits.CLOSED_LINES_MAX} times already (CLOSED_LINES_MAX); open some first.",
                    field="queue",
                )
            reasons = self._reasons[one.queue, one.task] = set()
        reasons.add(one.reason)

    def open(self, queue: str | None, task: str | None, reason: Closed | None) -> None:
        """Take a reason away, or all when none is named. Those that are closed otherwise stay so.

        Raises:
            InvalidOption: neither a queue nor a task is named.
        """
        _check(queue, task)
        reasons = self._reasons.get((queue, task), set())
        reasons.difference_update([reason] if reason is not None else list(reasons))
        if not reasons:
            self._reasons.pop((queue, task), None)

    def reason_of(self, queue: str, task: str) -> Closed | None:
        """Why the line of this queue and this task is closed. None: it is open."""
        found = _own_reasons(queue)
        if not self._reasons and not found:
            return None
        for scope in _scopes(queue, task):
            found |= self._reasons.get(scope, set())
        return min(found, key=_ORDER.index, default=None)

    def closes(self, queue: str, task: str) -> bool:
        """Whether the line of this queue and this task is closed, whatever for."""
        if self._reasons and any(scope in self._reasons for scope in _scopes(queue, task)):
            return True
        return bool(_own_reasons(queue))

    def is_paused(self, queue: str) -> bool:
        """Whether this queue, or a topic as a whole by its queue ``topic:``, was paused by its own name."""
        return Closed.PAUSED in self._reasons.get((queue, None), ())

    def keeps(self, queue: str) -> bool:
        """Whether some line of this queue was closed by the queue's name."""
        return any(name == queue for name, _ in self._reasons)

    def of_queue(self, name: str) -> list[Closed]:
        """Why the whole of this queue is closed, the reason that is shown first."""
        found = _own_reasons(name).union(*(self._reasons.get(scope, ()) for scope in _scopes(name, None)))
        return sorted(found, key=_ORDER.index)

    def all(self) -> list[ClosedLine]:
        """What was closed and has not been opened, by queue, task and reason."""
        found = [ClosedLine(queue, task, one) for (queue, task), some in self._reasons.items() for one in some]
        return sorted(found, key=lambda one: (one.queue or "", one.task or "", one.reason))


def _scopes(queue: str, task: str | None) -> list[tuple[str | None, str | None]]:
    """What the lines of a queue, or its line of a task, can be closed by."""
    found: list[tuple[str | None, str | None]] = [] if is_kept(queue) else [(queue, None)]
    if task is not None:
        found += [(queue, task), (None, task)]
    topic = topic_scope(queue)
    return found if topic is None else [*found, (topic, None)]


def _own_reasons(queue: str) -> set[Closed]:
    """Why the lines of a queue are closed whatever anybody says: by what its name says it is."""
    if not is_of_topic(queue):
        return set()
    if is_kept(queue):
        return {Closed.NO_CHANNEL}
    return {Closed.DELETED} if is_cleared(queue) else set()


def _check(queue: str | None, task: str | None) -> None:
    if queue is None and task is None:
        raise InvalidOption("Say which lines: of a queue, of a task, or of both.", field="queue")
    if queue is not None:
        check_held_queue(queue)
    if task is not None:
        check_task(task)
