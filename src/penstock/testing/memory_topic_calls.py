"""The calls of the in-memory store that have to do with topics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from penstock.model.audit import check_by
from penstock.model.source_cursors import SourceCursor
from penstock.model.topics import MessageGroup, PublishAnswer, TopicsPage, channel_queue, kept_queue
from penstock.testing.memory_cursors import Cursors
from penstock.testing.memory_operators import Operators
from penstock.testing.memory_slots import WithSlots, serving
from penstock.testing.memory_topics import Topics


class TopicCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` that has to do with topics."""

    _topics: Topics
    _operators: Operators
    _cursors: Cursors

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @serving
    def publish(
        self,
        topic: str,
        groups: Sequence[MessageGroup],
        *,
        atomic: bool = False,
        channel: str | None = None,
        cursor: SourceCursor | None = None,
    ) -> PublishAnswer:
        """Put each message into every channel of the topic, or into one of them."""
        self._open()
        has_messages = any(group.messages for group in groups)
        position = None if cursor is None else self._cursors.after(cursor, has_jobs=has_messages)
        answer = self._topics.publish(topic, groups, atomic=atomic, channel=channel)
        if position is not None and not (atomic and any(one.conflict for one in answer.exceptions)):
            self._cursors.move(position)
        return answer

    def create_topic(self, topic: str) -> bool:
        """Make a topic."""
        self._open()
        return self._topics.create_topic(topic)

    @serving
    def create_channel(self, topic: str, channel: str) -> bool:
        """Make a channel."""
        self._open()
        return self._topics.create_channel(topic, channel)

    @serving
    def delete_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """Delete a channel with its messages."""
        self._open()
        check_by(by)
        waited = self._topics.waiting([channel_queue(topic, channel)])
        self._topics.delete_channel(topic, channel)
        if by is not None:
            self._operators.note(by, "delete", f"queue:{channel_queue(topic, channel)}", waited)

    @serving
    def delete_topic(self, topic: str, *, by: str | None = None) -> None:
        """Delete a topic with its channels."""
        self._open()
        check_by(by)
        waited = self._topics.waiting([*self._topics.channel_queues(topic), kept_queue(topic)])
        self._topics.delete_topic(topic)
        if by is not None:
            self._operators.note(by, "delete", f"topic:{topic}", waited)

    @serving
    def empty_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """Throw away what is in a channel."""
        self._open()
        check_by(by)
        waited = self._topics.waiting([channel_queue(topic, channel)])
        self._topics.empty_channel(topic, channel)
        if by is not None:
            self._operators.note(by, "empty", f"queue:{channel_queue(topic, channel)}", waited)

    @serving
    def empty_topic(self, topic: str, *, by: str | None = None) -> None:
        """Throw away what a topic keeps."""
        self._open()
        check_by(by)
        kept = self._topics.waiting([kept_queue(topic)])
        self._topics.empty_topic(topic)
        if by is not None:
            self._operators.note(by, "empty", f"topic:{topic}", kept)

    def topics(self, *, topic: str | None = None, cursor: str | None = None, limit: int = 100) -> TopicsPage:
        """The topics with their channels."""
        self._open()
        return self._topics.view(topic, cursor, limit)
