"""Topics and channels: their names, the ids of messages, and what a store checks before it publishes. Pure.

A topic copies each message to every channel that it has. A channel is a queue named ``topic:channel``, and a message in
it is a job of the task `MESSAGE_TASK`; no other queue's name has a colon. Two more kinds of queues are the store's own:

* ``topic:`` keeps what a topic gets while it has no channel. The first channel takes this queue over, as it is. To
  pause it is to pause all channels that the topic has and will have (`covers`).
* ``topic:channel:7`` is what is left of a channel that was deleted. A chore throws it away, in steps. The number tells
  it from other such queues.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from penstock.model import limits
from penstock.model.acceptance import check_queue
from penstock.model.entry import Enqueued, Seconds
from penstock.model.errors import ChannelNotFound, InvalidOption, TopicNotFound
from penstock.model.flow import Rule
from penstock.model.flow_texts import HEADER, bounded
from penstock.model.job import MESSAGE_TASK as MESSAGE_TASK  # noqa: PLC0414 - handed on: it belongs to this subject
from penstock.model.job import QueueStats
from penstock.model.states import State

RAW: Final = b"r"
"""The format byte of a message's body. The bytes behind it are the message, as they are."""
EPHEMERAL: Final = "#ephemeral"
"""The end of the name of a topic or a channel that goes when nobody uses it any more."""
KEY_HEADER: Final = "key"
"""The header in which the key of a message travels."""

_SHOWN: Final = 100
_NAME: Final = re.compile(rf"(?=.{{1,64}}\Z)[A-Za-z0-9_.-]+({EPHEMERAL})?")
_NAME_CHARS_MAX: Final = 64


# --- what travels ----------------------------------------------------------------------------------------------------
class MessageEntry(Struct, array_like=True, frozen=True, gc=False):
    """What is a message's own among messages that are published alike.

    Attributes:
        id: 16 bytes, from `new_message_ids`.
        body: `RAW`, then the message.
        checksum: `penstock.model.job.checksum` of ``body``.
        idempotency_key: scoped to the topic; None: none.
        key: travels in the header `KEY_HEADER` of every copy; None: none.
    """

    id: bytes
    body: bytes
    checksum: int
    idempotency_key: str | None = None
    key: str | None = None

    def told_by(self) -> tuple[int, int]:
        """What is remembered with its idempotency key."""
        return self.checksum, len(self.body)

    def is_message(self, first: tuple[int, int]) -> bool:
        """Whether it says what the message said that its key was first used for: ``first`` is that one's `told_by`."""
        return first == self.told_by()


class MessageGroup(Struct, array_like=True, frozen=True):
    """Messages that are alike in all but their bodies and keys. The unit of `Store.publish`.

    Attributes:
        delay_s: not before this long from now, by the store's clock. None: at once.
        headers: of every one of them.
        idempotency_s: how long their idempotency keys count from now; None: `limits.IDEMPOTENCY_S`. A message with a
            key whose time is up is new.
    """

    messages: list[MessageEntry]
    delay_s: Seconds | None = None
    headers: dict[str, str] | None = None
    idempotency_s: Seconds | None = None

    @property
    def keys_count_s(self) -> float:
        """How long the idempotency keys of these messages count."""
        return limits.IDEMPOTENCY_S if self.idempotency_s is None else self.idempotency_s

    def headers_of(self, message: MessageEntry) -> dict[str, str] | None:
        """The headers that the copies of this message have; None: none."""
        if message.key is None:
            return self.headers or None
        return {**(self.headers or {}), KEY_HEADER: message.key}


class PublishAnswer(Struct, array_like=True, frozen=True):
    """What became of messages.

    Attributes:
        accepted: how many of them are new, and durable now. 0 when ``atomic`` was asked for and one conflicted.
        channels: into how many channels each was put. 0: the topic has none, and keeps them for its first.
        exceptions: those that are not new, by their place in the request, counted over all groups. Their ``id`` is that
            of the first message; their ``state`` is None, since each copy has its own.
    """

    accepted: int
    channels: int
    exceptions: list[Enqueued]


class ChannelView(Struct, array_like=True, frozen=True):
    """A channel as it is now.

    Attributes:
        counts: of its queue: ``ready`` is its depth, ``running`` what is with consumers, ``scheduled`` what waits for a
            delay or a retry, ``accepted_total`` and ``moved_in_total`` all messages it ever got.
        consumers: how many live holders take messages from it.
        reason: why it gives out nothing (`penstock.model.lines.Closed`); None: it does.
    """

    name: str
    counts: QueueStats
    consumers: int = 0
    reason: str | None = None


class TopicView(Struct, array_like=True, frozen=True):
    """A topic as it is now.

    Attributes:
        messages_total: how many were published to it since it was made.
        channels: by name.
        kept: how many messages wait for its first channel.
        paused: it is paused as a whole, by a hold on its queue ``topic:``. Its channels may be paused besides.
    """

    name: str
    messages_total: int
    channels: list[ChannelView]
    kept: int = 0
    paused: bool = False


class TopicsPage(Struct, array_like=True, frozen=True):
    """Topics, by name. ``cursor`` asks for the next page, which may be short; None: there is none."""

    topics: list[TopicView]
    cursor: str | None


# --- names -----------------------------------------------------------------------------------------------------------
def check_topic(name: str) -> None:
    """Pass when this may be the name of a topic.

    Raises:
        InvalidOption: it may not.
    """
    _check_name(name, "topic")


def check_channel(name: str) -> None:
    """Pass when this may be the name of a channel.

    Raises:
        InvalidOption: it may not.
    """
    _check_name(name, "channel")


