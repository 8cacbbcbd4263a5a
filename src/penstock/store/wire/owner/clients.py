"""The owner's connected clients: reads what they say, puts their requests in turn, sends their answers.

Rules:

* A connection's first frame is its hello. A client that says hello again, on another connection, has lost the first
  connection. What is still unread there is not listened to, because the client will repeat it.
* A connection that ends takes its unread requests along; they were never acknowledged.
* The owner does not read from a client that does not read its answers, nor from one that has enough requests waiting.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
from collections.abc import Iterable, Iterator

from penstock.model import errors, limits
from penstock.ports import Clock
from penstock.process.repeated_faults import Faults
from penstock.store.wire import protocol
from penstock.store.wire.calls import BY_KIND
from penstock.store.wire.owner.accepting import Accepting
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.greeting import agreed_version, read_hello, too_large
from penstock.store.wire.owner.pace import Pace
from penstock.store.wire.owner.parking import Parking
from penstock.store.wire.owner.turns import Turns

_logger = logging.getLogger("penstock.owner")

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE
_GONE_CLIENTS = limits.OWNER_CONNECTIONS_MAX
"""So many clients that have gone may come back and ask again for a lease whose answer they did not get."""


class Clients:
    """All connections of the owner.

    Attributes:
        accepting: lets new connections in.
        received_bytes, sent_bytes: of all clients.
        refused: connections closed with a reason.

    Args:
        engine: knows the recorded answers of a client that comes back.
        listener: non-blocking; closed with the clients.
        selector: the owner's; all connections are registered with it.
        clock: tells how long a new connection has said nothing.
        faults: where it is told that clients cannot be let in.
        descriptors: how many the process may have open.
        turns: where requests wait for a group.
        pace: hears of each request.
        parking: where requests wait beyond their group; those of a client that has gone are taken out.
    """

    def __init__(
        self,
        engine: Engine,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        clock: Clock,
        faults: Faults,
        descriptors: int,
        *,
        turns: Turns,
        pace: Pace,
        parking: Parking,
    ) -> None:
        self.received_bytes = self.sent_bytes = self.refused = 0
        self._engine = engine
        self._selector = selector
        self._turns = turns
        self._pace = pace
        self._parking = parking
        self._connections: dict[Connection, None] = {}
        self._by_identity: dict[bytes, Connection] = {}
        self._leased_before: dict[bytes, dict[int, tuple[int, int]]] = {}
        self.accepting = Accepting(listener, selector, clock, self, faults, descriptors)

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections))

    # --- what the selector found -------------------------------------------------------------------------------------
    def attend(self, found: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Read from and write to the connections where that is possible now."""
        for key, events in found:
            connection = key.data
            if not isinstance(connection, Connection):
                # The listening socket, or what ends the owner's wait: a function to call.
                connection()
                continue
            if events & _WRITE and connection.open:
                self.flush(connection)
            if events & _READ and connection.open:
                self.receive(connection)

    def admit(self, connection: Connection) -> None:
        """Serve a new connection from now on."""
        self._connections[connection] = None
        connection.watch(self._selector)

    def receive(self, connection: Connection) -> None:
        """Read what a client has said, and put its requests in turn."""
        try:
            frames, size_bytes, alive = connection.receive()
            self.received_bytes += size_bytes
            for kind, number, payload in frames:
                self._take(connection, kind, number, payload)
            if connection.client is None and connection.reader.size_bytes > limits.HELLO_BYTES_MAX:
                raise too_large()
        except errors.PenstockError as error:
            self.refuse(connection, error)
            return
        except Exception as error:
            # Nothing that one client says may end the owner of all.
            _logger.exception("a client's bytes could not be taken")
            self.refuse(connection, errors.StoreUnavailable(f"The owner failed on this ({type(error).__name__})."))
            return
        if not alive:
            self.drop(connection)
            return
        if connection.outbox:
            self.flush(connection)
        if connection.open and connection.inbox:
            self._turns.add(connection)
            if not connection.wants_to_read:
                connection.watch(self._selector)

    def _take(self, connection: Connection, kind: int, number: int, payload: bytes) -> None:
        """Take one frame of a client.

        Raises:
            MalformedFrame: a client does not send such a frame, or not now.
        """
        call = BY_KIND.get(kind)
        if connection.client is None:
            if kind != protocol.HELLO:
                raise protocol.MalformedFrame("The first frame must be a hello.")
            self._greet(connection, number, payload)
        elif call is not None:
            connection.put(Request(connection, call, number, payload))
            self._pace.note_request(kind)
        elif kind == protocol.FORGET:
            parked = connection.parked.get(number)
            if parked is not None:
                self._parking.remove(parked)
            else:
                connection.forget(number)
        else:
            raise protocol.MalformedFrame(f"No request has the kind {kind}.")

    def _greet(self, connection: Connection, number: int, payload: bytes) -> None:
        hello = read_hello(payload)
        version = agreed_version(hello.versions, os.getpid())
        earlier = self._by_identity.get(hello.client)
        if earlier is not None:
            self.drop(earlier)
        connection.client = hello.client
        connection.role = hello.role
        connection.leased = self._leased_before.pop(hello.client, {})
        self._by_identity[hello.client] = connection
        self.accepting.greeted(connection)
        connection.answers = self._engine.answers_of(hello.client, hello.lowest)
        welcome = protocol.Welcome(version, self._engine.epoch, os.getpid())
        connection.send(protocol.frame(protocol.ANSWER, number, protocol.encode(welcome)))

    # --- answers -----------------------------------------------------------------------------------------------------
    def answer(self, answers: list[tuple[Connection, bytes]]) -> Iterable[Connection]:
        """Send frames, each to its client if that is still there. Answers to whom something was sent."""
        answered: dict[Connection, None] = {}
        for connection, frame in answers:
            if connection.open:
                connection.send(frame)
                answered[connection] = None
        for connection in answered:
            self.flush(connection)
        return answered

    def flush(self, connection: Connection) -> None:
        """Send what the socket takes of what is to be sent."""
        before = connection.outbox_bytes
        if not connection.flush():
            self.drop(connection)
            return
        self.sent_bytes += before - connection.outbox_bytes
        if connection.events == _READ and not connection.outbox and not connection.inbox:
            # The usual case: all is sent, no request waits, and the selector watches for the next request already.
            return
        connection.watch(self._selector)
        if connection.inbox and not connection.clogged:
            self._turns.add(connection)
            self._pace.note_overdue()

    # --- the end of a connection -------------------------------------------------------------------------------------
    def refuse(self, connection: Connection, error: errors.PenstockError) -> None:
        """Close a connection with the reason."""
        self.refused += 1
        connection.send(protocol.frame(protocol.CLOSING, 0, protocol.failure(error)))
        connection.flush()
        self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """Forget a connection with all that waits for it. A second call does nothing."""
        if not connection.open:
            return
        for parked in list(connection.parked.values()):
            self._parking.remove(parked)
        self._turns.remove(connection)
        self._pace.remove(connection)
        if connection.events:
            self._selector.unregister(connection.sock)
            connection.events = 0
        del self._connections[connection]
        self.accepting.left(connection)
        client = connection.client
        if client is not None:
            del self._by_identity[client]
            if connection.leased:
                if len(self._leased_before) >= _GONE_CLIENTS:
                    del self._leased_before[next(iter(self._leased_before))]
                self._leased_before[client] = connection.leased
        connection.close()

    def close(self) -> None:
        """Let nobody in any more, send the last answers as far as the sockets take them, close every connection."""
        self.accepting.close()
        for connection in self:
            connection.flush()
            self.drop(connection)
