"""Which topics and channels there are: what the engine keeps of them in memory beside the file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from penstock.model.message_ids import free_slot
from penstock.model.topic_acceptance import check_new_channels
from penstock.model.topics import (
    channel_queue,
    check_topic,
    is_ephemeral,
    kept_queue,
    no_channel,
    no_topic,
)
from penstock.store.sqlite.in_memory import Books


class Channel(NamedTuple):
    """A channel: the number of its queue, and its slot."""

    queue: int
    slot: int


class Topic:
    """A topic and its channels, by name, in the order of their slots.

    Attributes:
        messages: how many were published.
    """

    __slots__ = ("channels", "id", "messages", "name")

    def __init__(self, number: int, name: str, messages: int = 0) -> None:
        self.id = number
        self.name = name
        self.messages = messages
        self.channels: dict[str, Channel] = {}


class TopicBook:
    """All topics. What is changed here is written at once; after a rollback all is read again."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.database = books.database
        self.load()

    def load(self) -> None:
        """Read everything from the file."""
        self._by_name: dict[str, Topic] = {}
        self._names: list[str] | None = None
        by_number: dict[int, Topic] = {}
        for number, name, messages in self.database.rows("load_topics"):
            by_number[number] = self._by_name[name] = Topic(number, name, messages)
        for number, name, queue, slot in self.database.rows("load_channels"):
            if number in by_number:
                by_number[number].channels[name] = Channel(queue, slot)
        self.books.consumers.watch_only(self._ephemeral(), self.books.clock.monotonic())

    def _ephemeral(self) -> Iterator[str]:
        """The names under which `Consumers` keeps an eye on what is ephemeral."""
        for topic in self._by_name.values():
            yield from (channel_queue(topic.name, name) for name in topic.channels if is_ephemeral(name))
            if is_ephemeral(topic.name) and not topic.channels:
                yield kept_queue(topic.name)

    def use(self, topic: Topic) -> None:
        """Note that a topic was made, or published to: one that is ephemeral and has no channel stays for a while."""
        if is_ephemeral(topic.name) and not topic.channels:
            self.books.consumers.watch(kept_queue(topic.name), self.books.clock.monotonic())

    # --- looking -----------------------------------------------------------------------------------------------------
    def get(self, name: str) -> Topic | None:
        """The topic of this name; None: there is none."""
        return self._by_name.get(name)

    def find(self, name: str) -> Topic:
        """The topic of this name.

        Raises:
            TopicNotFound: there is none.
        """
        topic = self._by_name.get(name)
        if topic is None:
            raise no_topic(name)
        return topic

    def find_channel(self, topic: str, channel: str) -> Channel:
        """The channel of this name.

        Raises:
            ChannelNotFound, TopicNotFound: there is none.
        """
        channels = self.find(topic).channels
        if channel not in channels:
            raise no_channel(topic, channel, list(channels))
        return channels[channel]

    def names_after(self, name: str) -> list[str]:
        """The names of topics behind this one, in order."""
        if self._names is None:
            self._names = sorted(self._by_name)
        return self._names[bisect_right(self._names, name) :]

    def check_room(self, name: str, channels: int, more: int) -> None:
        """Pass when there may be so many more channels, one of which a topic with ``channels`` gets.

        Raises:
            InvalidOption: there may not.
        """
        known = sum(max(1, len(topic.channels)) for topic in self._by_name.values())
        check_new_channels(name, channels, known, more)

    # --- changing ----------------------------------------------------------------------------------------------------
    def make(self, name: str) -> Topic:
        """Make a topic that is not there, and for which there is room."""
        check_topic(name)
        self.database.run("insert_topic", name)
        topic = self._by_name[name] = Topic(self.database.connection.last_insert_rowid(), name)
        self._names = None
        self.use(topic)
        return topic

    def add_channel(self, topic: Topic, name: str, queue: int) -> None:
        """Note that a queue is a channel from now on."""
        slot = free_slot([channel.slot for channel in topic.channels.values()])
        self.database.run("insert_channel", topic.id, name, queue, slot)
        topic.channels[name] = Channel(queue, slot)
        topic.channels = dict(sorted(topic.channels.items(), key=lambda one: one[1].slot))
        self.books.consumers.forget(kept_queue(topic.name))
        if is_ephemeral(name):
            self.books.consumers.watch(channel_queue(topic.name, name), self.books.clock.monotonic())

    def replace_queue(self, topic: Topic, name: str, queue: int) -> None:
        """Note that a channel has another queue from now on."""
        before = topic.channels[name]
        self.database.run("replace_channel_queue", queue, before.queue)
        topic.channels[name] = before._replace(queue=queue)

    def drop_channel(self, topic: Topic, name: str) -> None:
        """Note that a queue is no channel any more."""
        self.database.run("delete_channel", topic.channels.pop(name).queue)
        self.books.consumers.forget(channel_queue(topic.name, name))

    def drop(self, topic: Topic) -> None:
        """Forget a topic that has no channels."""
        self.database.run("delete_topic", topic.id)
        del self._by_name[topic.name]
        self._names = None
        self.books.consumers.forget(kept_queue(topic.name))

    def count(self, topic: Topic, messages: int) -> None:
        """Count messages that were published."""
        topic.messages += messages
        self.database.run("count_messages", messages, topic.id)
