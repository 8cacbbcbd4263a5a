"""The ids of messages and of their copies. Pure.

A message has one id in all channels, and each copy of it, a job, an id of its own: that of the message with the slot of
the channel in seven bits that are 0 in the former. So a store that is asked again makes the same ids, and whoever holds
a copy knows the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.model.ids import ID_BYTES, new_ids

SLOTS: Final = 128
"""Each channel of a topic has a slot of its own, from 0 on: the lowest that is free when the channel is made."""
_SLOT_SHIFT: Final = 53
_SLOT_MASK: Final = (SLOTS - 1) << _SLOT_SHIFT
_LANES_MIN: Final = 8
_KEPT: Final = ((1 << 128) - 1 - _SLOT_MASK).to_bytes(ID_BYTES, "big")
_MS_MASK: Final = (1 << 42) - 1
_COUNTER_MASK: Final = (1 << 12) - 1
_TAIL_MASK: Final = (1 << 10) - 1


def new_message_ids(count: int) -> list[bytes]:
    """``count`` new ids of messages, rising. Each is a UUIDv7 in which the bits of the slot are 0."""
    ids = new_ids(count)
    if count < _LANES_MIN:
        return [message_id(one) for one in ids]
    # As lanes of one large number: the bits of all of them are cleared at once.
    kept = int.from_bytes(_KEPT * count, "big") & int.from_bytes(b"".join(ids), "big")
    cleared = kept.to_bytes(ID_BYTES * count, "big")
    return [cleared[at : at + ID_BYTES] for at in range(0, ID_BYTES * count, ID_BYTES)]


def message_id(copy: bytes) -> bytes:
    """The id of a message, by that of any of its copies. That of a message is its own."""
    low = int.from_bytes(copy[8:], "big") & ~_SLOT_MASK
    return copy[:8] + low.to_bytes(8, "big")


def copy_id(message: bytes, slot: int) -> bytes:
    """The id of the job that is the copy of a message in the channel with this slot.

    So a store that is asked again makes the same ids, and whoever holds a copy knows the message.
    """
    low = int.from_bytes(message[8:], "big") | slot << _SLOT_SHIFT
    return message[:8] + low.to_bytes(8, "big")


def message_number(copy: bytes) -> int:
    """A number of 64 bits for a message, the same for all its copies: milliseconds (42 bits, which last until 2109),
    then what counts within a millisecond (12), then random bits (10)."""
    high, low = int.from_bytes(copy[:8], "big"), int.from_bytes(copy[8:], "big")
    return (high >> 16 & _MS_MASK) << 22 | (high & _COUNTER_MASK) << 10 | low & _TAIL_MASK


def message_time(copy: bytes) -> float:
    """When a message was made, by the clock of who published it: Unix seconds, to the millisecond."""
    return int.from_bytes(copy[:6], "big") / 1_000


def free_slot(taken: Sequence[int]) -> int:
    """The slot of a topic's next channel: the lowest that no other has."""
    return next(slot for slot in range(SLOTS) if slot not in taken)
