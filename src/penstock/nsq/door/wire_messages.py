"""Leased messages as NSQ's clients get them. Pure.

A message's id on the wire is its number in 16 hexadecimal digits, the same in all channels and deliveries. Its
timestamp is when it was made: that of its id, or for one that was imported what its header says.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import unpack
from typing import Final

import msgspec

from penstock.model.job import JobExtra, LeasedJob
from penstock.nsq.message_headers import ATTEMPTS_HEADER, TIMESTAMP_HEADER
from penstock.nsq.protocol.frames import ATTEMPTS_MAX, Sent

_decode_extra: Final = msgspec.msgpack.Decoder(JobExtra).decode
_NS_OF_MS: Final = 1_000_000
_MS_MASK: Final = (1 << 42) - 1
_INT64_MAX: Final = (1 << 63) - 1


def sent_forms(jobs: Sequence[LeasedJob]) -> tuple[list[bytes], list[Sent]]:
    """The ids of messages, and what is sent of each."""
    # As `message_ids.message_number`, for all of them at once.
    numbers = unpack(f">{2 * len(jobs)}Q", b"".join([job.id for job in jobs]))
    highs = numbers[::2]
    ids = [
        b"%016x" % ((high >> 16 & _MS_MASK) << 22 | (high & 0xFFF) << 10 | low & 0x3FF)
        for high, low in zip(highs, numbers[1::2], strict=True)
    ]
    forms = [
        ((high >> 16) * _NS_OF_MS, min(ATTEMPTS_MAX, job.attempt), message, job.body[1:])
        if job.extra is None
        else _with_headers(job, message, (high >> 16) * _NS_OF_MS)
        for job, message, high in zip(jobs, ids, highs, strict=True)
    ]
    return ids, forms


def _with_headers(job: LeasedJob, message: bytes, timestamp_ns: int) -> Sent:
    assert job.extra is not None, "it has headers, or something else"
    headers = _decode_extra(job.extra).headers or {}
    timestamp_ns = min(_whole(headers.get(TIMESTAMP_HEADER)) or timestamp_ns, _INT64_MAX)
    attempts = min(job.attempt + _whole(headers.get(ATTEMPTS_HEADER)), ATTEMPTS_MAX)
    return timestamp_ns, attempts, message, job.body[1:]


def _whole(text: str | None) -> int:
    return int(text) if text is not None and len(text) < 20 and text.isascii() and text.isdigit() else 0
