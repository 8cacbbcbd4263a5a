"""How long to wait before the next try, longer after each failure. Arithmetic only: nobody waits here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off.

    Attributes:
        base_s: the delay after the first failure.
        s_max: no delay is longer.
        factor: each delay is this many times the one before.
        jitter: the part of a delay that is left to chance, 0 (none) to 1 (all of it).
    """

    base_s: float
    s_max: float
    factor: float = 2.0
    jitter: float = 0.0

    def delay_s(self, failures: int, draw: Callable[[], float] | None = None) -> float:
        """The delay after this many failures in a row; 0 after none.

        Args:
            draw: gives numbers from 0 to 1. None: no jitter.
        """
        if failures <= 0:
            return 0.0
        exponent = min(failures - 1, 1_000)
        try:
            full = min(self.s_max, self.base_s * self.factor**exponent)
        except OverflowError:
            full = self.s_max
        return full if draw is None else full * (1.0 - self.jitter * draw())
