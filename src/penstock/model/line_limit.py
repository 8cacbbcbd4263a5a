"""What a queue or a task may have leased, all its lines together: its limits without ``per``, and what is used of them.

Pure; every store reckons so. A store keeps one `LineLimit` for each scope that has limits. It tells it which leases
begin and end, asks it for room before it gives out jobs, and shows its reason with jobs that wait for room.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.model.flow import ConcurrencyRule, RateRule, Rule
from penstock.model.limits_in_force import check_scope
from penstock.model.token_bucket import TokenBucket, burst_of

ROOM_MAX: Final = 1 << 40
"""The room where there is no limit."""
WORTH_S: Final = 0.01
"""Workers that wait for tokens are given those of this time at once: each time costs a commit."""
_UNITS: Final = {1.0: "second", 60.0: "minute", 3_600.0: "hour", 86_400.0: "day"}


class LineLimit:
    """The limits of one scope, together.

    Attributes:
        scope: ``queue:NAME`` or ``task:NAME``.
        queue, task: the one of them that it names.
        concurrency: how many may be leased at a time; None: any number.
        rate: how many per time; None: any number.
        bucket: the tokens of the rate; None: there is no rate.
        running: how many are leased now.
    """

    __slots__ = ("_where", "_whose", "bucket", "concurrency", "queue", "rate", "running", "scope", "task")

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.queue, self.task = check_scope(scope)
        self._whose = f"task {self.task}" if self.queue is None else f"queue {self.queue}"
        self._where = f"of {self._whose}" if self.queue is None else f"in {self._whose}"
        self.concurrency: int | None = None
        self.rate: RateRule | None = None
        self.bucket: TokenBucket | None = None
        self.running = 0

    def change(self, rules: Iterable[Rule], now: float, level: float | None = None) -> None:
        """These limits hold from now on. Tokens that are there stay, so that declaring a rate again adds none.

        Args:
            now: by a clock that never goes backwards, as everywhere here.
            level: how full the bucket is if there was none so far; None: full.
        """
        self.concurrency = self.rate = None
        for rule in rules:
            if rule.per is not None:
                continue
            if isinstance(rule, ConcurrencyRule):
                self.concurrency = rule.count
            else:
                self.rate = rule
        if self.rate is None:
            self.bucket = None
        elif self.bucket is None:
            self.bucket = TokenBucket(self.rate, now, level)
        else:
            self.bucket.change(self.rate, now)

    def room(self, now: float) -> int:
        """How many more jobs may be leased now."""
        room = ROOM_MAX if self.concurrency is None else max(0, self.concurrency - self.running)
        return room if self.bucket is None else min(room, self.bucket.tokens(now))

    def begin(self, number: int, now: float) -> None:
        """So many jobs are leased now. There was room for them."""
        self.running += number
        if self.bucket is not None:
            self.bucket.take(number, now)

    def reason(self, now: float) -> str | None:
        """Why nothing is given out, in words; None: there is room."""
        if self.concurrency is not None and self.running >= self.concurrency:
            return f"{self.running} of {self.concurrency} running {self._where}"
        if self.bucket is not None and self.rate is not None and not self.bucket.tokens(now):
            return f"over the rate of {self._whose}: {rate_in_words(self.rate)}"
        return None

    def next_free_at(self, now: float) -> float | None:
        """When the rate lets the next job start, if it is the rate that lets none start now."""
        if self.bucket is None or self.bucket.tokens(now):
            return None
        return self.bucket.next_at(1, now)

    def worth_waking_at(self, now: float) -> float:
        """As `next_free_at`, when there are as many tokens as are worth waking a worker for: those of `WORTH_S`, as
        long as that does not let the bucket overflow. There is a rate."""
        assert self.bucket is not None, "only a rate is waited for"
        number = min(self.bucket.burst // 2, int(WORTH_S / self.bucket.per_token_s))
        return self.bucket.next_at(max(1, number), now)

    def tokens_in_use(self, now: float) -> int:
        """Tokens that were taken and have not come in again."""
        return 0 if self.bucket is None else self.bucket.burst - self.bucket.tokens(now)


def rate_in_words(rule: RateRule) -> str:
    """A rate as people say it."""
    unit = _UNITS.get(rule.per_s)
    per = f"{rule.per_s:g} s" if unit is None else unit
    burst = burst_of(rule)
    return f"{rule.count} per {per}" + ("" if burst == rule.count else f", {burst} at once")
