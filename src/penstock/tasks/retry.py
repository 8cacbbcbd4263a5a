"""When a job that raised runs again. Pure: randomness is handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from penstock.model import limits
from penstock.tasks.names import check_seconds, refuse, shown

Backoff = Literal["exponential", "linear", "constant", "fibonacci"]


class Snooze(Exception):
    """Raise in a task to have the job run again in ``delay_s`` seconds. Not an attempt, not a failure."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = check_seconds("delay_s", delay_s)
        super().__init__(self.delay_s)

    def __str__(self) -> str:
        return f"runs again in {self.delay_s} s"


class Random(Protocol):
    """What a retry asks of `random.Random`."""

    def random(self) -> float:
        """A number from 0 up to, not including, 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often, and after how long, a job that raised runs again.

    Attributes:
        max_attempts: attempts in all, the first included; 1 means no retry.
        backoff: how the wait grows: ``exponential`` (``base_s * factor ** n``), ``linear`` (``base_s * (n + 1)``),
            ``fibonacci`` (``base_s`` times 1, 1, 2, 3, 5 …) or ``constant``, where n counts failures from 0.
        base_s: the first wait, in seconds.
        factor: what exponential waits are multiplied by.
        max_s: no wait is longer.
        jitter: wait a random time from 0 to the computed one, so that jobs that failed together do not return together.
        on: exceptions that are worth another attempt; any other makes the job dead at once.

    Raises:
        InvalidOption: a field is outside what it may be.
    """

    max_attempts: int = limits.MAX_ATTEMPTS
    backoff: Backoff = "exponential"
    base_s: float = limits.BACKOFF_BASE_S
    factor: float = limits.BACKOFF_FACTOR
    max_s: float = limits.BACKOFF_S_MAX
    jitter: bool = True
    on: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        attempts: Any = self.max_attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or not 1 <= attempts <= _ATTEMPTS_MAX:
            refuse("max_attempts", f"is {shown(attempts)}: give a whole number from 1 to {_ATTEMPTS_MAX}")
        if self.backoff not in get_args(Backoff):
            refuse("backoff", f"is {shown(self.backoff)}: use one of {', '.join(get_args(Backoff))}")
        check_seconds("base_s", self.base_s)
        check_seconds("max_s", self.max_s)
        if check_seconds("factor", self.factor) < 1:
            refuse("factor", f"is {shown(self.factor)}: waits do not shrink; give 1 or more")
        if not isinstance(self.jitter, bool):
            refuse("jitter", f"is {shown(self.jitter)}: give True or False")
        kinds: Any = self.on
        if not isinstance(kinds, tuple) or not all(isinstance(k, type) and issubclass(k, BaseException) for k in kinds):
            refuse("on", f"is {shown(kinds)}: give a tuple of exception classes")

    def delay_s(self, attempt: int, random: Random) -> float:
        """Seconds from the failure of ``attempt`` (counted from 1) to the next."""
        whole_s = min(_GROWTH[self.backoff](self, attempt - 1), self.max_s)
        return whole_s * random.random() if self.jitter else whole_s

    def decide(self, exception: BaseException, attempt: int, random: Random) -> float | None:
        """Seconds until the next attempt; None: the job is dead."""
        if attempt >= self.max_attempts or not isinstance(exception, self.on):
            return None
        return self.delay_s(attempt, random)


_ATTEMPTS_MAX = 2**31 - 1


def _exponential(retry: Retry, failures: int) -> float:
    try:
        return retry.base_s * float(retry.factor) ** failures
    except OverflowError:
        return retry.max_s


def _fibonacci(retry: Retry, failures: int) -> float:
    last, wait_s = 0.0, float(retry.base_s)
    for _ in range(failures):
        if wait_s >= retry.max_s or not wait_s:
            break
        last, wait_s = wait_s, last + wait_s
    return wait_s


_GROWTH: dict[str, Callable[[Retry, int], float]] = {
    "exponential": _exponential,
    "linear": lambda retry, failures: retry.base_s * (failures + 1),
    "constant": lambda retry, _: retry.base_s,
    "fibonacci": _fibonacci,
}
