"""What lies in an nsqd's data directory is put into a store.

What is in a topic's own queue was in none of its channels, so it is published to all of them. What is in a channel's
queue goes into that channel alone. With each request the store moves the position of the file that the messages are
from, in the same step; a file is known by how it begins, wherever it lies. So an import that is killed is run again and
goes on where it was, and one that was finished adds only what nsqd has written since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock.model import limits
from penstock.model.job import checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.source_cursors import SourceCursor
from penstock.model.topics import RAW, MessageEntry, MessageGroup, channel_queue, kept_queue
from penstock.nsq.data_directory.directory import DataDirectory, locked, looked_into
from penstock.nsq.data_directory.file_bytes import FileBytes
from penstock.nsq.data_directory.file_names import topic_and_channel
from penstock.nsq.data_directory.queue_reading import BadFiles, LostBytes, Part, Place, Plan, planned, read
from penstock.nsq.data_directory.records import HEAD_BYTES, Record
from penstock.nsq.message_headers import ATTEMPTS_HEADER, ID_HEADER, TIMESTAMP_HEADER
from penstock.ports import Store

SOURCE: Final = "nsqd-import"
"""The source whose positions say how far each file was imported."""
_BY: Final = "nsqd-import"
_BODY_BYTES_MAX: Final = limits.JOB_BODY_BYTES_MAX - len(RAW)


@dataclass
class QueueImport:
    """What became of a queue.

    Attributes:
        imported: messages that are in the store now; of a dry run, that would be.
        known: messages that an earlier run has imported.
        lost: what cannot be imported, as far as it is named one by one.
        lost_more: how much more there is of that.
        notes: sentences.
    """

    queue: str
    imported: int = 0
    known: int = 0
    lost: list[LostBytes] = field(default_factory=list)
    lost_more: int = 0
    notes: list[str] = field(default_factory=list)

    def lose(self, lost: LostBytes) -> None:
        """Note that something is lost."""
        if len(self.lost) < limits.NSQ_LOSSES_TOLD_MAX:
            self.lost.append(lost)
        else:
            self.lost_more += 1


@dataclass
class DirectoryImport:
    """What became of a data directory.

    Attributes:
        topics: how many it has.
        channels: how many its topics have.
        notes: sentences.
    """

    topics: int
    channels: int
    queues: list[QueueImport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def has_losses(self) -> bool:
        """Whether anything is lost."""
        return any(queue.lost for queue in self.queues)


def import_directory(
    store: Store | None,
    path: Path,
    *,
    bad_files: BadFiles = BadFiles.DAMAGED,
    show: Callable[[str, int], None] = lambda _queue, _messages: None,
) -> DirectoryImport:
    """Import a data directory, on which no nsqd runs.

    Args:
        store: where to; None: only look what there is.
        path: the data directory. Nothing in it is changed.
        bad_files: what is taken of files that nsqd has put aside.
        show: is told of a queue how many messages of it are done, after each request.

    Raises:
        InvalidOption: it is no data directory, or an nsqd runs on it.
        StoreFull: there is no room; what was imported so far is not imported again.
        StaleCursor: another import of the same directory is under way.
    """
    with locked(path):
        directory = looked_into(path)
        if store is not None:
            _make_topics(store, directory)
        channels = sum(len(topic.channels or []) for topic in directory.topics)
        done = DirectoryImport(len(directory.topics), channels, notes=directory.notes)
        passed = {} if store is None else {one.partition: one.offset for one in store.cursors(SOURCE)}
        # What is in a channel is older than what is still in the topic.
        for name in sorted(directory.queues, key=lambda queue: (":" not in queue, queue)):
            plan = planned(directory.queues[name], bad_files)
            done.queues.append(_import_queue(store, name, plan, passed, show))
        return done


def _make_topics(store: Store, directory: DataDirectory) -> None:
    """Make topics and channels, and pause what is paused there before there are messages in it."""
    for topic in directory.topics:
        store.create_topic(topic.name)
        if topic.paused:
            store.pause(queue=kept_queue(topic.name), by=_BY)
        for channel in topic.channels or []:
            store.create_channel(topic.name, channel.name)
            queue = channel_queue(topic.name, channel.name)
            if channel.paused:
                store.pause(queue=queue, by=_BY)


def _import_queue(
    store: Store | None, name: str, plan: Plan, passed: dict[str, int], show: Callable[[str, int], None]
) -> QueueImport:
    """Import what is to be delivered of a queue. ``passed``: how far each file was imported before, by partition."""
    done = QueueImport(name, notes=plan.notes)
    for one in plan.lost:
        done.lose(one)
    for part in plan.parts:
        partition = _partition(name, part)
        for batch in _batches(read(part, _BODY_BYTES_MAX, done.lose), passed.get(partition, 0), done):
            if store is not None:
                _publish(store, name, [place.record for place in batch], SourceCursor(SOURCE, partition, batch[-1].end))
            done.imported += len(batch)
            show(name, done.imported + done.known)
    return done


def _partition(queue: str, part: Part) -> str:
    """By what a file is known, also under another name or in another directory: files only grow."""
    with FileBytes(part.file.path) as data:
        begins = data.at(0, HEAD_BYTES)
    return hashlib.sha256(b"%s %d %s" % (queue.encode(), part.file.number, begins)).hexdigest()[:32]


def _batches(places: Iterator[Place], passed: int, done: QueueImport) -> Iterator[list[Place]]:
    """Records that go into one request, without those that ended at ``passed`` or before."""
    batch: list[Place] = []
    size = 0
    for place in places:
        if place.end <= passed:
            done.known += 1
            continue
        batch.append(place)
        size += len(place.record.body)
        if len(batch) == limits.NSQ_IMPORT_MESSAGES or size >= limits.NSQ_IMPORT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _publish(store: Store, queue: str, records: list[Record], cursor: SourceCursor) -> None:
    found = topic_and_channel(queue)
    assert found is not None, "the directory has no other queues"
    topic, channel = found
    ids = new_message_ids(len(records))
    groups = [_group(message_id, record) for message_id, record in zip(ids, records, strict=True)]
    store.publish(topic, groups, channel=channel, cursor=cursor)


def _group(message_id: bytes, record: Record) -> MessageGroup:
    body = RAW + record.body
    headers = {TIMESTAMP_HEADER: str(record.timestamp_ns), ID_HEADER: record.id.decode()}
    if record.attempts:
        headers[ATTEMPTS_HEADER] = str(record.attempts)
    return MessageGroup([MessageEntry(message_id, body, checksum(body))], headers=headers)
