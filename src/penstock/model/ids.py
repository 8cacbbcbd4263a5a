"""Job ids: UUIDv7 (RFC 9562, method 1), made by the client.

An id is 48 bits of Unix milliseconds, 12 bits that count within a millisecond, and 62 random bits (less the six that
name version and variant). So ids rise with the time at which they were made.
"""

from __future__ import annotations

import os
import random
import threading
import time
import uuid

ID_BYTES = 16
_COUNTER_BITS = 12
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_VERSION_7 = 7 << 12
_VARIANT = 2 << 62
_TAILS = 64


class IdSource:
    """Makes ids that rise within one process. Thread-safe; forked children draw other random bits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._offset = 0
        self._tails: list[bytes] = []
        self.reseed()

    def take(self, count: int = 1) -> list[bytes]:
        """Make ``count`` ids of 16 bytes each, in rising order."""
        with self._lock:
            first = max(self._last + 1, (int(time.time() * 1000) << _COUNTER_BITS) + self._offset)
            self._last = first + count - 1
            ids: list[bytes] = []
            bits = self._random.getrandbits
            while count:
                counter = first & _COUNTER_MASK
                alike = min(count, _COUNTER_MASK + 1 - counter)
                base = ((first >> _COUNTER_BITS) << 16 | _VERSION_7) << 64 | _VARIANT
                places = range(counter, counter + alike)
                ids += [(base | place << 64 | bits(62)).to_bytes(16, "big") for place in places]
                first += alike
                count -= alike
            return ids

    def take_one(self) -> bytes:
        """Make one id of 16 bytes: `take` for those who make them one by one."""
        with self._lock:
            tick = (int(time.time() * 1000) << _COUNTER_BITS) + self._offset
            if tick <= self._last:
                tick = self._last + 1
            self._last = tick
            if not self._tails:
                bits = self._random.getrandbits
                self._tails = [(_VARIANT | bits(62)).to_bytes(8, "big") for _ in range(_TAILS)]
            high = (tick >> _COUNTER_BITS) << 16 | _VERSION_7 | (tick & _COUNTER_MASK)
            return high.to_bytes(8, "big") + self._tails.pop()

    def reseed(self) -> None:
        """Forget the parent's random state (after a fork).

        Each process starts its milliseconds at a counter of its own, so that processes enqueueing at the same moment
        do not all ask for the same row number.
        """
        self._lock = threading.Lock()
        self._random = random.Random(os.urandom(16))
        self._tails = []
        self._offset = self._random.randrange(1 << (_COUNTER_BITS - 1))


_SOURCE = IdSource()
os.register_at_fork(after_in_child=_SOURCE.reseed)


def new_ids(count: int) -> list[bytes]:
    """``count`` new job ids, 16 bytes each, rising."""
    return _SOURCE.take(count)


def new_id() -> bytes:
    """One new job id, 16 bytes."""
    return _SOURCE.take_one()


def id_text(job_id: bytes) -> str:
    """The usual text form, 36 characters."""
    return str(uuid.UUID(bytes=job_id))


def parse_id(text: str) -> bytes:
    """The 16 bytes of a text form.

    Raises:
        ValueError: it is not a UUID.
    """
    return uuid.UUID(text).bytes
