"""Heartbeats: whether there is anybody at the other end of a connection.

A client hears one at each interval and says something in return. One that has said nothing for two intervals has gone,
and so has one that has taken nothing for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

_MISSED_MAX: Final = 2


class Beating(Protocol):
    """A connection, as far as heartbeats go."""

    @property
    def reads(self) -> bool:
        """Whether it listens to its client at the moment."""
        ...

    def beat(self) -> None:
        """It is time for a heartbeat."""
        ...

    def give_up(self) -> None:
        """Nobody is there."""
        ...


class Heartbeats:
    """Those of one connection.

    Attributes:
        interval_s: how often there is one; 0: never, and the client may be silent for ever.
        heard_at: when the client said something last, in monotonic seconds.
        clogged_at: since when it has taken nothing; None: it takes what it is sent.
    """

    __slots__ = ("_connection", "_due_at", "_loop", "_monotonic", "_timer", "clogged_at", "heard_at", "interval_s")

    def __init__(self, connection: Beating, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float]) -> None:
        self._connection = connection
        self._loop = loop
        self._monotonic = monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self.interval_s = 0.0
        self.heard_at = 0.0
        self.clogged_at: float | None = None

    def begin(self, interval_s: float) -> None:
        """Send one so often from now on."""
        self.stop()
        self.interval_s = interval_s
        self.heard_at = self._monotonic()
        if interval_s > 0:
            self._due_at = self.heard_at + interval_s
            self._sleep_until(self._due_at)

    def stop(self) -> None:
        """Send no more. A second call does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """The connection is over. Nothing here keeps it in memory."""
        self.stop()
        del self._connection

    def _sleep_until(self, at: float) -> None:
        self._timer = self._loop.call_later(max(0.0, at - self._monotonic()), self._wake)

    def _wake(self) -> None:
        """It is time for one, or for the client to be given up."""
        now = self._monotonic()
        if self._is_dead(now):
            self._connection.give_up()
            return
        if now >= self._due_at:
            self._connection.beat()
            self._due_at = now + self.interval_s
        silent_until = self.heard_at + _MISSED_MAX * self.interval_s
        self._sleep_until(min(self._due_at, silent_until) if silent_until > now else self._due_at)

    def _is_dead(self, now: float) -> bool:
        """Whether the client has taken nothing for long, or has said nothing although it was listened to."""
        if self.clogged_at is not None and now - self.clogged_at >= self.interval_s:
            return True
        return self._connection.reads and now - self.heard_at >= _MISSED_MAX * self.interval_s
