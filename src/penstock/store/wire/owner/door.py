"""The owner's door: lets clients in while there are places and descriptors, and those out that never say who they are.

* A new connection has HELLO_S to say hello.
* When all places are taken, who has not said hello for the longest time gives way to who comes. Where all have, the new
  one hears why it is refused.
* One process has half of the places at most, so that one that leaks connections locks itself out and nobody else.
* When the process, or the system, has no descriptor left, who comes is told so by means of one that is kept in reserve
  for that. When even that is gone, nobody is let in for ACCEPT_PAUSE_S, or until a connection ends. The owner does all
  its other work meanwhile: a listening socket that is left alone is not waited for.
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
    """The owner, as far as its door needs it."""

    def admit(self, connection: Connection) -> None:
        """Serve this connection from now on."""

    def refuse(self, connection: Connection, error: errors.PenstockError) -> None:
        """Tell it why, and let it go."""

    def receive(self, connection: Connection) -> None:
        """Read what it has said."""


class Door:
    """Who comes in.

    Attributes:
        turned_away: connections refused because there was no room.
        silent: connections let go because they said no hello.

    Args:
        listener: non-blocking.
        selector: the owner's; the listener is registered with `knock`.
        host: the owner.
        faults: where it says what it lacks: they show in health. What clients do wrong is told in the log alone.
        clock: its own.
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
        self._unspoken: dict[Connection, float] = {}
        self._of_process: Counter[int] = Counter()
        self._spare = _spare()
        self._resume_at = math.inf
        self._selector.register(listener, selectors.EVENT_READ, self.knock)

    @property
    def places(self) -> int:
        """How many connections there may be."""
        return min(limits.OWNER_CONNECTIONS_MAX, self._places)

    # --- coming in -----------------------------------------------------------------------------------------------
    def knock(self) -> None:
        """Let in who waits, a few at a time."""
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
        self._unspoken[connection] = self._now() + limits.HELLO_S
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
        """Let go of who has been silent longest, of all or of one process. Answers whether there is room now."""
        for connection in list(self._unspoken):
            if connection is comer or (of_process and connection.process != of_process):
                continue
            # Its hello may have come and not been read yet.
            self._host.receive(connection)
            if connection in self._unspoken:
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
        """There is no descriptor for who waits. Answers whether to go on with the next."""
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
            # Somebody else took it.
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

    def _resume(self) -> None:
        self._resume_at = math.inf
        if self._spare < 0:
            self._spare = _spare()
        self._selector.register(self._listener, selectors.EVENT_READ, self.knock)

    # --- as time goes by -----------------------------------------------------------------------------------------
    def spoke(self, connection: Connection) -> None:
        """It has said hello."""
        self._unspoken.pop(connection, None)

    def left(self, connection: Connection) -> None:
        """It has ended."""
        self._count -= 1
        self._unspoken.pop(connection, None)
        self._of_process[connection.process] -= 1
        if not self._of_process[connection.process]:
            del self._of_process[connection.process]
        if self._resume_at < math.inf:
            self._resume()

    def look(self, now: float) -> None:
        """Do what is due: let go of who said no hello in time, let others in again."""
        while self._unspoken:
            connection, until = next(iter(self._unspoken.items()))
            if now < until:
                break
            self._dismiss(connection, f"It said no hello within {limits.HELLO_S:.0f} seconds.")
        if now >= self._resume_at:
            self._resume()

    def tell(self, now: float) -> None:
        """Write into the log what is due there."""
        self._wrongs.tell(now)
        self._faults.tell(now)

    def due(self) -> float:
        """When `look` has something to do next, if nothing happens before; infinity: nothing."""
        first = next(iter(self._unspoken.values()), math.inf)
        return min(first, self._resume_at)

    def close(self) -> None:
        """Nobody comes in any more."""
        self._resume_at = math.inf
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
