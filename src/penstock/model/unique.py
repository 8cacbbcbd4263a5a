"""Unique jobs: which job keeps others with its key away, what becomes of those, and of the key when its job ends. Pure.

Keys are a task's. At most one job *holds* a key. It is the last job that was accepted with that key, or that took the
key up again when it was revived. A job that holds a key keeps others away from it while it is in one of the states of
its rule, and within its period. The rule of the job that holds the key says so; the rule of the newcomer says what
becomes of the newcomer.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from penstock.model.flow import OnConflict, UniqueRule
from penstock.model.states import MOVES, WAITING, Event, State

REVIVABLE: Final = MOVES[Event.REVIVE].sources
"""States from which a job may be made to run again by hand."""
KEY_IS_TAKEN: Final = "another job has its unique key by now: leave the work to that one, or cancel it first."
"""Why a job in such a state was not revived, behind the state that it is in."""
_ENDS_AS: Final = {
    Event.SUCCEED: State.SUCCEEDED,
    Event.BURY: State.DEAD,
    Event.CORRUPT: State.DEAD,
    Event.GIVE_UP: State.DEAD,
    Event.LOSE: State.DEAD,
    Event.CANCEL: State.CANCELLED,
    Event.EXPIRE: State.EXPIRED,
}
"""The outcome of a job that such an event ends."""


class Claim(NamedTuple):
    """What a job has of its key.

    Attributes:
        states: in which it keeps others away.
        period_s: how long from its enqueue, or from when it was replaced or revived; None: whatever the time.
        until: when that is over, Unix seconds; None: never.
    """

    states: frozenset[State]
    period_s: float | None
    until: float | None

    @classmethod
    def of(cls, rule: UniqueRule, now: float) -> Claim:
        """That of a job that is accepted now."""
        return cls(frozenset(rule.states), rule.period_s, None if rule.period_s is None else now + rule.period_s)

    def anew(self, now: float) -> Claim:
        """The same, its period beginning now."""
        return self if self.period_s is None else self._replace(until=now + self.period_s)

    def keeps_away(self, state: State | None, now: float) -> bool:
        """Whether a job that holds its key keeps others away from it.

        Args:
            state: that it is in; None: its record is gone, and it ended in one of ``states``: otherwise it would not
                hold its key any more (`after_end`).
            now: Unix seconds.
        """
        if self.until is not None and now >= self.until:
            return False
        return self.until is not None if state is None else state in self.states


class Verdict(Enum):
    """What becomes of an enqueue whose key is held by a job that keeps others away."""

    NEW = auto()
    """It is a new job, which holds the key from now on."""
    EXISTING = auto()
    """It is that job, which stays as it is."""
    REPLACE = auto()
    """That job has its arguments, and its delay begins anew."""
    KEEP_TIME = auto()
    """That job has its arguments, and keeps its time."""
    REFUSE = auto()
    """It is refused."""


def verdict(on_conflict: OnConflict, state: State | None) -> Verdict:
    """What becomes of a newcomer.

    Only a job that waits can be given other arguments. One that runs has the old ones, so a newcomer that would replace
    them is a job of its own, and waits. One that has ended will not run with any: the newcomer is that job.

    Args:
        on_conflict: of the newcomer's rule.
        state: of the job that keeps it away; None: its record is gone.
    """
    if on_conflict == "refuse":
        return Verdict.REFUSE
    if on_conflict == "existing":
        return Verdict.EXISTING
    if state in WAITING:
        return Verdict.REPLACE if on_conflict == "replace" else Verdict.KEEP_TIME
    return Verdict.NEW if state is State.RUNNING else Verdict.EXISTING


class Remains(Enum):
    """What is left of a job's key when the job has ended, or its record goes."""

    HELD = auto()
    """The job holds it as before."""
    LEFT = auto()
    """The key is free. The job takes it up again when it is revived."""
    NOTHING = auto()
    """The key is free, and the job has none any more."""


def after_end(claim: Claim, event: Event, source: State, target: State | None, now: float) -> Remains:
    """What is left of the key of a job that holds it.

    Args:
        claim: of the job.
        event: what ended it, or what its record goes for.
        source: the state it was in.
        target: the outcome that it has a record of now; None: it has none.
        now: Unix seconds.
    """
    if event is Event.DELETE and source in WAITING:
        return Remains.NOTHING
    outcome = target or _ENDS_AS.get(event, source)
    counts = outcome in claim.states
    if target is None:
        return Remains.HELD if counts and claim.until is not None and now < claim.until else Remains.NOTHING
    if counts:
        return Remains.HELD
    return Remains.LEFT if target in REVIVABLE else Remains.NOTHING
