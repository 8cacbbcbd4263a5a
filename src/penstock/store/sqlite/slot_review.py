"""What is looked over when other limits are in force, or a line is paused or resumed: does each job hold the slots it
needs?

In steps, of which the first is part of the call that makes the change, and the others are a chore of the tick:

1. Ready jobs of paused lines give their slots to others.
2. Of a key that has more slots taken than there are now, the last of its ready jobs give theirs back. Leased ones go
on.
3. Jobs that a new limit counts for take their slots: leased ones in any case, ready ones if there are any left.
4. Jobs that wait become ready where there is a slot for them.

That a review has begun is written in the file, so a new owner begins it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappush, heappushpop, nsmallest
from typing import Any, Final, NamedTuple

from penstock.model import limits
from penstock.model.keyed_limits import Key, place_in_key
from penstock.model.lines import Closed
from penstock.model.states import State
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.in_memory import Place
from penstock.store.sqlite.joining import Joiner

_BEFORE_ALL_KEYS: Final = Key("", "")
_BEFORE_ALL_PLACES: Final = (-1_000, 0, 0)
_HOLDERS_AT_ONCE: Final = 5_000
"""Jobs that hold slots of one key, which may be very many, and are read in one step."""
_LAST_MAX: Final = 100_000
"""Of these, how many are remembered. Beyond, they are read again."""
_MARK: Final = "slot_review"
"""In `meta` while a review is not over: `_OF_PAUSES` or `_OF_RULES`."""
_OF_PAUSES: Final = 1
_OF_RULES: Final = 2


class Left(NamedTuple):
    """The line, the place and the state that a waiting job had."""

    line: int
    place: Place
    state: State


class _Last:
    """The jobs that hold slots of one key and come last of those that do.

    Attributes:
        read_to: the jobs up to this number are known.
        is_read: all are.
        has_left_out: there are more jobs than are remembered.
    """

    def __init__(self) -> None:
        self.read_to = -1
        self.is_read = False
        self.has_left_out = False
        self._jobs: list[tuple[tuple[int, int, int], int]] = []

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, place: tuple[int, int, int], seq: int) -> None:
        """A job that has a slot."""
        if len(self._jobs) < _LAST_MAX:
            heappush(self._jobs, (place, seq))
        else:
            heappushpop(self._jobs, (place, seq))
            self.has_left_out = True

    def read(self) -> None:
        """There are no others."""
        self.is_read = True
        self._jobs.sort()

    def pop(self) -> int | None:
        """The number of the job that comes last of those that are left; None: none is."""
        return self._jobs.pop()[1] if self._jobs else None


class SlotReview:
    """One review at a time. A change while it goes on lets it begin anew."""

    def __init__(self, endings: Endings, leave_line: Callable[[int], Left]) -> None:
        self.endings = endings
        self.books = endings.books
        self.database = endings.database
        self.joining = endings.joining
        self._leave_line = leave_line
        self._steps: list[Callable[[], bool]] = []
        self.rolled_back()

    def rolled_back(self) -> None:
        """The transaction was undone, or the file was opened: what has begun begins anew."""
        self._steps = []
        begun = self.database.value("get_meta", _MARK)
        self.joining.buckets.note_review(is_over=not begun)
        if begun:
            self._start(begun)

    def rules_changed(self, scopes: Iterable[str]) -> None:
        """Other limits of these scopes are in force."""
        if self.joining.rules.changed(scopes):
            self.joining.buckets.change(self.joining.rules.former, self.joining.rules.of_key)
            self.begin()

    def pauses_changed(self) -> None:
        """Lines have been paused or resumed. The first step is done here."""
        self._begin(max(_OF_PAUSES, self.database.value("get_meta", _MARK) or 0))

    def begin(self) -> None:
        """Look over all jobs that hold slots, or should. The first step is done here."""
        self._begin(_OF_RULES)

    def _begin(self, kind: int) -> None:
        self.database.run("put_meta", _MARK, kind)
        self._start(kind)
        self.step()

    def _start(self, kind: int) -> None:
        self._seq = self._fence = self._refused_seq = -1
        self._key = _BEFORE_ALL_KEYS
        self._last = _Last()
        self._lines = sorted(self.books.lines, reverse=True)
        self._place = _BEFORE_ALL_PLACES
        of_rules = [self._too_many, self._leased, self._waiting, self._refused]
        self._steps = [self._paused, *(of_rules if kind == _OF_RULES else ())]

    def step(self) -> int:
        """One step. Answers `limits.TICK_STEP_JOBS` when there is more to do."""
        if self._steps:
            self.endings.line.write_all()
        while self._steps:
            if not self._steps[0]():
                self.joining.buckets.note_review(is_over=False)
                return limits.TICK_STEP_JOBS
            del self._steps[0]
            if not self._steps:
                self.database.run("delete_meta", _MARK)
                self.joining.buckets.note_review(is_over=True)
                self.endings.unblocking.sweep()
        return self.endings.unblocking.step()

    # --- the steps: each answers whether it is over ------------------------------------------------------------------
    def _paused(self) -> bool:
        """Ready jobs of paused lines that hold slots are blocked."""
        if not any(one.reason is Closed.PAUSED for one in self.books.closed.all()):
            return True
        rows = self.database.rows("slot_holders", self._seq, limits.TICK_STEP_JOBS)
        for seq, line in rows:
            self._seq = seq
            if seq not in self.books.by_seq and self.joining.is_paused(line):
                self._rejoin(seq)
        return len(rows) < limits.TICK_STEP_JOBS

    def _too_many(self) -> bool:
        """Of keys that have too many slots taken, the last ready jobs are blocked."""
        for _ in range(limits.TICK_STEP_JOBS):
            row = self.database.row("next_slot_key", *self._key)
            if row is None:
                return True
            key = Key(*row)
            if not self._reduce(key):
                return False
            self._key = key
        return False

    def _reduce(self, key: Key) -> bool:
        """Have no more slots of a key taken than there are. Answers whether that is done, as far as it can be."""
        excess = self.joining.excess(key)
        if excess and not self._last.is_read and not self._read_holders(key):
            return False
        for _ in range(min(excess, limits.TICK_STEP_JOBS)):
            seq = self._last.pop()
            if seq is None:
                break
            if seq not in self.books.by_seq and key in self.joining.slots.held(seq):
                self._rejoin(seq, gives_back=True)
        if self.joining.excess(key):
            if self._last:
                return False
            if self._last.has_left_out:
                self._last = _Last()
                return False
        self._last = _Last()
        return True

    def _read_holders(self, key: Key) -> bool:
        """Read some of the jobs that hold a slot of a key. Answers whether all are read."""
        rule = self.joining.rules.of_key(key)
        rows = self.database.rows("holders_behind", *key, self._last.read_to, _HOLDERS_AT_ONCE)
        for seq, urgency, rank, arrival in rows:
            self._last.read_to = seq
            if seq not in self.books.by_seq:
                self._last.add(place_in_key((urgency, rank, arrival), rule), seq)
        if len(rows) == _HOLDERS_AT_ONCE:
            return False
        self._last.read()
        return True

    def _leased(self) -> bool:
        """Leased jobs take the slots that they need, whether there are any left or not."""
        fences = nsmallest(limits.TICK_STEP_JOBS, (fence for fence in self.books.by_fence if fence > self._fence))
        for fence in fences:
            self._fence = fence
            held = self.books.by_fence[fence]
            if self.joining.rules.has(held.line):
                self.joining.take_anyway(held.seq)
        return len(fences) < limits.TICK_STEP_JOBS

    def _waiting(self) -> bool:
        """Ready jobs take the slots that they need, or are blocked."""
        rows: list[tuple[Any, ...]] = []
        while self._lines and len(rows) < limits.TICK_STEP_JOBS:
            line, wanted = self._lines[-1], limits.TICK_STEP_JOBS - len(rows)
            found = []
            if self.joining.rules.has(line):
                found = self.database.rows("ready_behind", line, *self._place, wanted)
                rows += found
            if len(found) == wanted:
                self._place = found[-1][:3]
            else:
                self._lines.pop()
                self._place = _BEFORE_ALL_PLACES
        for *_, seq, has_values in sorted(rows):
            if has_values and not self.joining.has_all(seq):
                self._rejoin(seq)
        return not self._lines

    def _refused(self) -> bool:
        """As `_waiting`, of jobs that were refused."""
        rows = self.database.rows("refused_behind", self._refused_seq, limits.TICK_STEP_JOBS)
        for (seq,) in rows:
            self._refused_seq = seq
            if not self.joining.has_all(seq):
                self._rejoin(seq)
        return len(rows) < limits.TICK_STEP_JOBS

    def _rejoin(self, seq: int, *, gives_back: bool = False) -> None:
        """Let a ready job have its place anew, with the slots that it needs, or be blocked. ``gives_back``: it has
        given back all that it held. One that waits for a time keeps what it holds."""
        place = self.database.row("place", seq)
        if place is None or not (place[5] or place[6]):
            return
        left = self._leave_line(seq)
        if gives_back:
            self.joining.give_back([seq])
        job = Joiner(seq, left.line, left.place, self.database.value("flow_values", seq))
        if self.joining.comes_back(job):
            self.endings.line.insert(left.line, left.place, seq)
