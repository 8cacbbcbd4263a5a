"""Whether so many clients are at it that a commit is worth a moment's wait. Pure.

What a commit costs beside its jobs is shared by them. With few clients waiting would only delay them; with many the
processor is what is short, and they have it while the owner yields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.store.wire.owner.client_connection import Connection

CROWD_MIN: Final = 8
"""Fewer clients than this are not waited for."""
GROUPS: Final = 16
"""How many groups it takes to see who is there."""


class Crowd:
    """The clients of the last groups."""

    def __init__(self) -> None:
        self._seen: dict[Connection, None] = {}
        self._groups = 0
        self._size = 0
        self._is_busy = False

    def note(self, clients: Iterable[Connection], requests: int) -> None:
        """A group of so many requests has been answered, to these clients."""
        self._seen.update(dict.fromkeys(clients))
        self._groups += 1
        if self._groups >= GROUPS:
            self._size = len(self._seen)
            self._seen.clear()
            self._groups = 0
        # Who comes alone, or with the worker that its job wakes, is not made to wait.
        self._is_busy = requests >= CROWD_MIN // 2

    def remove(self, client: Connection) -> None:
        """It has gone."""
        self._seen.pop(client, None)

    @property
    def wanted(self) -> int:
        """Commit at once with so many requests; 0: with any."""
        return self._size // 2 if self._is_busy and self._size >= CROWD_MIN else 0
