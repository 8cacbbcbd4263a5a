"""The machine's clocks, as `penstock.ports.Clock`. Tests use `penstock.testing.clock.VirtualClock` instead."""

from __future__ import annotations

from time import monotonic, time


class SystemClock:
    """`penstock.ports.Clock` by the machine's own clocks."""

    time = staticmethod(time)
    monotonic = staticmethod(monotonic)
