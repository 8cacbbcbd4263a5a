"""How far a connection has come, and what a client may ask then. Pure.

A connection begins in INIT. SUB makes it one of a consumer, CLS one of a consumer that takes no more messages and
answers those it has. Who publishes stays in INIT. Whether a command may come now is looked at before its parameters.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from penstock.nsq.protocol import commands, errors
from penstock.nsq.protocol.errors import ProtocolError


class State(IntEnum):
    """The numbers are those that nsqd shows in its statistics."""

    INIT = 0
    SUBSCRIBED = 3
    CLOSING = 4


_INIT: Final = frozenset({State.INIT})
_SUBSCRIBED: Final = frozenset({State.SUBSCRIBED})
_CONSUMING: Final = frozenset({State.SUBSCRIBED, State.CLOSING})
_STATES: Final = {
    commands.IDENTIFY: _INIT,
    commands.AUTH: _INIT,
    commands.SUB: _INIT,
    commands.RDY: _CONSUMING,
    commands.FIN: _CONSUMING,
    commands.REQ: _CONSUMING,
    commands.TOUCH: _CONSUMING,
    commands.CLS: _SUBSCRIBED,
}
"""In which states a command may come. One that is not here may come in any."""


class Session:
    """What a connection is.

    Attributes:
        state: how far it has come.
        ready_count: how many messages the client takes at the same time: its last RDY.
        topic, channel: what it has subscribed to.
        needs_tls: nothing but IDENTIFY may come before the connection is encrypted.
    """

    __slots__ = ("channel", "needs_tls", "ready_count", "state", "topic")

    def __init__(self, *, needs_tls: bool = False) -> None:
        self.state = State.INIT
        self.ready_count = 0
        self.topic = ""
        self.channel = ""
        self.needs_tls = needs_tls

    def check(self, verb: str) -> None:
        """Pass when this command may come now.

        Raises:
            ProtocolError: it may not.
        """
        if self.needs_tls and verb != commands.IDENTIFY:
            raise ProtocolError(errors.E_INVALID, f"cannot {verb} in current state (TLS required)", verb)
        states = _STATES.get(verb)
        if states is not None and self.state not in states:
            raise ProtocolError(errors.E_INVALID, f"cannot {verb} in current state", verb)

    def subscribe(self, topic: str, channel: str) -> None:
        """The client is a consumer of this channel from now on."""
        self.state = State.SUBSCRIBED
        self.topic, self.channel = topic, channel

    def ready(self, count: int, count_max: int) -> None:
        """The client takes so many messages at the same time. After CLS that is ignored.

        Raises:
            ProtocolError: it is out of range.
        """
        if self.state is State.CLOSING:
            return
        if not 0 <= count <= count_max:
            raise ProtocolError(errors.E_INVALID, f"RDY count {count} out of range 0-{count_max}", commands.RDY)
        self.ready_count = count

    def close(self) -> None:
        """The client takes no more messages."""
        self.state = State.CLOSING
        self.ready_count = 0
