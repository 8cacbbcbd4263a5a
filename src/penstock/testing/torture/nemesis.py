"""Strikes at processes by plan, and sees to it that no process stays stopped."""

from __future__ import annotations

import contextlib
import heapq
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence

from penstock.testing.torture.schedule import Strike

Find = Callable[[str], Sequence[int]]
"""Process ids of a kind, in a steady order."""
Send = Callable[[int, signal.Signals], bool]
"""Signals a process. Answers whether it was there."""


class Nemesis:
    """Carries out a plan.

    Args:
        plan: the strikes, in any order.
        find: which processes there are.
        send: how they are struck.

    Attributes:
        struck: strikes that found a process, by (kind, ``kill`` or ``stop``).
        last: the last strike in words, for people.
    """

    def __init__(self, plan: Sequence[Strike], find: Find, send: Send | None = None) -> None:
        self._plan = sorted(plan, key=lambda strike: strike.at_s, reverse=True)
        self._find = find
        self._send = send or _send
        self._stopped: list[tuple[float, int]] = []
        self.struck: Counter[tuple[str, str]] = Counter()
        self.last = ""

    @property
    def finished(self) -> bool:
        """Nothing is left to strike or to continue."""
        return not self._plan and not self._stopped

    def next_s(self) -> float | None:
        """When `act` is due again, in seconds from the start; None: never."""
        moments = [self._plan[-1].at_s] if self._plan else []
        moments += [self._stopped[0][0]] if self._stopped else []
        return min(moments, default=None)

    def act(self, now_s: float) -> None:
        """Do what is due ``now_s`` seconds from the start."""
        while self._stopped and self._stopped[0][0] <= now_s:
            self._send(heapq.heappop(self._stopped)[1], signal.SIGCONT)
        while self._plan and self._plan[-1].at_s <= now_s:
            self._strike(self._plan.pop(), now_s)

    def relent(self) -> None:
        """Continue whatever is stopped, and strike no more."""
        self._plan.clear()
        while self._stopped:
            self._send(heapq.heappop(self._stopped)[1], signal.SIGCONT)

    def _strike(self, strike: Strike, now_s: float) -> None:
        pids = self._find(strike.kind)
        if not pids:
            return
        pid = pids[strike.chosen(len(pids))]
        how = "kill" if strike.stop_s is None else "stop"
        if self._send(pid, signal.SIGKILL if strike.stop_s is None else signal.SIGSTOP):
            self.struck[strike.kind, how] += 1
            self.last = f"{how} {strike.kind} {pid}"
            if strike.stop_s is not None:
                self.last += f" for {strike.stop_s:.1f} s"
                heapq.heappush(self._stopped, (now_s + strike.stop_s, pid))


def _send(pid: int, number: signal.Signals) -> bool:
    """Signal a process. Answers whether it was there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False
