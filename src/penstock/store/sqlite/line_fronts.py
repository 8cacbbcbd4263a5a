"""The fronts of the lines that may have jobs: which lines are looked at by a lease, and what is known of them.

Lines that are limited (line_room.py) stand apart from all others. So a lease that meets none of them does not ask for
limits, and one that may take no more of them leaves them out without looking at each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from penstock.model.job import MESSAGE_TASK
from penstock.model.limits_in_force import queue_scope
from penstock.model.line_limit import LineLimit
from penstock.model.topics import covers, is_kept
from penstock.store.sqlite.in_memory import Books, Line
from penstock.store.sqlite.line_heads import Entry, Front, Heads, LimitedHeads

H = TypeVar("H", bound=Heads)

_BEFORE_ALL: Final = (-1_000, 0, 0)


class Fronts:
    """What is known in memory of the lines that may have jobs."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.database = books.database
        self._closings: set[tuple[str | None, str | None]] = set()
        self.load()

    def load(self) -> None:
        """Find the lines that have jobs. Of none of them it is known which."""
        self._fronts: dict[int, Front] = {}
        self._by_task: dict[int, Heads] = {}
        self._limited: dict[int, LimitedHeads] = {}
        self._by_queue: dict[int, dict[int, Front]] = {}
        self._shared: set[int] = set()
        for (number,) in self.database.rows("waiting_lines"):
            self._refresh(self._front(number))

    def _front(self, number: int) -> Front:
        """The front of a line that has had no jobs so far, as far as was known."""
        line = self.books.lines[number]
        front = self._fronts[number] = Front(number, line.queue, line.leased_as, is_closed=self._is_closed(line))
        if self.books.limits:
            front.limits = self.books.limits.of_line(number)
        among = self._by_queue.setdefault(line.queue, {})
        among[number] = front
        if len(among) > 1:
            self._shared.add(line.queue)
        return front

    def recheck(self, queue: str | None, task: str | None) -> list[int]:
        """The lines of a queue, of a task, or the one of both have been closed or opened, or have other limits. Answers
        those that are open now and were not. Of other lines nothing is asked."""
        self._closings.add((queue, task))
        return [front.line for front in self._named(queue, task) if self._recheck(front)]

    def _recheck(self, front: Front) -> bool:
        """Whether a line is open that was closed so far, after a look at what closes it, and at its limits."""
        line = self.books.lines[front.line]
        was_closed, limits_of_line = front.is_closed, self.books.limits.of_line(front.line)
        if bool(limits_of_line) is not bool(front.limits):
            self._heads_of(front).drop(front)
            front.is_closed = True
        front.limits = limits_of_line
        is_closed = self._is_closed(line)
        if is_closed != front.is_closed:
            front.is_closed = is_closed
            if is_closed:
                self._heads_of(front).drop(front)
            else:
                self._refresh(front)
        return was_closed and not is_closed

    def _recheck_undone(self) -> None:
        """The open transaction is undone, and what it closed, opened or limited is as it was."""
        for queue, task in list(self._closings):
            self.recheck(queue, task)
        self._closings.clear()

    def _is_closed(self, line: Line) -> bool:
        """Whether a line gives out nothing, for another reason than that its task has no room."""
        return self.books.is_closed(line) or self.books.limits.is_shut(queue_scope(line.queue_name))

    def _notice_limits(self) -> None:
        """Close the lines of queues that have no room any more, and open those that have some again. Of tasks that is
        asked by each lease."""
        for limit in self.books.limits.turned():
            queue = None if limit.queue is None else self.books.queue_by_name.get(limit.queue)
            if queue is not None:
                for front in list(self.fronts_of(queue.id)):
                    self._recheck(front)

    def names_under(self, limit: LineLimit) -> set[tuple[str, str]]:
        """The queues and tasks of the lines under a limit that may have jobs."""
        if limit.queue is not None or limit.task == MESSAGE_TASK:
            return {self.books.line_name(front.line) for front in self._named(limit.queue, limit.task)}
        heads = self._limited.get(self.books.task_ids.get(limit.task or "", 0))
        return set() if heads is None else {self.books.line_name(line) for line in heads.members}

    def _named(self, queue: str | None, task: str | None) -> list[Front]:
        """The fronts of a queue, of a task, or the one of both."""
        fronts: Collection[Front] = self._fronts.values()
        if queue is not None and is_kept(queue):
            fronts = [front for front in fronts if covers(queue, self.books.lines[front.line].queue_name)]
        elif queue is not None:
            found = self.books.queue_by_name.get(queue)
            fronts = () if found is None else self.fronts_of(found.id)
        number = None if task is None else self.books.task_ids.get(task, 0)
        return [front for front in fronts if number in (None, self.books.lines[front.line].task)]

    def _refresh(self, front: Front) -> None:
        """Another job is the first of a line now, or it has none any more."""
        heads = self._heads_of(front)
        if front.is_whole and not front.entries:
            self._drop(front)
        elif not front.is_closed:
            heads.refresh(front)

    def _heads_of(self, front: Front) -> Heads:
        """Those among which a front stands while it is open."""
        heads = (self._limited if front.limits else self._by_task).get(front.task)
        if heads is not None:
            return heads
        if front.limits:
            return self._limited.setdefault(front.task, LimitedHeads(self._takes, self._is_out))
        return self._by_task.setdefault(front.task, Heads())

    def fronts_of(self, queue: int) -> Collection[Front]:
        """Of the lines of a queue that may have jobs, the closed ones too."""
        return self._by_queue.get(queue, {}).values()

    def forget_line(self, number: int) -> None:
        """A line without jobs is being removed with its queue."""
        if number in self._fronts:
            self._drop(self._fronts[number])

    def _drop(self, front: Front) -> None:
        """A line has no jobs, or they are not known any more."""
        del self._fronts[front.line]
        self._heads_of(front).drop(front)
        among = self._by_queue[front.queue]
        among.pop(front.line, None)
        if len(among) == 1:
            self._shared.discard(front.queue)
        if not among:
            del self._by_queue[front.queue]

    def _read(self, front: Front, after: Entry | None) -> None:
        """Read the next entries of a line (`line_heads.Read`)."""
        number = front.reads()
        place = _BEFORE_ALL if after is None else after[:3]
        if front.party:
            found = self.database.rows("refused_entries", front.party, front.line, *place, number)
        else:
            found = self.database.rows("ready_entries", front.line, *place, number)
        front.entries.extend(found)
        front.is_whole = len(found) < number

    def _compares_ranks(self, tasks: Collection[int] | None) -> bool:
        """Whether tenants take turns over several open lines of one queue, of these tasks (None: of all)."""
        fair = self.books.fair.queues
        return bool(fair) and any(len(self._fronts_in(queue, tasks)) > 1 for queue in self._shared & fair.keys())

    def _heads(self, tasks: Collection[int] | None) -> list[Heads]:
        """Those of these tasks that have jobs, as far as the lease may take any."""
        found = _with_jobs(self._by_task, tasks)
        if self._limited:
            found += [one for one in _with_jobs(self._limited, tasks) if one.begin()]
        return found

    def _takes(self, front: Front) -> bool:
        """Take the room for one more job of a line. Answers whether there was some."""
        return not front.limits or self.books.limits.take(front.limits)

    def _is_out(self, front: Front) -> bool:
        """Whether there is no room for any line of a task, of which this is a limited one."""
        room = self.books.limits
        return not room.takes_limited or any(limit in room.shut for limit in front.limits if limit.task is not None)

    def _fronts_in(self, queue: int, tasks: Collection[int] | None) -> list[Front]:
        """Those of the open lines of a queue, and of these tasks, that may have jobs."""
        room = self.books.limits
        return [
            one
            for one in self.fronts_of(queue)
            if not one.is_closed
            and (tasks is None or one.task in tasks)
            and (not one.limits or room.has_room(one.limits))
        ]


def _with_jobs(by_task: Mapping[int, H], tasks: Collection[int] | None) -> list[H]:
    """Those of these tasks that have jobs."""
    if tasks is None:
        return [heads for heads in by_task.values() if heads.members]
    return [heads for task in tasks if (heads := by_task.get(task)) is not None and heads.members]
