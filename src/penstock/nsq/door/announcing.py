"""What an nsqlookupd is to be told so that it knows which topics and channels there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from penstock.model.topics import TopicView

__all__ = ["Announced", "Told", "announced_of", "commands_for"]


class Announced(NamedTuple):
    """A topic, or a channel of one.

    Attributes:
        topic: its name.
        channel: its name; empty: the topic itself.
    """

    topic: str
    channel: str


class Told(NamedTuple):
    """A command, and what an nsqlookupd knows once it has said OK.

    Attributes:
        command: as it is sent.
        added: what it knows besides.
        removed: what it knows no more.
    """

    command: bytes
    added: tuple[Announced, ...] = ()
    removed: tuple[Announced, ...] = ()


def announced_of(topics: Iterable[TopicView]) -> set[Announced]:
    """What is announced of these topics: each, and its channels."""
    found: set[Announced] = set()
    for topic in topics:
        found.add(Announced(topic.name, ""))
        found.update(Announced(topic.name, channel.name) for channel in topic.channels)
    return found


def commands_for(known: set[Announced], wanted: set[Announced]) -> list[Told]:
    """The commands after which an nsqlookupd that knows ``known`` knows ``wanted``.

    A topic is told with its first channel. What is gone goes first, channels before their topic, as with nsqd: a topic
    that is taken off with channels makes nsqlookupd complain.
    """
    commands = [
        _unregister(one) for one in sorted(known - wanted, key=lambda one: (one.topic, not one.channel, one.channel))
    ]
    topics = {one.topic for one in known if not one.channel and one in wanted}
    for one in sorted(wanted - known, key=lambda one: (one.topic, not one.channel, one.channel)):
        if one.channel:
            topic = Announced(one.topic, "")
            commands.append(Told(b"REGISTER %b %b\n" % (one.topic.encode(), one.channel.encode()), (one, topic)))
            topics.add(one.topic)
        elif one.topic not in topics:
            commands.append(Told(b"REGISTER %b\n" % one.topic.encode(), (one,)))
    return commands


def _unregister(one: Announced) -> Told:
    if one.channel:
        return Told(b"UNREGISTER %b %b\n" % (one.topic.encode(), one.channel.encode()), removed=(one,))
    return Told(b"UNREGISTER %b\n" % one.topic.encode(), removed=(one,))
