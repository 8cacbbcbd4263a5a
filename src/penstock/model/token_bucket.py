"""A token bucket: how many jobs a rate lets start now, and when the next may. Pure: `now` comes in.

The bucket holds at most ``burst`` tokens, and gets ``count`` more in each ``per_s`` seconds. A job that is leased takes
one. So in any stretch of time no more jobs are leased than ``burst`` and what came in meanwhile. ``now`` is in seconds
of one clock that never goes backwards; whoever keeps a bucket longer than that clock runs says how full it was.

A lease whose job comes back before it has started gives its token back, if it took one: from this bucket, as it is
filled now, since it was last full. Leases are told apart by their fences, which rise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.model.flow import RateRule

_SLACK: Final = 1e-9
"""What is missing of a token because numbers are rounded. It is owed, so it does not add up."""
_SOON_S: Final = 1e-6
"""Never say that a token comes now when none is there: whoever waits for it would ask again without an end."""


class TokenBucket:
    """One bucket.

    Attributes:
        burst: how many tokens it holds.
        per_token_s: how long it takes until one comes in.
        first_fence: the first lease that took a token since it was last full, or filled otherwise. None: none has.

    Args:
        rule: how fast it fills, and how far.
        now: the time.
        level: how many tokens are in it; None: it is full.
    """

    __slots__ = ("_at", "_level", "burst", "first_fence", "per_token_s")

    def __init__(self, rule: RateRule, now: float, level: float | None = None) -> None:
        self.burst = burst_of(rule)
        self.per_token_s = _per_token_s(rule)
        self.first_fence: int | None = None
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

    def is_full(self, now: float) -> bool:
        """Whether no more fit into it."""
        return self.tokens(now) >= self.burst

    def take(self, number: int, now: float, fence: int = 0) -> None:
        """So many jobs are leased. The caller has asked for `tokens` at the same time. ``fence``: of the first of these
        leases; it matters where tokens are given back."""
        if self.first_fence is None or self.is_full(now):
            self.first_fence = fence
        self._level = self.level(now) - number
        self._at = max(self._at, now)

    def give_back(self, fence: int, now: float) -> None:
        """The job of this lease came back before it had started: the token that it took is there again. A lease from
        before ``first_fence`` took none of those that are missing."""
        if self.first_fence is not None and fence >= self.first_fence:
            self._level = min(float(self.burst), self.level(now) + 1)
            self._at = max(self._at, now)

    def next_at(self, number: int, now: float) -> float:
        """When so many tokens are there, no more than it can hold; ``now``: they are."""
        number = min(number, self.burst)
        if self.tokens(now) >= number:
            return now
        return max(now + _SOON_S, now + (number - self.level(now)) * self.per_token_s)

    def change(self, rule: RateRule, now: float) -> None:
        """Another rule holds from now on. The tokens that are in it stay, as far as it can hold them. Those that are
        missing are not given back any more."""
        if (self.burst, self.per_token_s) == (burst_of(rule), _per_token_s(rule)):
            return
        self._level, self._at = self.level(now), max(self._at, now)
        self.burst = burst_of(rule)
        self.per_token_s = _per_token_s(rule)
        self.first_fence = None
        self._level = min(self._level, float(self.burst))

    def copy(self) -> TokenBucket:
        """Another bucket that is as full now, and later."""
        twin = object.__new__(TokenBucket)
        twin.burst, twin.per_token_s, twin._level, twin._at = self.burst, self.per_token_s, self._level, self._at
        twin.first_fence = self.first_fence
        return twin


def burst_of(rule: RateRule) -> int:
    """How many tokens a bucket of this rule holds."""
    return rule.count if rule.burst is None else rule.burst


def fill_alike(rule: RateRule, other: RateRule) -> bool:
    """Whether buckets of these rules hold as much, and fill as fast."""
    return (burst_of(rule), _per_token_s(rule)) == (burst_of(other), _per_token_s(other))


def carried_over(
    level: float, at: float, former: Sequence[tuple[RateRule | None, float]], rule: RateRule
) -> TokenBucket:
    """The bucket that held so many tokens at a time, with all that its rate has been since.

    Args:
        former: the rules that held then and later, each until a time. None: there was no rate, and with the next one
            comes a full bucket.
        rule: holds after all of them. A bucket that was full when a rule changed is full by the next.
    """
    rules = [*(one for one, _ in former), rule]
    bucket = None if rules[0] is None else TokenBucket(rules[0], at, level)
    for (_, until), following in zip(former, rules[1:], strict=True):
        if following is None:
            bucket = None
        elif bucket is None or bucket.is_full(until):
            bucket = TokenBucket(following, until)
        else:
            bucket.change(following, until)
    assert bucket is not None, "the last rule is a rate"
    return bucket


def _per_token_s(rule: RateRule) -> float:
    return rule.per_s / rule.count
