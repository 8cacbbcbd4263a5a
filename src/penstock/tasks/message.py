"""Messages as consumers and publishers see them: how a value becomes a message's body, and a body a value again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidArguments, InvalidOption
from penstock.model.topics import RAW
from penstock.tasks.arguments.call_plan import Arguments
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.subclasses import to_wire
from penstock.tasks.names import refuse

_JSON_VALUE: Final = msgspec.json.Decoder(Raw)
_AS_IT_IS: Final = (bytes, bytearray, memoryview)


class Message(Struct, frozen=True):
    """A message as its consumer gets it, when the function's parameter is annotated so or not at all.

    Attributes:
        body: the bytes that were published.
        id: the message's id in text form, the same in all channels.
        topic: it was published to.
        channel: it was taken from.
        headers: what the publisher sent along; its key is ``headers["key"]``.
        attempt: which attempt this is, counted from 1.
        timestamp: when the message was made, in UTC, by its publisher's clock.
    """

    body: bytes
    id: str
    topic: str
    channel: str
    headers: Mapping[str, str]
    attempt: int
    timestamp: datetime


def body_of(topic: str, value: Any) -> bytes:
    """The body of a message that says this: bytes as they are, text as UTF-8, anything else as JSON.

    Raises:
        InvalidArguments: JSON cannot say it.
        BodyTooLarge: it is over the limit for one job.
    """
    if isinstance(value, _AS_IT_IS):
        body = RAW + value
    else:
        try:
            body = RAW + (value.encode() if isinstance(value, str) else msgspec.json.encode(value, enc_hook=to_wire))
        except Exception as error:
            raise InvalidArguments(
                f"{topic}: this body is no message: {error}. Give bytes, text, or what JSON can say.",
                field="body",
            ) from error
        if b"null" in body and not isinstance(value, str) and _has_no_finite_number(value):
            raise InvalidArguments(
                f"{topic}: a message has a number that JSON cannot say (NaN, or infinity): send null or text for it.",
                field="body",
            )
    if len(body) > limits.JOB_BODY_BYTES_MAX:
        # The first byte of a body says its format; whoever sends a message does not see it.
        most = limits.JOB_BODY_BYTES_MAX - len(RAW)
        raise BodyTooLarge(f"{topic}: a message of {len(body) - len(RAW)} bytes; the limit is {most}.")
    return body


def _has_no_finite_number(value: Any) -> bool:
    """Whether a number in this would become null in JSON."""
    rest = [msgspec.to_builtins(value, enc_hook=to_wire)]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            rest.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            rest.extend(one)
        elif isinstance(one, float) and not math.isfinite(one):
            return True
    return False


class MessageCodec(Codec):
    """Decodes the bodies of messages to what a consumer's function takes.

    ``bytes``, `Message` and no annotation: as they are. ``str``: as UTF-8. Any other annotation: as JSON.
    """

    def __init__(self, task: str, function: Callable[..., Any]) -> None:
        """Raises InvalidOption when the function does not take one message, or of a type that cannot be sent."""
        super().__init__(task, function)
        if self.is_resolved:
            self._wanted()

    @property
    def takes_message(self) -> bool:
        """Whether the function wants a `Message`, not its body."""
        return self._wanted() in (Any, Message)

    def arguments_decoder(self) -> Callable[[bytes], Arguments]:
        """See `Codec.arguments_decoder`."""
        wanted = self._wanted()
        if wanted in (Any, Message, bytes):
            return self._raw
        return self._text if wanted is str else self._json

    def decode(self, body: bytes) -> Arguments:
        """See `Codec.decode`."""
        return self.arguments_decoder()(body)

    def _wanted(self) -> Any:
        positional = (self._plan or self._resolve()).parameters.positional
        given = (self._plan or self._resolve()).parameters.all()
        if not positional or any(parameter.required for parameter in given if parameter is not positional[0]):
            refuse(
                "function",
                f"is {self._task}, which does not take one message: write def {self._function.__name__}"
                "(message: bytes), with a Context before it if you like",
            )
        return positional[0].type

    def _raw(self, body: bytes) -> Arguments:
        return (self._payload(body),), {}

    def _text(self, body: bytes) -> Arguments:
        try:
            return (self._payload(body).decode(),), {}
        except UnicodeDecodeError as error:
            raise InvalidArguments(f"{self._task}: the message is no text: {error}", field="body") from error

    def _json(self, body: bytes) -> Arguments:
        payload = self._payload(body)
        try:
            _JSON_VALUE.decode(payload)
        except (msgspec.DecodeError, ValueError) as error:
            raise InvalidArguments(f"{self._task}: the message is no JSON: {error}", field="body") from error
        return super().arguments_decoder()(b"".join((b"j[[", payload, b"],{}]")))

    def _payload(self, body: bytes) -> bytes:
        if body[:1] != RAW:
            raise InvalidArguments(f"{self._task}: this is no message, but arguments of a task.", field="body")
        return body[1:]


def check_value_of(name: str, value: object) -> None:
    """Pass when a header or a key is text.

    Raises:
        InvalidOption: it is not.
    """
    if not isinstance(value, str):
        raise InvalidOption(f"{name} is text, not {type(value).__name__}.", field=name)
