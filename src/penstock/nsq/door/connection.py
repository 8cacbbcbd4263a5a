"""A connection: reads what arrives, writes what is due once a turn of the loop, and notices when nobody is there.

What commands do is in `penstock.nsq.door.client`. One that has to ask somebody (SUB, AUTH) holds up those behind it.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from penstock.model import limits
from penstock.nsq.door.answers import Answered, Answers, Owed
from penstock.nsq.door.heartbeats import Heartbeats
from penstock.nsq.door.session import Session
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol import frames
from penstock.nsq.protocol.commands import Command, CommandReader
from penstock.nsq.protocol.errors import LayerError, ProtocolError
from penstock.nsq.protocol.layers import Layers


class Host(Protocol):
    """What a connection needs of the door."""

    options: DoorOptions
    loop: asyncio.AbstractEventLoop
    logger: logging.Logger
    monotonic: Callable[[], float]


class Connection(asyncio.Protocol, Answered):
    """Attributes:
    number: of this connection at its door.
    session: how far it has come.
    answers: what it owes to its client for what was published.
    heartbeats: which it sends.
    layers: what is between the socket and the protocol; None: nothing.
    remote_address: of its client, for people; of one of this machine the path of the socket.
    is_open: it may be written to.
    """

    __slots__ = (
        "_busy",
        "_due",
        "_has_ended",
        "_host",
        "_is_stalled",
        "_out",
        "_reader",
        "answers",
        "heartbeats",
        "is_open",
        "layers",
        "number",
        "remote_address",
        "session",
        "transport",
    )

    def __init__(self, host: Host, number: int, due: Callable[[Any], None]) -> None:
        """``due`` has `turn` called at the end of this turn of the loop."""
        options = host.options
        self._host = host
        self._due = due
        self.number = number
        self.session = Session(needs_tls=options.tls_required != "false")
        self.answers = Answers()
        self.remote_address = ""
        self.is_open = False
        self.heartbeats = Heartbeats(self, host.loop, host.monotonic)
        self.layers: Layers | None = None
        self.transport: Any = None
        self._reader = CommandReader(
            options.max_msg_size_bytes,
            options.max_body_size_bytes,
            int(options.max_req_timeout_s * 1_000),
            self.session.check,
        )
        self._out: list[bytes] = []
        self._busy: asyncio.Task[None] | None = None
        self._is_stalled = False
        self._has_ended = False

    def __str__(self) -> str:
        return self.remote_address

    # --- what commands do ---------------------------------------------------------------------------------------------
    @abstractmethod
    def carry_out(self, verb: str, command: Command) -> None:
        """Do what a command asks for.

        Raises:
            ProtocolError: it cannot be done.
        """

    @abstractmethod
    def opened(self) -> None:
        """The client has connected."""

    @abstractmethod
    def closed(self) -> None:
        """The client has gone."""

    @abstractmethod
    def refill(self) -> None:
        """There may be room for messages."""

    # --- the transport ------------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = transport
        self.transport.set_write_buffer_limits(limits.NSQ_WRITE_BUFFER_BYTES)
        self.remote_address = _shown(transport)
        self.is_open = True
        self.heartbeats.begin(limits.NSQ_CLIENT_TIMEOUT_S / 2)
        self.opened()

    def data_received(self, data: bytes) -> None:
        """Something has arrived."""
        self.heartbeats.heard_at = self._host.monotonic()
        if self.layers is None:
            self._reader.feed(data)
            self._work()
        else:
            self._feed_layers(self.layers, data)

    def eof_received(self) -> bool:
        """The client sends nothing more. It gets its answers, then the connection ends."""
        self._has_ended = True
        self.due()
        return True

    def pause_writing(self) -> None:
        """The client takes nothing at the moment."""
        self.heartbeats.clogged_at = self._host.monotonic()

    def resume_writing(self) -> None:
        """It does again."""
        self.heartbeats.clogged_at = None
        self.go_on()
        self.due()

    @property
    def remote_ip(self) -> str:
        """Of its client's end; empty: that is on a socket of this machine."""
        peer = self.transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def is_clogged(self) -> bool:
        """Whether the client does not take what it is sent."""
        return self.heartbeats.clogged_at is not None

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is over."""
        self.is_open = False
        self._out.clear()
        self.heartbeats.end()
        self.answers = Answers()
        if self._busy is not None:
            self._busy.cancel()
        self.closed()

    def end(self) -> None:
        """Close the connection. What is due already goes out."""
        if self.is_open:
            self.is_open = False
            self._write()
            self.transport.pause_reading()
            self.transport.close()
            self._host.loop.call_later(limits.NSQ_CLOSE_S, self.transport.abort)

    # --- layers -------------------------------------------------------------------------------------------------------
    def put_layers(self, layers: Layers) -> None:
        """What follows is encrypted, or compressed. What was to be sent so far goes out as it is."""
        self._write()
        self.layers = layers
        if not layers.is_ready:
            self._host.loop.call_later(limits.NSQ_HANDSHAKE_S, self._check_handshake)
        rest = self._reader.take_rest()
        if rest:
            self._feed_layers(layers, rest)
        self.due()

    def _check_handshake(self) -> None:
        if self.layers is not None and not self.layers.is_ready and self.is_open:
            self._host.logger.error("client(%s) - no handshake", self)
            self.transport.abort()

    def _feed_layers(self, layers: Layers, data: bytes) -> None:
        try:
            layers.feed(data)
        except LayerError as error:
            self._give_up(error)
            return
        if self.session.needs_tls and layers.tls is not None:
            self.session.needs_tls = False
        self._take(layers)
        self.due()

    def _take(self, layers: Layers) -> None:
        """Read what has come through the layers, as far as may be now."""
        try:
            while self.reads:
                plain = layers.take()
                if not plain:
                    return
                self._reader.feed(plain)
                self._work()
        except LayerError as error:
            self._give_up(error)

    def _give_up(self, error: LayerError) -> None:
        self._host.logger.error("client(%s) - %s", self, error)
        self.end()

    # --- reading ------------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        """Carry out the commands that have arrived, as far as may be now."""
        reader, check, carry_out = self._reader, self.session.check, self.carry_out
        left = limits.NSQ_COMMAND_TURN_MAX
        try:
            while self.reads:
                command = reader.next()
                if command is None:
                    return
                verb = command[0]
                check(verb)
                carry_out(verb, command)
                left -= 1
                if not left:
                    self.stall()
                    self._host.loop.call_soon(self.go_on)
        except ProtocolError as error:
            self.fail(error)

    @property
    def reads(self) -> bool:
        """Whether commands may be carried out now."""
        return self.is_open and not self._is_stalled and self._busy is None

    def _read_on(self) -> None:
        self._work()
        if self.layers is not None:
            self._take(self.layers)

    def stall(self) -> None:
        """Read nothing more for now."""
        if not self._is_stalled:
            self._is_stalled = True
            self.transport.pause_reading()

    def stop_reading(self) -> None:
        """Read nothing more at all: the door is about to stop."""
        self.answers.ends = True
        self.stall()

    def go_on(self) -> None:
        """Read again."""
        if self._is_stalled and self.is_open and not self.answers.ends:
            self._is_stalled = False
            if self._busy is None:
                self.transport.resume_reading()
            self._read_on()

    def wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out a command that has to ask somebody. Those behind it wait."""
        self.transport.pause_reading()
        self._busy = self._host.loop.create_task(self._finish(work))

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ProtocolError as error:
            self.fail(error)
        finally:
            self._busy = None
            self.due()
        if self.is_open and not self._is_stalled:
            self.transport.resume_reading()
            self._read_on()

    # --- writing ------------------------------------------------------------------------------------------------------
    def due(self) -> None:
        """Something is to be done here at the end of this turn of the loop."""
        self._due(self)

    def send(self, data: bytes) -> None:
        """Send this at the end of the turn."""
        self._out.append(data)
        self._due(self)

    def respond(self, frame: bytes) -> None:
        """Answer, behind what is owed for commands before."""
        self._check_clogged()
        if not self.answers:
            self.send(frame)
            return
        owed = Owed(self, "")
        owed.frame, owed.done = frame, True
        self.answers.owe(owed)

    def _check_clogged(self) -> None:
        """A client that does not take its answers is asked for no more commands: `resume_writing` goes on."""
        if self.is_clogged:
            self.stall()

    def fail(self, error: ProtocolError) -> None:
        """Answer with an error. Unless clients may go on after it, the connection ends with it."""
        self._host.logger.error("[%s] - %s", self, error)
        frame = frames.error_frame(error)
        if not error.fatal:
            self._check_clogged()
            self.send(frame)
            return
        owed = Owed(self, "")
        owed.frame, owed.done, owed.is_fatal = frame, True, True
        self.answers.owe(owed)
        self.answers.ends = True
        self.stall()
        self.due()

    def answered(self) -> None:
        """One of its answers has become known."""
        if self.is_open:
            self._due(self)

    def turn(self) -> None:
        """The end of a turn of the loop in which something happened here."""
        if not self.is_open:
            return
        self.refill()
        self._write()
        if self.answers.ended or (self._has_ended and self.reads and not self.answers):
            self.end()

    def _write(self) -> None:
        out = self._out
        if self.answers:
            owed = self.answers.frames()
            if owed:
                out.append(owed)
        if self.layers is not None:
            data = self.layers.wrap(b"".join(out))
            out.clear()
            if data:
                self.transport.write(data)
        elif out:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    # --- heartbeats ---------------------------------------------------------------------------------------------------
    def set_heartbeat(self, interval_s: float) -> None:
        """Send heartbeats so often from now on; 0: none, and the client may be silent for ever."""
        self.heartbeats.begin(interval_s)

    def beat(self) -> None:
        """It is time for a heartbeat."""
        self.send(frames.HEARTBEAT)

    def give_up(self) -> None:
        """The client answers no heartbeats, or takes nothing."""
        self._host.logger.error("client(%s) - no answer to heartbeats", self)
        self.transport.abort()


def _shown(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple):
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(peer or transport.get_extra_info("sockname") or "@")
