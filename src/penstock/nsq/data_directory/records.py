"""A message as nsqd writes it into a queue's file. Pure.

A record is the number of the bytes behind it (4), then of the message the time in nanoseconds (8), how often it was
delivered (2), its id (16 hexadecimal digits) and the body. There is no checksum. What can be tested: that the id is
one; that the time is one; and that both agree, since nsqd makes an id of the time at which it makes the message.
"""

from __future__ import annotations

import re
from enum import Enum
from struct import Struct
from typing import Final, NamedTuple

LENGTH_BYTES: Final = 4
MESSAGE_BYTES_MIN: Final = 26
"""A message without its body."""
HEAD_BYTES: Final = LENGTH_BYTES + MESSAGE_BYTES_MIN
ATTEMPTS_MAX: Final = 0xFFFF
"""More deliveries than these are not counted."""
ID_CHARS: Final = 16

_head: Final = Struct(">iqH16s")
_ID: Final = re.compile(rb"[0-9a-f]{16}")
_SECOND_NS: Final = 1_000_000_000
_EARLIEST_NS: Final = 1_262_304_000 * _SECOND_NS
"""2010: there was no NSQ before."""
_LATEST_NS: Final = 4_102_444_800 * _SECOND_NS
"""2100."""
_AGREE_NS: Final = 600 * _SECOND_NS
"""How far id and time may be apart. nsqd takes both within microseconds; a machine may be halted in between."""
_ID_TIME_SHIFT: Final = 22
_ID_EPOCH: Final = 1_288_834_974_288
_MS_NS: Final = 1_000_000

POSSIBLE_HEAD: Final = re.compile(rb"(?s)(?=[\x00-\x0f].{3}[\x11-\x38].{9}[0-9a-f]{16})")
"""Matches wherever a record may begin, overlapping too: a length below 256 MiB, a time from 2010 to 2100, an id."""


class Head(NamedTuple):
    """What stands before the body of a message. ``size``: of the message, in bytes, as its length says."""

    size: int
    timestamp_ns: int
    attempts: int
    id: bytes


class Record(NamedTuple):
    """A message in a queue's file."""

    timestamp_ns: int
    attempts: int
    id: bytes
    body: bytes


class Agreement(Enum):
    """Whether a head can be that of a message: ``NO``, ``LOOSE`` (id and time are ones), ``FULL`` (and agree)."""

    NO = 0
    LOOSE = 1
    FULL = 2


def head_of(data: bytes) -> Head:
    """The head that these bytes, at least `HEAD_BYTES`, begin with."""
    return Head(*_head.unpack_from(data))


def encoded(record: Record) -> bytes:
    """The record as it stands in a file."""
    size = MESSAGE_BYTES_MIN + len(record.body)
    return _head.pack(size, record.timestamp_ns, record.attempts, record.id) + record.body


def agreement(head: Head) -> Agreement:
    """Whether a head can be that of a message, going by its id and its time."""
    if not _ID.fullmatch(head.id):
        return Agreement.NO
    if any(abs(head.timestamp_ns - made_ns) <= _AGREE_NS for made_ns in _times_of(head.id)):
        return Agreement.FULL
    return Agreement.LOOSE if _EARLIEST_NS <= head.timestamp_ns < _LATEST_NS else Agreement.NO


def _times_of(message_id: bytes) -> tuple[int, int, int]:
    """When an id may have been made, in Unix nanoseconds: by nsqd, by nsqd of old, by Penstock."""
    number = int(message_id, 16)
    ticks = (number - (1 << 64) if number >> 63 else number) >> _ID_TIME_SHIFT
    return (ticks + _ID_EPOCH) << 20, (ticks + _ID_EPOCH) * _MS_NS, ticks * _MS_NS


def can_be_cut(data: bytes) -> bool:
    """Whether these bytes, fewer than `HEAD_BYTES`, can be how a record begins whose rest is missing."""
    length, time, message_id = data[:LENGTH_BYTES], data[LENGTH_BYTES:12], data[14:]
    if length[:1] > b"\x0f" or (len(length) == LENGTH_BYTES and int.from_bytes(length, "big") < MESSAGE_BYTES_MIN):
        return False
    lowest, highest = (when.to_bytes(8, "big")[: len(time)] for when in (_EARLIEST_NS, _LATEST_NS))
    return lowest <= time <= highest and all(char in b"0123456789abcdef" for char in message_id)
