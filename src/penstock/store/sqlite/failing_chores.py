"""Chores that failed: each is done in transactions of its own, and jobs that it cannot handle are set aside.

A chore that raised is suspected. Its next step is a transaction of its own. When that raises too, the jobs of the step
are handled by halves, until each job that cannot be handled is alone. Such a job stays as it is and is counted, and the
chore passes over it for ASIDE_S, so that it goes on with all others. A full or failing disk sets no job aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from penstock.model import limits
from penstock.model.errors import StoreFull, StoreUnavailable
from penstock.ports import Clock
from penstock.process.repeated_faults import Faults

T = TypeVar("T")

ASIDE_MAX: Final = 1_000
"""Jobs that one chore sets aside. Beyond: the chore fails at each further one."""
ASIDE_S: Final = 600.0
"""How long a chore passes over jobs that it set aside. Then they are tried again."""
SUSPECTED_S: Final = 1.0
"""How often a chore that failed is tried again."""
_FAILURES_MAX: Final = 40
"""Transactions of one chore that may fail in one step: the halves of some bad jobs among many good ones."""


class Chore:
    """One chore: it finds jobs and acts on them.

    Args:
        name: for people; faults are noted under it.
        find: answers the rows of at most so many jobs for one step.
        act: handles the jobs of these rows.
        number_at: the column of a row that has the job's number, by which the job is set aside. None: the row is that
            number.
    """

    __slots__ = ("act", "find", "name", "number_at")

    def __init__(
        self,
        name: str,
        find: Callable[[int], list[Any]],
        act: Callable[[Sequence[Any]], None],
        *,
        number_at: int | None = None,
    ) -> None:
        self.name = name
        self.find = find
        self.act = act
        self.number_at = number_at

    def number(self, row: Any) -> int:
        """The number of the job of this row."""
        return int(row if self.number_at is None else row[self.number_at])


class Apart:
    """Which chores are suspected, and what is set aside.

    Args:
        alone: does a step in a transaction of its own, or raises and has undone it.
        faults: where failures are noted.

    Attributes:
        suspects: chores that failed last time, and when they are tried again.
        wants_room: one of them found the disk full.
    """

    def __init__(self, alone: Callable[[Callable[[], Any]], Any], faults: Faults, clock: Clock) -> None:
        self.suspects: dict[str, float] = {}
        self.wants_room = False
        self._alone = alone
        self._faults = faults
        self._clock = clock
        self._aside: dict[str, set[int]] = {}
        self._retry_at = 0.0
        self._failures = 0

    def suspect(self, name: str) -> None:
        """A chore raised beside others. It is tried at once, and alone."""
        self.suspects.setdefault(name, 0.0)

    @property
    def jobs_set_aside(self) -> int:
        """Jobs that a chore passes over."""
        return sum(map(len, self._aside.values()))

    def count(self, chore: Chore) -> int:
        """How many jobs this chore passes over."""
        return len(self._aside.get(chore.name, ())) if self._aside else 0

    def rows(self, chore: Chore) -> list[Any]:
        """What the chore finds for one step, without what is set aside."""
        if not self._aside:
            return chore.find(limits.TICK_STEP_JOBS)
        found = chore.find(limits.TICK_STEP_JOBS + self.count(chore))
        return self.without(chore, found)[: limits.TICK_STEP_JOBS]

    def without(self, chore: Chore, rows: list[Any]) -> list[Any]:
        """These rows less those that are set aside."""
        aside = self._aside.get(chore.name) if self._aside else None
        return [row for row in rows if chore.number(row) not in aside] if aside else rows

    def step(self, chore: Chore) -> int:
        """One step of a chore in transactions of its own. Answers how many jobs it handled."""
        self._failures = 0
        now = self._clock.monotonic()
        if self._aside and now >= self._retry_at:
            self._aside.clear()
        handled = self.whole(chore.name, lambda: self._handle(chore), in_transaction=False)
        return handled or 0

    def _handle(self, chore: Chore) -> int:
        rows = self.rows(chore)
        handled = self._by_halves(chore, rows)
        if self._failures >= _FAILURES_MAX:
            # There may be more jobs that cannot be handled.
            self._wait(chore.name)
        return handled

    def _by_halves(self, chore: Chore, rows: list[Any]) -> int:
        parts, handled = [rows], 0
        while parts and self._failures < _FAILURES_MAX:
            part = parts.pop()
            error = self._failure_of(chore, part) if part else None
            if error is None:
                handled += len(part)
                continue
            self._failures += 1
            if getattr(error, "passes_again", False):
                parts.append(part)
            elif len(part) == 1:
                self._set_aside(chore, part[0], error)
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
        return handled

    def _failure_of(self, chore: Chore, rows: list[Any]) -> Exception | None:
        """Act on these rows. Answers why that cannot be done, where one of the jobs may be the reason."""
        try:
            self._alone(lambda: chore.act(rows))
        except StoreFull:
            raise
        except Exception as error:
            if isinstance(error, StoreUnavailable) and not error.damaged:
                raise
            return error
        return None

    def _set_aside(self, chore: Chore, row: Any, error: Exception) -> None:
        now = self._clock.monotonic()
        if not self._aside:
            self._retry_at = now + ASIDE_S
        aside = self._aside.setdefault(chore.name, set())
        if len(aside) < ASIDE_MAX:
            aside.add(chore.number(row))
        self._faults.note(chore.name, error, now)

    def whole(self, name: str, step: Callable[[], T], *, in_transaction: bool = True) -> T | None:
        """Do a chore's step. Answers None when it failed: it is noted, and tried again after SUSPECTED_S."""
        now = self._clock.monotonic()
        if self.suspects.get(name, now) > now:
            return None
        self.suspects.pop(name, None)
        try:
            done: T = self._alone(step) if in_transaction else step()
        except StoreFull:
            # `health` tells of a full disk by itself.
            self.wants_room = True
            self._wait(name)
            return None
        except Exception as error:  # noqa: BLE001 - one chore is not the others; it is told
            self._wait(name)
            self._faults.note(name, error, now)
            return None
        if name not in self.suspects and not self._aside.get(name):
            self._faults.passed(name, now)
        return done

    def _wait(self, name: str) -> None:
        self.suspects[name] = self._clock.monotonic() + SUSPECTED_S
