"""Messages on their way into rows: those of a request that are new, and the statement that inserts many copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from penstock.model.job import Enqueued
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.sqlite.database import STATEMENTS

CHUNK_ROWS: Final = 50
"""Copies in one statement, or those of one message if they are more."""
SHARED: Final = 6
"""Parameters that all rows of a statement share, besides the lines."""


class Fresh(NamedTuple):
    """Messages of a group that are new by their keys, and their places in the request."""

    messages: Sequence[MessageEntry]
    places: Sequence[int]


@lru_cache(maxsize=512)
def insert_statement(messages: int, targets: int, *, has_keys: bool, has_values: bool) -> str:
    """Inserts the copies of so many messages, for so many targets.

    Parameters: first arrival, by how much each further one is greater, extra of all, created_at, run_at, interest; the
    line of each target; then of each row seq, id, checksum, body, its own extra when ``has_keys``, and its values when
    ``has_values``.
    """
    width = 4 + has_keys + has_values
    rows = []
    for place in range(messages * targets):
        at = SHARED + targets + place * width + 1
        line = SHARED + place % targets + 1
        extra = f"?{at + 4}" if has_keys else "?3"
        values = f", ?{at + width - 1}" if has_values else ""
        own = f"?{at}, ?{at + 1}, ?{line}, 0, 0, ?1 + {place} * ?2, ?{at + 2}, ?{at + 3}"
        rows.append(f"({own}, {extra}, ?4, ?5, NULL, ?6{values})")
    name = "insert_job_with_values" if has_values else "insert_job"
    return STATEMENTS[name].split("VALUES")[0] + "VALUES " + ", ".join(rows)


def each_whole(groups: Sequence[MessageGroup]) -> Iterator[Fresh]:
    """Each group whole."""
    offset = 0
    for group in groups:
        behind = offset + len(group.messages)
        yield Fresh(group.messages, range(offset, behind))
        offset = behind


def duplicates(fresh: Fresh, new: set[bytes]) -> Iterator[Enqueued]:
    """The messages that are there already: those that are not among the new, and each that comes again."""
    for message, place in zip(fresh.messages, fresh.places, strict=True):
        if message.id in new:
            new.discard(message.id)
        else:
            yield Enqueued(place, message.id, None, duplicate=True)
