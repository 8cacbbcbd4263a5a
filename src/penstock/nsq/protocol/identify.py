"""IDENTIFY: what a client asks for, within which bounds, and what it is answered. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import msgspec

from penstock.model import limits
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol import errors
from penstock.nsq.protocol.errors import ProtocolError
from penstock.nsq.protocol.version import NSQ_VERSION

OUTPUT_BUFFER_BYTES: Final = 16 * 1024
"""Of a client that does not say how large its buffer is to be."""

_IDENTIFY: Final = "IDENTIFY"
_HEARTBEAT_MS_MIN: Final = 1_000
_MSG_TIMEOUT_MS_MIN: Final = 1_000
_OUTPUT_BUFFER_BYTES_MIN: Final = 64
_SAMPLE_RATE_MAX: Final = 99
_DEFLATE_LEVEL: Final = 6
_OFF: Final = -1
"""What a client asks for that wants no heartbeats, or no buffer."""

_decode: Final = msgspec.json.Decoder().decode
_Plain = TypeVar("_Plain", bool, int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What a client and the door have agreed on.

    Attributes:
        client_id, hostname, user_agent: as the client calls itself.
        topology_region, topology_zone: where it says that it is.
        heartbeat_interval_s: how often it hears of the door; 0: never.
        output_buffer_size_bytes: so many bytes are written at once, 1: each message on its own.
        output_buffer_timeout_s: how long a message may wait for more to write; 0: not at all.
        sample_rate: how many of a hundred messages it wants; 0: all.
        msg_timeout_s: how long it has a message before it is given out again.
        tls, snappy, deflate: which layers come next, in this order.
        deflate_level: with which level is compressed.
        answer: the data of the response.
    """

    client_id: str
    hostname: str
    user_agent: str
    topology_region: str
    topology_zone: str
    heartbeat_interval_s: float
    output_buffer_size_bytes: int
    output_buffer_timeout_s: float
    sample_rate: int
    msg_timeout_s: float
    tls: bool = False
    snappy: bool = False
    deflate: bool = False
    deflate_level: int = _DEFLATE_LEVEL
    answer: bytes = field(default=b"OK", repr=False)

    @property
    def has_layers(self) -> bool:
        """Whether what follows the answer is encrypted or compressed."""
        return self.tls or self.snappy or self.deflate


def negotiate(body: bytes, options: DoorOptions, *, has_tls: bool) -> Negotiated:
    """What is agreed on with a client that says this.

    Args:
        body: of its IDENTIFY.
        options: of the door.
        has_tls: the door has a certificate.

    Raises:
        ProtocolError: it cannot be read, asks for what is out of bounds, or for two ways of compression.
    """
    asked = _Asked(body)
    heartbeat_s = _heartbeat_s(asked.number("heartbeat_interval"), options)
    buffer_timeout_s = _output_buffer_timeout_s(asked.number("output_buffer_timeout"), options)
    buffer_bytes = asked.number("output_buffer_size")
    if buffer_bytes == _OFF:
        buffer_timeout_s = 0.0
    agreed = Negotiated(
        client_id=asked.text("client_id"),
        hostname=asked.text("hostname"),
        user_agent=asked.text("user_agent"),
        topology_region=asked.later_text("topology_region"),
        topology_zone=asked.later_text("topology_zone"),
        heartbeat_interval_s=heartbeat_s,
        output_buffer_timeout_s=buffer_timeout_s,
        output_buffer_size_bytes=_output_buffer_bytes(buffer_bytes, options),
        sample_rate=_sample_rate(asked.number("sample_rate", bits=32)),
        msg_timeout_s=_msg_timeout_s(asked.number("msg_timeout"), options),
    )
    return _with_features(agreed, asked, options, has_tls=has_tls) if asked.flag("feature_negotiation") else agreed


def _with_features(agreed: Negotiated, asked: _Asked, options: DoorOptions, *, has_tls: bool) -> Negotiated:
    """What is agreed on besides with a client that knows features, and the answer that tells it so."""
    tls = has_tls and asked.flag("tls_v1")
    snappy = options.snappy and asked.flag("snappy")
    deflate = options.deflate and asked.flag("deflate")
    asked_level = asked.number("deflate_level")
    level = min(asked_level if deflate and asked_level > 0 else _DEFLATE_LEVEL, options.max_deflate_level)
    if deflate and snappy:
        text = "cannot enable both deflate and snappy compression"
        raise ProtocolError(errors.E_IDENTIFY_FAILED, text, _IDENTIFY)
    answer = {
        "max_rdy_count": options.max_rdy_count,
        "version": NSQ_VERSION,
        "max_msg_timeout": _ms(options.max_msg_timeout_s),
        "msg_timeout": _ms(agreed.msg_timeout_s),
        "tls_v1": tls,
        "deflate": deflate,
        "deflate_level": level,
        "max_deflate_level": options.max_deflate_level,
        "snappy": snappy,
        "sample_rate": agreed.sample_rate,
        "auth_required": bool(options.auth_http_addresses),
        "output_buffer_size": agreed.output_buffer_size_bytes,
        "output_buffer_timeout": _ms(agreed.output_buffer_timeout_s),
    }
    return replace(
        agreed, tls=tls, snappy=snappy, deflate=deflate, deflate_level=level, answer=msgspec.json.encode(answer)
    )


