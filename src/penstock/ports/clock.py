"""The port through which everything learns the time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Where time comes from. The wall clock may jump; the monotonic one does not."""

    def time(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...
