"""The rules of `penstock.testing.machine` that have to do with topics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from penstock.model import limits
from penstock.model.errors import StaleCursor, TopicNotFound
from penstock.model.flow import ConcurrencyRule, RateRule, Rule
from penstock.model.job import checksum
from penstock.model.message_ids import copy_id
from penstock.model.source_cursors import SourceCursor
from penstock.model.topics import MessageEntry, TopicView
from penstock.ports import Store
from penstock.testing import calls
from penstock.testing.clock import VirtualClock

_SLOTS_SEEN = len(calls.CHANNELS)


class TopicRules:
    """A mixin. The two stores, and the ids that are compared after every step, are the machine's."""

    ids: list[bytes]
    clock: VirtualClock
    messages: dict[str, list[tuple[MessageEntry, float]]]
    """Those that were made, by topic, and when."""

    @abstractmethod
    def _new_id(self) -> bytes:
        """An id that no job and no message had before."""

    @abstractmethod
    def _is_fresh(self, made_at: float) -> bool:
        """Whether the key of what was made at this time still counts."""

    @abstractmethod
    def _both(self, ask: Callable[[Store], Any]) -> None:
        """Ask both stores; they must answer the same."""

    @rule(
        topic=st.sampled_from(calls.TOPICS),
        groups=calls.new_messages,
        atomic=st.booleans(),
        channel=st.sampled_from([None, None, *calls.CHANNELS]),
        cursor=calls.maybe_cursors,
    )
    def publish(
        self,
        topic: str,
        groups: list[calls.NewMessages],
        atomic: bool,  # noqa: FBT001 - drawn by name
        channel: str | None,
        cursor: SourceCursor | None,
    ) -> None:
        """`Store.publish`."""
        asked = [
            msgspec.structs.replace(group.options, messages=[self._message(topic, one) for one in group.messages])
            for group in groups
        ]
        self._both(
            lambda store: _or_refused(
                lambda: store.publish(topic, asked, atomic=atomic, channel=channel, cursor=cursor)
            )
        )

    def _message(self, topic: str, new: calls.NewMessage) -> MessageEntry:
        made = self.messages.setdefault(topic, [])
        before = [message for message, made_at in made if self._is_fresh(made_at)]
        if new.again is not None and new.again < len(before):
            return before[-1 - new.again]
        job_id = self._new_id()
        message = MessageEntry(job_id, new.body, checksum(new.body) ^ new.is_corrupt, new.idempotency_key, new.key)
        made.append((message, self.clock.time()))
        self.ids += [copy_id(job_id, slot) for slot in range(_SLOTS_SEEN)]
        return message

    @rule(topic=st.sampled_from(calls.TOPICS), channel=st.sampled_from(calls.CHANNELS))
    def create_channel(self, topic: str, channel: str) -> None:
        """`Store.create_channel`."""
        self._both(lambda store: store.create_channel(topic, channel))

    @rule(topic=st.sampled_from(calls.TOPICS), channel=st.sampled_from(calls.CHANNELS))
    def delete_channel(self, topic: str, channel: str) -> None:
        """`Store.delete_channel`."""
        self._both(lambda store: _or_not_found(lambda: store.delete_channel(topic, channel)))

    @rule(topic=st.sampled_from(calls.TOPICS), channel=st.sampled_from(calls.CHANNELS))
    def empty_channel(self, topic: str, channel: str) -> None:
        """`Store.empty_channel`."""
        self._both(lambda store: _or_not_found(lambda: store.empty_channel(topic, channel)))

    @rule(topic=st.sampled_from(calls.TOPICS))
    def empty_topic(self, topic: str) -> None:
        """`Store.empty_topic`."""
        self._both(lambda store: _or_not_found(lambda: store.empty_topic(topic)))

    @rule(topic=st.sampled_from(calls.TOPICS))
    def delete_topic(self, topic: str) -> None:
        """`Store.delete_topic`."""
        self._both(lambda store: _or_not_found(lambda: store.delete_topic(topic)))

    @rule(
        channel=st.sampled_from(calls.CHANNEL_QUEUES[:2]),
        limit=st.sampled_from(
            [
                ConcurrencyRule(1),
                ConcurrencyRule(1, per="header:key"),
                ConcurrencyRule(2, per="header:key", order="fifo"),
                RateRule(1, 3.0, 1, per="header:h"),
            ]
        ),
    )
    def limit_channel(self, channel: str, limit: Rule) -> None:
        """`Store.put_limits` of a channel."""
        self._both(lambda store: store.put_limits(f"queue:{channel}", [limit]))

    @rule(channel=st.sampled_from(calls.CHANNEL_QUEUES[:2]))
    def restore_channel(self, channel: str) -> None:
        """`Store.restore_limits` of a channel."""
        self._both(lambda store: store.restore_limits(f"queue:{channel}"))

    @rule()
    def wait_long(self) -> None:
        """What is ephemeral, and not asked for, goes."""
        for _ in range(16):
            self.clock.advance(limits.TICK_GAP_S - 0.1)
            self._tick()

    @abstractmethod
    def _tick(self) -> None:
        """Both stores do what is due."""

    @rule(picks=calls.picks, channel=st.sampled_from(calls.CHANNEL_QUEUES))
    def move_to_channel(self, picks: calls.Picks, channel: str) -> None:
        """`Store.move` into a channel."""
        ids = [self.ids[-1 - pick % len(self.ids)] for pick in picks]
        self._both(lambda store: _or_not_found(lambda: store.move(ids, channel)))

    @invariant()
    def every_topic_looks_the_same(self) -> None:
        """`Store.topics`."""
        self._both(lambda store: [_shown(topic) for topic in store.topics().topics])


def _or_not_found(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except TopicNotFound as error:
        return type(error)


def _or_refused(ask: Callable[[], Any]) -> Any:
    """What publishing answers, or why it is refused."""
    try:
        return _or_not_found(ask)
    except StaleCursor as error:
        return error.code, error.offset, error.fence


def _shown(topic: TopicView) -> TopicView:
    """A topic without since when messages wait, which a store need not know."""
    channels = [
        msgspec.structs.replace(one, counts=msgspec.structs.replace(one.counts, oldest_ready_age_s=None))
        for one in topic.channels
    ]
    return msgspec.structs.replace(topic, channels=channels)
