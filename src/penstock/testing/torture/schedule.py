"""What is struck, when and how: a plan that follows from its seed alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

KINDS: Final = ("owner", "gate", "supervisor", "forkserver", "executor", "producer")
"""What may be struck. Never the root: with it everything ends, as it should."""

INTERVAL_S: Final = (0.5, 1.5)
"""Between two strikes."""
STOP_SHARE: Final = 0.4
"""Of all strikes, those that stop a process for a while instead of killing it."""
PAST_LEASE_SHARE: Final = 0.3
"""Of all stops, those that outlast a lease."""
DOUBLE_SHARE: Final = 0.15
"""Of all moments, those with two strikes at once: what recovers from one fault meets the next."""
_SHORT_STOP_S: Final = (0.05, 1.0)
_PAST_LEASE: Final = (1.2, 2.0)
_OWNER_EVERY_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Strike:
    """One blow.

    Attributes:
        at_s: seconds from the start.
        kind: one of `KINDS`.
        pick: which process of that kind, as a share of how many there are: from 0 up to 1.
        stop_s: stopped for so long, then continued. None: killed.
    """

    at_s: float
    kind: str
    pick: float
    stop_s: float | None = None

    def chosen(self, count: int) -> int:
        """Which of ``count`` processes."""
        return min(count - 1, int(self.pick * count))


def random_plan(seed: int, seconds: float, lease_s: float) -> list[Strike]:
    """About one strike a second on processes of every kind; stops end before ``seconds`` are over or soon after.

    Args:
        lease_s: how long the leases of the node under test are.
    """
    draw = Random(seed)
    strikes: list[Strike] = []
    at_s = draw.uniform(*INTERVAL_S)
    while at_s < seconds:
        blows = 2 if draw.random() < DOUBLE_SHARE else 1
        strikes += [_strike(draw, at_s, lease_s) for _ in range(blows)]
        at_s += draw.uniform(*INTERVAL_S)
    return strikes


def fence_plan(seconds: float, lease_s: float) -> list[Strike]:
    """One supervisor, then the other, is stopped until others have taken over its jobs, and goes on: what it has to
    say then comes too late."""
    strikes: list[Strike] = []
    at_s, stop_s = 1.0, 1.5 * lease_s
    while at_s + stop_s < seconds:
        strikes.append(Strike(at_s, "supervisor", (len(strikes) % 2) / 2, stop_s))
        at_s += 2.0 * lease_s
    return strikes


def owner_plan(seconds: float) -> list[Strike]:
    """The owner is killed again and again: what it has acknowledged and not written is gone."""
    return [Strike(_OWNER_EVERY_S * number, "owner", 0.0) for number in range(1, int(seconds / _OWNER_EVERY_S) + 1)]


def _strike(draw: Random, at_s: float, lease_s: float) -> Strike:
    kind, pick, stops = draw.choice(KINDS), draw.random(), draw.random() < STOP_SHARE
    if not stops:
        return Strike(at_s, kind, pick)
    if draw.random() < PAST_LEASE_SHARE:
        return Strike(at_s, kind, pick, lease_s * draw.uniform(*_PAST_LEASE))
    return Strike(at_s, kind, pick, draw.uniform(*_SHORT_STOP_S))
