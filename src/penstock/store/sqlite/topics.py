"""Topics and channels over the embedded file: making and deleting them, what they are, and the chore that clears what
was deleted. Publishing is `publishing`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from penstock.model import limits
from penstock.model.audit import check_by
from penstock.model.empty_queues import is_empty
from penstock.model.job import Filter, QueueStats, Step
from penstock.model.limits_in_force import queue_scope
from penstock.model.source_cursors import SourceCursor
from penstock.model.topics import (
    MESSAGE_TASK,
    ChannelView,
    MessageGroup,
    PublishAnswer,
    TopicsPage,
    TopicView,
    channel_queue,
    check_channel,
    check_topic,
    cleared_queue,
    is_ephemeral,
    kept_queue,
)
from penstock.store.sqlite.discarding import discard_front
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.in_memory import Books, Queue
from penstock.store.sqlite.operator_actions import Operating
from penstock.store.sqlite.publishing import Publisher
from penstock.store.sqlite.queue_names import QueueNames
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.row_numbers import unknown_cursor
from penstock.store.sqlite.shared_bodies import SharedBodies
from penstock.store.sqlite.slot_review import SlotReview
from penstock.store.sqlite.source_cursors import SourceCursorCalls
from penstock.store.sqlite.topic_book import Topic, TopicBook
from penstock.store.sqlite.transactions import atomic, draining

CLEAR: Final = "clearing deleted channels"
_CURSOR: Final = re.compile(r"t([A-Za-z0-9_.#-]{1,64})")
_CLEARED: Final = "cleared"
"""The key in `meta` of how many queues were given the name of a deleted one."""
_AGAIN_S: Final = 60.0
"""When a queue is searched again for what could not be thrown away."""


class Topics:
    """What the calls of a store do to topics, and the chore."""

    def __init__(
        self,
        books: Books,
        acceptor: Acceptor,
        endings: Endings,
        names: QueueNames,
        inspector: Inspector,
        operating: Operating,
        review: SlotReview,
    ) -> None:
        self.books = books
        self.database = books.database
        self.acceptor = acceptor
        self.endings = endings
        self.line = endings.line
        self.names = names
        self.review = review
        self.records = acceptor.records
        self.inspector = inspector
        self.book = TopicBook(books)
        self.publisher = Publisher(self.book, acceptor, endings, SharedBodies(self.database, endings.listeners))
        self.operating = operating
        self._searches: dict[int, Step] = {}
        self._search_at = 0.0

    def rolled_back(self) -> None:
        """The open transaction was undone."""
        self._searches.clear()
        self.book.load()

    # --- making and deleting -----------------------------------------------------------------------------------------
    def create_topic(self, name: str) -> bool:
        """See `penstock.ports.Store.create_topic`."""
        check_topic(name)
        if self.book.get(name) is not None:
            return False
        self.book.check_room(name, 0, 1)
        self.book.make(name)
        return True

    def create_channel(self, name: str, channel: str) -> bool:
        """See `penstock.ports.Store.create_channel`."""
        check_topic(name)
        check_channel(channel)
        topic = self.book.get(name)
        channels = 0 if topic is None else len(topic.channels)
        if topic is not None and channel in topic.channels:
            return False
        self.book.check_room(name, channels, 0 if topic is not None and not channels else 1)
        topic = self.book.make(name) if topic is None else topic
        kept = None if channels else self.books.queue_by_name.get(kept_queue(name))
        if kept is None:
            queue = self.books.queue(channel_queue(name, channel))
        else:
            queue = kept
            self._rename(queue, channel_queue(name, channel))
            if any(rule.per is not None for rule in self.books.limits.in_force.rules(queue_scope(queue.name))):
                self.review.begin()
            if self.books.closed.is_paused(kept_queue(name)):
                self.review.pauses_changed()
            self.endings.readied.add((queue.name, MESSAGE_TASK))
        self.book.add_channel(topic, channel, queue.id)
        return True

    def delete_channel(self, name: str, channel: str) -> None:
        """See `penstock.ports.Store.delete_channel`."""
        found = self.book.find_channel(name, channel)
        topic = self.book.find(name)
        self.book.drop_channel(topic, channel)
        self._clear(self.books.queues[found.queue])
        if not topic.channels and is_ephemeral(name):
            self.delete_topic(name)

    def delete_topic(self, name: str) -> None:
        """See `penstock.ports.Store.delete_topic`."""
        topic = self.book.find(name)
        for channel in sorted(topic.channels):
            queue = topic.channels[channel].queue
            self.book.drop_channel(topic, channel)
            self._clear(self.books.queues[queue])
        kept = self.books.queue_by_name.get(kept_queue(name))
        if kept is not None:
            self._clear(kept)
        self._let_go(kept_queue(name))
        self.book.drop(topic)

    def empty_channel(self, name: str, channel: str) -> None:
        """See `penstock.ports.Store.empty_channel`."""
        queue = self.books.queues[self.book.find_channel(name, channel).queue]
        if is_empty(queue.counts):
            return
        before = queue.name
        self._set_aside(queue)
        self.book.replace_queue(self.book.find(name), channel, self.books.queue(before).id)

    def empty_topic(self, name: str) -> None:
        """See `penstock.ports.Store.empty_topic`."""
        self.book.find(name)
        kept = self.books.queue_by_name.get(kept_queue(name))
        if kept is not None and not is_empty(kept.counts):
            self._set_aside(kept)

    def waiting(self, name: str, channel: str | None = None) -> int:
        """How many messages wait in a channel; None: in all of the topic, and what it keeps."""
        if channel is not None:
            return _waiting(self.books.queues[self.book.find_channel(name, channel).queue].counts)
        queues = [self.books.queues[one.queue] for one in self.book.find(name).channels.values()]
        kept = self.books.queue_by_name.get(kept_queue(name))
        return sum(_waiting(queue.counts) for queue in [*queues, *([] if kept is None else [kept])])

    def kept(self, name: str) -> int:
        """How many messages a topic keeps for its first channel."""
        self.book.find(name)
        kept = self.books.queue_by_name.get(kept_queue(name))
        return 0 if kept is None else _waiting(kept.counts)

    def _clear(self, queue: Queue) -> None:
        """Let a queue go: at once if nothing is in it, else in steps, under another name."""
        self._let_go(queue.name)
        if is_empty(queue.counts):
            self.names.remove([queue.id])
        else:
            self._set_aside(queue)

    def _set_aside(self, queue: Queue) -> None:
        """Give a queue a name under which what is in it is thrown away in steps."""
        number = int(self.database.value("get_meta", _CLEARED) or 0) + 1
        self.database.run("put_meta", _CLEARED, number)
        self._rename(queue, cleared_queue(queue.name, number))

    def _let_go(self, name: str) -> None:
        """Lift what was closed, and what operators hold, by the name of a queue that goes."""
        for line in [line for line in self.books.closed.all() if line.queue == name]:
            self.books.open_lines(name, line.task, None)
        for hold in self.records.holds.by_queue().get(name, []):
            self.records.lift_holds(name, hold.task)

    def _rename(self, queue: Queue, name: str) -> None:
        """Give a queue another name, and with it the limits of that name."""
        before = queue.name
        self.books.rename_queue(queue, name)
        self.line.renamed(queue.id)
        self.endings.joining.renamed()
        self.endings.note_open(self.books.limits.update({queue_scope(before), queue_scope(name)}))

    def check_channel(self, name: str) -> None:
        """Pass when this is the name of the queue of a channel that is there.

        Raises:
            InvalidOption: it cannot be.
            ChannelNotFound, TopicNotFound: it is not.
        """
        topic, _, channel = name.partition(":")
        check_topic(topic)
        check_channel(channel)
        self.book.find_channel(topic, channel)

    # --- the chore ---------------------------------------------------------------------------------------------------
    def step(self) -> int:
        """Throw away, in the open transaction, some of what was in channels that are deleted; then delete what is
        ephemeral and not used. Answers how many jobs were thrown away."""
        done = self._clear_some() if self.books.cleared else 0
        if self.books.consumers:
            self._delete_unused()
        return done

    def _delete_unused(self) -> None:
        for queue in self.books.consumers.due(self.books.clock.monotonic()):
            topic, _, channel = queue.partition(":")
            if channel:
                self.delete_channel(topic, channel)
            else:
                self.delete_topic(topic)

    def _clear_some(self) -> int:
        done = 0
        for number in sorted(self.books.cleared):
            queue = self.books.queues[number]
            for line in list(self.books.lines_of(number)):
                done += discard_front(self.endings, line, limits.TICK_STEP_JOBS - done)
            if done < limits.TICK_STEP_JOBS and _has_waiting(queue.counts):
                done += self._search(queue)
            if is_empty(queue.counts):
                self._searches.pop(number, None)
                self.names.remove([number])
            if done >= limits.TICK_STEP_JOBS:
                break
        return done

    def _search(self, queue: Queue) -> int:
        """Throw away what does not stand at the front of a line: look for it in one slice of a search."""
        now = self.books.clock.monotonic()
        if now < self._search_at:
            return 0
        before = self._searches.pop(queue.id, Step(0, None))
        step = self.operating.step(Filter(queue=queue.name), before.cursor, self.operating.delete)
        if step.cursor is not None:
            self._searches[queue.id] = Step(before.changed + step.changed, step.cursor)
        elif not before.changed + step.changed:
            # Everything was looked at, and something cannot be found or thrown away.
            self._search_at = now + _AGAIN_S
        return step.changed

    def next_at(self) -> float | None:
        """When the chore has something to do, in monotonic seconds; None: nothing is known."""
        unused_at = self.books.consumers.next_at()
        if any(_has_waiting(self.books.queues[number].counts) for number in self.books.cleared):
            return self._search_at if unused_at is None else min(self._search_at, unused_at)
        return unused_at

    # --- looking -----------------------------------------------------------------------------------------------------
    def view(self, topic: str | None, cursor: str | None, limit: int) -> TopicsPage:
        """See `penstock.ports.Store.topics`."""
        consumers = self.endings.refusals.holders.consumers(self.books.clock.monotonic())
        if topic is not None:
            return TopicsPage([self._view(self.book.find(topic), consumers)], None)
        limit = max(1, min(limit, limits.PAGE_QUEUES_MAX))
        until = self.books.clock.monotonic() + limits.SLICE_S
        names = self.book.names_after(_topic_after(cursor))
        page: list[TopicView] = []
        channels = 0
        for name in names[:limit]:
            page.append(self._view(self.book.find(name), consumers))
            channels += len(page[-1].channels)
            if channels >= limits.PAGE_QUEUES_MAX or self.books.clock.monotonic() > until:
                break
        return TopicsPage(page, f"t{page[-1].name}" if len(page) < len(names) else None)

    def _view(self, topic: Topic, consumers: Mapping[str, int]) -> TopicView:
        queues = {name: self.books.queues[channel.queue] for name, channel in topic.channels.items()}
        counts = self.inspector.counts_of([queue.name for queue in queues.values()])
        channels = [
            self._channel(name, counts[queues[name].name], queues[name].name, consumers) for name in sorted(queues)
        ]
        paused = self.books.closed.is_paused(kept_queue(topic.name))
        return TopicView(topic.name, topic.messages, channels, self.kept(topic.name), paused)

    def _channel(self, name: str, counts: QueueStats, queue: str, consumers: Mapping[str, int]) -> ChannelView:
        reason = self.books.closed.reason_of(queue, MESSAGE_TASK)
        return ChannelView(name, counts, consumers.get(queue, 0), None if reason is None else reason.value)


class TopicCalls(SourceCursorCalls):
    """The calls of `penstock.store.sqlite.store.SqliteStore` that have to do with topics."""

    _topics: Topics

    @atomic
    def publish(
        self,
        topic: str,
        groups: Sequence[MessageGroup],
        *,
        atomic: bool = False,
        channel: str | None = None,
        cursor: SourceCursor | None = None,
    ) -> PublishAnswer:
        """See `penstock.ports.Store.publish`."""
        publisher = self._topics.publisher
        if cursor is None:
            return publisher.publish(topic, groups, atomic=atomic, channel=channel)
        has_jobs = any(group.messages for group in groups)
        publish = partial(publisher.publish, topic, groups, atomic=atomic, channel=channel)
        return self._moving(cursor, publish, has_jobs=has_jobs, atomic=atomic)

    @atomic
    def create_topic(self, topic: str) -> bool:
        """See `penstock.ports.Store.create_topic`."""
        return self._topics.create_topic(topic)

    @atomic
    def create_channel(self, topic: str, channel: str) -> bool:
        """See `penstock.ports.Store.create_channel`."""
        return self._topics.create_channel(topic, channel)

    @draining
    def delete_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """See `penstock.ports.Store.delete_channel`."""
        check_by(by)
        waited = self._topics.waiting(topic, channel)
        self._topics.delete_channel(topic, channel)
        if by is not None:
            self._topics.records.note(by, "delete", f"queue:{channel_queue(topic, channel)}", waited)

    @draining
    def delete_topic(self, topic: str, *, by: str | None = None) -> None:
        """See `penstock.ports.Store.delete_topic`."""
        check_by(by)
        waited = self._topics.waiting(topic)
        self._topics.delete_topic(topic)
        if by is not None:
            self._topics.records.note(by, "delete", f"topic:{topic}", waited)

    @draining
    def empty_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """See `penstock.ports.Store.empty_channel`."""
        check_by(by)
        waited = self._topics.waiting(topic, channel)
        self._topics.empty_channel(topic, channel)
        if by is not None:
            self._topics.records.note(by, "empty", f"queue:{channel_queue(topic, channel)}", waited)

    @draining
    def empty_topic(self, topic: str, *, by: str | None = None) -> None:
        """See `penstock.ports.Store.empty_topic`."""
        check_by(by)
        kept = self._topics.kept(topic)
        self._topics.empty_topic(topic)
        if by is not None:
            self._topics.records.note(by, "empty", f"topic:{topic}", kept)

    def topics(self, *, topic: str | None = None, cursor: str | None = None, limit: int = 100) -> TopicsPage:
        """See `penstock.ports.Store.topics`."""
        self.catch_up()
        self._line.write_all()
        return self._topics.view(topic, cursor, limit)


def _waiting(counts: QueueStats) -> int:
    return counts.ready + counts.scheduled + counts.blocked


def _has_waiting(counts: QueueStats) -> bool:
    """Whether something is there that can be thrown away: anything that is not leased."""
    ended = counts.succeeded + counts.dead + counts.cancelled + counts.expired
    return _waiting(counts) + ended > 0


def _topic_after(cursor: str | None) -> str:
    """The topic behind which a page goes on; the empty text without a cursor.

    Raises:
        InvalidOption: no page gave this cursor.
    """
    if cursor is None:
        return ""
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise unknown_cursor(cursor)
    return found[1]
