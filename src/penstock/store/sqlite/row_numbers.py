"""The row number that the engine derives from a job's id, and the cursors made of row numbers and queue names.

The id is a UUIDv7: 48 bits of Unix milliseconds, 12 bits that count within a millisecond, and 62 random bits (less the
six that name version and variant). The first 63 meaningful bits, in order, are the job's row number. So a job is found
by its id without a second index, and new jobs land side by side at the end of the table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct
from typing import Final

from penstock.model.errors import InvalidOption

ROW_NUMBER_MAX: Final = (1 << 63) - 1

_MS_MASK: Final = (1 << 42) - 1
_COUNTER_MASK: Final = (1 << 12) - 1
_halves: Final = Struct(">QQ").iter_unpack
_CURSOR: Final = re.compile(r"j([0-7][0-9a-f]{15})")
_QUEUE_CURSOR: Final = re.compile(r"q([A-Za-z0-9_.:#-]{1,200})")


def row_number(job_id: bytes) -> int:
    """The 63-bit row number at which the engine looks for this id first."""
    high = int.from_bytes(job_id[:8], "big")
    return (
        (((high >> 16) & _MS_MASK) << 21) | ((high & _COUNTER_MASK) << 9) | ((job_id[8] & 0x3F) << 3) | (job_id[9] >> 5)
    )


def row_numbers(ids: Sequence[bytes]) -> list[int]:
    """`row_number` of each, at a fraction of its cost.

    Raises:
        struct.error: the ids are not of 16 bytes each.
    """
    return [
        (high >> 16 & _MS_MASK) << 21 | (high & _COUNTER_MASK) << 9 | low >> 53 & 0x1FF
        for high, low in _halves(b"".join(ids))
    ]


def row_at(time_s: float) -> int:
    """The lowest row number of ids made at this time (Unix seconds) or later."""
    if time_s * 1_000 > _MS_MASK:
        return ROW_NUMBER_MAX
    return max(0, int(time_s * 1_000)) << 21


def time_of_row(number: int) -> float:
    """When the id was made that asks for this row number, in Unix seconds, cut to the millisecond."""
    return (number >> 21) / 1_000


def cursor_before(row: int) -> str:
    """The cursor that goes on with the rows below this one."""
    return f"j{row:016x}"


def row_before(cursor: str | None) -> int:
    """The row below which a search goes on; without a cursor the search begins above all rows.

    Raises:
        InvalidOption: `cursor_before` makes no such cursor.
    """
    if cursor is None:
        return ROW_NUMBER_MAX
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise unknown_cursor(cursor)
    return int(found[1], 16)


def row_after(cursor: str | None) -> int:
    """The row above which a search goes on that begins with the oldest: its cursors have the same form. Without a
    cursor it begins under all rows.

    Raises:
        InvalidOption: `cursor_before` makes no such cursor.
    """
    return -1 if cursor is None else row_before(cursor)


def cursor_after_queue(name: str) -> str:
    """The cursor that goes on with the queues behind this one, by name."""
    return f"q{name}"


def queue_after(cursor: str | None) -> str:
    """The queue behind which a page of counts goes on; the empty text, which is before all names, without a cursor.

    Raises:
        InvalidOption: `cursor_after_queue` makes no such cursor.
    """
    if cursor is None:
        return ""
    found = _QUEUE_CURSOR.fullmatch(cursor)
    if found is None:
        raise unknown_cursor(cursor)
    return found[1]


def unknown_cursor(cursor: str) -> InvalidOption:
    """The error for a cursor that this store has not given out."""
    return InvalidOption(
        f"{cursor[:80]!r} is no cursor of this call; pass the one that the page before gave.", field="cursor"
    )
