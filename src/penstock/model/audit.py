"""The audit log: what operators have done. Pure.

One entry for each thing that somebody asked for by hand: who, when, what, to what, and to how many jobs. The latest
`limits.AUDIT_ENTRIES_MAX` are kept.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import asdict

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import id_text
from penstock.model.job import Filter


class AuditEntry(Struct, array_like=True, frozen=True):
    """Attributes:
    number: rises with each entry.
    at: when, Unix seconds by the store's clock.
    by: who: the user of a command line, or how a gate calls the sender of a request.
    verb: what: ``pause``, ``resume``, ``drain``, ``remove``, ``stop``, ``limit``, ``restore`` (of limits), or a verb
        for jobs such as ``retry``.
    subject: to what: ``queue:NAME``, ``task:NAME``, ``job:ID``, ``action:ID``, or the jobs that matched a filter.
    count: to how many jobs. Of an action that is under way: so far. None: that is no question.
    note: why, in the operator's words; of limits, which.
    action: the id of the bulk action that does it; None: it is none.
    """

    number: int
    at: float
    by: str
    verb: str
    subject: str
    count: int | None = None
    note: str | None = None
    action: bytes | None = None


class AuditPage(Struct, array_like=True, frozen=True):
    """Entries, newest first. ``cursor`` asks for the next page; None: there is none."""

    entries: list[AuditEntry]
    cursor: str | None


def check_by(by: str | None) -> None:
    """Pass when somebody may be called so. None: nobody asks by hand.

    Raises:
        InvalidOption: the name is too long.
    """
    if by is not None and len(by.encode("utf-8", "replace")) > limits.BY_BYTES_MAX:
        raise InvalidOption(f"Who asks has a name of at most {limits.BY_BYTES_MAX} bytes.", field="by")


def filter_text(where: Filter) -> str:
    """A filter in words, as a search has it: ``state=dead queue=images arg.order=7``."""
    given = {name: value for name, value in asdict(where).items() if value not in (None, {}, ())}
    for name in ("since", "until"):
        if name in given:
            given[name] = datetime.fromtimestamp(given[name], UTC).isoformat(timespec="seconds")
    arguments = given.pop("arguments", {})
    given |= {f"arg.{name}": text for name, text in arguments.items()}
    return " ".join(f"{name}={value}" for name, value in given.items())


def jobs_text(ids: list[str]) -> str:
    """Single jobs in words: the first id, and how many more."""
    more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    return f"job:{ids[0]}{more}" if ids else "no job"


def action_text(action_id: bytes) -> str:
    """A bulk action in words."""
    return f"action:{id_text(action_id)}"


def audit_cursor(number: int) -> str:
    """The cursor that goes on with the entries before this one."""
    return f"audit-{number}"


def number_before(cursor: str | None) -> int | None:
    """The number below which a page begins; None: at the latest entry.

    Raises:
        InvalidOption: `audit_cursor` makes no such cursor.
    """
    if cursor is None:
        return None
    kind, _, number = cursor.partition("-")
    if kind != "audit" or not (number.isascii() and number.isdecimal()) or len(number) > 18:
        raise InvalidOption(f"{cursor[:80]!r} is no cursor of the audit log.", field="cursor")
    return int(number)
