"""What operators send and are shown, as JSON: queues with what holds them, bulk actions, the audit log.

The command line prints the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from penstock.gate.job_json import counts_json, job_id_text, time_text
from penstock.gate.problems import Problem
from penstock.gate.searches import ARGUMENT, filter_of
from penstock.model.actions import Action, ActionRequest, ActionState, Verb, why_none
from penstock.model.audit import AuditPage
from penstock.model.holds import Hold, HoldKind, QueueView
from penstock.model.ids import new_id, parse_id
from penstock.model.job import Filter

VERBS: Final = (Verb.RETRY, Verb.CANCEL, Verb.DELETE, Verb.MOVE, Verb.REPLAY)
"""Those that are asked for by name; `Verb.EMPTY` has an address of its own."""
_FIELDS: Final = tuple(name for name in Filter.__struct_fields__ if name != "arguments")
_SHOWN: Final = 60


class EmptyJson(Struct, forbid_unknown_fields=True):
    """What may be said when a queue or a task is emptied."""

    dry_run: bool = False
    per_s: float | None = None
    note: str | None = None


class ActionJson(Struct, forbid_unknown_fields=True):
    """A bulk action as it is asked for. What the fields mean: `penstock.model.actions.ActionRequest`.

    Attributes:
        where: the parameters of ``GET /v1/jobs``, all text; arguments as ``arg.NAME`` or in an object ``arguments``.
        id: made by who asks, so that the same may be asked for again after an answer was lost. None: made here.
    """

    verb: str
    where: dict[str, Any]
    to: str | None = None
    dry_run: bool = False
    per_s: float | None = None
    note: str | None = None
    id: str | None = None

    def request(self) -> ActionRequest:
        """The action.

        Raises:
            Problem: ``invalid-option``: there is no such verb, no such field, no such state.
        """
        if self.verb not in VERBS:
            verbs = ", ".join(verb.value for verb in VERBS)
            raise Problem("invalid-option", f"`verb` is one of {verbs}; not {self.verb[:_SHOWN]!r}.", field="verb")
        where = filter_of(_parameters(self.where))
        return ActionRequest(self._id(), Verb(self.verb), where, self.to, self.dry_run, self.per_s, self.note)

    def _id(self) -> bytes:
        try:
            return new_id() if self.id is None else parse_id(self.id)
        except ValueError:
            raise Problem("invalid-option", "`id` is a UUID in its usual form.", field="id") from None


def _parameters(where: dict[str, Any]) -> dict[str, str]:
    """The filter as the parameters of a search would have it."""
    given = dict(where)
    arguments = given.pop("arguments", None) or {}
    if not isinstance(arguments, dict):
        raise Problem("invalid-option", "`where.arguments` is an object of texts.", field="where")
    given |= {f"{ARGUMENT}{name}": text for name, text in arguments.items()}
    found: dict[str, str] = {}
    for name, text in given.items():
        if name not in _FIELDS and not (name.startswith(ARGUMENT) and len(name) > len(ARGUMENT)):
            takes = f"`{'`, `'.join((*_FIELDS, f'{ARGUMENT}NAME'))}`"
            raise Problem(
                "invalid-option", f"`where` has no field {name[:_SHOWN]!r}; there is {takes}.", field=f"where.{name}"
            )
        if text is not None:
            if not isinstance(text, str):
                raise Problem("invalid-option", f"`where.{name[:_SHOWN]}` is a text.", field=f"where.{name}")
            found[name] = text
    return found


# --- what is shown ---------------------------------------------------------------------------------------------------
def action_json(action: Action) -> dict[str, Any]:
    """A bulk action. ``matched`` is null while it is still being counted; ``reason``: why it found nothing to move or
    to replay; ``oldest_at``: of a replay, since when there are records."""
    return {
        "id": job_id_text(action.id),
        "verb": action.verb.value,
        "where": where_json(action.where),
        "to": action.to,
        "dry_run": action.dry_run,
        "per_s": action.per_s,
        "state": action.state.value,
        "matched": None if action.state is ActionState.COUNTING else action.matched,
        "changed": action.changed,
        "by": action.by,
        "note": action.note,
        "created_at": time_text(action.created_at),
        "finished_at": time_text(action.finished_at),
        "error": action.error,
        "reason": why_none(action) or None,
        "oldest_at": time_text(action.oldest_at),
    }


def where_json(where: Filter) -> dict[str, Any]:
    """The fields of a filter that are given."""
    given = {name: value for name, value in asdict(where).items() if value is not None}
    for name in ("since", "until"):
        if name in given:
            given[name] = time_text(given[name])
    return given


def queue_json(view: QueueView) -> dict[str, Any]:
    """A queue: why it gives out nothing or takes nothing in, then its counts. ``tasks``: what is held of single tasks
    in it."""
    tasks = sorted({hold.task for hold in view.holds if hold.task is not None})
    return {
        "name": view.name,
        **_held(view.holds, None),
        "closed": [reason.value for reason in view.closed],
        "tasks": [{"task": task, **_held(view.holds, task)} for task in tasks],
        **counts_json(view.counts),
    }


def _held(holds: Iterable[Hold], task: str | None) -> dict[str, Any]:
    found = {hold.kind: hold for hold in holds if hold.task == task}
    return {kind.value: _hold(found.get(kind)) for kind in HoldKind}


def _hold(hold: Hold | None) -> dict[str, Any] | None:
    return None if hold is None else {"by": hold.by, "at": time_text(hold.at), "note": hold.note}


def hold_json(hold: Hold) -> dict[str, Any]:
    """A hold in a list of holds."""
    return {"queue": hold.queue, "task": hold.task, "kind": hold.kind.value, **(_hold(hold) or {})}


def audit_json(page: AuditPage) -> dict[str, Any]:
    """A page of the audit log."""
    entries = [
        {
            "number": entry.number,
            "at": time_text(entry.at),
            "by": entry.by,
            "verb": entry.verb,
            "subject": entry.subject,
            "count": entry.count,
            "note": entry.note,
            "action": None if entry.action is None else job_id_text(entry.action),
        }
        for entry in page.entries
    ]
    return {"entries": entries, "cursor": page.cursor}
