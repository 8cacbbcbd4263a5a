"""Faults that occur again and again: the first is logged at once, the next ones are counted.

An error in a loop would otherwise fill a disk with log lines. `Faults` logs the first occurrence with its traceback,
and sums up the next ones in one line each, at growing intervals. It answers what fails at present, for health and
statistics. It does no I/O besides the logger; the time is an argument.
"""

from __future__ import annotations

import logging
from typing import Final

from penstock.model.health import Fault
from penstock.process.backoff import Backoff

__all__ = ["Fault", "Faults"]

SUMMARY: Final = Backoff(base_s=10.0, s_max=3_600.0, factor=6.0)
"""How long after the first occurrence, and after each summary, the next summary is written."""
STANDS_S: Final = 60.0
"""A fault that has neither occurred again nor been passed for so long does not count as present any more."""
NAMES_MAX: Final = 64
"""Faults under more names than this are counted together, as `OTHERS`."""
OTHERS: Final = "other faults"
_TYPES_MAX: Final = 8
"""So many types of error are logged at once under one name; further ones are only counted."""
_MESSAGE_CHARACTERS_MAX: Final = 500


class _Standing:
    """What has happened under one name, from its first failure until it has gone well for a while.

    ``told`` are the types of error that were logged at once. ``told_at`` is when the last summary was written, or when
    the first failure was. ``untold`` counts the failures since ``told_at``. ``well_since`` is when the next success
    came after the last failure; None: none has come.
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
        """What is called ``name`` went well. That is logged only when it has gone well for a while, since something
        that fails every other time would fill the log with it. Costs next to nothing while nothing fails."""
        if not self._standing:
            return
        standing = self._standing.get(name)
        if standing is not None and standing.well_since is None:
            standing.well_since = now

    def tell(self, now: float) -> None:
        """Log what is due: summaries, and what goes well again. Call it every few seconds."""
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
