"""One nsqlookupd that a door registers with: connects, introduces the door, tells what topics there are, and pings.

Whatever happens there, the connection is made again, with growing pauses, and everything is told anew.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.nsq.addresses import parse_address
from penstock.nsq.door.announcing import Announced, Told, commands_for
from penstock.nsq.door.lookup_link import LinkLost, LookupLink
from penstock.process.backoff import Backoff
from penstock.process.repeated_faults import Faults

__all__ = ["Identity", "LookupPeer"]

logger = logging.getLogger("penstock.nsq")

_OK: Final = b"OK"
_PING: Final = b"PING\n"
_AGAIN: Final = Backoff(base_s=0.25, s_max=limits.LOOKUP_PING_S, jitter=0.5)
_SHOWN_BYTES: Final = 200
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How a door introduces itself.

    Attributes:
        broadcast_address: where consumers reach it.
        hostname: of its machine.
        tcp_port: for consumers.
        http_port: of its HTTP API.
        version: of NSQ, whose protocol it speaks.
    """

    broadcast_address: str
    hostname: str
    tcp_port: int
    http_port: int
    version: str

    def command(self) -> bytes:
        """The command IDENTIFY, with its body."""
        body = msgspec.json.encode(self)
        return b"IDENTIFY\n" + struct.pack(">i", len(body)) + body


class LookupPeer:
    """One nsqlookupd.

    Args:
        address: ``host:port`` of it.
        identity: of the door.
        wanted: answers what it is to know.
        faults: where is noted what fails.

    Attributes:
        http_address: ``host:port`` of its HTTP API, as it has said; empty: it has not.
        tried: set when the first attempt to reach it has come to an end.
        known: what it has said OK to, on this connection.
    """

    def __init__(self, address: str, identity: Identity, wanted: Callable[[], set[Announced]], faults: Faults) -> None:
        self.address = address
        self.http_address = ""
        self.tried = asyncio.Event()
        self.known: set[Announced] = set()
        self._identity = identity
        self._wanted = wanted
        self._faults = faults
        self._changed = asyncio.Event()
        self._resolving: asyncio.Future[list[Any]] | None = None

    def wake(self) -> None:
        """What it is to know has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Keep it told, until cancelled."""
        name, failures, loop = f"LOOKUPD({self.address})", 0, asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._converse(name)
            except (OSError, TimeoutError, InvalidOption, LinkLost) as error:
                self._failed(name, str(error) or "it cannot be reached in time")
            except Exception as error:  # noqa: BLE001 - whatever it is, it may go well the next time
                self.tried.set()
                self._faults.note(name, error, loop.time())
            # One that cuts off whoever comes is not stormed either.
            failures = 1 if loop.time() - began >= limits.LOOKUP_PING_S else failures + 1
            await asyncio.sleep(_AGAIN.delay_s(failures, random))

    async def _converse(self, name: str) -> None:
        """One connection, until it is lost."""
        link = await self._connect()
        try:
            await self._introduce(link)
            self._faults.passed(name, asyncio.get_running_loop().time())
            await self._keep_told(link)
        finally:
            link.close()
            self.known = set()

    def _failed(self, name: str, why: str) -> None:
        self.tried.set()
        self._faults.note(name, why, asyncio.get_running_loop().time(), traceback=False)

    # --- connecting ---------------------------------------------------------------------------------------------------
    async def _connect(self) -> LookupLink:
        loop = asyncio.get_running_loop()
        where = parse_address(self.address, "lookupd_tcp_address")
        if not where.host:
            raise InvalidOption(f"{self.address!r} is no HOST:PORT of an nsqlookupd", field="lookupd_tcp_address")
        async with asyncio.timeout(limits.LOOKUP_CONNECT_S):
            # A name server that does not answer holds a thread: one for each address, however often it is tried.
            if self._resolving is None:
                self._resolving = asyncio.ensure_future(loop.getaddrinfo(where.host, where.port, type=1))
            try:
                found = await asyncio.shield(self._resolving)
            finally:
                if self._resolving.done():
                    self._resolving = None
            refusals: list[OSError] = []
            for *_, address in found:
                try:
                    _, link = await loop.create_connection(LookupLink, *address[:2])
                except OSError as refusal:
                    refusals.append(refusal)
                else:
                    return link
        raise refusals[0]

    async def _introduce(self, link: LookupLink) -> None:
        (answer,) = await link.ask([self._identity.command()])
        try:
            told = msgspec.json.decode(answer)
        except (msgspec.DecodeError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise LinkLost(f"it says {answer[:_SHOWN_BYTES]!r} to IDENTIFY")
        self.http_address = _http_address(told)
        self.tried.set()
        logger.info("LOOKUPD(%s): peer info %s", self.address, answer[:_SHOWN_BYTES].decode("utf-8", "replace"))

    # --- telling ------------------------------------------------------------------------------------------------------
    async def _keep_told(self, link: LookupLink) -> None:
        loop = asyncio.get_running_loop()
        link.lost.add_done_callback(lambda _: self._changed.set())
        ping_at = loop.time() + limits.LOOKUP_PING_S
        while True:
            self._changed.clear()
            link.check()
            await self._tell(link)
            try:
                async with asyncio.timeout_at(ping_at):
                    await self._changed.wait()
            except TimeoutError:
                # REGISTER does not count as a sign of life.
                await link.ask([_PING])
                ping_at = loop.time() + limits.LOOKUP_PING_S

    async def _tell(self, link: LookupLink) -> None:
        """Tell what it does not know yet, and what is gone. What it refuses is told again after the next ping."""
        commands = commands_for(self.known, self._wanted())
        for start in range(0, len(commands), limits.LOOKUP_AHEAD_MAX):
            some = commands[start : start + limits.LOOKUP_AHEAD_MAX]
            for told, answer in zip(some, await link.ask([told.command for told in some]), strict=True):
                self._note(told, answer)

    def _note(self, told: Told, answer: bytes) -> None:
        logger.debug("LOOKUPD(%s): %s", self.address, told.command.strip().decode())
        if answer == _OK:
            self.known.difference_update(told.removed)
            self.known.update(told.added)
            return
        self._faults.note(
            f"LOOKUPD({self.address})",
            f"it says {answer[:_SHOWN_BYTES]!r}",
            asyncio.get_running_loop().time(),
            traceback=False,
        )


def _http_address(told: dict[Any, Any]) -> str:
    """Where an nsqlookupd says that its HTTP API is; empty: it does not say."""
    host, port = told.get("broadcast_address"), told.get("http_port")
    if not isinstance(host, str) or not host or type(port) is not int or not 0 < port <= _PORT_MAX:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
