"""The system's clock. Tests use `penstock.testing.clock.VirtualClock`."""

from __future__ import annotations

from time import monotonic, time


class SystemClock:
    """`penstock.ports.Clock` by the machine's own clocks."""

    time = staticmethod(time)
    monotonic = staticmethod(monotonic)
