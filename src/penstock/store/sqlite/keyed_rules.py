"""Which limits that count for each key are in force, and which of their keys a job needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from penstock.model.flow import RateRule, Rule
from penstock.model.keyed_limits import Key, KeyedRule, Need, keeps_slot, keyed_rules, needs_of
from penstock.model.limits_in_force import queue_scope, task_scope
from penstock.store.sqlite.in_memory import Books, Line

_NEEDS_MAX: Final = 10_000
"""Needs that are remembered. Beyond: all are forgotten, and found anew."""
_MARK: Final = "slots_are_kept"
"""In `meta` once some limit lets jobs keep their slots while they wait to run again."""

_decode: Final = msgspec.msgpack.Decoder(dict[str, str]).decode


class KeyedRules:
    """The limits with a ``per``, of all queues and tasks.

    Attributes:
        has_rates: some of them are rates, or were: jobs may hold slots of rates.
        former: what was in force, before the last change, for the keys of each kind that it altered; None: nothing was.
        may_keep: a job that is not ready may hold slots.
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        self.load()

    def load(self) -> None:
        """Find out which there are."""
        self.has_rates = self.books.database.value("any_rate_slot") is not None
        self.former: dict[str, Rule | None] = {}
        self.may_keep = bool(self.books.database.value("get_meta", _MARK))
        self._of_scope: dict[str, list[KeyedRule]] = {}
        self._of_kind: dict[str, Rule] = {}
        self._of_line: dict[Line, list[KeyedRule]] = {}
        self._needs: dict[tuple[Line, bytes], Sequence[Need]] = {}
        self._find(self.books.limits.in_force.scopes())

    def _find(self, scopes: Iterable[str]) -> bool:
        """Look at these scopes anew. Answers whether anything is otherwise than it was."""
        in_force = self.books.limits.in_force
        before = self._of_scope.copy()
        self._of_scope.update({scope: keyed_rules((scope, rule) for rule in in_force.rules(scope)) for scope in scopes})
        if all(rules == before.get(scope, []) for scope, rules in self._of_scope.items()):
            return False
        former = self._of_kind
        self._of_kind = dict(rule for rules in self._of_scope.values() for rule in rules)
        self.has_rates = self.has_rates or any(isinstance(rule, RateRule) for rule in self._of_kind.values())
        self._of_line.clear()
        self._needs.clear()
        altered = {kind for kind, _ in former.items() ^ self._of_kind.items()}
        self.former = {kind: former.get(kind) for kind in sorted(altered)}
        return True

    def renamed(self) -> None:
        """Queues have other names, by which limits are found."""
        self._of_line.clear()
        self._needs.clear()

    def changed(self, scopes: Iterable[str]) -> bool:
        """Other limits of these scopes are in force. Answers whether some of them count for each key."""
        is_changed = self._find(scopes)
        if is_changed and not self.may_keep and any(map(keeps_slot, self._of_kind.values())):
            self.may_keep = True
            self.books.database.run("put_meta", _MARK, 1)
        return is_changed

    def of_key(self, key: Key) -> Rule | None:
        """The limit that a key is of; None: it is not in force any more, or the key is of no limit."""
        return self._of_kind.get(key.kind)

    def has(self, number: int) -> bool:
        """Whether a limit counts for keys of jobs of the line with this number."""
        line = self.books.lines.get(number)
        return line is not None and bool(self._of_kind) and bool(self._rules_of_line(line))

    def needs(self, number: int, values: bytes | None) -> Sequence[Need]:
        """What a job of the line with this number, with these packed values, needs. In order."""
        if values is None or not self._of_kind:
            return ()
        # Not by its number: that may be another line's one day.
        line = self.books.lines[number]
        found = self._needs.get((line, values))
        if found is None:
            if len(self._needs) >= _NEEDS_MAX:
                self._needs.clear()
            rules = self._rules_of_line(line)
            found = self._needs[line, values] = needs_of(rules, _decode(values)) if rules else ()
        return found

    def _rules_of_line(self, line: Line) -> list[KeyedRule]:
        found = self._of_line.get(line)
        if found is None:
            queue, task = self.books.line_name(line.id)
            scopes = (queue_scope(queue), task_scope(task))
            both = [rule for scope in scopes for rule in self._of_scope.get(scope, ())]
            found = self._of_line[line] = sorted(both, key=lambda rule: rule[0])
        return found
