"""Whose request is next: the client that has had the least of the owner's time. Pure.

Each client gives one request a round, the least-served first, so that a client with a huge bulk waits for those with
little, and equals get equal shares. Time not used is not saved up: who comes back starts where the others are.
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
        """It has requests, and reads its answers."""
        if connection not in self._waiting:
            connection.served_s = max(connection.served_s, self._floor_s)
            self._waiting[connection] = None

    def remove(self, connection: Connection) -> None:
        """It has gone."""
        self._waiting.pop(connection, None)

    def start_group(self) -> None:
        """Look again who has had least."""
        self._round.clear()

    def next(self) -> Request | None:
        """The next request; None: there is none that may be done now."""
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
