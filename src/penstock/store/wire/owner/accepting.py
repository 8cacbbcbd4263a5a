"""Accepts connections at the owner while there are places and file descriptors, and closes those that say no hello.

* A new connection has HELLO_S to say hello.
* When all places are taken, the connection that has been silent longest without a hello is closed for the new one.
  Where all have said hello, the new connection is told why it is refused.
* One process has half of the places at most, so that a process that leaks connections locks out itself and nobody else.
* When the process, or the system, has no file descriptor left, a new connection is told so by means of a spare
  descriptor that is given up for that moment. When even the spare one cannot be had, nothing is accepted for
  ACCEPT_PAUSE_S, or until a connection ends. The owner does all its other work meanwhile: the listening socket is
  taken out of the selector, so that the loop does not spin on it.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import selectors
import socket
from collections import Counter
from typing import Final, Protocol

from penstock.model import errors, limits
from penstock.ports import Clock
from penstock.process.repeated_faults import Faults
from penstock.store.permissions import peer
from penstock.store.wire.owner.client_connection import Connection

_logger = logging.getLogger("penstock.owner")

_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_AT_ONCE: Final = 64
"""Connections let in before the owner looks after the others again."""
_LETTING_IN: Final = "letting clients in"
_NO_DESCRIPTOR: Final = "The store's owner has no file descriptor left for another client."


class Host(Protocol):
    """Serves the connections that are accepted: `penstock.store.wire.owner.clients.Clients`."""

    def admit(self, connection: Connection) -> None:
        """Serve a new connection from now on."""

    def refuse(self, connection: Connection, error: errors.PenstockError) -> None:
        """Tell a client why its connection is closed, and close it. It calls `Accepting.left`."""

    def receive(self, connection: Connection) -> None:
        """Read what a connection has said. A hello in it ends in `Accepting.greeted`."""


class Accepting:
    """The listening socket, and the count of connections that have been let in.

    Attributes:
        turned_away: connections refused because there was no room.
        silent: connections let go because they said no hello.
        due_at: when `look` has something to do next, if nothing happens before; infinity: nothing. The owner looks at
            this in every turn, so it is kept and not worked out.

    Args:
        listener: non-blocking.
        selector: the owner's; the listener is registered with `accept`.
        clock: the owner's.
        host: serves the connections.
        faults: where a lack of places or descriptors is noted, so that it shows in health. What clients do wrong is
            told in the log alone.
        descriptors: how many the owner may have; it needs OWNER_DESCRIPTORS besides those of its connections.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        clock: Clock,
        host: Host,
        faults: Faults,
        descriptors: int,
    ) -> None:
        self.turned_away = 0
        self.silent = 0
        self._places = max(1, descriptors - limits.OWNER_DESCRIPTORS)
        self._now = clock.monotonic
        self._listener = listener
        self._selector = selector
        self._host = host
        self._faults = faults
        self._wrongs = Faults(_logger)
        self._count = 0
        self._silent_until: dict[Connection, float] = {}
        self._of_process: Counter[int] = Counter()
        self._spare = _spare()
        self._resume_at = math.inf  # of a pause; infinity: there is none
        self.due_at = math.inf
        self._selector.register(listener, selectors.EVENT_READ, self.accept)

    @property
    def places(self) -> int:
        """How many connections there may be."""
        return min(limits.OWNER_CONNECTIONS_MAX, self._places)

    # --- new connections -------------------------------------------------------------------------------------------
    def accept(self) -> None:
        """Let in the connections that wait, a few at a time."""
        for _ in range(_AT_ONCE):
            try:
                sock, _address = self._listener.accept()
            except (InterruptedError, ConnectionAbortedError):
                continue
            except OSError as error:
                if error.errno not in _SHORTAGES or not self._is_short_of_descriptors():
                    return
                continue
            self._let_in(sock)

    def _let_in(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        connection = Connection(sock)
        told = peer(sock)
        connection.process = 0 if told is None else told[0]
        self._count += 1
        self._of_process[connection.process] += 1
        self._silent_until[connection] = self._now() + limits.HELLO_S
        self._keep_due()
        self._host.admit(connection)
        process = connection.process
        if process and self._of_process[process] > limits.OWNER_CONNECTIONS_OF_PROCESS_MAX:
            if not self._give_way(connection, of_process=process):
                why = (
                    f"Process {process} has {limits.OWNER_CONNECTIONS_OF_PROCESS_MAX} connections to this store "
                    "already: let it close its event loops, or use one application for all of them."
                )
                self._wrongs.note("letting a process have more connections", why, self._now())
                self._turn_away(connection, why)
        elif self._count > self.places and not self._give_way(connection):
            why = f"The owner has {self.places} clients already."
            self._faults.note(_LETTING_IN, why, self._now())
            self._turn_away(connection, why)
        else:
            self._faults.passed(_LETTING_IN, self._now())

    def _give_way(self, comer: Connection | None = None, of_process: int = 0) -> bool:
        """Close the connection that has been silent longest, of all or of one process, for a new one. Answers whether
        there is room now.
        """
        for connection in list(self._silent_until):
            if connection is comer or (of_process and connection.process != of_process):
                continue
            # A hello may have come that was not read yet.
            self._host.receive(connection)
            if connection in self._silent_until:
                self._dismiss(connection, "Others need the place of one that says no hello.")
                return True
            if not connection.open:
                return True
        return False

    def _turn_away(self, connection: Connection, why: str) -> None:
        self.turned_away += 1
        self._host.refuse(connection, errors.StoreOverloaded(why))

    def _dismiss(self, connection: Connection, why: str) -> None:
        self.silent += 1
        self._wrongs.note("greeting a client", why, self._now())
        self._host.refuse(connection, errors.StoreOverloaded(why))

    # --- out of descriptors --------------------------------------------------------------------------------------
    def _is_short_of_descriptors(self) -> bool:
        """There is no descriptor for the connection that waits. Answers whether to go on with the next."""
        if self._give_way():
            return True
        self._faults.note(_LETTING_IN, _NO_DESCRIPTOR, self._now())
        if self._spare < 0:
            self._pause()
            return False
        os.close(self._spare)
        self._spare = -1
        try:
            sock, _address = self._listener.accept()
        except BlockingIOError:
            self._spare = _spare()
            return False
        except OSError:
            # Another process took the descriptor that was given up.
            self._pause()
            return False
        sock.setblocking(False)
        connection = Connection(sock)
        self.turned_away += 1
        connection.say_last(errors.StoreOverloaded(_NO_DESCRIPTOR))
        self._spare = _spare()
        return True

    def _pause(self) -> None:
        if self._resume_at == math.inf:
            self._selector.unregister(self._listener)
        self._resume_at = self._now() + limits.ACCEPT_PAUSE_S
        self._keep_due()

    def _resume(self) -> None:
        self._resume_at = math.inf
        if self._spare < 0:
            self._spare = _spare()
        self._selector.register(self._listener, selectors.EVENT_READ, self.accept)
        self._keep_due()

    # --- as time goes by -----------------------------------------------------------------------------------------
    def greeted(self, connection: Connection) -> None:
        """A connection has said hello."""
        self._silent_until.pop(connection, None)
        self._keep_due()

    def left(self, connection: Connection) -> None:
        """A connection has ended."""
        self._count -= 1
        self._silent_until.pop(connection, None)
        self._keep_due()
        self._of_process[connection.process] -= 1
        if not self._of_process[connection.process]:
            del self._of_process[connection.process]
        if self._resume_at < math.inf:
            self._resume()

    def look(self, now: float) -> None:
        """Do what is due: close the connections that said no hello in time, accept others again after a pause."""
        while self._silent_until:
            connection, until = next(iter(self._silent_until.items()))
            if now < until:
                break
            self._dismiss(connection, f"It said no hello within {limits.HELLO_S:.0f} seconds.")
        if now >= self._resume_at:
            self._resume()

    def tell(self, now: float) -> None:
        """Write into the log what is due there."""
        self._wrongs.tell(now)
        self._faults.tell(now)

    def _keep_due(self) -> None:
        """Set `due_at` anew."""
        first = next(iter(self._silent_until.values()), math.inf)
        self.due_at = min(first, self._resume_at)

    def close(self) -> None:
        """Accept nobody any more."""
        self._resume_at = math.inf
        self._keep_due()
        self._listener.close()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1


def _spare() -> int:
    """A descriptor to give up when there is no other; -1: there is none to have."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
