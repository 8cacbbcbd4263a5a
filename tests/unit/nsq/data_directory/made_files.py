"""Files of queues for tests, made byte by byte."""

from __future__ import annotations

import random
from pathlib import Path

from penstock.nsq.data_directory.records import Record, encoded

EPOCH = 1_288_834_974_288
START_NS = 1_790_000_000_123_456_789


def nsqd_id(timestamp_ns: int, sequence: int = 0, node: int = 17) -> bytes:
    """The id that an nsqd makes at this time."""
    return b"%016x" % ((((timestamp_ns >> 20) - EPOCH) << 22) | node << 12 | sequence)


def record(number: int, body: bytes | None = None, *, attempts: int = 0) -> Record:
    """The record with this number: a message a second."""
    timestamp_ns = START_NS + number * 1_000_000_007
    text = b"message %d" % number if body is None else body
    return Record(timestamp_ns, attempts, nsqd_id(timestamp_ns, number % 4096), text)


def some_records(count: int, seed: int = 0, *, longest: int = 90) -> list[Record]:
    """Records with bodies of all kinds: text, zeros, hexadecimal digits, chance."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        size = chance.randrange(longest)
        body = (chance.randbytes(size), b"\0" * size, b"0123456789abcdef" * (size // 16), b"text " * (size // 5))[
            number % 4
        ]
        made.append(record(number, body, attempts=number % 3))
    return made


def contents(records: list[Record]) -> bytes:
    """A file with these records."""
    return b"".join(encoded(one) for one in records)


def written(directory: Path, queue: str, files: list[list[Record]], *, first: int = 0, read_at: int = 0) -> None:
    """Write a queue with its position; reading stands in the first file."""
    for number, records in enumerate(files, first):
        (directory / f"{queue}.diskqueue.{number:06d}.dat").write_bytes(contents(records))
    last = first + len(files) - 1
    behind = [one for one, end in with_ends(files[0]) if end > read_at]
    depth = len(behind) + sum(len(records) for records in files[1:])
    text = f"{depth}\n{first},{read_at}\n{last},{len(contents(files[-1]))}\n"
    (directory / f"{queue}.diskqueue.meta.dat").write_text(text)


def with_ends(records: list[Record]) -> list[tuple[Record, int]]:
    """Each record with where it ends in its file."""
    ends, at = [], 0
    for one in records:
        at += len(encoded(one))
        ends.append((one, at))
    return ends