def _check_name(name: str, field: str) -> None:
    if not _NAME.fullmatch(name):
        topic = name.partition(":")[0]
        hint = (
            f" With a colon it names a channel; the topic is {topic!r}." if field == "topic" and topic != name else ""
        )
        raise InvalidOption(
            f"{name[:_SHOWN]!r} is no name for a {field}: 1 to {_NAME_CHARS_MAX} of A-Z a-z 0-9 _ . -, of which the "
            f"last may be {EPHEMERAL}.{hint}",
            field=field,
        )


def check_queue_or_channel(name: str, field: str = "queue") -> None:
    """Pass when this may be the name of a queue or, with a colon, of a channel.

    Raises:
        InvalidOption: it may not.
    """
    topic, colon, channel = name.partition(":")
    if not colon:
        check_queue(name, field)
    elif not (_NAME.fullmatch(topic) and _NAME.fullmatch(channel)):
        raise InvalidOption(f"{name[:200]!r} is no name for a channel: write topic:channel.", field=field)


def check_any_queue(name: str, field: str = "queue") -> None:
    """Pass when a queue may have this name: as `check_queue_or_channel`, or one of those that are a topic's otherwise.

    Raises:
        InvalidOption: it may not.
    """
    topic, colon, rest = name.partition(":")
    channel, _, number = rest.partition(":")
    is_kept_or_cleared = colon and (not rest or (number.isdecimal() and number.isascii()))
    if not is_kept_or_cleared or not _NAME.fullmatch(topic) or (channel and not _NAME.fullmatch(channel)):
        check_queue_or_channel(name, field)


def check_held_queue(name: str, field: str = "queue") -> None:
    """Pass when this may be the name of a queue or of a channel, or stands for all channels of a topic (``topic:``).

    Raises:
        InvalidOption: it may not.
    """
    if is_kept(name):
        _check_name(name.removesuffix(":"), field)
    else:
        check_queue_or_channel(name, field)


def covers(name: str, queue: str) -> bool:
    """Whether what holds for a queue of this name holds for ``queue``: it is that one, or a channel of a topic that is
    meant as a whole (``topic:``)."""
    return name == queue or (is_kept(name) and topic_scope(queue) == name)


def topic_scope(queue: str) -> str | None:
    """What stands for all channels of the topic that a queue is a channel of; None: it is none."""
    if not is_of_topic(queue) or is_kept(queue) or is_cleared(queue):
        return None
    return kept_queue(queue.partition(":")[0])


def channel_queue(topic: str, channel: str) -> str:
    """The name of a channel's queue."""
    return f"{topic}:{channel}"


def kept_queue(topic: str) -> str:
    """The name of the queue that keeps what a topic gets while it has no channel."""
    return f"{topic}:"


def cleared_queue(queue: str, number: int) -> str:
    """The name of what is left of a channel's queue, or of a topic's kept queue, that was deleted."""
    return f"{queue}:{number}"


def is_of_topic(queue: str) -> bool:
    """Whether a queue is a channel's or otherwise a topic's."""
    return ":" in queue


def is_kept(queue: str) -> bool:
    """Whether a queue keeps messages for a topic's first channel."""
    return queue.endswith(":")


def is_cleared(queue: str) -> bool:
    """Whether a queue is what is left of a channel that was deleted."""
    return queue.count(":") == 2


def is_ephemeral(name: str) -> bool:
    """Whether a topic or a channel (or a channel's queue) goes when nobody uses it any more."""
    return name.endswith(EPHEMERAL)


def may_move(queue: str, target: str) -> bool:
    """Whether a job may be moved from one queue to another.

    Messages go from channel to channel. A message in an ordinary queue would never be taken: who takes messages names
    channels. An ordinary job in a channel would reach consumers that take it for a message.
    """
    return is_of_topic(queue) == is_of_topic(target)


def may_replay(task: str, queue: str, state: State) -> bool:
    """Whether a job is a message in a channel that may be delivered once more, because it has succeeded."""
    return state is State.SUCCEEDED and task == MESSAGE_TASK and is_of_topic(queue) and not is_cleared(queue)


# --- copies ---------------------------------------------------------------------------------------------------------
def is_shared(message: MessageEntry, copies: int) -> bool:
    """Whether the body of a message is stored once for so many copies, rather than with each of them."""
    return copies > 1 and len(message.body) - len(RAW) > limits.SHARED_BODY_BYTES_MIN


def message_values(headers: dict[str, str] | None, rules: Iterable[Rule] | None) -> dict[str, str] | None:
    """The texts of a message that limits count by, as a producer computes them of a job; None: there are none.

    Args:
        headers: of the message. Limits of channels can count by nothing else: a store reads no bodies.
        rules: the limits of the channel; None: they are not known yet, so the texts of all headers, the key's first.
    """
    if not headers:
        return None
    if rules is None:
        first = sorted(headers, key=lambda name: (name != KEY_HEADER, name))
        wanted = [f"{HEADER}{name}" for name in first[: limits.JOB_VALUES_MAX]]
    else:
        wanted = [rule.per for rule in rules if rule.per is not None]
    found = {name: headers.get(name.removeprefix(HEADER)) for name in wanted if name.startswith(HEADER)}
    return {name: bounded(text) for name, text in found.items() if text is not None} or None


# --- what is not there ------------------------------------------------------------------------------------------------
def no_topic(topic: str) -> TopicNotFound:
    """The error for a topic that is not there."""
    return TopicNotFound(f"There is no topic {topic!r}. Publishing to it, or creating a channel of it, makes it.")


def no_channel(topic: str, channel: str, channels: Sequence[str]) -> ChannelNotFound:
    """The error for a channel that its topic does not have."""
    known = f"it has {', '.join(sorted(channels))}" if channels else "it has none"
    return ChannelNotFound(f"The topic {topic!r} has no channel {channel!r}; {known}.")
