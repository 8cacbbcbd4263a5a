"""Request bodies that are one small JSON object, such as an operator sends."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.job_json import check_utf8, not_json
from penstock.gate.json_nesting import nested_too_deep
from penstock.gate.problems import Problem
from penstock.gate.requests import RouteRequest
from penstock.model import limits

T = TypeVar("T")

_JSON: Final = "application/json"
_PLACE: Final = " - at `$"
_NAMED: Final = re.compile(r"(unknown|required) field `(.*)`", re.DOTALL)


async def read_object(request: RouteRequest, admission: Admission, decoder: msgspec.json.Decoder[T]) -> T:
    """The object that a request's body holds, as the decoder makes it.

    Raises:
        Problem: ``unsupported-media-type``, ``malformed-body``, ``body-too-large``, ``invalid-option``, whose field is
            the member that is to blame.
    """
    get = request.headers.get
    if (get("content-type") or "").lower().split(";")[0].strip() != _JSON:
        raise Problem("unsupported-media-type", f"Send {_JSON}, one object.")
    body = await admission.read(request.flight, get("content-length"), request.incoming)
    if len(body) > limits.GATE_LOOP_BYTES_MAX:
        raise Problem("body-too-large", f"The body may have {limits.GATE_LOOP_BYTES_MAX} bytes here.")
    check_utf8(body)
    if nested_too_deep(body):
        raise not_json(RecursionError())
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise not_this_object(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None


def not_this_object(message: str, what: str = "The body") -> Problem:
    """The problem of JSON that is not the object it should be, by the decoder's message: ``invalid-option`` with the
    field that is to blame, or ``malformed-body`` when it is no object at all. ``what``: what should be one."""
    text, place, path = message.rpartition(_PLACE)
    if not place:
        text, path = message, ""
    field = re.split(r"[.\[]", path.removeprefix(".").removesuffix("`"), maxsplit=1)[0]
    named = _NAMED.search(text)
    if named:
        return Problem("invalid-option", f"{text}.", field=named[2])
    if not field:
        return Problem("malformed-body", f"{what} is a JSON object. {text}.")
    return Problem("invalid-option", f"`{field}`: {text}.", field=field)
