"""Which job of many lines comes next, without a look at all of them. Pure: what is in the file comes in by `Read`.

Of each line that may have jobs, the first few places are known in memory (`Front`). The fronts of one task share a heap
of their heads (`Heads`), which lives on from lease to lease; so a lease that names its tasks pays for what it takes,
and neither for the number of queues nor for lines of other tasks.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from penstock.model.line_limit import LineLimit

Entry = tuple[int, int, int, int, int]
"""A ready job in its line: urgency, rank, arrival, seq, and `key_of` the first and the third. Entries of a line compare
as they stand in it."""
Chosen = list[tuple["Front", Entry]]
"""Jobs that come next, in order, each with the front it was taken from."""
Read = Callable[["Front", Entry | None], None]
"""Reads on in the file: adds the entries behind this one to a front (None: from the beginning), or notes that it is
whole."""

ENTRIES_MAX: Final = 64
"""Places that are known of one line."""
ENTRIES_FIRST: Final = 4
"""Places that are read of a line at first. Each time it is read again, twice as many."""
_ARRIVAL_BITS: Final = 56
_EVERYTHING: Final = 1 << 64
_STALE_MAX: Final = 64


def key_of(urgency: int, arrival: int) -> int:
    """What orders the heads of different queues: the more urgent, then the one that arrived earlier, is smaller."""
    return (urgency << _ARRIVAL_BITS) + arrival


class Front:
    """What is known of a line that may have jobs.

    Attributes:
        line, queue, task: their numbers; of a channel's line, ``task`` is what leases ask for (`in_memory.Line`).
        party: whose refused jobs these are; 0: they are in `ready`.
        entries: the first jobs of the line, in order.
        is_whole: there are no others behind them.
        is_closed: nothing is given out for now.
        limits: of its queue and its task; empty: it is not limited.
    """

    __slots__ = ("_reads", "entries", "is_closed", "is_whole", "limits", "line", "party", "queue", "task")

    def __init__(self, line: int, queue: int, task: int, *, party: int = 0, is_closed: bool = False) -> None:
        self.line = line
        self.queue = queue
        self.task = task
        self.party = party
        self.is_closed = is_closed
        self.limits: tuple[LineLimit, ...] = ()
        self.entries: deque[Entry] = deque()
        self.is_whole = False
        self._reads = ENTRIES_FIRST

    def reads(self) -> int:
        """How many places to read now."""
        number = self._reads
        self._reads = min(2 * number, ENTRIES_MAX)
        return number

    def add(self, entry: Entry) -> bool:
        """Note a job that has joined the line. Answers whether it is the first now, as far as is known."""
        entries = self.entries
        if not entries:
            if not self.is_whole:
                return False
            entries.append(entry)
            return True
        if entry > entries[-1]:
            if self.is_whole and len(entries) < ENTRIES_MAX:
                entries.append(entry)
            else:
                self.is_whole = False
            return False
        insort(entries, entry)
        while len(entries) > ENTRIES_MAX:
            # There may be several too many, where jobs were given back.
            entries.pop()
            self.is_whole = False
        return entries[0] is entry

    def remove(self, place: tuple[int, int, int]) -> None:
        """Note that a job has left the line."""
        for entry in self.entries:
            if entry[:3] == place:
                self.entries.remove(entry)
                return

    def forget(self) -> None:
        """Nothing is known of the line any more but that it may have jobs."""
        self.entries.clear()
        self.is_whole = False


class Heads:
    """The open fronts of one task.

    Attributes:
        members: those that may have jobs, by line.
        unread: those of them of which no job is known yet. They must be read before others are taken.
    """

    def __init__(self) -> None:
        self.members: dict[int, Front] = {}
        self.unread: set[Front] = set()
        self._rising: deque[int] = deque()
        self._heap: list[int] = []
        self._by_key: dict[int, Front] = {}

    def refresh(self, front: Front) -> None:
        """A front is new here, or its first job is another one now."""
        if front.entries:
            self.members[front.line] = front
            self.unread.discard(front)
            key = front.entries[0][4]
            self._by_key[key] = front
            self._push(key)
            if len(self._heap) + len(self._rising) > 2 * len(self.members) + _STALE_MAX:
                self._compact()
        elif front.is_whole:
            self.drop(front)
        else:
            self.members[front.line] = front
            self.unread.add(front)

    def _push(self, key: int) -> None:
        """Most keys are the greatest so far, as arrival numbers rise: those need no heap."""
        if not self._rising or key > self._rising[-1]:
            self._rising.append(key)
        else:
            heappush(self._heap, key)

    def drop(self, front: Front) -> None:
        """A front has no jobs, or is closed, or is not a line's any more."""
        if self.members.get(front.line) is front:
            del self.members[front.line]
        self.unread.discard(front)

    def _compact(self) -> None:
        """Forget the keys of jobs that are not first any more."""
        self._by_key = {front.entries[0][4]: front for front in self.members.values() if front.entries}
        self._rising = deque(sorted(self._by_key))
        self._heap = []

    def first_key(self) -> int | None:
        """The least key of all that are known. None: there is none."""
        rising, heap = self._rising, self._heap
        while rising or heap:
            is_rising = bool(rising) and (not heap or rising[0] <= heap[0])
            key = rising[0] if is_rising else heap[0]
            front = self._by_key.get(key)
            if front is not None and self._is_first(front, key):
                return key
            if is_rising:
                rising.popleft()
            else:
                heappop(heap)
            self._by_key.pop(key, None)
        return None

    def _is_first(self, front: Front, key: int) -> bool:
        """Whether this is the key of a member's first job. Keys of other jobs and fronts are still in the heap."""
        return bool(front.entries) and front.entries[0][4] == key and self.members.get(front.line) is front

    def take(self, chosen: Chosen, limit: int, bound: int, read: Read) -> None:
        """Move jobs with keys up to ``bound`` to ``chosen``, in order, until that has ``limit``."""
        rising, heap, by_key, members = self._rising, self._heap, self._by_key, self.members
        while (rising or heap) and len(chosen) < limit:
            is_rising = bool(rising) and (not heap or rising[0] <= heap[0])
            key = rising[0] if is_rising else heap[0]
            if key > bound:
                return
            if is_rising:
                rising.popleft()
            else:
                heappop(heap)
            front = by_key.pop(key, None)
            # As `_is_first`, which is not called here for the time that it takes.
            if front is None or not front.entries or front.entries[0][4] != key or members.get(front.line) is not front:
                continue
            entries = front.entries
            entry = entries.popleft()
            chosen.append((front, entry))
            if not entries and not front.is_whole:
                read(front, entry)
            if entries:
                key = entries[0][4]
                by_key[key] = front
                if not rising or key > rising[-1]:
                    rising.append(key)
                else:
                    heappush(heap, key)
            else:
                del members[front.line]


