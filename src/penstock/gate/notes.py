"""What may be said with a pause, a drain and the like: why, in the operator's words."""

from __future__ import annotations

from typing import Final

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.problems import Problem
from penstock.gate.request_bodies import has_no_body, read_object
from penstock.gate.requests import RouteRequest


class NoteJson(msgspec.Struct, forbid_unknown_fields=True):
    """The body of such a request; it may have none."""

    note: str | None = None


_NOTE: Final = msgspec.json.Decoder(NoteJson)


async def note_of(request: RouteRequest, admission: Admission, change: str) -> str | None:
    """The note that comes with a change, such as ``pause``. None: there is none.

    Raises:
        Problem: it is something else, or comes with a resumption, of which no note is kept.
    """
    if has_no_body(request):
        return None
    said = await read_object(request, admission, _NOTE)
    if change == "resume" and said.note is not None:
        raise Problem("invalid-option", "`note` goes with a pause or a drain.", field="note")
    return said.note
