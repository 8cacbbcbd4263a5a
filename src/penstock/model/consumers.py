"""Which ephemeral channels are still used. Pure; every store decides so.

A consumer is a holder whose leases name a channel. An ephemeral channel that nobody has asked for messages, or held on
to messages as its consumer, for `limits.EPHEMERAL_S` is deleted. So is an ephemeral topic to which nobody has published
for so long, and which has no channel. Both are called by the name of their queue here. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

from penstock.model import limits
from penstock.model.job import LeaseRequest

_HOLDERS_MAX: Final = 1_000
"""With more holders than this, and than twice those that are alive, those that are not are forgotten."""


class Consumers:
    """Since when nobody uses which ephemeral channel."""

    def __init__(self) -> None:
        self._used_at: dict[str, float] = {}
        self._named: dict[bytes, tuple[float, dict[str | None, tuple[str, ...]]]] = {}
        """When a holder was heard of last, and the names that it gave, as a whole and with each of its lanes since."""
        self._named_max = _HOLDERS_MAX
        self._not_before = inf
        """Nothing is due before this time. Uses only put it off."""

    def __bool__(self) -> bool:
        """Whether there is anything to keep an eye on. While there is not, a lease costs nothing here."""
        return bool(self._used_at)

    def watch(self, queue: str, now: float) -> None:
        """A channel, or a topic without one, is used: it was made, or somebody published to it."""
        self._used_at[queue] = now
        self._not_before = min(self._not_before, now + limits.EPHEMERAL_S)

    def forget(self, queue: str) -> None:
        """A channel has been deleted, or a topic has one now."""
        self._used_at.pop(queue, None)

    def watch_only(self, queues: Iterable[str], now: float) -> None:
        """These are all that there are. Of those that are new here the time begins now."""
        self._used_at = {queue: self._used_at.get(queue, now) for queue in queues}
        self._look()

    def leases(self, request: LeaseRequest, now: float) -> None:
        """A holder asks for messages."""
        wanted = request.channels or ()
        names = tuple(
            name for name in wanted if name in self._used_at and (request.queues is None or name in request.queues)
        )
        self._note(request, names, now)
        self._use(names, now)
        if len(self._named) > self._named_max:
            alive_s = limits.HOLDER_ALIVE_S
            self._named = {holder: named for holder, named in self._named.items() if now - named[0] < alive_s}
            self._named_max = max(_HOLDERS_MAX, 2 * len(self._named))

    def extends(self, holder: bytes, now: float) -> None:
        """A holder holds on to what it has: it still consumes the channels that it asked for last, with any lane."""
        named = self._named.get(holder)
        if named is not None:
            self._named[holder] = (now, named[1])
            for names in named[1].values():
                self._use(names, now)

    def _note(self, request: LeaseRequest, names: tuple[str, ...], now: float) -> None:
        by_lane = self._named.get(request.holder, (now, {}))[1]
        if request.lane is None:
            by_lane.clear()
        elif request.lane not in by_lane and len(by_lane) >= limits.LANES_OF_HOLDER_MAX:
            del by_lane[next(iter(by_lane))]
        by_lane[request.lane] = names
        self._named[request.holder] = (now, by_lane)

    def _use(self, names: Iterable[str], now: float) -> None:
        for name in names:
            if name in self._used_at:
                self._used_at[name] = now

    def start_anew(self, now: float) -> None:
        """The owner was away, and could not be asked for anything: the time of all begins now."""
        self._used_at = dict.fromkeys(self._used_at, now)
        self._look()

    def _look(self) -> None:
        """Find out when one is due next, as things are."""
        self._not_before = min(self._used_at.values(), default=inf) + limits.EPHEMERAL_S

    def due(self, now: float) -> list[str]:
        """Those that nobody has used for long enough, by name."""
        if now < self._not_before:
            return []
        found = sorted(queue for queue, at in self._used_at.items() if now - at >= limits.EPHEMERAL_S)
        if not found:
            self._look()
        return found

    def next_at(self) -> float | None:
        """When to look for what is due next, which may turn out to be nothing; None: there is nothing to look for."""
        return self._not_before if self._used_at else None