class LimitedHeads(Heads):
    """As `Heads`, of limited lines: a job is taken if there is room for it. A line whose queue has none is closed, and
    all lines are left out when their task has none.

    Args:
        takes: takes the room for a job of this line; False: there is none.
        is_out: whether there is none for any other line either.
    """

    def __init__(self, takes: Callable[[Front], bool], is_out: Callable[[Front], bool]) -> None:
        super().__init__()
        self._takes = takes
        self._asks_if_out = is_out
        self._is_out = False

    def begin(self) -> bool:
        """Whether jobs may be taken now, as far as is known. It is asked before they are."""
        self._is_out = not self.members or self._asks_if_out(next(iter(self.members.values())))
        return not self._is_out

    def first_key(self) -> int | None:
        """See `Heads.first_key`."""
        return None if self._is_out else super().first_key()

    def take(self, chosen: Chosen, limit: int, bound: int, read: Read) -> None:
        """See `Heads.take`."""
        while len(chosen) < limit:
            key = self.first_key()
            if key is None or key > bound:
                return
            front = self._by_key[key]
            if self._takes(front):
                entry = front.entries.popleft()
                chosen.append((front, entry))
                if not front.entries and not front.is_whole:
                    read(front, entry)
                if front.entries:
                    key = front.entries[0][4]
                    self._by_key[key] = front
                    self._push(key)
                else:
                    del self.members[front.line]
            elif self._asks_if_out(front):
                self._is_out = True
            else:
                front.is_closed = True
                self.drop(front)


def take_by_tasks(tasks: Sequence[Heads], limit: int, read: Read) -> Chosen:
    """Take the next jobs of all lines of some tasks. Of a queue in which jobs have ranks, one line alone may be among
    them: the heads of the lines of a queue are compared as those of different queues are."""
    for heads in tasks:
        for front in list(heads.unread):
            assert not front.entries, "what is known of a line is not read again"
            read(front, None)
            heads.refresh(front)
    chosen: Chosen = []
    if len(tasks) == 1:
        tasks[0].take(chosen, limit, _EVERYTHING, read)
        return chosen
    tops = [(key, at) for at, heads in enumerate(tasks) if (key := heads.first_key()) is not None]
    heapify(tops)
    while tops and len(chosen) < limit:
        _, at = tops[0]
        bound = min((key for key, _ in tops[1:3]), default=_EVERYTHING)
        tasks[at].take(chosen, limit, bound, read)
        key = tasks[at].first_key()
        if key is None:
            heappop(tops)
        else:
            heapreplace(tops, (key, at))
    return chosen


def take_in_order(
    fronts: Iterable[Front], limit: int, read: Read, takes: Callable[[Front], bool] | None = None
) -> Chosen:
    """Take the next jobs of these lines, at a cost that grows with their number. Within a queue by urgency, rank and
    arrival; between queues by urgency, then by the arrival of the first job of each.

    Args:
        takes: as of `LimitedHeads`; None: there is room for all.
    """
    queues: dict[int, list[tuple[Entry, int, Front]]] = {}
    for front in fronts:
        if not front.entries and not front.is_whole:
            read(front, None)
        if front.entries:
            queues.setdefault(front.queue, []).append((front.entries[0], front.party, front))
    for lines in queues.values():
        heapify(lines)
    heads = [(lines[0][0][4], queue) for queue, lines in queues.items()]
    heapify(heads)
    chosen: Chosen = []
    while heads and len(chosen) < limit:
        _, queue = heads[0]
        lines = queues[queue]
        entry, party, front = lines[0]
        is_taken = takes is None or takes(front)
        if is_taken:
            chosen.append((front, front.entries.popleft()))
            if not front.entries and not front.is_whole:
                read(front, entry)
        if is_taken and front.entries:
            heapreplace(lines, (front.entries[0], party, front))
        else:
            heappop(lines)
        if lines:
            heapreplace(heads, (lines[0][0][4], queue))
        else:
            heappop(heads)
    return chosen


def give_back(chosen: Chosen) -> None:
    """Put jobs that were taken, and were not used, back where they were. Their fronts have to be refreshed."""
    for front, entry in reversed(chosen):
        front.entries.appendleft(entry)
