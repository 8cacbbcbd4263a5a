"""What a connection has been sent and has not answered: message id -> fence, and when it is too late. Pure.

Almost every message is answered in time and in order, so a message costs one entry of a dictionary and nothing else.
Times are kept once for all that was sent at about the same moment (`GRAIN_S`): a fence only rises, so its moment is
found by it. What was touched has a time of its own and stands apart. `now` is monotonic seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import repeat
from math import inf
from operator import itemgetter
from typing import Final

GRAIN_S: Final = 0.05
"""What is sent within this time of another message has that one's moment. It times out this much later at most."""


class InFlight:
    """The messages of one connection that are with its client.

    Args:
        timeout_s: how long the client has for each.
        timeout_s_max: how long at most, however often the message is touched.
    """

    __slots__ = ("_fences", "_first_fences", "_moments", "_touched", "_touched_at", "timeout_s", "timeout_s_max")

    def __init__(self, timeout_s: float, timeout_s_max: float) -> None:
        self.timeout_s = timeout_s
        self.timeout_s_max = max(timeout_s, timeout_s_max)
        self._fences: dict[bytes, int] = {}
        self._first_fences: list[int] = []
        self._moments: list[float] = []
        self._touched: dict[bytes, tuple[int, float, float]] = {}
        self._touched_at = inf

    def __len__(self) -> int:
        return len(self._fences) + len(self._touched)

    def __contains__(self, message: bytes) -> bool:
        return message in self._fences or message in self._touched

    def sent(self, messages: Sequence[bytes], first_fence: int, now: float) -> None:
        """These messages go to the client now. The fence of the first is ``first_fence``, and they rise by one."""
        if self._touched:
            # One that is sent again before its first lease was seen to end: only the new lease counts.
            for message in self._touched.keys() & set(messages):
                del self._touched[message]
        if not self._moments or now - self._moments[-1] > GRAIN_S:
            if not self._fences:
                self._first_fences.clear()
                self._moments.clear()
            self._first_fences.append(first_fence)
            self._moments.append(now)
        fences = self._fences
        expected = len(fences) + len(messages)
        fences.update(zip(messages, range(first_fence, first_fence + len(messages)), strict=True))
        if len(fences) < expected:
            # One was in flight already, under a lease that has ended. It belongs behind those that are older.
            self._fences = dict(sorted(fences.items(), key=itemgetter(1)))

    def sent_for_another(self, message: bytes, fence: int, now: float) -> None:
        """A message goes to the client now that was leased for another connection: its fence is in no order here."""
        self._fences.pop(message, None)
        due_at = now + self.timeout_s
        self._touched[message] = (fence, now, due_at)
        self._touched_at = min(self._touched_at, due_at)

    def take(self, message: bytes) -> int | None:
        """The client has answered: the fence of this message, which is not in flight any more. None: it was not."""
        fence = self._fences.pop(message, None)
        if fence is None and self._touched:
            touched = self._touched.pop(message, None)
            return None if touched is None else touched[0]
        return fence

    def take_many(self, messages: Sequence[bytes]) -> list[int | None]:
        """As `take`, for each of these."""
        found = list(map(self._fences.pop, messages, repeat(None)))
        if self._touched and None in found:
            found = [
                self.take(message) if fence is None else fence for message, fence in zip(messages, found, strict=True)
            ]
        return found

    def touch(self, message: bytes, now: float) -> int | None:
        """The client needs longer: its time begins anew, up to `timeout_s_max` from when it was sent. Answers the
        fence; None: the message is not in flight."""
        fence = self._fences.pop(message, None)
        if fence is not None:
            sent_at = self._sent_at(fence)
        else:
            touched = self._touched.get(message)
            if touched is None:
                return None
            fence, sent_at, _ = touched
        due_at = min(now + self.timeout_s, sent_at + self.timeout_s_max)
        self._touched[message] = (fence, sent_at, due_at)
        self._touched_at = min(self._touched_at, due_at)
        return fence

    def lost(self, fences: set[int]) -> None:
        """The store does not know these leases any more: what the client says of the messages comes too late."""
        for message, fence in list(self._fences.items()):
            if fence in fences:
                del self._fences[message]
        for message, (fence, _, _) in list(self._touched.items()):
            if fence in fences:
                del self._touched[message]

    def timed_out(self, now: float) -> list[tuple[bytes, int]]:
        """Take out the messages whose time is up, each with its fence."""
        found: list[tuple[bytes, int]] = []
        late = now - self.timeout_s - GRAIN_S
        if self._moments and self._moments[0] <= late and self._fences:
            # Leases that were sent up to `late` have fences below that of the first that was sent later.
            place = bisect_right(self._moments, late)
            bound = self._first_fences[place] if place < len(self._moments) else None
            for message, fence in self._fences.items():
                if bound is not None and fence >= bound:
                    break
                found.append((message, fence))
            for message, _ in found:
                del self._fences[message]
            del self._first_fences[:place], self._moments[:place]
        if self._touched_at <= now:
            over = [(message, fence) for message, (fence, _, due_at) in self._touched.items() if due_at <= now]
            for message, _ in over:
                del self._touched[message]
            found += over
            self._touched_at = min((due_at for _, _, due_at in self._touched.values()), default=inf)
        return found

    def take_all(self) -> list[int]:
        """The fences of all of them. Nothing is in flight any more."""
        fences = list(self.fences())
        self._fences.clear()
        self._touched.clear()
        self._touched_at = inf
        return fences

    def fences(self) -> Iterator[int]:
        """The fence of every message that is in flight."""
        yield from self._fences.values()
        for fence, _, _ in self._touched.values():
            yield fence

    def _sent_at(self, fence: int) -> float:
        return self._moments[bisect_right(self._first_fences, fence) - 1]
