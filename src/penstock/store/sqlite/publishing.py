"""Publishing: one message becomes a job in each channel of its topic.

The copies of a message stand side by side in the table of jobs: the row number of each is that of the message's id,
whose last bits are the channel's slot. Many copies are inserted with one statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from struct import Struct
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from penstock.model import limits
from penstock.model.errors import StoreFull
from penstock.model.flow import Rule
from penstock.model.interests import Interest
from penstock.model.job import MESSAGE_TASK, Enqueued, JobExtra
from penstock.model.limits_in_force import queue_scope, task_scope
from penstock.model.message_ids import SLOTS, copy_id, message_id
from penstock.model.states import Event, State
from penstock.model.topic_acceptance import check_copies, check_kept, check_messages
from penstock.model.topics import (
    MessageEntry,
    MessageGroup,
    PublishAnswer,
    is_ephemeral,
    is_shared,
    kept_queue,
    message_values,
)
from penstock.store.sqlite.discarding import Aside, discard_aside, discard_front
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.enqueueing import Acceptor
from penstock.store.sqlite.in_memory import Line
from penstock.store.sqlite.job_rows import Collision, Own
from penstock.store.sqlite.message_rows import CHUNK_ROWS, Fresh, duplicates, each_whole, insert_statement
from penstock.store.sqlite.ready_jobs import Alike, Newcomers, Row, Values
from penstock.store.sqlite.row_numbers import row_number, row_numbers
from penstock.store.sqlite.shared_bodies import SharedBodies
from penstock.store.sqlite.topic_book import Topic, TopicBook

_encode: Final = msgspec.msgpack.Encoder().encode
_pack: Final = Struct(">QQ").pack
_halves: Final = Struct(">QQ").iter_unpack
_SLOT_SHIFT: Final = 53


class Target(NamedTuple):
    """Where the copies with this slot go."""

    slot: int
    line: Line


class Publisher:
    """Turns messages into jobs."""

    def __init__(self, book: TopicBook, acceptor: Acceptor, endings: Endings, bodies: SharedBodies) -> None:
        self.book = book
        self.bodies = bodies
        self.books = book.books
        self.database = book.database
        self.acceptor = acceptor
        self.line = acceptor.joining.line
        self.joining = acceptor.joining
        self.endings = endings

    def publish(
        self, name: str, groups: Sequence[MessageGroup], *, atomic: bool, channel: str | None = None
    ) -> PublishAnswer:
        """See `penstock.ports.Store.publish`. All that may be refused is looked at before anything is written."""
        if self.database.full:
            raise StoreFull(
                f"The disk that holds {self.database.path} is full; free space, then publish again.", refused=True
            )
        now = self.books.clock.time()
        count = check_messages(name, groups, now)
        topic = self.book.get(name)
        if channel is not None:
            self.book.find_channel(name, channel)
        channels = 0 if topic is None else 1 if channel is not None else len(topic.channels)
        check_copies(count, channels)
        if topic is None:
            self.book.check_room(name, 0, 1)
        if not channels:
            check_kept(name, self._kept(name), count)
        exceptions: list[Enqueued] = []
        fresh = self._without_known_keys(topic, groups, exceptions, now)
        if atomic and any(one.conflict for one in exceptions):
            return PublishAnswer(0, channels, [one for one in exceptions if one.conflict])
        topic = self.book.make(name) if topic is None else topic
        targets = self._targets(topic, channel)
        accepted = 0
        aside: list[Aside] = []
        for group, some in zip(groups, fresh, strict=True):
            for run, are_shared in self._runs(some, len(targets)):
                batch = _Batch(self, topic, targets, group, now, are_shared=are_shared, channel=channel)
                accepted += batch.put(run, exceptions)
                aside += batch.aside
        self.book.use(topic)
        if accepted:
            self.book.count(topic, accepted)
            self._bound(targets, aside, accepted + limits.EPHEMERAL_DISCARDS_MAX)
        exceptions.sort(key=lambda one: one.index)
        return PublishAnswer(accepted, channels, exceptions)

    def _kept(self, name: str) -> int:
        queue = self.books.queue_by_name.get(kept_queue(name))
        return 0 if queue is None else queue.counts.ready + queue.counts.scheduled + queue.counts.blocked

    def _bound(self, targets: Sequence[Target], aside: list[Aside], most: int) -> None:
        """Throw away what is too much in ephemeral channels: from the front of each, and of what is new and delayed
        or blocked when nothing there is ready. ``aside``: what is new and delayed or blocked.
        ``most``: at most so many of each channel."""
        for _, line in targets:
            counts = self.books.queues[line.queue].counts
            more = min(most, counts.ready + counts.scheduled + counts.blocked - limits.EPHEMERAL_MESSAGES_MAX)
            if more <= 0 or not is_ephemeral(line.queue_name):
                continue
            more -= discard_front(self.endings, line, more)
            if more > 0:
                own = [one for one in aside if one.line is line]
                discard_aside(self.endings, line, own[-more:])

    def _runs(self, fresh: Fresh, copies: int) -> Iterator[tuple[Fresh, bool]]:
        """Messages that follow each other and are stored alike, and whether their bodies are shared by their copies."""
        if not any(is_shared(message, copies) for message in fresh.messages):
            if fresh.messages:
                yield fresh, False
            return
        numbers = set[int]()
        shared: list[bool] = []
        for message in fresh.messages:
            number = row_number(message.id)
            shared.append(is_shared(message, copies) and number not in numbers and self.bodies.is_free(number))
            numbers.add(number)
        start = 0
        for are_shared, run in groupby(shared):
            end = start + len(list(run))
            yield Fresh(fresh.messages[start:end], fresh.places[start:end]), are_shared
            start = end

    def _targets(self, topic: Topic, channel: str | None) -> list[Target]:
        books = self.books
        task = books.task(MESSAGE_TASK)
        if not topic.channels:
            return [Target(0, books.line(books.queue(kept_queue(topic.name)).id, task))]
        channels = topic.channels.values() if channel is None else [topic.channels[channel]]
        return [Target(one.slot, books.line(one.queue, task)) for one in channels]

    def _without_known_keys(
        self, topic: Topic | None, groups: Sequence[MessageGroup], exceptions: list[Enqueued], now: float
    ) -> list[Fresh]:
        """The messages that are new by their keys; what the others are goes into ``exceptions``."""
        if not any(message.idempotency_key for group in groups for message in group.messages):
            return list(each_whole(groups))
        seen: dict[str, tuple[bytes, int, int]] = {}
        fresh: list[Fresh] = []
        for whole in each_whole(groups):
            kept: list[tuple[MessageEntry, int]] = []
            for message, index in zip(whole.messages, whole.places, strict=True):
                key = message.idempotency_key
                first = None if key is None else seen.get(key)
                if key is not None and first is None and topic is not None:
                    first = self.database.row("idempotency", -topic.id, key, now)
                if first is not None:
                    same = message.is_message(first[1:])
                    exceptions.append(Enqueued(index, first[0], None, duplicate=same, conflict=not same))
                    continue
                if key is not None:
                    seen[key] = (message.id, *message.told_by())
                kept.append((message, index))
            fresh.append(Fresh([message for message, _ in kept], [index for _, index in kept]))
        return fresh


class _Batch:
    """The messages of one group on their way into the channels of a topic."""

    def __init__(
        self,
        publisher: Publisher,
        topic: Topic,
        targets: list[Target],
        group: MessageGroup,
        now: float,
        *,
        are_shared: bool,
        channel: str | None,
    ) -> None:
        self.channel = channel
        self.database = publisher.database
        self.books = publisher.books
        self.line = publisher.line
        self.acceptor = publisher.acceptor
        self.joining = publisher.joining
        self.bodies = publisher.bodies
        self.topic = topic
        self.targets = targets
        self.are_shared = are_shared
        self.aside: list[Aside] = []
        """The copies in ephemeral channels that wait for their time, or are blocked."""
        self.interest = Interest.SHARED_BODY.value if are_shared else 0
        self.group = group
        self.now = now
        self.run_at = now if group.delay_s is None else now + group.delay_s
        self.waits = self.run_at > now
        self.extra = _packed(group.headers)

    def put(self, fresh: Fresh, exceptions: list[Enqueued]) -> int:
        """Put messages into every target. Answers how many are new."""
        known = (
            {message.id for message in fresh.messages if self._is_displaced(message)} if self.books.displaced else ()
        )
        messages = [message for message in fresh.messages if message.id not in known]
        count, width = len(messages), len(self.targets)
        has_keys = any(message.key is not None for message in messages)
        first = 0 if self.waits else self.books.take_arrivals(count * width)
        rows = self._rows(messages)
        values = self._values(messages, has_keys=has_keys)
        if values is not None:
            self.interest |= Interest.SLOT.value
        if rows:
            self.books.id_skew.note([row[0] for row in rows[::width]], self.now)
        doubles: list[int] = []
        size = max(1, CHUNK_ROWS // width)
        for start in range(0, count, size):
            some = range(start, min(start + size, count))
            if not self._insert(messages, rows, values, some, first, has_keys=has_keys):
                doubles += [at for at in some if not self._insert_apart(messages[at], rows, values, at, first)]
        taken = set(doubles)
        new = [message for at, message in enumerate(messages) if at not in taken] if taken else messages
        if new:
            if self.are_shared:
                self.bodies.keep([(row_number(message.id), message.body, width) for message in new])
            self._join(rows, values, taken, first, count, has_keys=has_keys)
            self._keep_keys(new)
        elif first:
            # Arrival numbers were taken, and are written with the ledger of a queue.
            self.books.dirty.add(self.targets[0].line.queue)
        if len(new) < len(fresh.messages):
            ids = {message.id for message in new}
            exceptions += duplicates(fresh, ids)
        return len(new)

    def _is_displaced(self, message: MessageEntry) -> bool:
        """Whether a copy of this message stands under another number than its own."""
        ids = [copy_id(message.id, target.slot) for target in self.targets]
        return any(one in self.books.displaced and self.acceptor.inspector.seq_of(one) is not None for one in ids)

    def _rows(self, messages: Sequence[MessageEntry]) -> list[Row]:
        """The rows of all copies, message by message, in the order of the targets."""
        slots = [target.slot for target in self.targets]
        shifted = [(slot, slot << _SLOT_SHIFT) for slot in slots]
        ids = [message.id for message in messages]
        copies = len(slots)
        # In the row of a copy whose body stands elsewhere there is the number of that place instead.
        rows: list[Any] = [
            (base + slot, _pack(high, low | bits) if bits else message.id, message.checksum, message.body)
            for message, base, (high, low) in zip(messages, row_numbers(ids), _halves(b"".join(ids)), strict=True)
            for slot, bits in shifted
        ]
        if self.are_shared:
            rows = [(*row[:3], rows[place - place % copies][0] - slots[0]) for place, row in enumerate(rows)]
        return rows

    def _values(self, messages: Sequence[MessageEntry], *, has_keys: bool) -> Values:
        """What limits of the channels count by, of each copy, packed. None: nothing."""
        in_force = self.books.limits.in_force
        if not (self.group.headers or has_keys) or not (in_force or not self.topic.channels):
            return None
        rules: list[list[Rule] | None] = [None]
        if self.topic.channels:
            of_all = list(in_force.rules(task_scope(MESSAGE_TASK)))
            rules = [[*in_force.rules(queue_scope(one.line.queue_name)), *of_all] for one in self.targets]
        values: list[bytes | None] = []
        for message in messages:
            headers = self.group.headers_of(message)
            found = [message_values(headers, some) for some in rules]
            values += [None if one is None else _encode(one) for one in found]
        return values if any(values) else None

    def _insert(
        self,
        messages: Sequence[MessageEntry],
        rows: list[Row],
        values: Values,
        some: range,
        first: int,
        *,
        has_keys: bool,
    ) -> bool:
        """Insert the copies of some messages at once. False: a number is taken, and nothing was inserted."""
        width = len(self.targets)
        part: Iterable[tuple[Any, ...]] = rows[some.start * width : some.stop * width]
        if has_keys:
            extras = [_packed(self.group.headers_of(messages[at])) for at in some]
            part = [(*row, extras[place // width]) for place, row in enumerate(part)]
        if values is not None:
            own = values[some.start * width : some.stop * width]
            part = [(*row, value) for row, value in zip(part, own, strict=True)]
        step = 0 if self.waits else 1
        lines = [target.line.id for target in self.targets]
        shared = (first + step * some.start * width, step, self.extra, self.now, self.run_at, self.interest, *lines)
        statement = insert_statement(len(some), width, has_keys=has_keys, has_values=values is not None)
        try:
            self.database.connection.execute(statement, (*shared, *chain.from_iterable(part)))
        except apsw.ConstraintError:
            return False
        return True

    def _insert_apart(self, message: MessageEntry, rows: list[Row], values: Values, at: int, first: int) -> bool:
        """Insert the copies of one message, some of whose numbers are taken. False: the message is there already."""
        base, width = row_number(message.id), len(self.targets)
        there = self.database.rows("copies", base, base + SLOTS - 1)
        if any(self._is_copy(job_id, message) for (job_id,) in there):
            return False
        extra = _packed(self.group.headers_of(message))
        for place, target in enumerate(self.targets, at * width):
            arrival = 0 if self.waits else first + place
            alike = Alike(target.line.id, 0, 0, arrival, extra, self.now, self.run_at, None, self.interest)
            collisions: list[Collision] = []
            own = None if values is None else [values[place]]
            self.acceptor.rows.insert_single(alike, [rows[place]], Own(own), 0, collisions)
            for collision in collisions:
                assert collision.number is not None, "no copy of the message was there"
                rows[place] = (collision.number, *rows[place][1:])
        return True

    def _is_copy(self, job_id: bytes, message: MessageEntry) -> bool:
        """Whether this job is a copy of the message that counts: in any channel or, where one is named, in that one."""
        if self.channel is not None:
            return job_id == copy_id(message.id, self.targets[0].slot)
        return message_id(job_id) == message.id

    def _join(
        self, rows: list[Row], values: Values, doubles: set[int], first: int, count: int, *, has_keys: bool
    ) -> None:
        """Let the copies wait in their lines, or for their time, and count them."""
        width = len(self.targets)
        for at, target in enumerate(self.targets):
            own = rows[at::width]
            told = None if values is None else values[at::width]
            arrivals: Sequence[int] = range(first + at, first + count * width, width)
            if doubles:
                arrivals = [arrival for place, arrival in enumerate(arrivals) if place not in doubles]
                own = [row for place, row in enumerate(own) if place not in doubles]
                told = None if told is None else [one for place, one in enumerate(told) if place not in doubles]
            line = target.line
            if self.waits:
                self.database.run_many("insert_scheduled", [(self.run_at, row[0]) for row in own])
                self.books.move(line.queue, Event.ENQUEUE, None, State.SCHEDULED, len(own))
                if is_ephemeral(line.queue_name):
                    self.aside += [Aside(line, self.run_at, row[0], row[1], self.interest) for row in own]
                continue
            alike = Alike(line.id, 0, 0, arrivals[0], self.extra, self.now, self.run_at, None, self.interest)
            blocked = self.joining.newcomers(Newcomers(alike, arrivals, own, first + count * width, told))
            if blocked and is_ephemeral(line.queue_name):
                rows_of_blocked = [row for row in own if row[0] in blocked]
                self.aside += [Aside(line, None, row[0], row[1], self.interest) for row in rows_of_blocked]
            if has_keys or self.are_shared:
                # A job that has headers of its own, or not its body, is not held in memory.
                self.line.write(line.id)
            self.books.move(line.queue, Event.ENQUEUE, None, State.READY, len(own))

    def _keep_keys(self, messages: Iterable[MessageEntry]) -> None:
        keyed = [message for message in messages if message.idempotency_key is not None]
        if keyed:
            until = self.now + self.group.keys_count_s
            rows = [
                (-self.topic.id, message.idempotency_key, message.id, *message.told_by(), until) for message in keyed
            ]
            self.database.run_many("insert_idempotency", rows)


def _packed(headers: dict[str, str] | None) -> bytes | None:
    return _encode(JobExtra(headers)) if headers else None
