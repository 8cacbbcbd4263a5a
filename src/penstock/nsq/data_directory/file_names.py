"""The names of a queue's files, and of the queues. Pure.

The queue of a topic has the topic's name, that of a channel ``topic:channel``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

CATALOGUE: Final = "nsqd.dat"
"""The file with the names of topics and channels."""
_DATA: Final = re.compile(r"(?P<queue>.+)\.diskqueue\.(?P<number>[0-9]{6,18})\.dat(?P<bad>\.bad)?")
_POSITION: Final = re.compile(r"(?P<queue>.+)\.diskqueue\.meta\.dat")
_NAME: Final = re.compile(r"(?=.{1,64}\Z)[.a-zA-Z0-9_-]+(#ephemeral)?")


class DataFile(NamedTuple):
    """A file with records.

    Attributes:
        is_bad: nsqd has met with damage in it, has put it aside and gone on with the next.
    """

    queue: str
    number: int
    is_bad: bool


def data_file(name: str) -> DataFile | None:
    """The file with records that has this name; None: it is no such name."""
    found = _DATA.fullmatch(name)
    if found is None:
        return None
    return DataFile(found["queue"], int(found["number"]), found["bad"] is not None)


def data_file_name(queue: str, number: int) -> str:
    """The name of a file with records."""
    return f"{queue}.diskqueue.{number:06d}.dat"


def position_file_queue(name: str) -> str | None:
    """The queue whose position the file of this name has; None: it is no such name."""
    found = _POSITION.fullmatch(name)
    return None if found is None else found["queue"]


def position_file_name(queue: str) -> str:
    """The name of the file with a queue's position."""
    return f"{queue}.diskqueue.meta.dat"


def topic_and_channel(queue: str) -> tuple[str, str | None] | None:
    """The topic, and of a channel's queue the channel, that a queue is of. None: a queue cannot be named so."""
    topic, colon, channel = queue.partition(":")
    if not _NAME.fullmatch(topic) or (colon and not _NAME.fullmatch(channel)):
        return None
    return topic, channel if colon else None
