"""Time that moves only when it is told to."""

from __future__ import annotations


class VirtualClock:
    """A `penstock.ports.Clock` for tests.

    Reading it from several threads is safe; one thread moves it.

    Args:
        time_s: what the wall clock shows at first, in Unix seconds.
        monotonic_s: what the monotonic clock shows at first.
    """

    def __init__(self, time_s: float = 1_800_000_000.0, monotonic_s: float = 1_000.0) -> None:
        self._time_s = time_s
        self._monotonic_s = monotonic_s

    def time(self) -> float:
        """Unix seconds."""
        return self._time_s

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self._monotonic_s

    def advance(self, duration_s: float) -> None:
        """Let time pass on both clocks.

        Raises:
            ValueError: the duration is negative; time does not run backwards, but see `jump`.
        """
        if duration_s < 0:
            raise ValueError("time does not run backwards; a wall clock that is set back is a jump")
        self._time_s += duration_s
        self._monotonic_s += duration_s

    def jump(self, by_s: float) -> None:
        """Set the wall clock forward or back, as an administrator or NTP does. The monotonic clock goes on."""
        self._time_s += by_s
