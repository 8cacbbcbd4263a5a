"""Leased messages as NSQ's clients get them. Pure.

A message's id on the wire is its number in 16 hexadecimal digits, the same in all channels and deliveries. Its
timestamp is when it was made: that of its id, or for one that was imported what its header says.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import unpack
from typing import Final

import msgspec

from penstock.model.ids import ID_BYTES
from penstock.model.job import JobExtra, LeasedJob
from penstock.nsq.protocol.frames import ATTEMPTS_MAX, MESSAGE, MESSAGE_HEAD, MESSAGE_SIZE_BYTES

TIMESTAMP_HEADER: Final = "nsq-timestamp"
"""Of an imported message: when it was published, in nanoseconds."""
ATTEMPTS_HEADER: Final = "nsq-attempts"
"""Of an imported message: how often it had been delivered before."""

_decode_extra: Final = msgspec.msgpack.Decoder(JobExtra).decode
_NS_OF_MS: Final = 1_000_000
_INT64_MAX: Final = (1 << 63) - 1
_DIGITS: Final = 2 * ID_BYTES
_TIME: Final = ((1 << 42) - 1) << 22
_COUNTER: Final = ((1 << 12) - 1) << 10
_TAIL: Final = (1 << 10) - 1
_TIME_SHIFT: Final = 64 + 16 - 22
_COUNTER_SHIFT: Final = 64 - 10


def wire_ids(ids: Sequence[bytes]) -> list[bytes]:
    """The ids on the wire of messages, or of copies of them: `message_ids.message_number` in digits.

    All of them are worked out at once, as lanes of one large number: shifts and masks then cost next to nothing.
    """
    lanes = int.from_bytes(b"".join(ids), "big")
    ones = int.from_bytes((b"\0" * (ID_BYTES - 1) + b"\1") * len(ids), "big")
    numbers = lanes >> _TIME_SHIFT & ones * _TIME | lanes >> _COUNTER_SHIFT & ones * _COUNTER | lanes & ones * _TAIL
    digits = numbers.to_bytes(ID_BYTES * len(ids), "big").hex().encode()
    return [digits[at : at + ID_BYTES] for at in range(ID_BYTES, len(digits), _DIGITS)]


def message_frames(jobs: Sequence[LeasedJob]) -> tuple[list[bytes], bytes]:
    """The ids on the wire of messages, and the frames that they are sent in, in one piece."""
    ids = [job.id for job in jobs]
    messages = wire_ids(ids)
    pack = MESSAGE_HEAD.pack
    parts: list[bytes] = []
    append = parts.append
    for job, message, high in zip(jobs, messages, unpack(">" + "Q8x" * len(ids), b"".join(ids)), strict=True):
        body = job.body
        timestamp_ns, attempts = (high >> 16) * _NS_OF_MS, job.attempt
        if job.extra is not None or attempts > ATTEMPTS_MAX:
            timestamp_ns, attempts = _by_headers(job, timestamp_ns)
        # The first byte of a body is its format, and not sent.
        append(pack(len(body) - 1 + MESSAGE_SIZE_BYTES, MESSAGE, timestamp_ns, attempts, message))
        append(body[1:])
    return messages, b"".join(parts)


def _by_headers(job: LeasedJob, timestamp_ns: int) -> tuple[int, int]:
    """The timestamp and the number of attempts of a message that may have been imported, or delivered very often."""
    headers = (_decode_extra(job.extra).headers if job.extra is not None else None) or {}
    timestamp_ns = min(_whole(headers.get(TIMESTAMP_HEADER)) or timestamp_ns, _INT64_MAX)
    return timestamp_ns, min(job.attempt + _whole(headers.get(ATTEMPTS_HEADER)), ATTEMPTS_MAX)


def _whole(text: str | None) -> int:
    return int(text) if text is not None and len(text) < 20 and text.isascii() and text.isdigit() else 0
