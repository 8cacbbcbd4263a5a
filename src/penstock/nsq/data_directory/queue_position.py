"""Where reading and writing of a queue stand: the text of ``NAME.diskqueue.meta.dat``. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TEXT: Final = re.compile(rb"(-?[0-9]{1,18})\n([0-9]{1,18}),([0-9]{1,18})\n([0-9]{1,18}),([0-9]{1,18})\n")


class QueuePosition(NamedTuple):
    """As nsqd has written it last: it may be older than the files.

    Attributes:
        depth: how many records are still to be read.
        read_file: the number of the file that is read.
        read_at: everything before this byte of it was delivered.
        write_file: the number of the file that is written.
        write_at: where the next record is written to it.
    """

    depth: int
    read_file: int
    read_at: int
    write_file: int
    write_at: int


def parsed(text: bytes) -> QueuePosition | None:
    """The position; None: this is none."""
    found = _TEXT.fullmatch(text)
    return None if found is None else QueuePosition(*(int(number) for number in found.groups()))


def as_text(position: QueuePosition) -> bytes:
    """As it stands in the file."""
    depth, read_file, read_at, write_file, write_at = position
    return f"{depth}\n{read_file},{read_at}\n{write_file},{write_at}\n".encode()
