"""An nsqd's data directory: its lock, its topics and its queues."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from penstock.model.errors import InvalidOption
from penstock.nsq.data_directory import catalogue, file_names, queue_position
from penstock.nsq.data_directory.catalogue import Catalogue, Channel, Topic
from penstock.nsq.data_directory.queue_reading import Queue, QueueFile

_SMALL_BYTES = 64 * 1024 * 1024
"""What the file with the topics may have."""


class DataDirectory(NamedTuple):
    """What is in a data directory.

    Attributes:
        topics: those of the file ``nsqd.dat`` and, behind them, those that only have a queue.
        queues: by name.
        notes: what whoever asked for it should know, as sentences.
    """

    path: Path
    topics: list[Topic]
    queues: dict[str, Queue]
    notes: list[str]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that nsqd holds on its data directory, so that none runs on it.

    Raises:
        InvalidOption: it is no directory, or an nsqd runs on it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidOption(f"{path}: {error.strerror}.", field="directory") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidOption(f"An nsqd runs on {path}: stop it first (SIGTERM).", field="directory") from None
        yield
    finally:
        os.close(descriptor)


def looked_into(path: Path) -> DataDirectory:
    """What is in a data directory, by the names of its files and the small ones among them.

    Raises:
        InvalidOption: this is none of an nsqd.
    """
    queues: dict[str, Queue] = {}
    notes: list[str] = []
    names = sorted(os.listdir(path))
    for name in names:
        found = file_names.data_file(name)
        of_position = file_names.position_file_queue(name) if found is None else None
        queue_name = of_position if found is None else found.queue
        if queue_name is None:
            continue
        if file_names.topic_and_channel(queue_name) is None:
            notes.append(f"{name} is of no topic and no channel, by its name; it is left out.")
            continue
        told = os.lstat(path / name)
        if not stat.S_ISREG(told.st_mode):
            notes.append(f"{name} is no plain file; it is left out.")
            continue
        queue = queues.setdefault(queue_name, Queue(queue_name))
        if found is None:
            queue.has_position_file = True
            queue.position = queue_position.parsed(_start_of(path / name, 1_024))
        else:
            queue.files.append(QueueFile(path / name, found.number, found.is_bad, told.st_size))
    if file_names.CATALOGUE not in names and not queues:
        raise InvalidOption(
            f"{path} is no data directory of an nsqd: there is neither {file_names.CATALOGUE} nor a queue in it.",
            field="directory",
        )
    for queue in queues.values():
        queue.files.sort(key=lambda file: (file.number, not file.is_bad))
    topics = _with_queues(_topics(path, notes), queues, notes)
    return DataDirectory(path, topics, queues, notes)


def _topics(path: Path, notes: list[str]) -> list[Topic]:
    """The topics of ``nsqd.dat``."""
    name = file_names.CATALOGUE
    try:
        found = catalogue.parsed(_start_of(path / name, _SMALL_BYTES))
    except FileNotFoundError:
        notes.append(f"There is no {name}: topics and channels are those that have a queue, and none is paused.")
        return []
    if found is None:
        notes.append(f"{name} is damaged: topics and channels are those that have a queue, and none is paused.")
        return []
    return _with_good_names(found, notes)


def _with_good_names(found: Catalogue, notes: list[str]) -> list[Topic]:
    """The topics and channels that have names; nsqd leaves out others as well."""
    topics: list[Topic] = []
    for topic in found.topics or []:
        if ":" in topic.name or file_names.topic_and_channel(topic.name) is None:
            notes.append(f"{topic.name!r} is no name for a topic; it is left out.")
            continue
        channels = [one for one in topic.channels or [] if file_names.topic_and_channel(f"{topic.name}:{one.name}")]
        bad = len(topic.channels or []) - len(channels)
        if bad:
            notes.append(f"{bad} of the topic {topic.name} have no name for a channel; they are left out.")
        topics.append(Topic(topic.name, topic.paused, channels))
    return topics


def _with_queues(topics: list[Topic], queues: dict[str, Queue], notes: list[str]) -> list[Topic]:
    """The topics, with those topics and channels that only have a queue with something in it."""
    channels = {topic.name: list(topic.channels or []) for topic in topics}
    paused = {topic.name: topic.paused for topic in topics}
    for name, queue in queues.items():
        found = file_names.topic_and_channel(name)
        if found is None or not any(file.size for file in queue.files):
            continue
        topic, channel = found
        if topic not in channels or (channel is not None and channel not in {one.name for one in channels[topic]}):
            if topics:
                notes.append(f"{name} has a queue and is not in {file_names.CATALOGUE}; it is taken along.")
            channels.setdefault(topic, [])
            if channel is not None:
                channels[topic].append(Channel(channel))
    return [Topic(name, paused.get(name, False), some) for name, some in channels.items()]


def _start_of(path: Path, count: int) -> bytes:
    """The first bytes of a small file."""
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
        return file.read(count)
