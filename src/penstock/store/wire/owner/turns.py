"""Which client's request is next: of the client that has had the least of the owner's time. Pure.

In each round every client that has requests waiting gives one, the least served first. So a client with many requests
waits for those with few, and equals get equal shares. A client that was idle saves up no time: when it comes back, it
starts at what the others have had (`_floor_s`).
"""

from __future__ import annotations

from operator import attrgetter

from penstock.store.wire.owner.client_connection import Connection, Request

_served = attrgetter("served_s")


class Turns:
    """Connections that have requests waiting. Its length is the number of these connections."""

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}
        self._round: list[Connection] = []
        self._floor_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: Connection) -> None:
        """A client has requests, and reads its answers."""
        if connection not in self._waiting:
            connection.served_s = max(connection.served_s, self._floor_s)
            self._waiting[connection] = None

    def remove(self, connection: Connection) -> None:
        """A client has gone."""
        self._waiting.pop(connection, None)

    def start_group(self) -> None:
        """Begin a new round, with the clients and the times as they are now."""
        self._round.clear()

    def next(self) -> Request | None:
        """Take the next request; None: there is none that may be done now."""
        while self._round or self._waiting:
            if not self._round:
                self._round = sorted(self._waiting, key=_served, reverse=True)
            connection = self._round.pop()
            if not connection.inbox or connection.clogged:
                self.remove(connection)
                continue
            request = connection.take()
            if not connection.inbox:
                self.remove(connection)
            self._floor_s = max(self._floor_s, connection.served_s)
            return request
        return None