# --- bounds ---------------------------------------------------------------------------------------------------------
def _ms(duration_s: float) -> int:
    """Whole milliseconds; what is left of a millisecond is cut off."""
    return round(duration_s * 1_000_000) // 1_000


def _refuse(what: str, value: int) -> ProtocolError:
    return ProtocolError(errors.E_BAD_BODY, f"IDENTIFY {what} ({value}) is invalid", _IDENTIFY)


def _heartbeat_s(asked_ms: int, options: DoorOptions) -> float:
    if asked_ms == _OFF:
        return 0.0
    if asked_ms == 0:
        return limits.NSQ_CLIENT_TIMEOUT_S / 2
    if not _HEARTBEAT_MS_MIN <= asked_ms <= _ms(options.max_heartbeat_interval_s):
        raise _refuse("heartbeat interval", asked_ms)
    return asked_ms / 1_000


def _output_buffer_timeout_s(asked_ms: int, options: DoorOptions) -> float:
    if asked_ms == _OFF:
        return 0.0
    if asked_ms == 0:
        return options.output_buffer_timeout_s
    if not _ms(options.min_output_buffer_timeout_s) <= asked_ms <= _ms(options.max_output_buffer_timeout_s):
        raise _refuse("output buffer timeout", asked_ms)
    return asked_ms / 1_000


def _output_buffer_bytes(asked_bytes: int, options: DoorOptions) -> int:
    if asked_bytes == _OFF:
        return 1
    if asked_bytes == 0:
        return OUTPUT_BUFFER_BYTES
    if not _OUTPUT_BUFFER_BYTES_MIN <= asked_bytes <= options.max_output_buffer_size_bytes:
        raise _refuse("output buffer size", asked_bytes)
    return asked_bytes


def _sample_rate(asked: int) -> int:
    if not 0 <= asked <= _SAMPLE_RATE_MAX:
        raise _refuse("sample rate", asked)
    return asked


def _msg_timeout_s(asked_ms: int, options: DoorOptions) -> float:
    if asked_ms == 0:
        return options.msg_timeout_s
    if not _MSG_TIMEOUT_MS_MIN <= asked_ms <= _ms(options.max_msg_timeout_s):
        raise _refuse("msg timeout", asked_ms)
    return asked_ms / 1_000


# --- what a client says ----------------------------------------------------------------------------------------------
class _Asked:
    """What a client says, as Go reads JSON into a record: names in any case, null for what is not said, and nothing of
    another type; what is not known is passed over."""

    def __init__(self, body: bytes) -> None:
        try:
            # Two steps, for bytes that are no UTF-8 are no fault to Go.
            said: Any = _decode(body.decode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError):
            raise _unreadable() from None
        if said is None:
            said = {}
        if not isinstance(said, dict):
            raise _unreadable()
        self._said: dict[str, Any] = {name.lower(): value for name, value in said.items() if value is not None}
        # A wrong type is refused whether the field is looked at or not.
        for name in ("client_id", "hostname", "user_agent"):
            self.text(name)
        for name in ("feature_negotiation", "tls_v1", "deflate", "snappy"):
            self.flag(name)
        for name in ("heartbeat_interval", "output_buffer_size", "output_buffer_timeout", "deflate_level"):
            self.number(name)
        self.number("sample_rate", bits=32)
        self.number("msg_timeout")

    def _plain(self, name: str, kind: type[_Plain]) -> _Plain:
        value = self._said.get(name)
        if value is None:
            return kind()
        if type(value) is not kind:
            raise _unreadable()
        found: _Plain = value
        return found

    def text(self, name: str) -> str:
        """A text; empty where nothing is said."""
        return self._plain(name, str)

    def later_text(self, name: str) -> str:
        """A text that NSQ's clients of a later version send."""
        value = self._said.get(name)
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """Whether something is asked for."""
        return self._plain(name, bool)

    def number(self, name: str, *, bits: int = 64) -> int:
        """A whole number of so many bits; 0 where nothing is said."""
        value = self._plain(name, int)
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise _unreadable()
        return value


def _unreadable() -> ProtocolError:
    return ProtocolError(errors.E_BAD_BODY, "IDENTIFY failed to decode JSON body", _IDENTIFY)
