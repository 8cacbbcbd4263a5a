"""How many dead records there are of each kind: of each task, by the type of error. Pure; every store counts so.

There is no end to the types of errors, so kinds are bounded: while there are `limits.DEAD_KINDS_MAX`, jobs of a kind
that is not among them count together, as others. A kind is forgotten when its last record is gone. A job keeps the kind
that it was counted in, so whoever keeps its record keeps the number of that kind with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from penstock.model import limits
from penstock.model.counts import DeadCounts, DeadKind

OTHERS: Final = 0
"""The kind of jobs that are counted together."""


class DeadKinds:
    """The counts.

    Attributes:
        changed: numbers of kinds whose counts have changed, and that may be gone, since somebody emptied the set.
    """

    def __init__(self, kinds_max: int = limits.DEAD_KINDS_MAX) -> None:
        self._kinds_max = kinds_max
        self._names: dict[int, tuple[str, str]] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._counts: dict[int, int] = {OTHERS: 0}
        self._last = OTHERS
        self.changed: set[int] = set()

    def restore(self, number: int, task: str, error: str, count: int) -> None:
        """Take a kind over from where it was kept."""
        self._counts[number] = count
        self._last = max(self._last, number)
        if number != OTHERS:
            self._names[number] = (task, error)
            self._numbers[task, error] = number

    def enter(self, task: str, error: str) -> int:
        """Count a dead record of this task and this type of error. Answers the number of its kind."""
        names = (task, _shortened(error))
        number = self._numbers.get(names, OTHERS)
        if number == OTHERS and len(self._numbers) < self._kinds_max:
            self._last = number = self._last + 1
            self._names[number] = names
            self._numbers[names] = number
        self._counts[number] = self._counts.get(number, 0) + 1
        self.changed.add(number)
        return number

    def leave(self, number: int) -> None:
        """A dead record of this kind is gone."""
        left = self._counts.get(number, 0) - 1
        assert left >= 0, "a dead record that goes was counted when it came"
        self._counts[number] = left
        self.changed.add(number)
        if not left and number != OTHERS:
            del self._counts[number], self._numbers[self._names.pop(number)]

    def kept(self, number: int) -> tuple[str, str, int] | None:
        """The task, the type of error and the count of a kind; None: there is no such kind any more."""
        task, error = self._names.get(number, ("", ""))
        return (task, error, self._counts[number]) if number in self._counts else None

    def of(self, task: str | None, error: str | None) -> list[int]:
        """The kinds that dead jobs of this task and this type of error may have been counted in. None: any."""
        wanted = None if error is None else _shortened(error)
        found = list(self._matching(task, wanted))
        return [*found, OTHERS] if self._counts[OTHERS] else found

    def _matching(self, task: str | None, error: str | None) -> Iterator[int]:
        if task is not None and error is not None:
            number = self._numbers.get((task, error))
            if number is not None:
                yield number
            return
        for number, names in self._names.items():
            if task in (None, names[0]) and error in (None, names[1]):
                yield number

    def counts(self) -> DeadCounts:
        """All of them, those first that are most."""
        kinds = [DeadKind(task, error, self._counts[number]) for number, (task, error) in self._names.items()]
        kinds.sort(key=lambda kind: (-kind.count, kind.task, kind.error))
        return DeadCounts(kinds, self._counts[OTHERS])


def _shortened(error: str) -> str:
    """The type of an error, as it names a kind."""
    return error[: limits.ERROR_TYPE_LENGTH_MAX]
