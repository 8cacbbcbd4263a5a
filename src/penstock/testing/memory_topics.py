"""Topics and channels of the in-memory store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from penstock.model import limits
from penstock.model.consumers import Consumers
from penstock.model.counts import QueueStats
from penstock.model.empty_queues import is_empty
from penstock.model.flow import Rule
from penstock.model.holds import Holds
from penstock.model.job import Enqueued, JobEntry
from penstock.model.limits_in_force import queue_scope, task_scope
from penstock.model.message_ids import copy_id, free_slot, message_id
from penstock.model.states import WAITING, Event, State
from penstock.model.topic_acceptance import check_copies, check_kept, check_messages, check_new_channels
from penstock.model.topics import (
    MESSAGE_TASK,
    ChannelView,
    MessageEntry,
    MessageGroup,
    PublishAnswer,
    TopicsPage,
    TopicView,
    channel_queue,
    check_channel,
    check_topic,
    cleared_queue,
    is_cleared,
    is_ephemeral,
    is_kept,
    kept_queue,
    message_values,
    no_channel,
    no_topic,
)
from penstock.ports import Clock
from penstock.testing.memory_keys import Keys
from penstock.testing.memory_limits import Limits
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_refusals import Refusals
from penstock.testing.memory_table import Row, Table
from penstock.testing.memory_views import page_of_names, queue_stats


@dataclass
class Topic:
    """``slots``: of its channels, by name."""

    messages_total: int = 0
    slots: dict[str, int] = field(default_factory=dict)


class Topics:
    """Topics by name. What stands in their channels is in the `Table`, in queues with their names."""

    def __init__(
        self,
        table: Table,
        keys: Keys,
        moves: Moves,
        refusals: Refusals,
        queues: Queues,
        holds: Holds,
        limits_in_force: Limits,
        clock: Clock,
    ) -> None:
        self._table = table
        self._keys = keys
        self._moves = moves
        self._refusals = refusals
        self._queues = queues
        self._holds = holds
        self._limits = limits_in_force
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self.consumers = Consumers()
        self._cleared = 0

    # --- publishing --------------------------------------------------------------------------------------------------
    def publish(
        self, name: str, groups: Sequence[MessageGroup], *, atomic: bool, channel: str | None = None
    ) -> PublishAnswer:
        """See `penstock.ports.Store.publish`. All that may be refused is looked at first."""
        count = check_messages(name, groups, self._clock.time())
        topic = self._topics.get(name, Topic())
        if channel is not None:
            self.check_target(channel_queue(name, channel))
        slots = topic.slots if channel is None else {channel: topic.slots[channel]}
        check_copies(count, len(slots))
        if name not in self._topics:
            self._check_room(name, topic, 1)
        if not topic.slots:
            check_kept(name, self._kept(name), count)
        exceptions = list(self._known(name, groups, slots if channel is not None else None))
        new = count - len(exceptions)
        if atomic and any(one.conflict for one in exceptions):
            return PublishAnswer(0, len(slots), [one for one in exceptions if one.conflict])
        self._topics[name] = topic
        topic.messages_total += new
        self._use(name, topic)
        known = {one.index for one in exceptions}
        self._aside: list[Row] = []
        for index, (group, message) in enumerate(_pairs(groups)):
            if index not in known:
                self._put(name, slots, group, message)
        for one in slots:
            if new and is_ephemeral(one):
                self._bound(channel_queue(name, one), new + limits.EPHEMERAL_DISCARDS_MAX)
        return PublishAnswer(new, len(slots), exceptions)

    def _known(self, name: str, groups: Sequence[MessageGroup], slots: dict[str, int] | None) -> Iterator[Enqueued]:
        """The messages that are not new, when they are published one after another. ``slots``: of the channel that
        they are for alone, where they may be in others; None: they are for all."""
        now = self._clock.time()
        copies: Iterable[bytes] = self._table.rows
        if slots is not None:
            copies = [job_id for job_id in copies if copy_id(message_id(job_id), *slots.values()) == job_id]
        ids = {message_id(job_id) for job_id in copies}
        first: dict[str, MessageEntry] = {}
        for index, (_, message) in enumerate(_pairs(groups)):
            key = message.idempotency_key
            use = self._keys.find(_scope(name), key, now)
            if use is not None:
                same = message.is_message(use.call)
                yield Enqueued(index, use.id, None, duplicate=same, conflict=not same)
            elif key is not None and key in first:
                same = message.is_message(first[key].told_by())
                yield Enqueued(index, first[key].id, None, duplicate=same, conflict=not same)
            elif message.id in ids:
                yield Enqueued(index, message.id, None, duplicate=True)
            else:
                ids.add(message.id)
                if key is not None:
                    first[key] = message

    def _put(self, name: str, slots: dict[str, int], group: MessageGroup, message: MessageEntry) -> None:
        """Put a message into the channels with these slots or, without any, into the queue that keeps it."""
        now = self._clock.time()
        queues = {channel_queue(name, channel): slot for channel, slot in slots.items()} or {kept_queue(name): 0}
        for queue, slot in sorted(queues.items(), key=lambda one: one[1]):
            job_id = copy_id(message.id, slot)
            row = Row(
                id=job_id,
                number=self._table.free_number(job_id),
                task=MESSAGE_TASK,
                queue=queue,
                priority=0,
                body=message.body,
                checksum=message.checksum,
                created_at=now,
                headers=group.headers_of(message),
                tags=None,
                values=message_values(group.headers_of(message), self._rules(queue) if slots else None),
            )
            state = self._moves.start(row, Event.ENQUEUE, None if group.delay_s is None else now + group.delay_s)
            if state in (State.SCHEDULED, State.BLOCKED):
                self._aside.append(row)
        used = JobEntry(message.id, message.body, message.checksum, message.idempotency_key)
        self._keys.remember(_scope(name), used, now, counts_s=group.keys_count_s)

    def _rules(self, queue: str) -> list[Rule]:
        """The limits of a channel."""
        return [*self._limits.rules(queue_scope(queue)), *self._limits.rules(task_scope(MESSAGE_TASK))]

    def _bound(self, queue: str, most: int) -> None:
        """Throw away what is too much in an ephemeral channel, at most so many: from its front, and of what is new and
        delayed or blocked when nothing there is ready."""
        more = min(most, _waiting(self._table.counts[queue]) - limits.EPHEMERAL_MESSAGES_MAX)
        if more <= 0:
            return
        ready = [row for row in self._table.rows.values() if row.queue == queue and row.state is State.READY]
        front = sorted((row for row in ready if row.refused_since is None), key=lambda row: row.order)[:more]
        aside = [row for row in self._aside if row.queue == queue]
        more -= len(front)
        for row in [*front, *(aside[-more:] if more else [])]:
            self._moves.delete(row)

    def _use(self, name: str, topic: Topic) -> None:
        """A topic was made, or published to: one that is ephemeral and has no channel stays for a while."""
        if is_ephemeral(name) and not topic.slots:
            self.consumers.watch(kept_queue(name), self._clock.monotonic())

    def _kept(self, name: str) -> int:
        return _waiting(self._table.counts.get(kept_queue(name), QueueStats()))

    # --- making and deleting -----------------------------------------------------------------------------------------
    def create_topic(self, name: str) -> bool:
        """See `penstock.ports.Store.create_topic`."""
        check_topic(name)
        if name in self._topics:
            return False
        self._check_room(name, Topic(), 1)
        self._topics[name] = Topic()
        self._use(name, self._topics[name])
        return True

    def create_channel(self, name: str, channel: str) -> bool:
        """See `penstock.ports.Store.create_channel`."""
        check_topic(name)
        check_channel(channel)
        topic = self._topics.get(name, Topic())
        if channel in topic.slots:
            return False
        self._check_room(name, topic, 1 if topic.slots or name not in self._topics else 0)
        self._topics[name] = topic
        if not topic.slots and kept_queue(name) in self._table.counts:
            self._rename(kept_queue(name), channel_queue(name, channel))
            if any(rule.per is not None for rule in self._limits.rules(queue_scope(channel_queue(name, channel)))):
                self._moves.slots.review()
            if self._refusals.closed.is_paused(kept_queue(name)):
                self._moves.slots.review()
        else:
            # A queue is there from the moment at which its counts are.
            self._table.counts[channel_queue(name, channel)] = QueueStats()
        topic.slots[channel] = free_slot(list(topic.slots.values()))
        self.consumers.forget(kept_queue(name))
        if is_ephemeral(channel):
            self.consumers.watch(channel_queue(name, channel), self._clock.monotonic())
        return True

    def _check_room(self, name: str, topic: Topic, more: int) -> None:
        known = sum(max(1, len(one.slots)) for one in self._topics.values())
        check_new_channels(name, len(topic.slots), known, more)

    def delete_channel(self, name: str, channel: str) -> None:
        """See `penstock.ports.Store.delete_channel`."""
        topic = self._find(name)
        if channel not in topic.slots:
            raise no_channel(name, channel, list(topic.slots))
        del topic.slots[channel]
        self._clear(channel_queue(name, channel))
        if not topic.slots and is_ephemeral(name):
            self.delete_topic(name)

    def delete_topic(self, name: str) -> None:
        """See `penstock.ports.Store.delete_topic`."""
        topic = self._find(name)
        for channel in sorted(topic.slots):
            self._clear(channel_queue(name, channel))
        if kept_queue(name) in self._table.counts:
            self._clear(kept_queue(name))
        self._let_go(kept_queue(name))
        self.consumers.forget(kept_queue(name))
        del self._topics[name]
        self._keys.forget_all(_scope(name))

    def empty_channel(self, name: str, channel: str) -> None:
        """See `penstock.ports.Store.empty_channel`."""
        self.check_target(channel_queue(name, channel))
        self._empty(channel_queue(name, channel))

    def empty_topic(self, name: str) -> None:
        """See `penstock.ports.Store.empty_topic`."""
        self._find(name)
        self._empty(kept_queue(name))

    def channel_queues(self, name: str) -> list[str]:
        """The queues of a topic's channels."""
        return [channel_queue(name, channel) for channel in self._find(name).slots]

    def waiting(self, queues: list[str]) -> int:
        """How many messages wait in these queues."""
        return sum(row.queue in queues and row.state in WAITING for row in self._table.rows.values())

    def _find(self, name: str) -> Topic:
        if name not in self._topics:
            raise no_topic(name)
        return self._topics[name]

    def _clear(self, queue: str) -> None:
        """Let a queue go: at once if nothing is in it, else in steps, under another name."""
        self.consumers.forget(queue)
        self._let_go(queue)
        if is_empty(self._table.counts[queue]):
            self._queues.remove(queue)
        else:
            self._set_aside(queue)

    def _let_go(self, queue: str) -> None:
        """Lift what was closed, and what operators hold, by the name of a queue that goes."""
        for line in [line for line in self._refusals.closed.all() if line.queue == queue]:
            self._refusals.closed.open(queue, line.task, None)
        for hold in self._holds.by_queue().get(queue, []):
            self._holds.lift(queue, hold.task)

    def _empty(self, queue: str) -> None:
        """Let all that is in a queue go, and leave an empty one in its place, if it is a channel's."""
        if not is_empty(self._table.counts.get(queue, QueueStats())):
            self._set_aside(queue)
            if not is_kept(queue):
                self._table.counts[queue] = QueueStats()

    def _set_aside(self, queue: str) -> None:
        """Give a queue a name under which what is in it is thrown away in steps."""
        self._cleared += 1
        self._rename(queue, cleared_queue(queue, self._cleared))

    def _rename(self, before: str, after: str) -> None:
        for row in [row for row in self._table.rows.values() if row.queue == before]:
            self._table.take_out(row)
            row.queue = after
            self._table.put_in(row)
        self._table.counts[after] = self._table.counts.pop(before)
        self._table.changed.update((before, after))

    def check_target(self, queue: str) -> None:
        """Pass when jobs may be moved into a queue with this name.

        Raises:
            ChannelNotFound, TopicNotFound: it is the name of a channel that is not there.
        """
        name, colon, channel = queue.partition(":")
        if colon and channel not in self._find(name).slots:
            raise no_channel(name, channel, list(self._topics[name].slots))

    # --- time passes -------------------------------------------------------------------------------------------------
    def step(self) -> int:
        """Throw away some of what was in channels that are deleted. Answers how much."""
        leaving = self._leaving()[: limits.TICK_STEP_JOBS]
        for row in leaving:
            self._moves.delete(row)
        for queue in [queue for queue, counts in self._table.counts.items() if is_cleared(queue) and is_empty(counts)]:
            self._queues.remove(queue)
        for queue in self.consumers.due(self._clock.monotonic()):
            name, _, channel = queue.partition(":")
            if channel:
                self.delete_channel(name, channel)
            else:
                self.delete_topic(name)
        return len(leaving)

    def next_at(self) -> float | None:
        """When the next step has something to do, in monotonic seconds; None: nothing is known."""
        return self._clock.monotonic() if self._leaving() else self.consumers.next_at()

    def _leaving(self) -> list[Row]:
        rows = self._table.rows.values()
        return [row for row in rows if is_cleared(row.queue) and row.state is not State.RUNNING]

    # --- looking -----------------------------------------------------------------------------------------------------
    def view(self, topic: str | None, cursor: str | None, limit: int) -> TopicsPage:
        """See `penstock.ports.Store.topics`."""
        if topic is not None:
            self._find(topic)
            return TopicsPage([self._view(topic)], None)
        names, after = page_of_names(sorted(self._topics), cursor, max(1, min(limit, limits.PAGE_QUEUES_MAX)))
        return TopicsPage([self._view(name) for name in names], after)

    def _view(self, name: str) -> TopicView:
        topic = self._topics[name]
        channels = [self._channel(name, channel) for channel in sorted(topic.slots)]
        paused = self._refusals.closed.is_paused(kept_queue(name))
        return TopicView(name, topic.messages_total, channels, self._kept(name), paused)

    def _channel(self, name: str, channel: str) -> ChannelView:
        queue = channel_queue(name, channel)
        counts = queue_stats(self._table, queue, self._clock.time())
        consumers = self._refusals.holders.consumers(self._clock.monotonic())[queue]
        reason = self._refusals.closed.reason_of(queue, MESSAGE_TASK)
        return ChannelView(channel, counts, consumers, None if reason is None else reason.value)


def _pairs(groups: Sequence[MessageGroup]) -> Iterator[tuple[MessageGroup, MessageEntry]]:
    return ((group, message) for group in groups for message in group.messages)


def _scope(topic: str) -> str:
    """What idempotency keys of a topic are remembered under. No task has a space in its name."""
    return f"topic {topic}"


def _waiting(counts: QueueStats) -> int:
    return sum(getattr(counts, state.value) for state in WAITING)
