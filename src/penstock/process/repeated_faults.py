"""Faults that come again: each is told once, then counted.

An error in a loop would fill a disk with its own log. `Faults` writes the first one at once and with its traceback, the
next ones as one line with their number, at intervals that grow. What fails at present can be asked for, so that health
and statistics show it. Pure but for the logger: the time comes in.
"""

from __future__ import annotations

import logging
from typing import Final

from penstock.model.health import Fault
from penstock.process.backoff import Backoff

__all__ = ["Fault", "Faults"]

SUMMARY: Final = Backoff(base_s=10.0, s_max=3_600.0, factor=6.0)
"""How long after the first one, and after each summary, the repeats are summed up."""
STANDS_S: Final = 60.0
"""A fault of which nothing is heard for so long, good or bad, does not count as present any more."""
NAMES_MAX: Final = 64
"""Names that are told apart. Beyond: they are counted together, as `OTHERS`."""
OTHERS: Final = "other faults"
_TYPES_MAX: Final = 8
"""Types of error that are told apart under one name."""
_MESSAGE_CHARACTERS_MAX: Final = 500


class _Standing:
    """One name, since it last went well for a while.

    ``told`` are the types of error that were written at once; ``told_at`` is when the last summary was written, or the
    first failure; ``untold`` counts the failures since; ``well_since`` is when it went well after the last one, None
    while it has not.
    """

    __slots__ = ("count", "last", "message", "since", "summaries", "told", "told_at", "untold", "well_since")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.message = ""
        self.since = self.last = self.told_at = now
        self.summaries = 0
        self.untold = 0
        self.told: set[str] = set()
        self.well_since: float | None = None


class Faults:
    """What fails in one process. Not thread-safe: one loop notes them.

    ``now`` is always seconds by the same monotonic clock.

    Attributes:
        counts: failures by name, ever.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._standing: dict[str, _Standing] = {}
        self.counts: dict[str, int] = {}

    def note(self, name: str, error: BaseException | str, now: float, *, traceback: bool = True) -> None:
        """It failed.

        Args:
            name: what failed, for people: "promoting due jobs". One of few.
            error: with what; a text where there is no exception.
            traceback: whether the traceback is worth reading; False where the error says it all.
        """
        if name not in self.counts and len(self.counts) >= NAMES_MAX:
            name = OTHERS
        self.counts[name] = self.counts.get(name, 0) + 1
        standing = self._standing.get(name)
        if standing is not None and now - standing.last > STANDS_S:
            self._end(name, standing, now)
            standing = None
        if standing is None:
            standing = self._standing[name] = _Standing(now)
        standing.count += 1
        standing.last = now
        standing.well_since = None
        standing.message = _describe(error)
        kind = type(error).__name__
        if kind not in standing.told and len(standing.told) < _TYPES_MAX:
            standing.told.add(kind)
            cause = error if traceback and isinstance(error, BaseException) else None
            self._logger.error("%s failed: %s", name, standing.message, exc_info=cause)
            return
        standing.untold += 1
        self._tell_if_due(name, standing, now)

    def passed(self, name: str, now: float) -> None:
        """It went well: it does not fail at present. That is told when it has been so for a while, because what goes
        well every other time would fill the log as well. Costs nothing where it did not fail before."""
        if not self._standing:
            return
        standing = self._standing.get(name)
        if standing is not None and standing.well_since is None:
            standing.well_since = now

    def tell(self, now: float) -> None:
        """Write what is due: summaries, and what goes well again. Call it now and then."""
        for name, standing in list(self._standing.items()):
            if now - standing.last > STANDS_S:
                self._end(name, standing, now)
            elif standing.untold:
                self._tell_if_due(name, standing, now)

    def present(self, now: float) -> list[Fault]:
        """What fails at present, the one that failed last first."""
        found = [
            Fault(name, one.message, one.count, now - one.since, now - one.last)
            for name, one in self._standing.items()
            if one.well_since is None and now - one.last <= STANDS_S
        ]
        return sorted(found, key=lambda fault: fault.last_s)

    def _end(self, name: str, standing: _Standing, now: float) -> None:
        """It has not failed for a while."""
        del self._standing[name]
        self._sum_up(name, standing, now)
        if standing.well_since is not None:
            lasted_s = standing.well_since - standing.since
            self._logger.warning("%s goes well again, after %d failures in %.0f s", name, standing.count, lasted_s)

    def _tell_if_due(self, name: str, standing: _Standing, now: float) -> None:
        if now - standing.told_at >= SUMMARY.delay_s(standing.summaries + 1):
            self._sum_up(name, standing, now)

    def _sum_up(self, name: str, standing: _Standing, now: float) -> None:
        if not standing.untold:
            return
        self._logger.error(
            "%s failed %d more times in %.0f s, the last time with: %s",
            name,
            standing.untold,
            now - standing.told_at,
            standing.message,
        )
        standing.summaries += 1
        standing.untold = 0
        standing.told_at = now


def _describe(error: BaseException | str) -> str:
    if isinstance(error, str):
        return error[:_MESSAGE_CHARACTERS_MAX]
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception may be of anybody's making; its type is told all the same
        message = "(its message cannot be read)"
    kind = type(error).__name__
    return f"{kind}: {message}"[:_MESSAGE_CHARACTERS_MAX] if message else kind
