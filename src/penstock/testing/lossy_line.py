"""A line between a client and the server of a store that loses answers when it is told to."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_READ_BYTES: Final = 256 * 1024


class LossyLine:
    """Makes connections, each of them through a thread that hands bytes on.

    Attributes:
        left: how many answers are still to be lost.

    Args:
        dial: makes the connections to the server; so does this object, for a client.
    """

    def __init__(self, dial: Callable[[float], socket.socket]) -> None:
        self._dial = dial
        self.left = 0

    def lose_answers(self, count: int) -> None:
        """Lose the next answers: the request arrives, the connection ends instead of its answer. What a server says
        first on a connection, before it is asked for anything, is not lost."""
        self.left = count

    def __call__(self, deadline: float) -> socket.socket:
        """A connection."""
        server = self._dial(deadline)
        client, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        threading.Thread(target=self._carry, args=(ours, server), name="lossy line", daemon=True).start()
        return client

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        is_greeted = False
        with client, server, suppress(OSError):
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if client in readable:
                    data = client.recv(_READ_BYTES)
                    if not data:
                        return
                    server.sendall(data)
                if server in readable:
                    data = server.recv(_READ_BYTES)
                    if not data:
                        return
                    if is_greeted and self.left:
                        self.left -= 1
                        return
                    is_greeted = True
                    client.sendall(data)
