"""The headers of messages that came from an nsqd: what NSQ tells of a message and a store has no place for. Pure."""

from __future__ import annotations

from typing import Final

TIMESTAMP_HEADER: Final = "nsq-timestamp"
"""When the message was published there: Unix nanoseconds."""
ATTEMPTS_HEADER: Final = "nsq-attempts"
"""How often it had been delivered there. It is added to the attempts that a consumer is told of."""
ID_HEADER: Final = "nsq-id"
"""Its id there, 16 characters. An export gives it back; consumers are told the id that it has here."""
