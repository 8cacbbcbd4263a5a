"""IDENTIFY: what a client and the door agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol import errors, frames
from penstock.nsq.protocol.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Identified:
    """What was agreed on.

    Attributes:
        msg_timeout_s: how long the client has for a message.
        heartbeat_s: how often it hears a heartbeat; 0: never.
        sample_rate: of a hundred messages, how many it takes; 0: all.
        answer: the frame that tells it so.
    """

    msg_timeout_s: float
    heartbeat_s: float
    sample_rate: int
    answer: bytes


class Identifying:
    """Carries IDENTIFY out."""

    def __init__(self, options: DoorOptions) -> None:
        self._options = options

    def identify(self, body: bytes) -> Identified:
        """Agree with a client on what it asks for.

        Raises:
            ProtocolError: it cannot be agreed on.
        """
        try:
            said: Any = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise ProtocolError(errors.E_BAD_BODY, "IDENTIFY failed to decode JSON body", "IDENTIFY") from None
        options = self._options
        timeout_s = said.get("msg_timeout", 0) / 1_000 or options.msg_timeout_s
        heartbeat_ms = said.get("heartbeat_interval", 0)
        heartbeat_s = 0.0 if heartbeat_ms == -1 else heartbeat_ms / 1_000 or 30.0
        sample_rate = said.get("sample_rate", 0)
        if not said.get("feature_negotiation"):
            return Identified(timeout_s, heartbeat_s, sample_rate, frames.OK)
        answer = {
            "max_rdy_count": options.max_rdy_count,
            "version": "1.3.0",
            "max_msg_timeout": int(options.max_msg_timeout_s * 1_000),
            "msg_timeout": int(timeout_s * 1_000),
            "tls_v1": False,
            "deflate": False,
            "deflate_level": 6,
            "max_deflate_level": options.max_deflate_level,
            "snappy": False,
            "sample_rate": sample_rate,
            "auth_required": bool(options.auth_http_addresses),
            "output_buffer_size": 16_384,
            "output_buffer_timeout": int(options.output_buffer_timeout_s * 1_000),
        }
        return Identified(timeout_s, heartbeat_s, sample_rate, frames.response(msgspec.json.encode(answer)))
