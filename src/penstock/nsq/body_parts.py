"""Which part of a message's body is meant: the whole of it, or a value in its JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.nsq.notation import Kind

__all__ = ["BODY_OR_JSON", "JSON_PATH", "BodyPart"]

_JSON = "json:"
_DECODE = msgspec.json.Decoder().decode
_ENCODER = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A part of a body.

    Attributes:
        names: the way to a value in its JSON: names of fields, and places in lists. None: the whole body.
    """

    names: tuple[str, ...] | None = None

    def of(self, body: bytes) -> bytes | None:
        """The part of a body: as it is, or the value as JSON, written in one way. None: it has none."""
        if self.names is None:
            return body
        try:
            value: Any = _DECODE(body)
            for name in self.names:
                value = value[int(name)] if isinstance(value, list) else value[name]
            return None if value is None else _ENCODER.encode(value)
        except (msgspec.DecodeError, LookupError, TypeError, ValueError, RecursionError):
            return None

    def __str__(self) -> str:
        return "body" if self.names is None else f"{_JSON}{'.'.join(self.names)}"


def _json_path(text: str) -> BodyPart | None:
    if not text:
        return None
    names = tuple(text.removeprefix(_JSON).split("."))
    if not text.startswith(_JSON) or not all(names):
        raise ValueError("write json: and the names on the way to the value, such as json:order.customer")
    return BodyPart(names)


def _body_or_json(text: str) -> BodyPart | None:
    if text.lower() == "body":
        return BodyPart()
    try:
        return _json_path(text)
    except ValueError:
        raise ValueError("use body, or json: and the names on the way to the value, such as json:order.id") from None


def _toml(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("use a text")
    return value


def _as_json(part: BodyPart | None) -> str:
    return "" if part is None else str(part)


JSON_PATH = Kind("path", _json_path, lambda value: _json_path(_toml(value)), _as_json)
BODY_OR_JSON = Kind("part", _body_or_json, lambda value: _body_or_json(_toml(value)), _as_json)
