"""A door over the in-memory store on a virtual clock, and clients that say what they like."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import pytest

from penstock.model.errors import PenstockError
from penstock.model.job import LeaseBatch, LeaseRequest
from penstock.nsq.door.client import Client
from penstock.nsq.door.door import Door
from penstock.nsq.options import DoorOptions
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.virtual_loop import run_virtual

T = TypeVar("T")
PARKED_S = 0.05
"""How often the stand-in for an owner looks again for what a parked lease waits for."""


class AsyncMemory:
    """The in-memory store as coroutines.

    Attributes:
        trouble: raised by every call of these names.
        held: calls of these names wait for the event.
        calls: the names of the calls that changed something, and what they were asked.
        leases: how many wait now.
    """

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.trouble: dict[str, PenstockError] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.calls: list[tuple[str, Any]] = []
        self.leases = 0

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            if name in self.held:
                await self.held[name].wait()
            await asyncio.sleep(0)
            if name in self.trouble:
                raise self.trouble[name]
            self.calls.append((name, arguments))
            return getattr(self.store, name)(*arguments, **named)

        return call

    def asked(self, name: str) -> list[Any]:
        """What calls of this name were asked."""
        return [arguments for called, arguments in self.calls if called == name]

    async def lease(self, request: LeaseRequest, *, wait_s: float = 0.0) -> LeaseBatch:
        until = asyncio.get_running_loop().time() + wait_s
        self.leases += 1
        try:
            while True:
                await asyncio.sleep(0)
                if "lease" in self.trouble:
                    raise self.trouble["lease"]
                self.store.tick()
                batch = self.store.lease(request)
                if batch.jobs or asyncio.get_running_loop().time() >= until:
                    if batch.jobs:
                        self.calls.append(("lease", (request,)))
                    return batch
                await asyncio.sleep(PARKED_S)
        finally:
            self.leases -= 1


class Transport(asyncio.Transport):
    """What a connection writes to."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000)})
        self.written = bytearray()
        self.writes = 0
        self.is_reading = True
        self.answers_heartbeats = True
        self.protocol: Client
        self.is_closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.writes += 1
        self.written += data
        if b"_heartbeat_" in data and self.answers_heartbeats:
            asyncio.get_running_loop().call_soon(self.protocol.data_received, b"NOP\n")

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


class Message(msgspec.Struct):
    """A message as its client sees it."""

    timestamp_ns: int
    attempts: int
    id: bytes
    body: bytes


class Peer:
    """A client. What was sent to it is taken out of `frames` once."""

    def __init__(self, door: Door, magic: bytes = b"  V2") -> None:
        self.transport = Transport()
        self.connection = door.connect()
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)
        self.connection.data_received(magic)

    def say(self, *lines: bytes) -> None:
        """Send lines."""
        self.connection.data_received(b"".join(line + b"\n" for line in lines))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.data_received(data)

    def take(self) -> list[bytes | Message]:
        """What was sent to it since: answers as they are, errors too, messages as such."""
        found: list[bytes | Message] = []
        data, at = bytes(self.transport.written), 0
        while at < len(data):
            size, kind = struct.unpack_from(">ii", data, at)
            frame = data[at + 8 : at + 4 + size]
            if kind == 2:
                timestamp_ns, attempts, message = struct.unpack_from(">qH16s", frame)
                found.append(Message(timestamp_ns, attempts, message, frame[26:]))
            else:
                found.append(frame)
            at += 4 + size
        self.transport.written.clear()
        return found

    async def hears(self, count: int = 1, wait_s: float = 30.0) -> list[Any]:
        """The next frames but for heartbeats, at least so many."""
        found: list[Any] = []
        until = asyncio.get_running_loop().time() + wait_s
        while len(found) < count:
            found += [frame for frame in self.take() if frame != b"_heartbeat_"]
            if len(found) < count:
                assert asyncio.get_running_loop().time() < until, f"{count} frames were expected, not {found}"
                await asyncio.sleep(PARKED_S)
        return found

    async def ask(self, *lines: bytes) -> Any:
        """Say something and hear one answer."""
        return await self.asks(b"".join(line + b"\n" for line in lines))

    async def asks(self, data: bytes) -> Any:
        """Send bytes as they are and hear one answer."""
        self.send(data)
        (answer,) = await self.hears()
        return answer

    async def consume(self, topic: bytes = b"topic", channel: bytes = b"channel", ready: int = 1) -> None:
        """Subscribe, and be ready for messages."""
        assert await self.ask(b"SUB %s %s" % (topic, channel)) == b"OK"
        self.say(b"RDY %d" % ready)

    def leave(self) -> None:
        """Cut the connection."""
        self.transport.close()


def pub(body: bytes, topic: bytes = b"topic") -> bytes:
    """A PUB."""
    return b"PUB %s\n" % topic + struct.pack(">i", len(body)) + body


def dpub(body: bytes, delay_ms: int, topic: bytes = b"topic") -> bytes:
    """A DPUB."""
    return b"DPUB %s %d\n" % (topic, delay_ms) + struct.pack(">i", len(body)) + body


def mpub(*bodies: bytes, topic: bytes = b"topic") -> bytes:
    """An MPUB."""
    messages = b"".join(struct.pack(">i", len(body)) + body for body in bodies)
    return b"MPUB %s\n" % topic + struct.pack(">ii", len(messages) + 4, len(bodies)) + messages


class World:
    """A door, its store and its clients.

    Attributes:
        store: as the door sees it. memory: as it is.
    """

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock()
        self.memory = MemoryStore(self.clock)
        self.store = AsyncMemory(self.memory)
        self.options = DoorOptions(**options)
        self.door: Door

    def open(self, name: bytes = b"door") -> Door:
        """One more door, on the running loop."""
        door = Door(
            self.store,  # type: ignore[arg-type]  # it answers to every name
            self.options,
            name=name,
            clock=self.clock.time,
            steady=self.clock.monotonic,
        )
        door.start()
        return door

    def peer(self) -> Peer:
        """A new client."""
        return Peer(self.door)

    def run(self, story: Callable[[World], Coroutine[Any, Any, T]]) -> T:
        """Let a story happen, on a loop on which waiting takes no time."""

        async def told() -> T:
            self.door = self.open()
            try:
                return await story(self)
            finally:
                await self.door.drain()

        return run_virtual(told(), self.clock)

    def counts(self, channel: str = "channel", topic: str = "topic") -> dict[str, int]:
        """How many messages of a channel are in which state; those of which there are none are left out."""
        (view,) = self.memory.topics(topic=topic).topics
        (found,) = [one.counts for one in view.channels if one.name == channel]
        names = ("ready", "running", "scheduled", "dead", "succeeded")
        return {name: getattr(found, name) for name in names if getattr(found, name)}


async def pass_time(duration_s: float) -> None:
    """Let so much of the virtual time pass."""
    await asyncio.sleep(duration_s)


async def until(holds: Callable[[], bool], wait_s: float = 60.0) -> None:
    """Wait for something to become true."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, "it has not become true"
        await asyncio.sleep(PARKED_S)


@pytest.fixture
def world() -> World:
    """A door with nsqd's options."""
    return World()
