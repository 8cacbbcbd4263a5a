"""The door as its HTTP API sees it: `penstock.nsq.door.http_api.Door`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from penstock.nsq.door.answers import Answered, Answers, Owed
from penstock.nsq.door.door import Door
from penstock.nsq.door.latency import latency_json
from penstock.nsq.door.shown_clients import shown_client
from penstock.nsq.door.statistics import Latency, ShownClient
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol import commands
from penstock.ports import AsyncStore


class HttpDoor:
    """What operators and producers do to a door by HTTP.

    Args:
        store: of the door.
        door: this.
        changed: told of options that were changed.
    """

    def __init__(self, store: AsyncStore, door: Door, changed: Callable[[DoorOptions], None]) -> None:
        self._store = store
        self._door = door
        self._changed = changed
        self._emptied: Counter[tuple[str, str]] = Counter()

    # --- what is told -------------------------------------------------------------------------------------------------
    @property
    def options(self) -> DoorOptions:
        """In force."""
        return self._door.options

    @property
    def started_at(self) -> float:
        """In Unix seconds."""
        return self._door.started_at

    @property
    def connections(self) -> Iterator[ShownClient]:
        """Those that are open."""
        return map(shown_client, list(self._door.connections.values()))

    def requeue_count(self, topic: str, channel: str) -> int:
        """How many messages of a channel were sent back."""
        known = self._door.channels.get((topic, channel))
        return 0 if known is None else known.requeue_count

    def timeout_count(self, topic: str, channel: str) -> int:
        """How many were not answered in time."""
        known = self._door.channels.get((topic, channel))
        return 0 if known is None else known.timeout_count

    def discarded_count(self, topic: str, channel: str) -> int:
        """How many were in no consumer's sample, where all consumers sample."""
        known = self._door.channels.get((topic, channel))
        return 0 if known is None else known.discarded_count

    def published_bytes(self, topic: str) -> int:
        """How large all messages were together that were published to a topic through this door."""
        return self._door.publishing.published_bytes[topic]

    def latency(self, topic: str, channel: str | None) -> Latency | None:
        """Of a channel, or of all channels of a topic; None: it is not measured."""
        quantiles = self.options.e2e_processing_latency_percentiles
        if not quantiles:
            return None
        windows = [
            known.latency
            for known in self._door.channels.values()
            if known.topic == topic and channel in (None, known.name) and known.latency is not None
        ]
        return msgspec.convert(latency_json(windows, quantiles, self._door.monotonic()), Latency)

    def emptied_count(self, topic: str, channel: str) -> int:
        """How many messages a channel had got before it was emptied for the last time: its count goes on."""
        return self._emptied[topic, channel]

    # --- what is done -------------------------------------------------------------------------------------------------
    async def publish(self, topic: str, bodies: Sequence[bytes], delay_s: float | None = None) -> None:
        """Publish these, as a PUB does; they are accepted when this returns.

        Raises:
            PenstockError: they are not.
        """
        asking = _Asking()
        self._door.publishing.add(asking, commands.PUB, topic, bodies, delay_s)
        owed = await asking.known
        if owed.error is not None:
            raise owed.error

    async def create_topic(self, topic: str) -> None:
        """Make a topic, if it is not there, with the channels that nsqlookupds know of it."""
        await self._door.subscriptions.create_topic(topic)

    async def create_channel(self, topic: str, channel: str) -> None:
        """Make a channel, if it is not there, as a SUB does."""
        await self._door.subscriptions.create(topic, channel)

    async def empty_channel(self, topic: str, channel: str, by: str) -> None:
        """Throw away all that is in a channel. What consumers of this door have of it is not known any more."""
        (view,) = (await self._store.topics(topic=topic)).topics
        # What they get from now on may have been published after the channel was emptied.
        held = self._door.subscriptions.held(topic, channel)
        await self._store.empty_channel(topic, channel, by=by)
        for one in view.channels:
            if one.name == channel:
                counts = one.counts
                self._emptied[topic, channel] += counts.accepted_total + counts.moved_in_total + counts.revived_total
        self._door.subscriptions.emptied(topic, channel, held)

    async def channel_gone(self, topic: str, channel: str) -> None:
        """A channel was deleted: the connections of its consumers end."""
        self._emptied.pop((topic, channel), None)
        self._door.subscriptions.deleted(topic, channel)

    def change_options(self, options: DoorOptions) -> None:
        """These are in force from now on."""
        self._door.options = options
        self._changed(options)


class _Asking(Answered):
    """Waits for the answer to what was published."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.known: asyncio.Future[Owed] = asyncio.get_running_loop().create_future()

    def answered(self) -> None:
        """It has come."""
        owed = self.answers.last()
        if owed is not None and not self.known.done():
            self.known.set_result(owed)
