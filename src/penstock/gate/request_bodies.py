"""Bodies of requests: of what kind they are, whether they are JSON, and those that are one small object."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.json_nesting import SLICE_BYTES, nested_too_deep
from penstock.gate.problems import Problem
from penstock.gate.requests import RouteRequest
from penstock.http.messages import Headers
from penstock.model import limits

T = TypeVar("T")

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
BYTES: Final = "application/octet-stream"
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_BLANK: Final = b" \t\r\n"
_SHOWN: Final = 60
_PLACE: Final = " - at `$"
_NAMED: Final = re.compile(r"(unknown|required) field `(.*)`", re.DOTALL)


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A body that says nothing."""


_NO_BODY: Final = "This request takes no body. What it may be asked stands in its address."
_NOTHING: Final = msgspec.json.Decoder(_Nothing)


def kind_of(headers: Headers, kinds: tuple[str, ...], send: str) -> str:
    """Which of these media types a body is of. ``send``: what to send, for whoever sends something else.

    Raises:
        Problem: ``unsupported-media-type``: it is of none of them, encoded, or text in another charset than UTF-8.
    """
    encoding = headers.get("content-encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise Problem("unsupported-media-type", f"Content-Encoding {encoding!r} is not taken: send it plain.")
    given = headers.get("content-type") or ""
    if given == JSON:
        return JSON
    kind, *parameters = (part.strip() for part in given.lower().split(";"))
    if kind not in kinds:
        instead = f"not {kind!r}" if kind else "and there is no Content-Type"
        raise Problem("unsupported-media-type", f"Send {send}; {instead}.")
    for parameter in parameters if kind != BYTES else ():
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name == "charset" and value.strip('"') not in _CHARSETS:
            raise Problem("unsupported-media-type", f"The charset {value!r} is not taken: send UTF-8.")
    return kind


def check_utf8(body: bytes) -> None:
    """Pass when the body is UTF-8. Raw parts are skipped, not decoded, so nothing else would see a bad byte in them.

    Raises:
        Problem: ``malformed-body``.
    """
    if body.isascii():
        return
    decode = getincrementaldecoder("utf-8")().decode
    at = 0
    try:
        # In slices: a text is four times as large where it has a character that needs it.
        for at in range(0, len(body), SLICE_BYTES):
            decode(body[at : at + SLICE_BYTES])
        decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Problem("malformed-body", f"The body is not UTF-8: {error.reason} after byte {at}.") from None


def not_json(error: Exception) -> Problem:
    """The problem of a text that msgspec could not read."""
    if isinstance(error, RecursionError):
        return Problem("malformed-body", f"The body is nested deeper than {limits.NESTING_MAX} levels.")
    return Problem("malformed-body", f"The body is not JSON: {str(error).removeprefix('JSON is malformed: ')}.")


def has_no_body(request: RouteRequest) -> bool:
    """Whether a request has come without a body."""
    return request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers


async def refuse_body(request: RouteRequest, admission: Admission) -> None:
    """Pass when there is nothing in a request's body, or an empty object. For requests of which no body is read: what
    somebody wanted with it would not happen.

    Raises:
        Problem: ``invalid-option``, whose field is a member of it; ``malformed-body``: it is no object.
    """
    if has_no_body(request):
        return
    body = await admission.read(request.flight, request.headers.get("content-length"), request.incoming)
    if not body.strip(_BLANK):
        return
    try:
        _NOTHING.decode(body[: limits.GATE_LOOP_BYTES_MAX])
    except msgspec.ValidationError as error:
        problem = not_this_object(str(error))
        if problem.field is not None:
            raise Problem("invalid-option", f"`{problem.field}`: {_NO_BODY}", field=problem.field) from None
        raise Problem("malformed-body", _NO_BODY) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem("malformed-body", _NO_BODY) from None


async def read_json(request: RouteRequest, admission: Admission) -> bytes:
    """The body of a request that has one JSON object in it, not looked into.

    Raises:
        Problem: ``unsupported-media-type``, ``body-too-large``, ``overloaded``.
    """
    kind_of(request.headers, (JSON,), f"{JSON}, one object")
    return await admission.read(request.flight, request.headers.get("content-length"), request.incoming)


async def read_object(request: RouteRequest, admission: Admission, decoder: msgspec.json.Decoder[T]) -> T:
    """The object that a request's body holds, as the decoder makes it.

    Raises:
        Problem: ``unsupported-media-type``, ``malformed-body``, ``body-too-large``, ``invalid-option``, whose field is
            the member that is to blame.
    """
    body = await read_json(request, admission)
    if len(body) > limits.GATE_LOOP_BYTES_MAX:
        raise Problem("body-too-large", f"The body may have {limits.GATE_LOOP_BYTES_MAX} bytes here.")
    return object_of(body, decoder)


def object_of(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The object that is in a body, as the decoder makes it.

    Raises:
        Problem: ``malformed-body``, ``invalid-option``, whose field is the member that is to blame.
    """
    check_utf8(body)
    if nested_too_deep(body):
        raise not_json(RecursionError())
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise not_this_object(str(error), known=members_of(decoder)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None


def members_of(decoder: msgspec.json.Decoder[Any]) -> Sequence[str]:
    """The members that an object may have, for a decoder of structs."""
    members: tuple[str, ...] = getattr(decoder.type, "__struct_encode_fields__", ())
    return members


def not_this_object(message: str, what: str = "The body", known: Sequence[str] = ()) -> Problem:
    """The problem of JSON that is not the object it should be, by the decoder's message: ``invalid-option`` with the
    field that is to blame, or ``malformed-body`` when it is no object at all.

    Args:
        what: what should be an object.
        known: the members that it may have.
    """
    text, place, path = message.rpartition(_PLACE)
    if not place:
        text, path = message, ""
    field = re.split(r"[.\[]", path.removeprefix(".").removesuffix("`"), maxsplit=1)[0]
    named = _NAMED.search(text)
    if named and named[1] == "unknown" and known and not place:
        detail = f"`{named[2][:_SHOWN]}`: no such member here; there is `{'`, `'.join(known)}`."
        return Problem("invalid-option", detail, field=named[2])
    if named:
        return Problem("invalid-option", f"{text}.", field=named[2])
    if not field:
        return Problem("malformed-body", f"{what} is a JSON object. {text}.")
    return Problem("invalid-option", f"`{field}`: {text}.", field=field)
