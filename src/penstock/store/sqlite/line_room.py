"""How much room the limits of queues and tasks leave: during a lease, and between leases.

A limit that leaves none is *shut*: the lines under it give out nothing, and no lease looks at them. It opens with the
end of a lease, or when its next token comes in. Nothing of this is in the file. It follows from the leases, and from
how full the buckets are (line_limits.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from itertools import count

from penstock.model.limits_in_force import queue_scope, task_scope
from penstock.model.line_limit import ROOM_MAX, LineLimit
from penstock.model.token_bucket import TokenBucket
from penstock.ports import Clock

LimitsOfLine = tuple[LineLimit, ...]
"""Those of its queue, then those of its task. Empty: the line is not limited."""


class LineRoom:
    """The limits that are in force, with what is used of each.

    Attributes:
        by_scope: of every scope that has limits, of whatever kind.
        shut: those that leave no room.
        denials: how often a lease found no room for a job.
    """

    def __init__(self, clock: Clock, names: Callable[[int], tuple[str, str]]) -> None:
        """``names``: of a line's queue and task."""
        self.by_scope: dict[str, LineLimit] = {}
        self.shut: set[LineLimit] = set()
        self.denials = 0
        self._clock = clock
        self._names = names
        self._of_line: dict[int, LimitsOfLine] = {}
        self._before: dict[LineLimit, TokenBucket | None] = {}
        self._turned: dict[LineLimit, None] = {}
        self._due: list[tuple[float, int, float, LineLimit]] = []
        self._timed: dict[LineLimit, float] = {}
        self._order = count()
        self._now = 0.0
        self._left: dict[LineLimit, int] = {}
        self._limited_left = ROOM_MAX

    def __bool__(self) -> bool:
        return bool(self.by_scope)

    def of_line(self, line: int) -> LimitsOfLine:
        """The limits of a line, by its number."""
        found = self._of_line.get(line)
        if found is None:
            found = self._of_line[line] = self._of_names(*self._names(line))
        return found

    def forget_line(self, line: int) -> None:
        """A line is removed; its number may be given to another."""
        self._of_line.pop(line, None)

    def _of_names(self, queue: str, task: str) -> LimitsOfLine:
        both = (self.by_scope.get(queue_scope(queue)), self.by_scope.get(task_scope(task)))
        return tuple(limit for limit in both if limit is not None)

    def is_shut(self, scope: str) -> bool:
        """Whether a queue or a task has no room."""
        return bool(self.shut) and self.by_scope.get(scope) in self.shut

    def reason_of(self, queue: str, task: str) -> str | None:
        """Why the line of this queue and this task gives out nothing, in words; None: it has room."""
        now = self._clock.monotonic()
        reasons = [limit.reason(now) for limit in self._of_names(queue, task)]
        return next((reason for reason in reasons if reason is not None), None)

    # --- during a lease ----------------------------------------------------------------------------------------------
    def begin_lease(self, limited: int | None) -> list[LineLimit]:
        """A lease begins. Answers the limits that were shut so far and have tokens by now.

        Args:
            limited: how many jobs of limited lines it may take at most; None: any number.
        """
        self._now = self._clock.monotonic()
        self._left.clear()
        self._limited_left = ROOM_MAX if limited is None else limited
        return self.open_due(self._now)

    def has_room(self, limits: LimitsOfLine) -> bool:
        """Whether the lease may take a job of a line with these limits."""
        return self._limited_left > 0 and self.shut.isdisjoint(limits)

    @property
    def takes_limited(self) -> bool:
        """Whether the lease may take another job of limited lines."""
        return self._limited_left > 0

    def most(self, limits: LimitsOfLine, number: int) -> int:
        """How many of so many jobs of one line the lease may take."""
        return min(number, self._limited_left, *map(self._room, limits))

    def _room(self, limit: LineLimit) -> int:
        """What the lease may still take under a limit."""
        left = self._left.get(limit)
        if left is None:
            left = self._left[limit] = limit.room(self._now)
        return left

    def take(self, limits: LimitsOfLine, number: int = 1) -> bool:
        """The lease takes so many jobs of a line, if there is room for all of them. Answers whether."""
        if self.most(limits, number) < number:
            self.denials += 1
            return False
        self._limited_left -= number
        for limit in limits:
            self._left[limit] -= number
            if not self._left[limit]:
                self._turn(limit, is_shut=True)
        return True

    def put_back(self, limits: LimitsOfLine, number: int = 1) -> None:
        """So many jobs that the lease took are not leased after all."""
        if not limits:
            return
        self._limited_left += number
        for limit in limits:
            self._left[limit] = self._room(limit) + number
            self._turn(limit, is_shut=False)

    def grant(self, leased: Mapping[int, int]) -> None:
        """So many jobs of each line are leased by now: places and tokens are used."""
        for line, number in leased.items():
            for limit in self.of_line(line):
                if limit.bucket is not None:
                    self.note_before(limit)
                limit.begin(number, self._now)

    def end_lease(self) -> None:
        """The lease has what it gets."""
        for limit in self._left:
            self._look(limit, self._now)
        self._left.clear()

    # --- between leases ----------------------------------------------------------------------------------------------
    def end(self, ended: Mapping[int, int]) -> list[LineLimit]:
        """So many leases of each line have ended. Answers the limits that were shut and have room by now."""
        freed: dict[LineLimit, None] = {}
        for line, number in ended.items():
            for limit in self.of_line(line):
                limit.running -= number
                freed[limit] = None
        now = self._clock.monotonic()
        return [limit for limit in freed if limit in self.shut and self._look(limit, now)]

    def open_due(self, now: float) -> list[LineLimit]:
        """Answers the limits that were shut and have tokens by now."""
        opened = []
        while self._due and self._due[0][0] <= now:
            *_, limit = heappop(self._due)
            self._timed.pop(limit, None)
            if self.by_scope.get(limit.scope) is limit and limit in self.shut and self._look(limit, now):
                opened.append(limit)
        return opened

    @property
    def opens_at(self) -> float:
        """When `open_due` has something next (monotonic seconds); infinity: nothing waits for a token."""
        return self._due[0][0] if self._due else math.inf

    @property
    def wakes_at(self) -> float:
        """As `opens_at`, when it is worth waking a worker for it."""
        return self._due[0][2] if self._due else math.inf

    def look_at(self, limits: Iterable[LineLimit]) -> list[LineLimit]:
        """What is used of these, or what they allow, has changed. Answers those that were shut and have room by now."""
        now = self._clock.monotonic()
        return [limit for limit in limits if self._look(limit, now)]

    def _look(self, limit: LineLimit, now: float) -> bool:
        """Shut a limit, or open it, as it has room or not. Answers whether it was shut and is open now."""
        was_shut = limit in self.shut
        if limit.room(now) > 0:
            self._turn(limit, is_shut=False)
            return was_shut
        self._turn(limit, is_shut=True)
        at = limit.next_free_at(now)
        if at is not None and at < self._timed.get(limit, math.inf):
            self._timed[limit] = at
            heappush(self._due, (at, next(self._order), limit.worth_waking_at(now), limit))
        return False

    def _turn(self, limit: LineLimit, *, is_shut: bool) -> None:
        if is_shut is not (limit in self.shut):
            (self.shut.add if is_shut else self.shut.discard)(limit)
            self._turned[limit] = None

    def turned(self) -> list[LineLimit]:
        """The limits that were shut or opened since this was last asked."""
        turned = list(self._turned)
        self._turned.clear()
        return turned

    def note_before(self, limit: LineLimit) -> None:
        """The open transaction changes a bucket: keep what it was."""
        if limit not in self._before:
            self._before[limit] = None if limit.bucket is None else limit.bucket.copy()
