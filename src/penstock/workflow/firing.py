"""Which slots of a schedule are due at a moment, and when to look at it again. Pure.

What is kept of a schedule is one moment: all slots up to it are done with, fired or not. It only rises. So a slot is
fired at most once, whatever the clock does: set back, a schedule waits until the clock has come to its next slot again.

A slot is looked at in its turn: one that chance has put off (``jitter_s``) puts off those behind it. One that is looked
at up to `limits.SCHEDULE_LATE_S` late is on time; an owner that was busy, or was started again at once, has missed
nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from penstock.model import limits
from penstock.model.schedules import Missed, Schedule
from penstock.workflow.slots import Slots, bounded_after, bounded_up_to

_JITTER_STEPS: Final = 1 << 64


class Due(NamedTuple):
    """What is due at a moment.

    Attributes:
        missed: slots that are made up for, oldest first.
        on_time: slots that are on time, oldest first.
        passed: the first and the last of the slots that are neither, because the schedule says so; None: there are
            none. It may be one slot, or any number.
        handled: up to here the slots are done with then.
        next_slot: the first slot that is not due yet; None: there is none any more.
    """

    missed: list[float]
    on_time: list[float]
    passed: tuple[float, float] | None
    handled: float
    next_slot: float | None


def fires_at(schedule: Schedule, slot: float) -> float:
    """When a slot is to be fired: it, and what chance adds. The same slot of the same schedule has the same chance."""
    if not schedule.jitter_s:
        return slot
    digest = blake2b(f"{schedule.name}\n{slot!r}".encode(), digest_size=8).digest()
    return slot + schedule.jitter_s * (int.from_bytes(digest, "big") / _JITTER_STEPS)


def due_at(schedule: Schedule, slots: Slots, handled: float, now: float) -> Due:
    """What is due now.

    It looks at no more slots than fit into `limits.SCHEDULE_LATE_S` and the jitter, and than are made up for, however
    long nobody has looked.

    Args:
        handled: up to here the slots are done with.
    """
    missed_late, on_time, end, next_slot = _recent(schedule, slots, handled, now)
    if end <= handled:
        return Due([], [], None, handled, next_slot)
    made_up = _made_up(schedule, slots, handled, missed_late, has_one=bool(on_time))
    passed = _passed(schedule, slots, handled, made_up, missed_late)
    return Due(made_up, on_time, passed, end, next_slot)


def _recent(
    schedule: Schedule, slots: Slots, handled: float, now: float
) -> tuple[float | None, list[float], float, float | None]:
    """The last slot that is missed, those that are on time, the last that is due (``handled``: none is), and the one
    after it."""
    missed: float | None = None
    on_time: list[float] = []
    end = handled
    slot = bounded_after(schedule, slots, handled)
    cut = now - limits.SCHEDULE_LATE_S - schedule.jitter_s
    if slot is not None and slot <= cut:
        missed = end = bounded_up_to(schedule, slots, cut) or slot
        slot = bounded_after(schedule, slots, end)
    while slot is not None and fires_at(schedule, slot) <= now:
        if now - fires_at(schedule, slot) > limits.SCHEDULE_LATE_S and not on_time:
            missed = slot
        else:
            on_time.append(slot)
        end = slot
        slot = bounded_after(schedule, slots, slot)
    return missed, on_time, end, slot


def _made_up(schedule: Schedule, slots: Slots, handled: float, last: float | None, *, has_one: bool) -> list[float]:
    """Of the missed slots after ``handled``, up to ``last``, those that are made up for, oldest first. ``has_one``: a
    later one is on time."""
    most = {Missed.NONE: 0, Missed.LAST: 0 if has_one else 1, Missed.ALL: schedule.missed_max}[schedule.missed]
    found: list[float] = []
    slot = last
    while slot is not None and slot > handled and len(found) < most:
        found.append(slot)
        slot = _before(schedule, slots, slot)
    return found[::-1]


def _passed(
    schedule: Schedule, slots: Slots, handled: float, made_up: list[float], last: float | None
) -> tuple[float, float] | None:
    """The first and the last of the missed slots that are not made up for: all that are before those that are."""
    if last is None:
        return None
    first = bounded_after(schedule, slots, handled)
    end = _before(schedule, slots, made_up[0]) if made_up else last
    return None if first is None or end is None or end < first else (first, end)


def _before(schedule: Schedule, slots: Slots, slot: float) -> float | None:
    """The slot before this one."""
    # Slots are a second apart at least, and times of cron are whole seconds.
    earlier = bounded_up_to(schedule, slots, slot - limits.SCHEDULE_EVERY_S_MIN / 2)
    return None if earlier is None or earlier >= slot else earlier
