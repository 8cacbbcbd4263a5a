"""What operators have put into the store beside jobs: holds, bulk actions, the audit log.

Holds and actions are few, and are in memory too; the audit log is read from the file. All of it is written in the
transaction of the call that asks for it, and read again after a rollback.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.actions import Action
from penstock.model.actions_under_way import Actions
from penstock.model.audit import AuditEntry, AuditPage, audit_cursor, number_before
from penstock.model.holds import Hold, HoldKind, Holds
from penstock.ports import Clock
from penstock.store.sqlite.database import Database

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Action).decode


class OperatorRecords:
    """Attributes:
    holds: those in force. An enqueue asks them for nothing while ``holds.drains`` is False.
    actions: those under way and the latest that have ended.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.load()

    def load(self) -> None:
        """Read what is in the file: at its opening, and after a rollback."""
        self.holds = Holds(
            Hold(queue or None, task or None, HoldKind(kind), by, at, note)
            for queue, task, kind, by, at, note in self.database.rows("load_holds")
        )
        self._numbers: dict[bytes, int] = {}
        known: list[Action] = []
        for number, record in self.database.rows("load_actions"):
            action = _action_of(record)
            if action is not None:
                known.append(action)
                self._numbers[action.id] = number
        self.actions = Actions(known)
        self._last_action = max(self._numbers.values(), default=0)
        self._last_entry = int(self.database.value("last_audit") or 0)

    # --- holds -------------------------------------------------------------------------------------------------------
    def put_hold(self, hold: Hold) -> None:
        """Put a hold that may be put."""
        self.holds.put(hold)
        row = (hold.queue or "", hold.task or "", hold.kind.value, hold.by, hold.at, hold.note)
        self.database.run("save_hold", *row)

    def lift_holds(self, queue: str | None, task: str | None) -> bool:
        """Lift the holds on exactly this. Answers whether there were some."""
        lifted = self.holds.lift(queue, task)
        if lifted:
            self.database.run("delete_holds", queue or "", task or "")
        return bool(lifted)

    # --- actions -----------------------------------------------------------------------------------------------------
    def save_action(self, action: Action) -> None:
        """Keep an action as it is now, and its count in the audit log. Of those that have ended the oldest go."""
        number = self._numbers.get(action.id)
        if number is None:
            number = self._numbers[action.id] = self._last_action = self._last_action + 1
        self.database.run("save_action", number, _encode(action))
        if action.entry is not None:
            self.database.run("save_audit_count", action.changed, action.entry)
        for gone in self.actions.save(action):
            self.database.run("delete_action", self._numbers.pop(gone))

    # --- the audit log -----------------------------------------------------------------------------------------------
    def note(
        self,
        by: str,
        verb: str,
        subject: str,
        count: int | None = None,
        note: str | None = None,
        action: bytes | None = None,
    ) -> int:
        """Add an entry. Answers its number."""
        self._last_entry += 1
        row = (self._last_entry, self.clock.time(), by, verb, subject, count, note, action)
        self.database.run("insert_audit", *row)
        self.database.run("drop_audit", self._last_entry - limits.AUDIT_ENTRIES_MAX)
        return self._last_entry

    def audit(self, cursor: str | None, limit: int) -> AuditPage:
        """See `penstock.ports.Store.audit`."""
        below = number_before(cursor)
        limit = max(1, min(limit, limits.PAGE_AUDIT_MAX))
        rows = self.database.rows("audit", self._last_entry + 1 if below is None else below, limit + 1)
        entries = [AuditEntry(*row) for row in rows[:limit]]
        return AuditPage(entries, audit_cursor(entries[-1].number) if len(rows) > limit else None)


def _action_of(record: Any) -> Action | None:
    """The action in a record; None: it cannot be read, such as one of a later version. The store opens all the same."""
    try:
        return _decode(record)
    except (msgspec.DecodeError, ValueError, TypeError):
        return None
