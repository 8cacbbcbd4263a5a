"""What a door reads in the bodies of messages: what makes two of them the same, and whose turn they are. Pure."""

from __future__ import annotations

from hashlib import sha256

from penstock.model.flow_texts import bounded
from penstock.nsq.body_parts import BodyPart


class MessageTexts:
    """The texts that a door computes of each message. False: none.

    Args:
        dedupe_by: two messages with the same of it are one; None: nothing is looked for.
        order_by: messages with the same of it are worked one after another; None: there is no order.
    """

    def __init__(self, dedupe_by: BodyPart | None = None, order_by: BodyPart | None = None) -> None:
        self._dedupe_by = dedupe_by
        self._order_by = order_by

    def __bool__(self) -> bool:
        return self._dedupe_by is not None or self._order_by is not None

    def idempotency_key(self, body: bytes) -> str | None:
        """By which a duplicate of this message is known; None: it has no such part, and is never one."""
        part = None if self._dedupe_by is None else self._dedupe_by.of(body)
        return None if part is None else f"nsq:{sha256(part).hexdigest()}"

    def key(self, body: bytes) -> str | None:
        """The key that the message is ordered by; None: it has none, and no order."""
        part = None if self._order_by is None else self._order_by.of(body)
        return None if part is None else bounded(part.decode("utf-8", "backslashreplace"))
