"""Holds: what an operator has stopped, who it was, and since when. Pure; every store decides so.

A hold is put on a queue, on a task, or on one line (the jobs of a task in a queue); on a topic as a whole by its queue
``topic:``, which covers all its channels and those to come. There are two kinds. Paused: no job of it is given out, and
new ones are taken in. Draining: no new job is taken in, and those that are there are worked off. Both can be in force
at once. A hold lasts until it is lifted, longer than any process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from msgspec import Struct

from penstock.model import limits
from penstock.model.acceptance import check_queue, check_task
from penstock.model.errors import InvalidOption, QueueDraining, QueueNotFound, UnknownTask
from penstock.model.job import JobGroup, QueueStats
from penstock.model.lines import Closed, ClosedLines
from penstock.model.topics import MESSAGE_TASK, check_held_queue, is_kept, is_of_topic
from penstock.model.wording import counted

_COMPARED_MAX: Final = 500
"""Where there are more queues, or tasks, a name that is not there is not compared with theirs."""


class HoldKind(StrEnum):
    """What is stopped: the jobs that go out, or those that come in."""

    PAUSED = "paused"
    DRAINING = "draining"


class Hold(Struct, array_like=True, frozen=True):
    """One hold.

    Attributes:
        queue, task: what is held. ``task`` None: all of the queue; ``queue`` None: all of the task; both given: the
            jobs of this task in this queue.
        by: who put it: the user of a command line, or how a gate calls the sender of a request.
        at: when, Unix seconds by the store's clock.
        note: why, in the operator's words; None: nothing was said.
    """

    queue: str | None
    task: str | None
    kind: HoldKind
    by: str
    at: float
    note: str | None = None

    def told(self) -> str:
        """The hold in words: who, since when, and why if that was said."""
        since = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        why = f": {self.note}" if self.note else ""
        return f"by {self.by or 'somebody'} since {since}{why}"


class QueueView(Struct, array_like=True, frozen=True):
    """One queue, for operators.

    Attributes:
        holds: what operators have put on it, or on a task in it.
        closed: why the whole of it gives out nothing, each reason once; empty: it gives out its jobs.
    """

    name: str
    counts: QueueStats
    holds: list[Hold] = []
    closed: list[Closed] = []


class QueuesPage(Struct, array_like=True, frozen=True):
    """Some queues, by name. ``cursor`` asks for the next page, which may be short; None: there is none."""

    queues: list[QueueView]
    cursor: str | None


def scope_text(queue: str | None, task: str | None) -> str:
    """A queue, a task or a line as one word or two: ``queue:NAME``, ``task:NAME``, ``queue:NAME task:NAME``."""
    parts = [f"{kind}:{name}" for kind, name in (("queue", queue), ("task", task)) if name is not None]
    return " ".join(parts)


def check_scope(queue: str | None, task: str | None) -> None:
    """Pass when a queue, a task or both are named, each by a name that it may have.

    Raises:
        InvalidOption: that is not so.
    """
    if queue is None and task is None:
        raise InvalidOption("Say which queue, which task, or which task in which queue.", field="queue")
    if queue is not None:
        check_held_queue(queue)
        if is_kept(queue) and task is not None:
            raise InvalidOption("A topic is held as a whole: name it alone, as `topic:`.", field="task")
    if task is not None:
        check_task(task)


class Holds:
    """Those that are in force."""

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        self._by_scope: dict[tuple[str | None, str | None, HoldKind], Hold] = {}
        self.drains = False
        """Whether anything takes no new jobs. While it is False nothing has to be asked of a job that comes in."""
        for hold in holds:
            self._by_scope[hold.queue, hold.task, hold.kind] = hold
        self._note_drains()

    def __len__(self) -> int:
        return len(self._by_scope)

    def _note_drains(self) -> None:
        self.drains = any(kind is HoldKind.DRAINING for _, _, kind in self._by_scope)

    def check_room(self, hold: Hold) -> None:
        """Pass when this hold may be put.

        Raises:
            InvalidOption: there are `limits.HOLDS_MAX` others, or it would drain a channel.
        """
        if hold.kind is HoldKind.DRAINING and (hold.task == MESSAGE_TASK or is_of_topic(hold.queue or "")):
            raise InvalidOption(
                "A channel takes whatever its topic gets, so it cannot be drained; pause it, or delete it.",
                field="queue",
            )
        if (hold.queue, hold.task, hold.kind) not in self._by_scope and len(self) >= limits.HOLDS_MAX:
            raise InvalidOption(
                f"{limits.HOLDS_MAX} queues and tasks are paused or draining already (HOLDS_MAX); resume some first.",
                field="queue",
            )

    def put(self, hold: Hold) -> None:
        """Put a hold. It takes the place of one of its kind on the same."""
        self._by_scope[hold.queue, hold.task, hold.kind] = hold
        self._note_drains()

    def lift(self, queue: str | None, task: str | None) -> list[Hold]:
        """Lift the holds on exactly this. Answers those that there were."""
        found = [self._by_scope.pop((queue, task, kind), None) for kind in HoldKind]
        self._note_drains()
        return [hold for hold in found if hold is not None]

    def all(self) -> list[Hold]:
        """All of them, by queue, task and kind."""
        return sorted(self._by_scope.values(), key=lambda one: (one.queue or "", one.task or "", one.kind))

    def by_queue(self) -> dict[str, list[Hold]]:
        """Those that name a queue, by that queue."""
        found: dict[str, list[Hold]] = {}
        for hold in self.all():
            if hold.queue is not None:
                found.setdefault(hold.queue, []).append(hold)
        return found

    def queue_names(self) -> set[str]:
        """The queues that a hold names. They are not to be removed for being empty: they would come back without it."""
        return {queue for queue, _, _ in self._by_scope if queue is not None}

    def refusing(self, queue: str, task: str | None) -> Hold | None:
        """What keeps a new job of this task out of this queue; None: it may come in. ``task`` None: a job of any."""
        scopes = [(queue, None), *([] if task is None else [(None, task), (queue, task)])]
        found = [self._by_scope.get((*scope, HoldKind.DRAINING)) for scope in scopes]
        return next((hold for hold in found if hold is not None), None)

    def check_intake(self, groups: Iterable[JobGroup]) -> None:
        """Pass when all these jobs may come in.

        Raises:
            QueueDraining: some may not.
        """
        for group in groups:
            hold = self.refusing(group.queue, group.task)
            if hold is not None:
                raise _draining(hold)

    def check_target(self, queue: str) -> None:
        """Pass when jobs that wait elsewhere may be moved into this queue.

        Raises:
            QueueDraining: it takes none.
        """
        hold = self.refusing(queue, None)
        if hold is not None:
            raise _draining(hold)


def queue_views(counts: Mapping[str, QueueStats], holds: Holds, closed: ClosedLines) -> list[QueueView]:
    """Queues as operators see them, in the order of ``counts``."""
    by_queue = holds.by_queue()
    return [QueueView(name, own, by_queue.get(name, []), closed.of_queue(name)) for name, own in counts.items()]


def check_there(queue: str | None, task: str | None, queues: Collection[str], tasks: Collection[str] = ()) -> None:
    """Pass when what is named is there. None: it is not named.

    Args:
        queues, tasks: the names of those that there are.

    Raises:
        QueueNotFound: there is no such queue.
        UnknownTask: there is no such task.
    """
    if queue is not None and queue not in queues:
        raise QueueNotFound(f"There is no queue {queue!r}. {_hint(queue, queues, 'queues')}")
    if task is not None and task not in tasks:
        raise UnknownTask(
            f"There is no task {task!r}: none was registered under this name, and there was no job of it. "
            f"{_hint(task, tasks, 'tasks')}"
        )


def _hint(name: str, names: Collection[str], what: str) -> str:
    """What to write instead of a name that is not there."""
    alike = get_close_matches(name, names, n=1) if len(names) <= _COMPARED_MAX else []
    return f"Did you mean {alike[0]!r}?" if alike else f"`penstock {what}` lists those that there are."


def check_removable(name: str) -> None:
    """Pass when a queue of this name may be removed once it is empty.

    Raises:
        InvalidOption: it is no name for a queue, or a channel's.
    """
    if is_of_topic(name):
        raise InvalidOption(
            f"{name!r} is a channel, which is deleted and not removed: `penstock topics {name} delete`, or "
            "DELETE /v1/topics/TOPIC/channels/CHANNEL.",
            field="queue",
        )
    check_queue(name)


def not_empty(name: str, counts: QueueStats) -> str:
    """Why a queue with these counts cannot be removed, and what to do about it."""
    waiting = counts.scheduled + counts.blocked + counts.ready
    records = counts.succeeded + counts.dead + counts.cancelled + counts.expired
    return (
        f"Queue {name!r} is not empty: {counted(waiting, 'waiting job')}, {counts.running:,} running, "
        f"{counted(records, 'record')} of those that have ended. Empty it, let those that run end, and delete the "
        "records, or wait until their time is up."
    )


def _draining(hold: Hold) -> QueueDraining:
    if hold.queue is None:
        what = f"Task {hold.task!r}"
    else:
        what = f"Queue {hold.queue!r}" + ("" if hold.task is None else f", for task {hold.task!r},")
    return QueueDraining(
        f"{what} is draining ({hold.told()}) and takes no new jobs; send them again when it has been resumed, "
        "or name another queue."
    )
