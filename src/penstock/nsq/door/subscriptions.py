"""Which channels connections of a door have subscribed to; and what becomes of an ephemeral one that nobody uses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from penstock.model import limits
from penstock.model.errors import ChannelNotFound, PenstockError, TopicNotFound
from penstock.model.flow import ConcurrencyRule
from penstock.model.flow_texts import HEADER
from penstock.model.job import LeaseRequest
from penstock.model.topics import KEY_HEADER
from penstock.nsq.door.channels import Channel, Taker
from penstock.nsq.door.latency import LatencyWindow
from penstock.nsq.door.settling import Settling
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol import commands, errors
from penstock.nsq.protocol.errors import ProtocolError
from penstock.ports import AsyncStore

_ALIVE_S: Final = 10.0
"""How often the store hears of consumers that ask for nothing."""
_IN_ORDER: Final = ConcurrencyRule(1, per=f"{HEADER}{KEY_HEADER}", order="fifo")


class Subscriptions:
    """The channels of a door.

    Args:
        monotonic: seconds.
        failed: told of what could not be done, and why.

    Attributes:
        channels: by topic and name, those that have or had consumers here.
        prepare: awaited with a topic before it may be made. None: nothing is to be prepared.
        changed: called with a topic when it, or a channel of it, was made or deleted. None: nobody wants to know.
    """

    def __init__(
        self,
        store: AsyncStore,
        options: DoorOptions,
        settling: Settling,
        *,
        monotonic: Callable[[], float],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._store = store
        self._options = options
        self._settling = settling
        self._monotonic = monotonic
        self._failed = failed
        self.channels: dict[tuple[str, str], Channel] = {}
        self._arriving: Counter[tuple[str, str]] = Counter()
        self.prepare: Callable[[str], Awaitable[None]] | None = None
        self.changed: Callable[[str], None] | None = None

    @contextmanager
    def arriving(self, topic: str, name: str) -> Iterator[None]:
        """Meanwhile a consumer comes to a channel, so that it is not deleted when the last one goes."""
        self._arriving[topic, name] += 1
        try:
            yield
        finally:
            self._arriving[topic, name] -= 1
            if not self._arriving[topic, name]:
                del self._arriving[topic, name]

    def _is_used(self, channel: Channel) -> bool:
        return bool(channel.consumers) or (channel.topic, channel.name) in self._arriving

    async def channel(self, topic: str, name: str) -> Channel:
        """The channel, for one more consumer. It is made if it is not there.

        Raises:
            ProtocolError: it has as many consumers as it may, or cannot be made.
        """
        self._check_room(topic, name)
        try:
            await self.create(topic, name)
        except PenstockError as error:
            raise ProtocolError(errors.E_SUB_FAILED, f"SUB failed {error.message}", commands.SUB) from None
        self._check_room(topic, name)
        return self.channels.get((topic, name)) or self._new(topic, name)

    async def create_topic(self, topic: str) -> bool:
        """Make a topic. Answers False when it is there. Raises as the store does."""
        if self.prepare is not None:
            await self.prepare(topic)
        is_new = await self._store.create_topic(topic)
        if is_new and self.changed is not None:
            self.changed(topic)
        return is_new

    async def create(self, topic: str, name: str) -> bool:
        """Make a channel, in order if that is asked for. Answers False when it is there. Raises as the store does."""
        if self.prepare is not None:
            await self.prepare(topic)
        return await self.create_alone(topic, name)

    async def create_alone(self, topic: str, name: str) -> bool:
        """As `create`, without what else a topic that is new may need."""
        if self._options.order_by is not None and not await self._is_there(topic, name):
            # First the limit: what is published before it is in force is given out in any order.
            await self._store.put_limits(f"queue:{topic}:{name}", [_IN_ORDER], by="nsqd")
        is_new = await self._store.create_channel(topic, name)
        if is_new and self.changed is not None:
            self.changed(topic)
        return is_new

    async def _is_there(self, topic: str, name: str) -> bool:
        try:
            (view,) = (await self._store.topics(topic=topic)).topics
        except TopicNotFound:
            return False
        return any(channel.name == name for channel in view.channels)

    def _new(self, topic: str, name: str) -> Channel:
        options = self._options
        latency = None
        if options.e2e_processing_latency_percentiles:
            latency = LatencyWindow(options.e2e_processing_latency_window_time_s, self._monotonic())
        channel = self.channels[topic, name] = Channel(topic, name, self._settling, latency)
        return channel

    def _check_room(self, topic: str, name: str) -> None:
        consumers_max = self._options.max_channel_consumers
        channel = self.channels.get((topic, name))
        if consumers_max and channel is not None and len(channel.consumers) >= consumers_max:
            text = f"SUB failed consumers for {topic}:{name} exceeds limit of {consumers_max}"
            raise ProtocolError(errors.E_SUB_FAILED, text, commands.SUB)

    def leave(self, consumer: Taker, channel: Channel) -> bool:
        """A consumer has gone. Answers whether the channel is ephemeral and has no other here."""
        channel.consumers.pop(consumer, None)
        if consumer.asked_at:
            channel.left_at[consumer.holder] = self._monotonic()
        return channel.is_ephemeral and not channel.consumers

    async def _elsewhere(self, channel: Channel) -> int:
        """How many consumers a channel has that are none of this door's, and none that has just left it."""
        now = self._monotonic()
        ours = sum(now - left_at < limits.HOLDER_ALIVE_S for left_at in channel.left_at.values())
        ours += sum(0 < now - consumer.asked_at < limits.HOLDER_ALIVE_S for consumer in channel.consumers)
        (view,) = (await self._store.topics(topic=channel.topic)).topics
        return sum(other.consumers for other in view.channels if other.name == channel.name) - ours

    async def look_elsewhere(self, channel: Channel) -> None:
        """Find out whether a channel has other consumers than this door's."""
        try:
            channel.has_others = await self._elsewhere(channel) > 0
        except (ChannelNotFound, TopicNotFound):
            channel.has_others = False
        except PenstockError as error:
            self._failed("looking for other consumers", error)

    async def delete_unused(self, channel: Channel) -> None:
        """Delete an ephemeral channel of which the last consumer has gone, here and elsewhere."""
        try:
            if await self._elsewhere(channel) > 0 or self._is_used(channel):
                return
            await self._store.delete_channel(channel.topic, channel.name)
            if self.changed is not None:
                self.changed(channel.topic)
        except (ChannelNotFound, TopicNotFound):
            pass
        except PenstockError as error:
            self._failed("deleting an ephemeral channel", error)
            return
        if not self._is_used(channel):
            self.channels.pop((channel.topic, channel.name), None)

    def deleted(self, topic: str, name: str) -> None:
        """A channel was deleted by hand: its consumers are disconnected, as nsqd does."""
        channel = self.channels.pop((topic, name), None)
        if channel is not None:
            for consumer in list(channel.consumers):
                consumer.disconnect()
        if self.changed is not None:
            self.changed(topic)

    def held(self, topic: str, name: str) -> set[int]:
        """The fences of all that consumers of a channel have now."""
        channel = self.channels.get((topic, name))
        consumers = [] if channel is None else list(channel.consumers)
        return {fence for consumer in consumers for fence in consumer.in_flight.fences()}

    def emptied(self, topic: str, name: str, fences: set[int]) -> None:
        """A channel was emptied by hand: these are in it no more."""
        channel = self.channels.get((topic, name))
        if channel is not None:
            for consumer in list(channel.consumers):
                consumer.forget(fences)

    async def tell_alive(self) -> None:
        """For ever, let the store hear of consumers that ask for nothing: their RDY is used up, or 0. Where samples are
        taken, look again who else takes messages. Disconnect consumers of channels that are not there any more."""
        while True:
            await asyncio.sleep(_ALIVE_S)
            try:
                await self._look_after_all()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next time it may go well
                self._failed("looking after consumers", error)

    async def _look_after_all(self) -> None:
        for channel in list(self.channels.values()):
            await self._tell_alive_of(channel)
            if any(consumer.sample_rate for consumer in channel.consumers):
                await self.look_elsewhere(channel)
        for topic in {channel.topic for channel in self.channels.values() if channel.consumers}:
            await self._end_deleted(topic)

    async def _end_deleted(self, topic: str) -> None:
        """Disconnect consumers of channels that were deleted without this door."""
        used = [name for (of, name), channel in self.channels.items() if of == topic and channel.consumers]
        try:
            (view,) = (await self._store.topics(topic=topic)).topics
            there = {channel.name for channel in view.channels}
        except TopicNotFound:
            there = set()
        except PenstockError as error:
            self._failed("looking for deleted channels", error)
            return
        for name in used:
            if name not in there:
                self.deleted(topic, name)

    async def _tell_alive_of(self, channel: Channel) -> None:
        now = self._monotonic()
        for consumer in list(channel.consumers):
            if not consumer.is_asking and now - consumer.asked_at >= channel.wait_s:
                consumer.asked_at = now
                # For nothing: it names the channel, which an owner that has just started does not know of.
                asking = LeaseRequest(consumer.holder, 0, tasks=[], channels=[channel.queue])
                try:
                    await self._store.lease(asking)
                except PenstockError as error:
                    self._failed("telling the store of consumers", error)
        for holder in [holder for holder, at in channel.left_at.items() if now - at >= limits.HOLDER_ALIVE_S]:
            del channel.left_at[holder]
