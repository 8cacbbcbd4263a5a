"""The NSQ door: what all connections of the process share.

What connections gather in a turn of the event loop goes on at its end, in this order: outcomes, so that they make room;
leases for that room, and what is to be written; messages that were published.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time
from typing import Any

from penstock.model import limits
from penstock.model.deliveries import DOOR_BYTES, delivering_holder, door_holders
from penstock.nsq.door.authorization import Authorizing
from penstock.nsq.door.channels import Channel
from penstock.nsq.door.client import Client
from penstock.nsq.door.dead_letters import DeadLetters
from penstock.nsq.door.delivering import Consumer
from penstock.nsq.door.message_texts import MessageTexts
from penstock.nsq.door.nearness import distance
from penstock.nsq.door.publishing import Publishing
from penstock.nsq.door.sampling import Sampling
from penstock.nsq.door.settling import Settling
from penstock.nsq.door.sharing import Sharing
from penstock.nsq.door.subscriptions import Subscriptions
from penstock.nsq.options import DoorOptions
from penstock.ports import AsyncStore
from penstock.process.loop_faults import place_of
from penstock.process.repeated_faults import Faults


def door_name(address: str) -> bytes:
    """The name of the door at this address of this machine. One that is started again there is the same door."""
    return hashlib.sha256(f"{socket.gethostname()} {address}".encode()).digest()[:DOOR_BYTES]


class Door:
    """Serves NSQ clients from a store.

    Args:
        store: where messages are. Its client asks `held` after each reconnect.
        options: as the process was started.
        name: from `door_name`.
        tls: with which connections can be encrypted; None: they cannot.
        clock: Unix seconds. steady: monotonic seconds.

    Attributes:
        connections: by their number. connections_max: how many there may be; who comes then is not let in.
        subscriptions: the channels that have or had consumers here.
        faults: what fails again and again.
        started_at: Unix seconds.
    """

    def __init__(
        self,
        store: AsyncStore,
        options: DoorOptions,
        *,
        name: bytes,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time,
        steady: Callable[[], float] = monotonic,
    ) -> None:
        self.store = store
        self.options = options
        self.name = name
        self.tls = tls
        self.time = clock
        self.monotonic = steady
        self.loop = asyncio.get_running_loop()
        self.logger = logging.getLogger("penstock.nsqd")
        self.faults = Faults(self.logger)
        self.connections: dict[int, Client] = {}
        self.connections_max = limits.NSQ_CONNECTIONS_MAX
        self.started_at = clock()
        self.settling = Settling(
            store,
            door_holders(name),
            clock=clock,
            keep_record_s=options.retention_s,
            due=self._schedule_turn,
            failed=lambda error: self._failed("settling", error),
        )
        self.sharing = Sharing(
            store,
            self.settling,
            due=self._schedule_turn,
            failed=lambda error: self._failed("delivering", error),
            monotonic=steady,
        )
        self.publishing = Publishing(
            store,
            MessageTexts(options.dedupe_by, options.order_by),
            in_memory=options.ack == "memory",
            idempotency_s=None if options.dedupe_by is None else options.dedupe_window_s,
            due=self._schedule_turn,
            failed=lambda error: self._failed("publishing", error),
        )
        self.dead_letters = DeadLetters(store, self.settling, self.faults, options.dead_letter_topic)
        self.subscriptions = Subscriptions(store, options, self.settling, monotonic=steady, failed=self._failed)
        self.sampling = Sampling()
        self.authorizing = Authorizing(options, steady=steady, logger=self.logger)
        self.is_draining = False
        self._all_closed = asyncio.Event()
        self._next_number = 0
        self._due: dict[Client, None] = {}
        self._is_turn_scheduled = False
        self._holding: dict[Consumer, None] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- connections --------------------------------------------------------------------------------------------------
    def connect(self) -> Client:
        """The protocol of a new connection."""
        self._next_number += 1
        return Client(self, self._next_number, self.client_due)

    def opened(self, client: Client) -> None:
        """A client has connected."""
        if len(self.connections) >= self.connections_max:
            self.logger.error("TCP: %d connections are as many as there may be", len(self.connections))
            client.transport.abort()
            return
        self.connections[client.number] = client
        self.logger.info("TCP: new client(%s)", client)

    def closed(self, client: Client) -> None:
        """A client has gone. What it had is given to others."""
        self.connections.pop(client.number, None)
        if self.is_draining and not self.connections:
            self._all_closed.set()
        self._due.pop(client, None)
        self.logger.info("client(%s) closed", client)
        consumer, client.consumer = client.consumer, None
        if consumer is not None:
            self._unsubscribe(consumer)

    def background(self, work: Any) -> None:
        """Do this besides all else."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- subscribing --------------------------------------------------------------------------------------------------
    async def subscribe(self, client: Client, topic: str, channel: str) -> Consumer:
        """Make a client a consumer of a channel, which is made if it is not there.

        Raises:
            ProtocolError: there are too many consumers, or the channel cannot be made.
        """
        with self.subscriptions.arriving(topic, channel):
            return await self._subscribe(client, topic, channel)

    async def _subscribe(self, client: Client, topic: str, channel: str) -> Consumer:
        found = await self.subscriptions.channel(topic, channel)
        timeout_s, sample_rate, region, zone = self.options.msg_timeout_s, 0, "", ""
        if client.negotiated is not None:
            timeout_s, sample_rate = client.negotiated.msg_timeout_s, client.negotiated.sample_rate
            region, zone = client.negotiated.topology_region, client.negotiated.topology_zone
        if sample_rate:
            await self.subscriptions.look_elsewhere(found)
        consumer = Consumer(
            self,
            client,
            found,
            delivering_holder(self.name, client.number),
            timeout_s=timeout_s,
            sample_rate=sample_rate,
            distance=distance(self.options, region, zone),
        )
        found.consumers[consumer] = None
        return consumer

    def _unsubscribe(self, consumer: Consumer) -> None:
        consumer.close()
        self._holding.pop(consumer, None)
        if self.subscriptions.leave(consumer, consumer.channel) and not self.is_draining:
            self.background(self.subscriptions.delete_unused(consumer.channel))

    @property
    def channels(self) -> dict[tuple[str, str], Channel]:
        """The channels by topic and name, those that have or had consumers here."""
        return self.subscriptions.channels

    # --- a turn of the loop -------------------------------------------------------------------------------------------
    def client_due(self, client: Client) -> None:
        """Something is to be done for this client at the end of the turn."""
        self._due[client] = None
        if not self._is_turn_scheduled:
            self._schedule_turn()

    def _schedule_turn(self) -> None:
        if not self._is_turn_scheduled:
            self._is_turn_scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turn_scheduled = False
        self.settling.flush()
        due, self._due = self._due, {}
        for client in due:
            try:
                client.turn()
            except Exception as error:  # noqa: BLE001 - what is wrong with one connection holds up no other
                self.faults.note(place_of(error), error, self.monotonic())
                client.transport.abort()
        self.sharing.flush()
        self.publishing.flush()

    # --- time ---------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin with what is done from time to time."""
        self.background(self.subscriptions.tell_alive())

    def has_in_flight(self, consumer: Consumer) -> None:
        """A consumer has messages, whose time may be up."""
        self._holding[consumer] = None
        if self._ticker is None:
            self._ticker = self.loop.call_later(limits.NSQ_TIMEOUT_TICK_S, self._tick)

    def _tick(self) -> None:
        now = self.monotonic()
        for consumer in list(self._holding):
            consumer.time_out(now)
            if not consumer.in_flight:
                del self._holding[consumer]
        self._ticker = self.loop.call_later(limits.NSQ_TIMEOUT_TICK_S, self._tick) if self._holding else None

    # --- the store ----------------------------------------------------------------------------------------------------
    def held(self) -> list[int]:
        """Every lease of this door: what the store's client tells a new owner. Each begins anew there, for less long
        than a client may have, so they are extended."""
        fences = [fence for consumer in self._holding for fence in consumer.in_flight.fences()]
        if fences:
            self.loop.call_soon(self._extend_all)
        return [*fences, *self.settling.fences()]

    def _extend_all(self) -> None:
        for consumer in self._holding:
            consumer.extend_all()

    def _failed(self, what: str, error: Exception) -> None:
        self.faults.note(what, error, self.monotonic())

    # --- the end ------------------------------------------------------------------------------------------------------
    async def drain(self) -> None:
        """Answer what was published, then let go of all connections and of what their clients had. What cannot be told
        to the store in `limits.NSQ_DRAIN_S` is left to whoever serves this address next."""
        self.is_draining = True
        try:
            async with asyncio.timeout(limits.NSQ_DRAIN_S):
                await self._let_go()
        except TimeoutError:
            self.logger.error("NSQ: the store has not taken all that there was to tell")
        if self._ticker is not None:
            self._ticker.cancel()
        for task in self._tasks:
            task.cancel()

    async def _let_go(self) -> None:
        for client in self.connections.values():
            client.stop_reading()
        # What cannot be published keeps others from nothing that their clients had.
        with suppress(TimeoutError):
            async with asyncio.timeout(limits.NSQ_DRAIN_S / 2):
                await self.publishing.drained()
        for client in list(self.connections.values()):
            client.end()
            if client.consumer is not None:
                consumer, client.consumer = client.consumer, None
                self._unsubscribe(consumer)
        await self.dead_letters.drained()
        await self.settling.drained()
        if self.connections:
            await self._all_closed.wait()
