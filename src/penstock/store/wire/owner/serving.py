"""The owner: the one process that opens the database, serving it to everybody else.

One thread, one loop: read what is pending on all connections, apply it as one group (`group`), answer when it is
durable. It runs no user code and waits for nobody but the disk.

Rules:
* A connection's first frame is its hello. A client that says hello again, on another connection, has lost the first:
  what the first still had to say is not listened to any more, because the client will repeat it.
* A connection that ends takes its unread requests along; they were never acknowledged.
* The owner stops reading from who does not read its answers, and from who has enough requests waiting.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable

from penstock.model import errors, limits
from penstock.ports import Clock
from penstock.store.lost_files import GroundLoss
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.crowd import Crowd
from penstock.store.wire.owner.door import Door
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.greeting import agreed_version, read_hello, too_large
from penstock.store.wire.owner.group import Groups
from penstock.store.wire.owner.parking import Parked
from penstock.store.wire.owner.patience import HOLD_S, Patience
from penstock.store.wire.owner.polling import Polling, Waker
from penstock.store.wire.owner.turns import Line
from penstock.store.wire.owner_statistics import OwnerStatistics

_logger = logging.getLogger("penstock.owner")

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE
_CHORES_S = 1.0
"""The longest the owner goes without its chores; well below TICK_GAP_S, which tells a pause from a quiet time."""
_FORGET_S = 60.0
_GATHERS_MAX = 6
"""How often the owner yields to a crowd before a commit, as long as more of it come each time. Where the processor is
not short, yielding takes no time."""
_CATCH_UP_S = 0.002
"""How long nothing comes before rows are made of what is deferred."""
_GONE_CLIENTS = limits.OWNER_CONNECTIONS_MAX

assert _CHORES_S * 2 <= limits.TICK_GAP_S, "a quiet owner does not look like one that was stopped"


class Owner:
    """Serves an engine on a listening socket until it is told to stop.

    Attributes:
        loss: why it has stopped without being told to; None: it has not.

    Args:
        engine: owned from now on, and closed at the end.
        listener: non-blocking; closed at the end.
        clock: decides when parked requests and chores are due.
        idle_s: leave after this long without clients, and when asked to hand over; None: neither.
        descriptors: how many this process may have open.
        lost: says what is gone of the files that it stands on; None: nothing is. Asked every GROUND_S, and when a
            transaction has failed. When there is something, it leaves and answers nobody any more.
        chores: False in tests that call ``tick`` themselves.
        check_requests: False only in a torture variant that must fail.
    """

    def __init__(
        self,
        engine: Engine,
        listener: socket.socket,
        clock: Clock,
        *,
        idle_s: float | None = None,
        descriptors: int = limits.OWNER_CONNECTIONS_MAX + limits.OWNER_DESCRIPTORS,
        lost: Callable[[], GroundLoss | None] = lambda: None,
        chores: bool = True,
        check_requests: bool = True,
    ) -> None:
        self.loss: GroundLoss | None = None
        self._lost = lost
        self._engine = engine
        self._clock = clock
        self._idle_s = idle_s
        self._chores = chores
        self._groups = Groups(
            engine, clock, statistics=self.statistics, handover=self._hand_over, check_requests=check_requests
        )
        self._parking = self._groups.parking
        self._line = Line()
        self._selector = selectors.DefaultSelector()
        self._door = Door(listener, self._selector, clock, self, self._groups.faults, descriptors)
        self._waker = Waker(self._selector)
        self._connections: dict[Connection, None] = {}
        self._by_client: dict[bytes, Connection] = {}
        self._leased_before: dict[bytes, dict[int, tuple[int, int]]] = {}
        self._polling = Polling(self._selector)
        self._crowd = Crowd()
        self._patience = Patience()
        self._catch_up_at = math.inf
        self._stopping = False
        self._closed = False
        self._received_bytes = self._sent_bytes = self._refused = 0
        now = clock.monotonic()
        self._tick_at = self._retry_at = now
        self._forget_at = now + _FORGET_S
        self._ground_at = now + limits.GROUND_S
        self._lonely_since = now

    # --- the loop ------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Serve until `stop`, or until a detached owner has been alone for its time. Then everything is closed."""
        try:
            while not self._stopping:
                self.step(self._patience_s())
                if self._is_lonely():
                    break
        finally:
            self.close()

    def step(self, timeout_s: float = 0.0) -> None:
        """One turn: wait at most ``timeout_s`` for something to do, do it, answer it."""
        self._attend(self._polling.wait(timeout_s))
        if self._crowd.wanted > len(self._line) > 0:
            self._gather()
        now = self._clock.monotonic()
        chores = self._do_chores if self._chores and now >= self._tick_at else None
        if chores is not None or (self._line and not self._holds()):
            requests, retried = self._groups.counters.requests, self._groups.counters.retried_groups
            answers = self._groups.run(self._line, chores=chores)
            if self._groups.counters.retried_groups > retried and self._is_ground_lost():
                # What failed has failed for that reason, whatever the answers say.
                return
            clients = self._answer(answers)
            self._crowd.note(clients, self._groups.counters.requests - requests)
            self._engine.tidy()
            self._patience.committed(more=bool(self._line))
            self._polling.answered(self._groups.counters.groups)
            self._catch_up_at = time.perf_counter() + _CATCH_UP_S if self._engine.deferred else math.inf
        elif not self._line and time.perf_counter() >= self._catch_up_at:
            self._catch_up_at = math.inf
            self._groups.catch_up()
        now = self._clock.monotonic()
        due = self._parking.due(now)
        if due:
            self._expire(due)
        if now >= self._door.due():
            self._door.look(now)
        if now >= self._ground_at:
            self._ground_at = now + limits.GROUND_S
            self._is_ground_lost()

    def _holds(self) -> bool:
        return self._patience.holds(time.perf_counter(), watched=bool(self._engine.watched))

    def _attend(self, found: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Read from and write to whom it is possible now."""
        for key, events in found:
            connection = key.data
            if not isinstance(connection, Connection):
                connection()
                continue
            if events & _WRITE and connection.open:
                self._flush(connection)
            if events & _READ and connection.open:
                self.receive(connection)

    def _gather(self) -> None:
        """Wait for more of a crowd."""
        for _ in range(_GATHERS_MAX):
            count = len(self._line)
            os.sched_yield()
            self._attend(self._selector.select(0))
            if len(self._line) == count or len(self._line) >= self._crowd.wanted:
                return

    def wake(self) -> None:
        """End the current wait of `run`. For signal handlers and other threads."""
        self._waker.wake()

    def stop(self) -> None:
        """Leave after the current group. For signal handlers and other threads."""
        self._stopping = True
        self.wake()

    def close(self) -> None:
        """Say the last answers, close every connection and the engine. A second call does nothing.

        An engine whose database is gone is left as it is: closing it would unlink by name what is there now.
        """
        if self._closed:
            return
        self._closed = True
        self._door.close()
        for connection in list(self._connections):
            connection.flush()
            self._drop(connection)
        self._selector.close()
        self._waker.close()
        if self.loss is None or not self.loss.is_total:
            self._engine.close()

    def statistics(self) -> OwnerStatistics:
        """What this owner has done since it started."""
        counters = self._groups.counters
        return OwnerStatistics(
            pid=os.getpid(),
            epoch=self._engine.epoch,
            received_bytes=self._received_bytes,
            sent_bytes=self._sent_bytes,
            parked_leases=len(self._parking.leases),
            parked_waits=self._parking.waits,
            connections=len(self._connections),
            refused=self._refused,
            places=self._door.places,
            turned_away=self._door.turned_away,
            silent=self._door.silent,
            **vars(counters),
        )

    def _patience_s(self) -> float:
        """How long nothing needs to be done."""
        if self._line:
            return HOLD_S if self._holds() else 0.0
        due = min(self._clock.monotonic() + _CHORES_S, self._door.due())
        if self._chores:
            due = min(due, self._tick_at)
        parked = self._parking.next_deadline()
        if parked is not None:
            due = min(due, parked)
        return max(0.0, min(due - self._clock.monotonic(), self._catch_up_at - time.perf_counter()))

    def _is_lonely(self) -> bool:
        if self._connections:
            self._lonely_since = self._clock.monotonic()
        return self._idle_s is not None and self._clock.monotonic() - self._lonely_since >= self._idle_s

    def _is_ground_lost(self) -> bool:
        """Whether what this owner serves is not there any more; then it stops."""
        self.loss = self.loss or self._lost()
        self._stopping = self._stopping or self.loss is not None
        return self.loss is not None

    # --- chores --------------------------------------------------------------------------------------------------
    def _do_chores(self) -> None:
        now = self._clock.monotonic()
        self._tick_at = now + _CHORES_S
        ticked = self._engine.tick()
        self._groups.counters.ticks += 1
        if ticked.next_s is not None:
            self._tick_at = min(self._tick_at, now + ticked.next_s)
        if now >= self._retry_at:
            self._retry_at = now + _CHORES_S
            self._groups.retry_leases()
            self._door.tell(now)
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_S
            self._engine.forget_answers(self._clock.time() - limits.ANSWERS_KEPT_S)

    def _expire(self, due: list[Parked]) -> None:
        for parked in due:
            parked.connection.send(self._groups.expire(parked))
            self._flush(parked.connection)

    def _hand_over(self) -> None:
        if self._idle_s is None:
            raise errors.Conflict(f"Process {os.getpid()} owns this store and stays; stop it first.")
        self.stop()

    # --- connections ---------------------------------------------------------------------------------------------
    def admit(self, connection: Connection) -> None:
        """See `penstock.store.wire.owner.door.Host`; so are `refuse` and `receive`."""
        self._connections[connection] = None
        connection.watch(self._selector)

    def receive(self, connection: Connection) -> None:
        """Read what it has said, and put its requests in line."""
        try:
            frames, size, alive = connection.receive()
            self._received_bytes += size
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
            self._drop(connection)
            return
        if connection.outbox:
            self._flush(connection)
        if connection.open and connection.inbox:
            self._line.add(connection)
            if not connection.wants_to_read:
                connection.watch(self._selector)

    def _take(self, connection: Connection, kind: int, number: int, payload: bytes) -> None:
        call = protocol.CALLS.get(kind)
        if connection.client is None:
            if kind != protocol.HELLO:
                raise protocol.MalformedFrame("The first frame must be a hello.")
            self._greet(connection, number, payload)
        elif call is not None:
            connection.put(Request(connection, call, number, payload))
            self._patience.note(kind)
        elif kind == protocol.FORGET:
            parked = connection.parked.get(number)
            if parked is not None:
                self._parking.remove(parked)
        else:
            raise protocol.MalformedFrame(f"No request has the kind {kind}.")

    def _greet(self, connection: Connection, number: int, payload: bytes) -> None:
        hello = read_hello(payload)
        version = agreed_version(hello.versions)
        earlier = self._by_client.get(hello.client)
        if earlier is not None:
            self._drop(earlier)
        connection.client = hello.client
        connection.role = hello.role
        connection.leased = self._leased_before.pop(hello.client, {})
        self._by_client[hello.client] = connection
        self._door.spoke(connection)
        connection.answers = self._engine.answers_of(hello.client, hello.lowest)
        welcome = protocol.Welcome(version, self._engine.epoch, os.getpid())
        connection.send(protocol.frame(protocol.ANSWER, number, protocol.encode(welcome)))

    def refuse(self, connection: Connection, error: errors.PenstockError) -> None:
        """Close a connection with the reason."""
        self._refused += 1
        connection.send(protocol.frame(protocol.CLOSING, 0, protocol.failure(error)))
        connection.flush()
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        """Forget a connection with all that waits on it."""
        if not connection.open:
            return
        for parked in list(connection.parked.values()):
            self._parking.remove(parked)
        self._line.remove(connection)
        self._crowd.remove(connection)
        if connection.events:
            self._selector.unregister(connection.sock)
            connection.events = 0
        del self._connections[connection]
        self._door.left(connection)
        client = connection.client
        if client is not None:
            del self._by_client[client]
            if connection.leased:
                if len(self._leased_before) >= _GONE_CLIENTS:
                    del self._leased_before[next(iter(self._leased_before))]
                self._leased_before[client] = connection.leased
        connection.close()

    def _answer(self, answers: list[tuple[Connection, bytes]]) -> Iterable[Connection]:
        touched: dict[Connection, None] = {}
        for connection, frame in answers:
            if connection.open:
                connection.send(frame)
                touched[connection] = None
        for connection in touched:
            self._flush(connection)
        # Whatever was applied may have made something due before the next chores.
        if self._chores and answers:
            self._tick_at = min(self._tick_at, self._clock.monotonic() + limits.TICK_S)
        return touched

    def _flush(self, connection: Connection) -> None:
        before = connection.outbox_bytes
        if not connection.flush():
            self._drop(connection)
            return
        self._sent_bytes += before - connection.outbox_bytes
        if connection.events == _READ and not connection.outbox and not connection.inbox:
            # All is said, and nothing else is asked: mostly so, and nothing to change.
            return
        connection.watch(self._selector)
        if connection.inbox and not connection.clogged:
            self._line.add(connection)
            self._patience.hurry()
