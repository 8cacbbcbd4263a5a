"""What a store offers for topics: publishing, and the channels that get what is published.

It is a part of the contract of a store (`penstock.ports.Store`). What a message in a channel is, and how it is leased:
`penstock.model.topics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model.source_cursors import SourceCursor
from penstock.model.topics import MessageGroup, PublishAnswer, TopicsPage
from penstock.ports.effects import reads


class TopicStore(Protocol):
    """The calls about topics. Each is one atomic step."""

    def publish(
        self,
        topic: str,
        groups: Sequence[MessageGroup],
        *,
        atomic: bool = False,
        channel: str | None = None,
        cursor: SourceCursor | None = None,
    ) -> PublishAnswer:
        """Put each message into every channel that the topic has, in one step: durable when this returns.

        A message in a channel is a job of the task `MESSAGE_TASK` in the queue ``topic:channel``; its id is
        `penstock.model.message_ids.copy_id` of the message's. A topic that is not there is made. What a topic without a
        channel gets is kept in its queue ``topic:``, at most `limits.TOPIC_KEPT_MAX` messages, for its first channel.

        A message of which a copy is there is a duplicate of itself. An idempotency key seen before for the topic is a
        duplicate when the body is the same, else a conflict; within one call too. It counts for
        `limits.IDEMPOTENCY_S` from its first use, or as long as the group of that message says (`idempotency_s`). With
        ``atomic`` one conflict refuses the whole call, as with `enqueue`.

        Args:
            channel: only into this channel, which is there: for what is brought in from elsewhere and has been in the
                other channels already. A message is a duplicate of itself when its copy in this channel is there.
            cursor: moves the position of a source in the same step, as with `enqueue`.

        Raises:
            ChannelNotFound, TopicNotFound: ``channel`` is not there.
            InvalidOption: an option is outside what it may be, or there are too many topics.
            StaleCursor: the position that ``cursor`` asks for has been passed; nothing was published.
            BodyTooLarge: a body, the number of messages, or that of copies (`limits.PUBLISH_COPIES_MAX`) is.
            StoreFull: there is no room, or the topic has no channel and keeps as many messages as it may.
        """
        ...

    def create_topic(self, topic: str) -> bool:
        """Make a topic without a channel. Answers False when it is there.

        Raises:
            InvalidOption: this is no name for a topic, or there are too many (`limits.CHANNELS_MAX`).
        """
        ...

    def create_channel(self, topic: str, channel: str) -> bool:
        """Make a channel, and its topic if that is not there. Answers False when it is there.

        It gets what is published from now on. The first channel of a topic also gets what the topic has kept.

        Raises:
            InvalidOption: these are no names for a topic and a channel, or there are too many channels in the store
                (`limits.CHANNELS_MAX`) or of the topic (`limits.CHANNELS_OF_TOPIC_MAX`).
        """
        ...

    def delete_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """Delete a channel with its messages and their records. A topic whose name ends with ``#ephemeral`` goes with
        its last channel.

        At once nothing more is given out, and the name is free for another channel. What was in the channel stands in a
        queue named ``topic:channel:N``, from which the tick throws it away in bounded steps. A message that is leased
        is its holder's until that says what became of it. ``by``: who asks by hand, for the audit log, which has how
        many messages waited; None: nobody.

        Raises:
            ChannelNotFound, TopicNotFound: it is not there.
        """
        ...

    def delete_topic(self, topic: str, *, by: str | None = None) -> None:
        """Delete a topic with all that it keeps and its channels, each as `delete_channel` does.

        Raises:
            TopicNotFound: it is not there.
        """
        ...

    def empty_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """Throw away all messages of a channel with their records. The channel stays, with its limits and its holds.

        At once nothing of it is given out any more. It is then as with `delete_channel`, also for a message that is
        leased. What the channel has counted so far goes with its messages. ``by``: as there.

        Raises:
            ChannelNotFound, TopicNotFound: it is not there.
        """
        ...

    def empty_topic(self, topic: str, *, by: str | None = None) -> None:
        """Throw away what a topic keeps for its first channel, as `empty_channel` does. Its channels stay as they are.

        Raises:
            TopicNotFound: it is not there.
        """
        ...

    @reads
    def topics(self, *, topic: str | None = None, cursor: str | None = None, limit: int = 100) -> TopicsPage:
        """The topics with their channels, in pages by name; or the one that is named. A page may be short, and its
        cursor goes on: it has no more than about `limits.PAGE_QUEUES_MAX` channels.

        Raises:
            InvalidOption: the cursor is none of this store's.
            TopicNotFound: the topic that is named is not there.
        """
        ...
