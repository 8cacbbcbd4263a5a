"""AUTH: which client may do what, asked of authorization servers by HTTP.

A client shows a secret once. What the servers say of it holds for as long as they say; then the first command that
needs it has them asked again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from penstock.http.client import FetchFailed, fetch
from penstock.model import limits
from penstock.nsq.door.permissions import Permissions, UnusableAnswer, permissions_of
from penstock.nsq.door.tls_contexts import client_context
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol import commands, errors
from penstock.nsq.protocol.errors import ProtocolError
from penstock.nsq.protocol.names import quoted

_FAILED: Final = "AUTH failed"
"""All that a client hears when a server cannot be asked: how that is, is none of its business."""
_HEADERS: Final = {"accept": "application/vnd.nsq; version=1.0"}
_OK: Final = 200
_SHOWN_BYTES: Final = 200


@dataclass(frozen=True, slots=True)
class Asker:
    """Who a client is besides its secret.

    Attributes:
        remote_ip: of its end of the connection; empty: it is on a socket of this machine.
        is_encrypted: its connection is.
        common_name: of its certificate; empty: it showed none.
    """

    remote_ip: str
    is_encrypted: bool = False
    common_name: str = ""


class Authorization:
    """What one client may do.

    Attributes:
        permissions: as the servers said last.
    """

    __slots__ = ("asker", "permissions", "secret")

    def __init__(self, asker: Asker, secret: bytes, permissions: Permissions) -> None:
        self.asker = asker
        self.secret = secret
        self.permissions = permissions


class Authorizing:
    """Asks authorization servers for the clients of a door.

    Args:
        options: of the door. Without addresses of servers every client may do everything.
        steady: monotonic seconds.
        logger: hears why servers could not be asked.

    Raises:
        InvalidOption: ``-tls-root-ca-file`` cannot be used.
    """

    def __init__(self, options: DoorOptions, *, steady: Callable[[], float], logger: logging.Logger) -> None:
        self._addresses = options.auth_http_addresses
        self._connect_timeout_s = options.http_client_connect_timeout_s
        self._timeout_s = options.http_client_request_timeout_s
        self._tls = client_context(options) if self._addresses else None
        self._now = steady
        self._logger = logger

    def __bool__(self) -> bool:
        """Whether anybody is asked at all. False: every client may do everything."""
        return bool(self._addresses)

    async def authorize(self, known: Authorization | None, asker: Asker, secret: bytes) -> Authorization:
        """AUTH: what a client may do that shows this secret.

        Args:
            known: what it has shown before; None: nothing.
            asker: who it is besides.
            secret: the body of the command.

        Raises:
            ProtocolError: it has been authorized, nobody is to be asked, the servers do not answer, or they allow it
                nothing.
        """
        if known is not None and known.permissions.permissions:
            raise ProtocolError(errors.E_INVALID, "AUTH already set", commands.AUTH)
        if not self._addresses:
            raise ProtocolError(errors.E_AUTH_DISABLED, "AUTH disabled", commands.AUTH)
        permissions = await self._ask(asker, secret, commands.AUTH)
        if not permissions.permissions:
            raise ProtocolError(errors.E_UNAUTHORIZED, "AUTH no authorizations found", commands.AUTH)
        return Authorization(asker, secret, permissions)

    def may_at_once(self, known: Authorization | None, verb: str, topic: str, channel: str) -> bool:
        """Whether a client may do this, without asking anybody. False: `may` has to ask.

        Raises:
            ProtocolError: it may not.
        """
        if known is None or not known.permissions.permissions:
            raise ProtocolError(errors.E_AUTH_FIRST, f"AUTH required before {verb}", verb)
        if known.permissions.have_expired(self._now()):
            return False
        _check(known.permissions, verb, topic, channel)
        return True

    async def may(self, known: Authorization | None, verb: str, topic: str, channel: str) -> None:
        """Pass when a client may do this; the servers are asked again when it is time.

        Args:
            known: what it may do; None: it has not said who it is.
            verb: of the command.
            topic: that it concerns.
            channel: likewise; empty: it publishes.

        Raises:
            ProtocolError: it may not, or the servers do not answer.
        """
        if not self.may_at_once(known, verb, topic, channel) and known is not None:
            known.permissions = await self._ask(known.asker, known.secret, verb)
            _check(known.permissions, verb, topic, channel)

    async def _ask(self, asker: Asker, secret: bytes, verb: str) -> Permissions:
        """What the first server says that answers, beginning anywhere among them."""
        query = urlencode(
            {
                "common_name": asker.common_name,
                "remote_ip": asker.remote_ip,
                "secret": secret,
                "tls": "true" if asker.is_encrypted else "false",
            }
        )
        begin = random.randrange(len(self._addresses))
        for address in self._addresses[begin:] + self._addresses[:begin]:
            url = address if "://" in address else f"http://{address}/auth"
            try:
                answer = await fetch(
                    f"{url}?{query}",
                    headers=_HEADERS,
                    tls=self._tls,
                    connect_s=self._connect_timeout_s,
                    request_s=self._timeout_s,
                    body_bytes_max=limits.NSQ_AUTHORIZATION_BYTES_MAX,
                )
                if answer.status != _OK:
                    raise UnusableAnswer(f"got response {answer.status} {answer.body[:_SHOWN_BYTES]!r}")
                return permissions_of(answer.body, self._now())
            except (FetchFailed, UnusableAnswer) as error:
                self._logger.warning("failed to auth against %s - %s", address, error)
        raise ProtocolError(errors.E_AUTH_FAILED, _FAILED, verb)


def _check(permissions: Permissions, verb: str, topic: str, channel: str) -> None:
    if not permissions.allow(topic, channel):
        on = f"{quoted(topic.encode())} {quoted(channel.encode())}"
        raise ProtocolError(errors.E_UNAUTHORIZED, f"AUTH failed for {verb} on {on}", verb)
