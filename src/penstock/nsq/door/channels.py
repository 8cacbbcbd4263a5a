"""The channels that connections of a door have subscribed to, and what the door has counted of them.

What a channel holds is the store's to tell. Here is what only a door knows: which of its connections take messages,
and how often they asked for one again, were too late, or left one out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from penstock.model import limits
from penstock.model.job import JobError, LeasedJob
from penstock.model.topics import channel_queue, is_ephemeral
from penstock.nsq.door.in_flight import InFlight
from penstock.nsq.door.latency import LatencyWindow
from penstock.nsq.door.settling import Settling

_LEFT_OUT: Final = JobError("LeftOut", "The consumer takes a sample, and this message is not in it.")
_MS_SHIFT: Final = 22
"""What of a message's number is not the time at which it was made."""


class Taker(Protocol):
    """A consumer of a channel: `penstock.nsq.door.delivering.Consumer`."""

    sample_rate: int
    distance: int
    holder: bytes
    in_flight: InFlight
    asked_at: float

    @property
    def is_asking(self) -> bool:
        """Whether a lease is under way."""
        ...

    @property
    def spare_room(self) -> int:
        """How many messages that were leased for another it takes now."""
        ...

    @property
    def lease_s(self) -> float:
        """How long it has a message."""
        ...

    def take_over(self, fenced: Sequence[tuple[int, LeasedJob]], lease_s: float) -> None:
        """Send it messages that were leased for another, for so long."""
        ...

    def forget(self, fences: set[int]) -> None:
        """What it has is not in the channel any more."""
        ...

    def disconnect(self) -> None:
        """The channel is gone."""
        ...


class Channel:
    """A channel, as far as a door has to do with it.

    Attributes:
        consumers: of this door.
        requeue_count, timeout_count: messages that came back to it by REQ, and by time-outs, through this door.
        latency: how long messages took from being published to being finished; None: that is not measured.
        discarded_count: messages that no consumer's sample had room for.
        has_others: others than this door's take messages from it. Looked at where samples are taken.
        left_at: by holder, when a consumer of this door went, in monotonic seconds: the store counts it for a while.
    """

    __slots__ = (
        "_settling",
        "consumers",
        "discarded_count",
        "has_others",
        "is_ephemeral",
        "latency",
        "left_at",
        "name",
        "queue",
        "requeue_count",
        "timeout_count",
        "topic",
        "wait_s",
    )

    def __init__(self, topic: str, name: str, settling: Settling, latency: LatencyWindow | None) -> None:
        self.topic = topic
        self.name = name
        self.queue = channel_queue(topic, name)
        self.is_ephemeral = is_ephemeral(name) or is_ephemeral(topic)
        self.wait_s = limits.NSQ_EPHEMERAL_WAIT_S if self.is_ephemeral else limits.NSQ_WAIT_S
        self.consumers: dict[Taker, None] = {}
        self.requeue_count = 0
        self.timeout_count = 0
        self.discarded_count = 0
        self.has_others = False
        self.left_at: dict[bytes, float] = {}
        self.latency = latency
        self._settling = settling

    def finished(self, messages: Sequence[bytes], time_s: float, now: float) -> None:
        """A consumer has finished these. ``time_s``: Unix seconds; ``now``: monotonic ones."""
        latency = self.latency
        if latency is not None:
            for message in messages:
                latency.add(time_s - (int(message, 16) >> _MS_SHIFT) / 1_000, now)

    def nearer_first(self, consumer: Taker, fenced: list[tuple[int, LeasedJob]]) -> list[tuple[int, LeasedJob]]:
        """Give what was leased for a consumer to those that are nearer and have room. Answers what is left for it."""
        nearer = [other for other in self.consumers if other.distance < consumer.distance and not other.sample_rate]
        for other in sorted(nearer, key=lambda other: other.distance):
            room = other.spare_room
            other.take_over(fenced[:room], consumer.lease_s)
            fenced = fenced[room:]
        return fenced

    def left_out(self, consumer: Taker, fenced: Sequence[tuple[int, LeasedJob]]) -> None:
        """These are not in a consumer's sample. Others of the channel get them; where there are none, nobody does."""
        others = [other for other in self.consumers if other is not consumer and not other.sample_rate]
        rest = list(fenced)
        for other in others:
            room = other.spare_room
            other.take_over(rest[:room], consumer.lease_s)
            rest = rest[room:]
        if not rest:
            return
        fences = [fence for fence, _ in rest]
        if others or self.has_others:
            self._settling.refuse(fences, _LEFT_OUT)
        else:
            self.discarded_count += len(fences)
            self._settling.discard(fences)
