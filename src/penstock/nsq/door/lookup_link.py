"""A connection to an nsqlookupd: commands out, and their answers in, which come in order.

Nothing that the other side does can hold up the door: an answer that is too long, or that nobody asked for, ends the
connection, and whoever asks waits a bounded time.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from penstock.model import limits
from penstock.nsq.lookup.conversation import MAGIC

__all__ = ["LinkLost", "LookupLink"]

_SIZE: Final = struct.Struct(">i")


class LinkLost(Exception):
    """The connection is over; says why."""


class LookupLink(asyncio.Protocol):
    """The event loop calls it as a protocol.

    Attributes:
        lost: done when the connection is over.
    """

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._asked: deque[asyncio.Future[bytes]] = deque()
        self._why = "the nsqlookupd has closed the connection"

    async def ask(self, commands: Sequence[bytes]) -> list[bytes]:
        """Send commands, and answer what is answered to them.

        Raises:
            LinkLost: the connection is over, or an answer did not come in time, which ends it.
        """
        self.check()
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        asked: list[asyncio.Future[bytes]] = [loop.create_future() for _ in commands]
        self._asked.extend(asked)
        self._transport.write(b"".join(commands))
        answers = []
        try:
            for one in asked:
                async with asyncio.timeout(limits.LOOKUP_ANSWER_S):
                    answers.append(await one)
        except TimeoutError:
            self.close("it did not answer in time")
            raise LinkLost(self._why) from None
        return answers

    def check(self) -> None:
        """Pass while there is a connection.

        Raises:
            LinkLost: it is over.
        """
        if self._transport is None or self._transport.is_closing():
            raise LinkLost(self._why)

    def close(self, why: str = "it is needed no more") -> None:
        """End it."""
        if self._transport is not None and not self._transport.is_closing():
            self._why = why
            self._transport.abort()

    # --- for the event loop -------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        # The transports of uvloop are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(MAGIC)

    def data_received(self, data: bytes) -> None:
        """Some answers, or a part of one."""
        self._unread += data
        while len(self._unread) >= _SIZE.size:
            (size,) = _SIZE.unpack_from(self._unread)
            if not 0 <= size <= limits.LOOKUP_ANSWER_BYTES_MAX or not self._asked:
                self.close("it says what is no answer")
                return
            end = _SIZE.size + size
            if len(self._unread) < end:
                return
            answer = bytes(self._unread[_SIZE.size : end])
            del self._unread[:end]
            one = self._asked.popleft()
            if not one.done():
                one.set_result(answer)

    def connection_lost(self, _exc: Exception | None) -> None:
        """It is over."""
        for one in self._asked:
            if not one.done():
                one.set_exception(LinkLost(self._why))
                # Whoever asked may have left already.
                one.exception()
        self._asked.clear()
        if not self.lost.done():
            self.lost.set_result(None)
