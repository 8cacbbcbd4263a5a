"""The topics and channels of a store are written into a data directory for nsqd.

Nothing is taken out of the store. What is in flight or deferred is written like what waits: nsqd keeps neither through
a restart, and delivers both at once. The directory appears whole, or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.ids import ID_BYTES
from penstock.model.job import Filter, JobView
from penstock.model.lines import Closed
from penstock.model.message_ids import message_number, message_time
from penstock.model.states import WAITING, State
from penstock.model.topics import RAW, TopicView, channel_queue, is_ephemeral, kept_queue
from penstock.nsq.data_directory import catalogue, file_names
from penstock.nsq.data_directory.catalogue import Catalogue, Channel, Topic
from penstock.nsq.data_directory.queue_writing import QueueWriter, sync_directory, write_whole
from penstock.nsq.data_directory.records import ATTEMPTS_MAX, ID_CHARS, Record
from penstock.nsq.message_headers import ATTEMPTS_HEADER, ID_HEADER, TIMESTAMP_HEADER
from penstock.ports import Store

_EXPORTED: Final = WAITING | {State.RUNNING}
_MS_NS: Final = 1_000_000


@dataclass
class QueueExport:
    """What became of a topic's own queue, or of a channel's.

    Attributes:
        exported: messages that were written.
        deferred: those among them that wait for their time here, and do not there.
        in_flight: those among them that are with consumers.
        dead: messages that stay behind, since nsqd knows no such state.
    """

    queue: str
    exported: int = 0
    deferred: int = 0
    in_flight: int = 0
    dead: int = 0


@dataclass
class DirectoryExport:
    """What became of a store.

    Attributes:
        topics: how many were written.
        channels: how many they have.
        notes: sentences.
    """

    topics: int = 0
    channels: int = 0
    queues: list[QueueExport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def export_directory(
    store: Store,
    path: Path,
    *,
    file_bytes_max: int = limits.NSQ_EXPORT_FILE_BYTES,
    message_bytes_max: int = limits.NSQ_EXPORT_MESSAGE_BYTES,
    show: Callable[[str, int], None] = lambda _queue, _messages: None,
) -> DirectoryExport:
    """Write a store's topics, channels and messages into a new data directory.

    Args:
        store: where from; it is only read.
        path: the directory, which is not there or empty.
        file_bytes_max: what a file of a queue has at most.
        message_bytes_max: what a message may have where nsqd is to run.
        show: is told of a queue how many messages of it are done.

    Raises:
        InvalidOption: the directory is there, or a message is too large for that nsqd.
    """
    path = path.absolute()
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise InvalidOption(f"{path} is there already, and not an empty directory.", field="directory")
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        data = staging / "data"
        data.mkdir(mode=0o700)
        export = _Export(store, data, file_bytes_max, message_bytes_max, show)
        export.run()
        sync_directory(data)
        data.rename(path)
        sync_directory(path.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return export.done


class _Export:
    """One export under way. ``data``: the directory that is being written."""

    def __init__(
        self,
        store: Store,
        data: Path,
        file_bytes_max: int,
        message_bytes_max: int,
        show: Callable[[str, int], None],
    ) -> None:
        self.store = store
        self.data = data
        self.file_bytes_max = file_bytes_max
        self.message_bytes_max = message_bytes_max
        self.show = show
        self.done = DirectoryExport()

    def run(self) -> None:
        """Write everything but the directory's name."""
        closed = self.store.closed_lines()
        paused = {(one.queue, one.task) for one in closed if one.reason is Closed.PAUSED}
        topics: list[Topic] = []
        for view in self._topics():
            if is_ephemeral(view.name):
                self._note_ephemeral(view.name)
                continue
            names = [one.name for one in view.channels if not is_ephemeral(one.name)]
            for one in view.channels:
                if is_ephemeral(one.name):
                    self._note_ephemeral(channel_queue(view.name, one.name))
            queues = [channel_queue(view.name, name) for name in names]
            channels = [Channel(name, (queue, None) in paused) for name, queue in zip(names, queues, strict=True)]
            topics.append(Topic(view.name, view.paused, channels))
            self._write(kept_queue(view.name), view.name)
            for queue in queues:
                self._write(queue, queue)
            self.done.topics += 1
            self.done.channels += len(names)
        write_whole(self.data / file_names.CATALOGUE, catalogue.as_text(Catalogue(topics)))

    def _topics(self) -> Iterator[TopicView]:
        cursor = None
        while True:
            page = self.store.topics(cursor=cursor)
            yield from page.topics
            cursor = page.cursor
            if cursor is None:
                return

    def _note_ephemeral(self, name: str) -> None:
        self.done.notes.append(f"{name} is ephemeral: nsqd keeps it in no file, so it is left out.")

    def _write(self, queue: str, name: str) -> None:
        """Write the messages of a queue of the store under its name there."""
        told = QueueExport(name)
        writer = QueueWriter(self.data, name, self.file_bytes_max)
        try:
            with tempfile.TemporaryFile(dir=self.data.parent) as ids:
                self._spool(queue, ids, told)
                for view in self._oldest_first(ids):
                    self._add(view, writer, told)
            writer.finish()
        finally:
            writer.abandon()
        if told.exported or told.dead:
            self.done.queues.append(told)

    def _spool(self, queue: str, ids: IO[bytes], told: QueueExport) -> None:
        """Write down the ids of what is to be written, newest first, as a search gives them."""
        cursor = None
        while True:
            page = self.store.query(Filter(queue=queue), cursor=cursor, limit=limits.PAGE_JOBS_MAX)
            told.dead += sum(view.state is State.DEAD for view in page.jobs)
            ids.write(b"".join(view.id for view in page.jobs if view.state in _EXPORTED))
            cursor = page.cursor
            if cursor is None:
                return

    def _oldest_first(self, ids: IO[bytes]) -> Iterator[JobView]:
        """The messages with these ids as they are now, with their bodies; what has ended since is left out."""
        end = ids.seek(0, 2)
        while end:
            start = max(0, end - limits.NSQ_EXPORT_MESSAGES * ID_BYTES)
            ids.seek(start)
            block = ids.read(end - start)
            some = [block[at : at + ID_BYTES] for at in range(0, len(block), ID_BYTES)]
            for view in self._views(some[::-1]):
                if view is not None and view.state in _EXPORTED:
                    yield view
            end = start

    def _views(self, ids: list[bytes]) -> list[JobView | None]:
        try:
            return self.store.get(ids, body=True)
        except BodyTooLarge:
            if len(ids) == 1:
                raise
        middle = len(ids) // 2
        return [*self._views(ids[:middle]), *self._views(ids[middle:])]

    def _add(self, view: JobView, writer: QueueWriter, told: QueueExport) -> None:
        record = record_of(view)
        if len(record.body) > self.message_bytes_max:
            raise InvalidOption(
                f"A message in {told.queue} has {len(record.body)} bytes. An nsqd with -max-msg-size "
                f"{self.message_bytes_max} would put the file with it aside; nothing was exported. Export with "
                "--max-msg-size and start nsqd with the same.",
                field="max-msg-size",
            )
        writer.add(record)
        told.exported += 1
        told.deferred += view.state is State.SCHEDULED
        told.in_flight += view.state is State.RUNNING
        if not told.exported % limits.NSQ_IMPORT_MESSAGES:
            self.show(told.queue, told.exported)


def record_of(view: JobView) -> Record:
    """A message in a channel, as nsqd has it in a file."""
    headers = view.headers or {}
    timestamp_ns = _whole(headers.get(TIMESTAMP_HEADER)) or round(message_time(view.id) * 1_000) * _MS_NS
    attempts = min(view.attempt + (_whole(headers.get(ATTEMPTS_HEADER)) or 0), ATTEMPTS_MAX)
    there = headers.get(ID_HEADER, "")
    is_id = len(there) == ID_CHARS and set(there) <= set("0123456789abcdef")
    message_id = there.encode() if is_id else b"%016x" % message_number(view.id)
    return Record(min(timestamp_ns, (1 << 63) - 1), attempts, message_id, (view.body or b"").removeprefix(RAW))


def _whole(text: str | None) -> int | None:
    """A header's number; None: it has none."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < ID_BYTES + 4 else None
