"""A token bucket: how many jobs a rate lets start now, and when the next may. Pure: `now` comes in.

The bucket holds at most ``burst`` tokens, and gets ``count`` more in each ``per_s`` seconds. A job that is leased takes
one. So in any stretch of time no more jobs are leased than ``burst`` and what came in meanwhile. ``now`` is in seconds
of one clock that never goes backwards; whoever keeps a bucket longer than that clock runs says how full it was.
"""

from __future__ import annotations

from typing import Final

from penstock.model.flow import RateRule

_SLACK: Final = 1e-9
"""What is missing of a token because numbers are rounded. It is owed, so it does not add up."""
_SOON_S: Final = 1e-6
"""Never say that a token comes now when none is there: whoever waits for it would ask again without an end."""


class TokenBucket:
    """One bucket.

    Args:
        rule: how fast it fills, and how far.
        now: the time.
        level: how many tokens are in it; None: it is full.
    """

    __slots__ = ("_at", "_level", "burst", "per_token_s")

    def __init__(self, rule: RateRule, now: float, level: float | None = None) -> None:
        self.burst = burst_of(rule)
        self.per_token_s = rule.per_s / rule.count
        self._at = now
        self._level = float(self.burst) if level is None else min(level, float(self.burst))

    def level(self, now: float) -> float:
        """How many tokens are in it, parts of one included."""
        elapsed_s = now - self._at
        if elapsed_s <= 0.0:
            return self._level
        return min(float(self.burst), self._level + elapsed_s / self.per_token_s)

    def tokens(self, now: float) -> int:
        """How many jobs may be leased now."""
        return max(0, int(self.level(now) + _SLACK))

    def take(self, number: int, now: float) -> None:
        """So many jobs are leased. The caller has asked for `tokens` at the same time."""
        self._level = self.level(now) - number
        self._at = max(self._at, now)

    def give_back(self, number: int, now: float) -> None:
        """So many jobs were leased and came back before they had started: their tokens are there again."""
        self._level = min(float(self.burst), self.level(now) + number)
        self._at = max(self._at, now)

    def next_at(self, number: int, now: float) -> float:
        """When so many tokens are there, no more than it can hold; ``now``: they are."""
        number = min(number, self.burst)
        if self.tokens(now) >= number:
            return now
        return max(now + _SOON_S, now + (number - self.level(now)) * self.per_token_s)

    def change(self, rule: RateRule, now: float) -> None:
        """Another rule holds from now on. The tokens that are in it stay, as far as it can hold them."""
        self._level, self._at = self.level(now), max(self._at, now)
        self.burst = burst_of(rule)
        self.per_token_s = rule.per_s / rule.count
        self._level = min(self._level, float(self.burst))

    def copy(self) -> TokenBucket:
        """Another bucket that is as full now, and later."""
        twin = object.__new__(TokenBucket)
        twin.burst, twin.per_token_s, twin._level, twin._at = self.burst, self.per_token_s, self._level, self._at
        return twin


def burst_of(rule: RateRule) -> int:
    """How many tokens a bucket of this rule holds."""
    return rule.count if rule.burst is None else rule.burst
