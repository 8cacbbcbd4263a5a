"""A client of the door: what its commands do.

A command is carried out as soon as it is there. What is published is answered in its place when the store has it
(`penstock.nsq.door.answers`); what is said of messages is not answered, unless it comes too late.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from penstock.nsq.door import connection
from penstock.nsq.door.authorization import Asker, Authorization, Authorizing
from penstock.nsq.door.connection import Connection
from penstock.nsq.door.delivering import Consumer
from penstock.nsq.door.publishing import Publishing
from penstock.nsq.door.session import State
from penstock.nsq.protocol import commands, errors, frames
from penstock.nsq.protocol.commands import Command
from penstock.nsq.protocol.errors import ProtocolError
from penstock.nsq.protocol.identify import Negotiated, negotiate
from penstock.nsq.protocol.layers import Layers


class Host(connection.Host, Protocol):
    """What a client needs of the door."""

    time: Callable[[], float]
    publishing: Publishing
    tls: ssl.SSLContext | None
    authorizing: Authorizing

    def opened(self, client: Client) -> None:
        """A client has connected."""
        ...

    def closed(self, client: Client) -> None:
        """It has gone."""
        ...

    async def subscribe(self, client: Client, topic: str, channel: str) -> Consumer:
        """Make it a consumer of a channel.

        Raises:
            ProtocolError: it cannot be.
        """
        ...


class Client(Connection):
    """Attributes:
    authorization: what it may do, once it has shown a secret; None: it has not.
    consumer: once it has subscribed.
    negotiated: what was agreed on with IDENTIFY; None: nothing yet.
    published: messages by topic.
    connected_at: Unix seconds.
    """

    __slots__ = ("_door", "authorization", "connected_at", "consumer", "negotiated", "published")

    def __init__(self, door: Host, number: int, due: Callable[[Any], None]) -> None:
        super().__init__(door, number, due)
        self._door = door
        self.authorization: Authorization | None = None
        self.consumer: Consumer | None = None
        self.negotiated: Negotiated | None = None
        self.published: Counter[str] = Counter()
        self.connected_at = 0.0

    def opened(self) -> None:
        """The client has connected."""
        self.connected_at = self._door.time()
        self._door.opened(self)

    def closed(self) -> None:
        """The client has gone. Others get what it had."""
        self._door.closed(self)

    def carry_out(self, verb: str, command: Command) -> None:
        """Do what a command asks for."""
        _DO[verb](self, command)

    # --- who it is ----------------------------------------------------------------------------------------------------
    def identify(self, command: Command) -> None:
        """IDENTIFY: agree on what it asks for."""
        if self.layers is not None:
            raise ProtocolError(errors.E_INVALID, "cannot IDENTIFY in current state", commands.IDENTIFY)
        tls = self._door.tls
        agreed = negotiate(command[1], self._door.options, has_tls=tls is not None)
        self.negotiated = agreed
        self.set_heartbeat(agreed.heartbeat_interval_s)
        self.respond(frames.response(agreed.answer))
        if agreed.has_layers and self.answers:
            self.wait_for(self._put_layers_behind_answers(agreed))
        elif agreed.has_layers:
            self.put_layers(Layers(agreed, tls))

    async def _put_layers_behind_answers(self, agreed: Negotiated) -> None:
        """What it has published before is answered as it was asked: in plain."""
        await self._door.publishing.drained()
        self.put_layers(Layers(agreed, self._door.tls))

    def authorize(self, command: Command) -> None:
        """AUTH: find out what it may do."""
        self.wait_for(self._authorize(command[1]))

    async def _authorize(self, secret: bytes) -> None:
        facts = None if self.layers is None else self.layers.tls
        asker = Asker(self.remote_ip, facts is not None, "" if facts is None else facts.common_name)
        self.authorization = await self._door.authorizing.authorize(self.authorization, asker, secret)
        self.respond(frames.response(self.authorization.permissions.told()))

    # --- consuming ----------------------------------------------------------------------------------------------------
    def subscribe(self, command: Command) -> None:
        """SUB: it becomes a consumer."""
        if self.heartbeats.interval_s <= 0:
            raise ProtocolError(errors.E_INVALID, "cannot SUB with heartbeats disabled", commands.SUB)
        self.wait_for(self._subscribe(command[1], command[2]))

    async def _subscribe(self, topic: str, channel: str) -> None:
        if self._door.authorizing:
            await self._door.authorizing.may(self.authorization, commands.SUB, topic, channel)
        self.consumer = await self._door.subscribe(self, topic, channel)
        self.session.subscribe(topic, channel)
        self.respond(frames.OK)

    def ready(self, command: Command) -> None:
        """RDY: how many messages it takes at the same time."""
        self.session.ready(command[1], self._door.options.max_rdy_count)
        if self.consumer is not None:
            self.consumer.ready_changed()

    def finish(self, command: Command) -> None:
        """FIN: it is done with these."""
        if self.consumer is not None:
            self.consumer.finish(command[1])

    def requeue(self, command: Command) -> None:
        """REQ: it wants a message to be delivered again."""
        if self.consumer is not None:
            self.consumer.requeue(command[1], command[2])

    def touch(self, command: Command) -> None:
        """TOUCH: it needs longer for a message."""
        if self.consumer is not None:
            self.consumer.touch(command[1])

    def stop(self, _command: Command) -> None:
        """CLS: it takes no more messages."""
        self.session.close()
        if self.consumer is not None:
            self.consumer.ready_changed()
        self.respond(frames.CLOSE_WAIT)

    def nothing(self, _command: Command) -> None:
        """NOP: it is there."""

    # --- publishing ---------------------------------------------------------------------------------------------------
    def publish(self, command: Command) -> None:
        """PUB: one message."""
        self._publish(commands.PUB, command[1], (command[2],), None)

    def publish_many(self, command: Command) -> None:
        """MPUB: many messages."""
        self._publish(commands.MPUB, command[1], command[2], None)

    def publish_later(self, command: Command) -> None:
        """DPUB: one message, after a delay."""
        self._publish(commands.DPUB, command[1], (command[3],), command[2] / 1_000)

    def _publish(self, verb: str, topic: str, bodies: Sequence[bytes], delay_s: float | None) -> None:
        authorizing = self._door.authorizing
        if authorizing and not authorizing.may_at_once(self.authorization, verb, topic, ""):
            self.wait_for(self._publish_if_allowed(verb, topic, bodies, delay_s))
            return
        self.published[topic] += len(bodies)
        publishing = self._door.publishing
        if not publishing.add(self, verb, topic, bodies, delay_s):
            self.stall()
            publishing.when_room(self.go_on)
        elif self.is_clogged:
            self.stall()  # It does not take its answers: `resume_writing` goes on.

    async def _publish_if_allowed(self, verb: str, topic: str, bodies: Sequence[bytes], delay_s: float | None) -> None:
        await self._door.authorizing.may(self.authorization, verb, topic, "")
        self.published[topic] += len(bodies)
        publishing = self._door.publishing
        if not publishing.add(self, verb, topic, bodies, delay_s):
            room = self._door.loop.create_future()
            publishing.when_room(partial(_set, room))
            await room

    # --- what a consumer needs of it ----------------------------------------------------------------------------------
    @property
    def takes_messages(self) -> bool:
        """Whether messages may be leased for it."""
        return self.is_open and not self.is_clogged and self.session.state is State.SUBSCRIBED

    @property
    def ready_count(self) -> int:
        """How many messages it takes at the same time."""
        return self.session.ready_count

    def refill(self) -> None:
        """There may be room for messages."""
        if self.consumer is not None:
            self.consumer.refill()

    def settled_late(self, verb: str, message: bytes) -> None:
        """The lease of a message had ended when what the client said of it came to the store."""
        code = _FAILED_LATE.get(verb)
        if code is not None and self.is_open:
            text = f"{verb} {message.decode('utf-8', 'surrogateescape')} failed ID not in flight"
            self.fail(ProtocolError(code, text, verb))

    def lost(self, fences: set[int]) -> None:
        """These leases have ended."""
        if self.consumer is not None:
            self.consumer.in_flight.lost(fences)
            self.due()


_FAILED_LATE: Final = {commands.FIN: errors.E_FIN_FAILED, commands.REQ: errors.E_REQ_FAILED}


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_DO: Final[dict[str, Callable[[Client, Command], None]]] = {
    commands.IDENTIFY: Client.identify,
    commands.AUTH: Client.authorize,
    commands.SUB: Client.subscribe,
    commands.RDY: Client.ready,
    commands.FIN: Client.finish,
    commands.REQ: Client.requeue,
    commands.TOUCH: Client.touch,
    commands.CLS: Client.stop,
    commands.NOP: Client.nothing,
    commands.PUB: Client.publish,
    commands.MPUB: Client.publish_many,
    commands.DPUB: Client.publish_later,
}
