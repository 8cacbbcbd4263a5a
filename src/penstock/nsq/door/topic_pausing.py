"""Pausing a whole topic: the line of messages in each of its channels is closed, by queue and task.

A channel's own pause closes it by its queue alone. So the two are told apart, and a topic that is resumed leaves paused
what was paused by itself. Both survive restarts, since the store keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock.model.lines import Closed, ClosedLine
from penstock.model.topics import MESSAGE_TASK, TopicView, channel_queue
from penstock.ports import AsyncStore

__all__ = ["Paused", "pause_topic", "resume_topic"]


class Paused:
    """What is paused, of the lines that are closed."""

    def __init__(self, closed: Iterable[ClosedLine]) -> None:
        self._scopes = {(one.queue, one.task) for one in closed if one.reason is Closed.PAUSED}

    def channel(self, topic: str, channel: str) -> bool:
        """Whether a channel is, by itself."""
        return (channel_queue(topic, channel), None) in self._scopes

    def topic(self, view: TopicView) -> bool:
        """Whether a topic is as a whole."""
        queues = [channel_queue(view.name, channel.name) for channel in view.channels]
        return bool(queues) and all((queue, MESSAGE_TASK) in self._scopes for queue in queues)


async def pause_topic(store: AsyncStore, topic: str) -> None:
    """Give out nothing of a topic, until `resume_topic`.

    Raises:
        TopicNotFound: it is not there.
    """
    for queue in await _queues(store, topic):
        await store.close_lines(Closed.PAUSED, queue=queue, task=MESSAGE_TASK)


async def resume_topic(store: AsyncStore, topic: str) -> None:
    """Give out its messages again, but of channels that are paused by themselves.

    Raises:
        TopicNotFound: it is not there.
    """
    for queue in await _queues(store, topic):
        await store.open_lines(queue=queue, task=MESSAGE_TASK, reason=Closed.PAUSED)


async def _queues(store: AsyncStore, topic: str) -> list[str]:
    (view,) = (await store.topics(topic=topic)).topics
    return [channel_queue(topic, channel.name) for channel in view.channels]
