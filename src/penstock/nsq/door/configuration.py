"""``/config`` of nsqd's HTTP API: what each option is, and changing those two that may change while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from penstock.http.messages import Answer
from penstock.model.errors import InvalidOption
from penstock.nsq.addresses import parse_address
from penstock.nsq.door.statsd import prefix_of
from penstock.nsq.flags import Flag, flags_of
from penstock.nsq.http_application import Request
from penstock.nsq.http_routes import ApiError, json_answer, plain_answer
from penstock.nsq.notation import LOG_LEVELS
from penstock.nsq.options import DoorOptions

__all__ = ["Configuration"]

_LOOKUPDS: Final = "nsqlookupd_tcp_addresses"
_LOG_LEVEL: Final = "log_level"
_TEXTS: Final = msgspec.json.Decoder(list[str] | None)
_NOT_SHOWN: Final = frozenset({"verbose", "worker_id", "config", "version"})
"""Flags that are no options of nsqd."""


class Configuration:
    """The options of a door.

    Args:
        options: tells those in force.
        change: puts others in force.
        ports: the ports of TCP and HTTP, as they are; -1: it is at a path.
    """

    def __init__(
        self, options: Callable[[], DoorOptions], change: Callable[[DoorOptions], None], ports: tuple[int, int]
    ) -> None:
        self._options = options
        self._change = change
        self._tcp_port, self._http_port = (max(0, port) for port in ports)
        self._flags: dict[str, tuple[str, Flag]] = {
            found.key: (name, found) for name, found in flags_of(DoorOptions).items() if name not in _NOT_SHOWN
        }

    async def show(self, request: Request) -> Answer:
        """What an option is."""
        found = self._flags.get(request.subject)
        if found is None:
            raise ApiError(400, "INVALID_OPTION")
        name, described = found
        return _answer(described.kind.as_json(getattr(self._as_found(), name)))

    def _as_found(self) -> DoorOptions:
        """The options, with what they leave open as it has come out."""
        options = self._options()
        http_port = options.broadcast_http_port or self._http_port
        return replace(
            options,
            broadcast_tcp_port=options.broadcast_tcp_port or self._tcp_port,
            broadcast_http_port=http_port,
            statsd_prefix=prefix_of(options.statsd_prefix, options.broadcast_address, http_port),
        )

    async def change(self, request: Request) -> Answer:
        """Change an option, and answer what it is."""
        options = self._options()
        body = await request.body(options.max_msg_size_bytes, ApiError(413, "INVALID_VALUE"))
        if not body:
            raise ApiError(413, "INVALID_VALUE")
        if request.subject == _LOOKUPDS:
            self._change(replace(options, lookupd_tcp_addresses=_addresses(body)))
        elif request.subject == _LOG_LEVEL:
            level = body.decode("utf-8", "replace").lower()
            if level not in LOG_LEVELS:
                raise ApiError(400, "INVALID_VALUE")
            self._change(replace(options, log_level=level))
        else:
            raise ApiError(400, "INVALID_OPTION")
        return await self.show(request)


def _addresses(body: bytes) -> tuple[str, ...]:
    try:
        found = tuple(_TEXTS.decode(body) or ())
        for address in found:
            parse_address(address, _LOOKUPDS)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOption):
        raise ApiError(400, "INVALID_VALUE") from None
    return found


def _answer(value: Any) -> Answer:
    """As nsqd answers a value: a text as it is, everything else as JSON."""
    return plain_answer(value) if isinstance(value, str) else json_answer(value)
