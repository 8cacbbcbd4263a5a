"""Positions of sources: how far what comes from outside has been turned into jobs. Pure.

A source (a relay, a Kafka topic, the change log of a database) is read in order, in one or several partitions. Whoever
reads one hands the store jobs together with the place up to which they go, and the store moves the source's position in
the transaction that accepts the jobs. So after a crash the position says exactly which part of the source has become
jobs, and nothing of it is enqueued twice or left out. To recognise the jobs by their ids is not enough for that: their
records go after a while.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.entry import Whole
from penstock.model.errors import InvalidOption, StaleCursor

_NAME: Final = re.compile(rf"[A-Za-z0-9_.:/@-]{{1,{limits.SOURCE_NAME_CHARS_MAX}}}")


class SourceCursor(Struct, array_like=True, frozen=True):
    """How far one partition of a source has become jobs.

    Attributes:
        source: its name, such as ``orders-binlog``.
        partition: which part of it, such as ``3``. A source with one part says ``0``.
        offset: everything before this offset has become jobs; reading goes on here. It only rises.
        fence: of the process that reads the partition. It never falls: a reader that was replaced is refused.
    """

    source: str
    partition: str
    offset: Whole
    fence: Whole = 0


def check_cursor(cursor: SourceCursor) -> None:
    """Pass when this may be the position of a source.

    Raises:
        InvalidOption: it may not; ``field`` names what is to blame.
    """
    check_source_name(cursor.source, "source")
    check_source_name(cursor.partition, "partition")
    for name, number in (("offset", cursor.offset), ("fence", cursor.fence)):
        if not 0 <= number < 1 << 63:
            raise InvalidOption(f"The {name} of a source is from 0 to 2^63 - 1, not {number}.", field=name)


def check_source_name(name: str, field: str) -> None:
    """Pass when this may be the name of a source or of a partition.

    Raises:
        InvalidOption: it may not.
    """
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            f"{name!r} is no name for a {field}: 1 to {limits.SOURCE_NAME_CHARS_MAX} of A-Z a-z 0-9 _ . : / @ -",
            field=field,
        )


def moved(asked: SourceCursor, in_force: SourceCursor | None, *, has_jobs: bool) -> SourceCursor:
    """The position of a partition after an enqueue that asks for one.

    Without jobs and with a higher fence, a position that has been reached is no move: that is how a new reader takes a
    partition over, before it asks where to go on. From then on the reader before it is refused, so the answer holds.

    Args:
        asked: the position that is asked for.
        in_force: the one that the store has of this partition; None: it has none.
        has_jobs: whether jobs come with it.

    Raises:
        StaleCursor: the fence is lower than the one in force, or the offset has been passed.
    """
    if in_force is None or (asked.fence >= in_force.fence and asked.offset > in_force.offset):
        return asked
    if asked.fence > in_force.fence and not has_jobs:
        return replace(in_force, fence=asked.fence)
    if asked.fence < in_force.fence:
        why = f"a reader with fence {in_force.fence} has it, and this one has {asked.fence}: stop this one"
    else:
        why = f"offset {asked.offset} has been passed: go on behind offset {in_force.offset}"
    raise StaleCursor(
        f"{asked.source}, partition {asked.partition}: {why}. Nothing was enqueued. "
        f"The position in force is offset {in_force.offset}, fence {in_force.fence}.",
        offset=in_force.offset,
        fence=in_force.fence,
    )


def check_new_cursor(known: int) -> None:
    """Pass when one more position may be kept beside those that there are.

    Raises:
        InvalidOption: there are too many.
    """
    if known >= limits.SOURCE_CURSORS_MAX:
        raise InvalidOption(
            f"There are positions of {limits.SOURCE_CURSORS_MAX} partitions already (SOURCE_CURSORS_MAX); "
            "remove those of sources that are read no more with remove_cursors.",
            field="cursor",
        )
