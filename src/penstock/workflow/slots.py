"""The times at which a schedule has to fire: its slots. Pure.

A slot is a moment in Unix seconds. `after` and `up_to` find the next one and the latest one; neither goes through the
slots between, so a year without an owner costs no more than a minute.

**Intervals** have a slot every ``every_s`` seconds of elapsed time, counted from their anchor. A change of the wall
clock's offset does not concern them.

**One-off times** have one slot.

**Cron** has five fields: minute, hour, day of the month, month, day of the week. A field is ``*``, a number, a range
``1-5``, a list ``1,15``, each with a step ``/10`` if wanted; months and days have names (``JAN``, ``MON``); ``L`` is
the last day of a month, ``LW`` its last weekday, ``5L`` its last Friday, ``MON#2`` its second Monday. When both days
are given and neither begins with ``*``, a day counts that fits one of the two.

The fields are matched with the wall clock of the schedule's time zone. Where that clock is changed, by daylight saving
or for good, this holds:

- **A fixed time** (neither the minute nor the hour begins with ``*``) has one slot on every day that fits. A time that
  the change leaves out has its slot at the moment of the change; several of them have that one slot together. A time
  that comes twice has its slot the first time.
- **A recurring time** (the minute or the hour begins with ``*``) goes by the hours that there are. A time that is left
  out has no slot; a time that comes twice has two.

So a nightly ``30 2 * * *`` fires once every night, and ``*/10 * * * *`` fires every ten minutes, all year.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import floor
from typing import Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from penstock.model.errors import InvalidOption
from penstock.model.schedules import Schedule

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_ANY: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - of a clock that is never changed
_TRANSITION_S: Final = 1.0
"""Clocks are changed at whole seconds."""
EARLIEST, LATEST = (datetime(year, 1, 2, tzinfo=UTC).timestamp() for year in (1_000, 9_000))
"""What can be told of by dates of both UTC and a time zone, with room on both sides."""


class Slots(Protocol):
    """The slots of one schedule, without its bounds."""

    def after(self, moment: float) -> float | None:
        """The first slot later than this; None: there is none."""
        ...

    def up_to(self, moment: float) -> float | None:
        """The latest slot that is not later than this; None: there is none."""
        ...


class OneOff(NamedTuple):
    """One slot."""

    at: float

    def after(self, moment: float) -> float | None:
        """See `Slots`."""
        return self.at if self.at > moment else None

    def up_to(self, moment: float) -> float | None:
        """See `Slots`."""
        return self.at if self.at <= moment else None


class Every(NamedTuple):
    """A slot every ``every_s`` seconds from ``anchor`` on."""

    anchor: float
    every_s: float

    def after(self, moment: float) -> float | None:
        """See `Slots`."""
        number = max(0, floor((moment - self.anchor) / self.every_s))
        # What was divided may be off by a little, and a slot must not come out twice.
        while self._slot(number) <= moment:
            number += 1
        return self._slot(number)

    def up_to(self, moment: float) -> float | None:
        """See `Slots`."""
        number = floor((moment - self.anchor) / self.every_s) + 1
        while number >= 0 and self._slot(number) > moment:
            number -= 1
        return self._slot(number) if number >= 0 else None

    def _slot(self, number: int) -> float:
        return self.anchor + number * self.every_s


class Cron:
    """The slots of a cron expression in a time zone."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._zone = zone
        minute, hour = expression.split()[:2]
        self._recurs = minute.startswith("*") or hour.startswith("*")
        # To parse the expression takes longer than to find the next time that fits.
        self._forwards = CronSim(expression, _ANY)
        self._backwards = CronSim(expression, _ANY, reverse=True)

    def after(self, moment: float) -> float | None:
        """See `Slots`."""
        start = _utc(moment)
        return self._recurring_after(start) if self._recurs else self._fixed_after(start)

    def up_to(self, moment: float) -> float | None:
        """See `Slots`."""
        end = _utc(moment)
        return self._recurring_up_to(end) if self._recurs else self._fixed_up_to(end)

    # --- fixed times -------------------------------------------------------------------------------------------------
    def _fixed_after(self, start: datetime) -> float | None:
        for wall in self._walls(self._wall(start)):
            slot = self._fixed_slot(wall)
            # While an hour is repeated, what has its slot the first time is behind us.
            if slot > start:
                return slot.timestamp()
        return None

    def _fixed_up_to(self, end: datetime) -> float | None:
        latest = self._wall(end)
        change = self._change_in(end - _DAY, end)
        if change is not None:
            # Within an hour that is repeated, all its times have had their slots.
            latest = max(latest, self._wall(change - _SECOND))
        for wall in self._walls_back(latest):
            slot = self._fixed_slot(wall)
            if slot <= end:
                return slot.timestamp()
        return None

    def _fixed_slot(self, wall: datetime) -> datetime:
        """When a time of the wall clock has its slot."""
        slot = wall.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        if self._wall(slot) == wall:
            return slot
        # It is left out: the change is within a day of what it would be by the offset before.
        change = self._change_in(slot - _DAY, slot)
        return slot if change is None else change

    # --- recurring times ---------------------------------------------------------------------------------------------
    def _recurring_after(self, start: datetime) -> float | None:
        change = self._change_in(start, start + _DAY)
        if change is not None:
            wall = next(self._walls(self._wall(start)), None)
            slot = None if wall is None else (wall - self._offset(start)).replace(tzinfo=UTC)
            if slot is not None and slot < change:
                return slot.timestamp()
            # The walk goes on with the clock as it is from the change on.
            begin = self._wall(change) - _SECOND
        else:
            begin = self._wall(start)
        for wall in self._walls(begin):
            moments = [moment for moment in self._moments(wall) if moment > start and (not change or moment >= change)]
            if moments:
                return moments[0].timestamp()
        return None

    def _recurring_up_to(self, end: datetime) -> float | None:
        change = self._change_in(end - _DAY, end)
        begin = self._wall(end)
        if change is not None:
            wall = next(self._walls_back(begin), None)
            slot = None if wall is None else (wall - self._offset(end)).replace(tzinfo=UTC)
            if slot is not None and slot >= change:
                return slot.timestamp()
            begin = self._wall(change - _SECOND)
        for wall in self._walls_back(begin):
            moments = [moment for moment in self._moments(wall) if moment <= end and (not change or moment < change)]
            if moments:
                return moments[-1].timestamp()
        return None

    def _moments(self, wall: datetime) -> list[datetime]:
        """When the wall clock shows this: never, once or twice."""
        found = [wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        return sorted({moment for moment in found if self._wall(moment) == wall})

    # --- the wall clock ----------------------------------------------------------------------------------------------
    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta()

    def _change_in(self, begin: datetime, end: datetime) -> datetime | None:
        """The first moment after ``begin``, up to ``end``, at which the clock shows another offset than at ``begin``.
        None: it shows the same at both."""
        before = self._offset(begin)
        if self._offset(end) == before:
            return None
        low, high = begin.timestamp() // _TRANSITION_S, end.timestamp() // _TRANSITION_S
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(_utc(middle * _TRANSITION_S)) == before:
                low = middle
            else:
                high = middle
        return _utc(high * _TRANSITION_S)

    def _walls(self, begin: datetime) -> Iterator[datetime]:
        """The times later than this that fit, of a clock that is never changed."""
        walk = copy(self._forwards)
        walk.dt = begin.replace(microsecond=0)
        return walk

    def _walls_back(self, begin: datetime) -> Iterator[datetime]:
        """Those that are not later, the latest first."""
        walk = copy(self._backwards)
        walk.dt = begin.replace(microsecond=0) + _SECOND
        return walk


def slots_of(schedule: Schedule, anchor: float) -> Slots:
    """The slots of a schedule. Those outside its bounds are left out by `bounded_after` and `bounded_up_to`.

    Args:
        anchor: of an interval without ``start_at``: since when it counts.

    Raises:
        InvalidOption: it has no such cron expression or time zone, or not exactly one kind of time.
    """
    given = [name for name in ("cron", "every_s", "at") if getattr(schedule, name) is not None]
    if len(given) != 1:
        said = " and ".join(given) if given else "none"
        raise InvalidOption(
            f"A schedule has one of cron, every_s and at; {schedule.name!r} has {said}.", field=(given or ["cron"])[-1]
        )
    if schedule.cron is not None:
        return cron_slots(schedule.cron, schedule.timezone)
    if schedule.every_s is not None:
        return Every(anchor if schedule.start_at is None else schedule.start_at, schedule.every_s)
    assert schedule.at is not None, "it is what is left"
    return OneOff(schedule.at)


def bounded_after(schedule: Schedule, slots: Slots, moment: float) -> float | None:
    """The first slot later than this, and within the schedule's bounds; None: there is none."""
    start, end = schedule.start_at, schedule.end_at
    if start is not None and moment < start:
        # A slot at ``start_at`` itself counts.
        first = slots.up_to(start)
        slot = start if first == start else slots.after(start)
    else:
        slot = slots.after(moment)
    return None if slot is None or (end is not None and slot > end) else slot


def bounded_up_to(schedule: Schedule, slots: Slots, moment: float) -> float | None:
    """The latest slot that is not later than this, and within the schedule's bounds; None: there is none."""
    if schedule.end_at is not None:
        moment = min(moment, schedule.end_at)
    slot = slots.up_to(moment)
    return None if slot is None or (schedule.start_at is not None and slot < schedule.start_at) else slot


@lru_cache(maxsize=1_024)
def cron_slots(expression: str, timezone: str) -> Cron:
    """The slots of a cron expression.

    Raises:
        InvalidOption: it is none, it never fits, or there is no such time zone.
    """
    if len(expression.split()) != 5:
        raise InvalidOption(
            f"cron is {expression[:80]!r}: give five fields, minute, hour, day of the month, month and day of the week,"
            ' such as "0 3 * * *" for three in the morning.',
            field="cron",
        )
    try:
        found = next(CronSim(expression, _ANY), None)
    except CronSimError as error:
        raise InvalidOption(f"cron is {expression[:80]!r}: {error}.", field="cron") from None
    if found is None:
        raise InvalidOption(f"cron is {expression[:80]!r}, which no date fits.", field="cron")
    return Cron(expression, zone_of(timezone))


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name, from what this machine knows of time zones.

    Raises:
        InvalidOption: it knows none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidOption(
            f"timezone is {name[:80]!r}, which this machine does not know: give an IANA name, such as 'Europe/Paris'."
            " If it is one, install the package tzdata.",
            field="timezone",
        ) from None


def _utc(moment: float) -> datetime:
    """As a date, of the years that can be told of."""
    return datetime.fromtimestamp(max(EARLIEST, min(moment, LATEST)), UTC)


def slot_text(slot: float) -> str:
    """A slot in words, RFC 3339 in UTC: ``2027-01-01T03:00:00Z``."""
    return _utc(slot).isoformat().replace("+00:00", "Z")
