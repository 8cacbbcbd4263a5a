"""Holders that deliver: doors that hand messages to clients of another protocol, each connection a holder of its own.

What a worker loses with an executor is held against the job, because the job may have killed it. A client that goes,
or is not heard of in time, says nothing of the message: it is delivered once more. So a lease of such a holder that
ends by itself, is not listed in a reconciliation or is settled as `Lost` is an attempt, as a client's own negative
answer is. It is neither a loss nor a stray, however often it happens, and nobody runs alone for it.

The identity of such a holder is `DELIVERING`, the name of its door, and the number of the connection. So all that a
door has leased can be told by the front of the identity (`door_holders`), and a door that is started again under its
name takes back at once what its predecessor had delivered. Pure.
"""

from __future__ import annotations

from typing import Final

from penstock.model.errors import InvalidOption
from penstock.model.job_error import JobError

DELIVERING: Final = b"\xffdoor\xff\xff\xff"
"""The front of the identity of every holder that delivers. A worker's is random."""
DOOR_BYTES: Final = 4
"""The size of a door's name."""
_CONNECTION_BYTES: Final = 4
HOLDER_BYTES: Final = 16
"""The size of a whole identity."""
_FRONT_BYTES_MIN: Final = len(DELIVERING)

UNANSWERED: Final = JobError("Unanswered", "It was delivered, and the consumer went or was not heard of in time.")
"""Why a message that was delivered is to be delivered once more."""


def door_holders(door: bytes) -> bytes:
    """The front of the identities of all holders of a door: what `Store.reconcile` takes for all of them."""
    assert len(door) == DOOR_BYTES, "a door's name has four bytes"
    return DELIVERING + door


def delivering_holder(door: bytes, connection: int) -> bytes:
    """The identity of one connection of a door. After four billion connections the numbers begin anew."""
    number = connection % (1 << 8 * _CONNECTION_BYTES)
    return door_holders(door) + number.to_bytes(_CONNECTION_BYTES, "big")


def check_holders(front: bytes) -> None:
    """Pass when this may stand for all holders whose identities begin with it, or for the one whose identity it is.

    Raises:
        InvalidOption: it has too few or too many bytes.
    """
    if not _FRONT_BYTES_MIN <= len(front) <= HOLDER_BYTES:
        raise InvalidOption(
            f"A holder has {HOLDER_BYTES} bytes, the front of several at least {_FRONT_BYTES_MIN}; not {len(front)}.",
            field="holder",
        )


def delivers(holder: bytes) -> bool:
    """Whether what this holder has leased is delivered to a client of another protocol."""
    return holder.startswith(DELIVERING)
