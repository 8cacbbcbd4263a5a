"""The records in a file of a queue, also when the file is damaged. Pure: it is given the bytes.

A record of which the length is right leads to where the next begins, so a whole file is one chain of records. Nothing
else vouches for them: the format has no checksum. Where the chain breaks the rule is that none counts that is wrong:

* A record counts when its head can be one (`records.agreement`) and its length leads to a place where a record begins,
  or to where the file ends. A head at that place may be damaged itself, as long as one of its parts still tells.
* Where the length leads nowhere, either it is damaged, and the record does not count, or what follows is, and it does.
  It is the length if one other bit in it would lead to the next record that can be found, or if there is no room for a
  record before that. Damage of more than a bit is rather of whole blocks, and those leave no length that could be one.
* A length that leads too far can lead to a record's end too, over others. So a record within which a chain of records
  begins that ends where it ends does not count, unless the number of records in the queue says that all is well.
* After damage the search goes on from byte to byte for a head that can be one.

What cannot be seen is damage to a body, and to a head where what stands there could stand there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol

from penstock.nsq.data_directory.records import (
    HEAD_BYTES,
    LENGTH_BYTES,
    MESSAGE_BYTES_MIN,
    POSSIBLE_HEAD,
    Agreement,
    Head,
    agreement,
    can_be_cut,
    head_of,
)

_ZEROS_BYTES: Final = 64 * 1024
"""How much is looked at at once."""


class Bytes(Protocol):
    """A file: see `penstock.nsq.data_directory.file_bytes.FileBytes`."""

    def at(self, offset: int, count: int) -> bytes:
        """The bytes from ``offset`` on: ``count``, or as many as there are."""
        ...

    def places(self, pattern: re.Pattern[bytes], first: int, end: int) -> Iterator[int]:
        """Where the pattern, which looks at `HEAD_BYTES` bytes, matches: from ``first`` on, all before ``end``."""
        ...


class Why(Enum):
    """Why bytes are no record that counts."""

    LENGTH = "its length leads to no other record"
    HEAD = "its id or its time is damaged"
    CUT = "the file ends within it"
    MISSING = "the file ends before"
    NO_FILE = "there is no such file"
    TOO_LARGE = "it is larger than a message may be in a store"


STOPS_NSQD: Final = frozenset({Why.LENGTH, Why.CUT})
"""Damage at which nsqd reads no further in a file."""


class Found(NamedTuple):
    """A record that counts."""

    offset: int
    head: Head

    @property
    def end(self) -> int:
        """Where the next begins."""
        return self.offset + LENGTH_BYTES + self.head.size


class Lost(NamedTuple):
    """Bytes that are no record, or one that does not count."""

    offset: int
    size: int
    why: Why

    @property
    def end(self) -> int:
        """Where the next record begins, or the file ends."""
        return self.offset + self.size


class Knowledge(NamedTuple):
    """What is known of a file besides its bytes.

    Attributes:
        lowest: the agreement of id and time that this queue's heads have.
        ends_with_record: no record is cut off at the end of the file.
        boundaries: places at which a record begins, or the file ends, for sure.
        is_counted: there are as many records as there should be.
    """

    lowest: Agreement = Agreement.LOOSE
    ends_with_record: bool = False
    boundaries: Sequence[int] = ()
    is_counted: bool = False


class Recovery:
    """Goes through a part of a file, which begins where a record begins and ends with the file."""

    def __init__(self, data: Bytes, start: int, end: int, known: Knowledge) -> None:
        self._data = data
        self._start = start
        self._end = end
        self._known = known
        self._looked: tuple[int, Head | None] = (-1, None)

    def __iter__(self) -> Iterator[Found | Lost]:
        """All of the part: what is found and what is lost, one behind the other, without gaps."""
        at, is_after_damage = self._start, False
        while at < self._end:
            head = self._head(at)
            why = self._fault(at, head)
            if head is not None and why is None:
                found = Found(at, head)
                if self._counts(found, is_after_damage=is_after_damage):
                    yield found
                    at, is_after_damage = found.end, False
                    continue
            after = self._behind(at, head, why)
            if why is None or (why is Why.CUT and (after < self._end or self._known.ends_with_record)):
                why = Why.LENGTH
            yield Lost(at, after - at, why)
            at, is_after_damage = after, True

    # --- looking at one place ----------------------------------------------------------------------------------------
    def _head(self, at: int) -> Head | None:
        """What stands at this place, read as a head; None: the file ends before there is one."""
        if self._looked[0] != at:
            data = self._data.at(at, HEAD_BYTES) if at + HEAD_BYTES <= self._end else b""
            self._looked = (at, head_of(data) if len(data) == HEAD_BYTES else None)
        return self._looked[1]

    def _is_head(self, head: Head) -> bool:
        """Whether id and time are ones, as they are in this queue."""
        return agreement(head).value >= self._known.lowest.value

    def _fits(self, at: int, head: Head) -> bool:
        """Whether the length is one that a record here can have."""
        return MESSAGE_BYTES_MIN <= head.size <= self._end - at - LENGTH_BYTES

    def _fault(self, at: int, head: Head | None) -> Why | None:
        """What is wrong with a head as such; None: nothing."""
        if head is None:
            return Why.CUT
        if not self._is_head(head):
            return Why.HEAD if self._fits(at, head) else Why.LENGTH
        if head.size < MESSAGE_BYTES_MIN:
            return Why.LENGTH
        return None if self._fits(at, head) else Why.CUT

    def _is_end_or_head(self, at: int) -> bool:
        """Whether a head that is whole stands here, or the file ends here."""
        if at == self._end:
            return True
        head = self._head(at)
        return head is not None and self._is_head(head)

    def _begins(self, at: int) -> bool:
        """Whether a record begins here, which may be damaged, or the file ends here."""
        if self._is_end_or_head(at):
            return True
        head = self._head(at)
        if head is None:
            return not self._known.ends_with_record and can_be_cut(self._data.at(at, self._end - at))
        return self._fits(at, head) and self._is_end_or_head(at + LENGTH_BYTES + head.size)

    # --- judging a record --------------------------------------------------------------------------------------------
    def _counts(self, found: Found, *, is_after_damage: bool) -> bool:
        """Whether the length of this record, whose head is whole, is right."""
        if any(found.offset < place < found.end for place in self._known.boundaries):
            return False
        if self._begins(found.end):
            return self._known.is_counted or not self._holds_chain(found)
        if is_after_damage:
            return False
        after = self._next(found.offset + 1)
        if after == self._end and not self._known.ends_with_record and self._only_zeros_follow(found.end):
            return True
        unlike = (after - found.offset - LENGTH_BYTES) ^ found.head.size
        # There has to be room for a record whose head is damaged.
        return after - found.end >= HEAD_BYTES and unlike.bit_count() > 1

    def _only_zeros_follow(self, at: int) -> bool:
        """Whether the file ends with zeros that begin just here: blocks that were never written."""
        if self._data.at(at - 1, 1) == b"\0":
            return False
        while at < self._end:
            data = self._data.at(at, min(_ZEROS_BYTES, self._end - at))
            if data.count(0) != len(data):
                return False
            at += len(data)
        return True

    def _holds_chain(self, found: Found) -> bool:
        """Whether records begin within this one, one behind the other up to its end."""
        first = found.offset + LENGTH_BYTES
        nowhere = set[int]()
        return any(self._leads_to(place, found.end, nowhere) for place in self._places(first, found.end))

    def _leads_to(self, at: int, end: int, nowhere: set[int]) -> bool:
        """Whether a chain leads from one place to another. ``nowhere``: places from which none does; those that are
        passed in vain are added, so that no place is passed twice."""
        while at < end and at not in nowhere:
            nowhere.add(at)
            head = self._head(at)
            if head is None or not self._is_head(head) or not self._fits(at, head):
                return False
            at += LENGTH_BYTES + head.size
        return at == end

    # --- searching ---------------------------------------------------------------------------------------------------
    def _behind(self, at: int, head: Head | None, why: Why | None) -> int:
        """Where to go on behind damage: where the length leads, if that is right, else at the next head."""
        if head is not None and why is Why.HEAD and self._is_end_or_head(at + LENGTH_BYTES + head.size):
            return at + LENGTH_BYTES + head.size
        return self._next(at + 1)

    def _next(self, first: int) -> int:
        """The next place at which a whole head stands; the end of the file when there is none."""
        return next(self._places(first, self._end), self._end)

    def _places(self, first: int, end: int) -> Iterator[int]:
        """Where heads stand. Where an id tells no time, digits look like a head; there its length has to lead on."""
        for place in self._data.places(POSSIBLE_HEAD, first, end):
            head = self._head(place)
            if head is None or not self._is_head(head):
                continue
            is_sure = agreement(head) is Agreement.FULL
            if is_sure or (self._fits(place, head) and self._is_end_or_head(place + LENGTH_BYTES + head.size)):
                yield place
