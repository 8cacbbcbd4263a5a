"""Slots of keys in the in-memory store: which jobs have them, and which are blocked until there is one for them.

The rules are those of `penstock.model.keyed_limits`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import wraps
from math import inf
from typing import Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, RateRule, Rule
from penstock.model.keyed_limits import (
    Key,
    Kind,
    Need,
    keeps_slot,
    key_of_line,
    keyed_rules,
    kind_of,
    needs_of,
    place_in_key,
    reason_of,
    shown_key,
)
from penstock.model.limits_in_force import LimitView
from penstock.model.lines import Closed, ClosedLines
from penstock.model.states import Event, State
from penstock.model.token_bucket import TokenBucket, burst_of
from penstock.ports import Clock
from penstock.testing.memory_table import Missing, Row, Table


class WithSlots(ABC):
    """A store whose calls may give slots back."""

    @property
    @abstractmethod
    def slots(self) -> Slots:
        """Which jobs hold slots of keys."""

    @abstractmethod
    def _go_on_with_workflows(self) -> None:
        """Let workflows go on whose jobs have ended in the call."""


S = TypeVar("S", bound=WithSlots)
P = ParamSpec("P")
R = TypeVar("R")


def serving(call: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A call that may end jobs, or give slots back: at its end workflows go on, and the slots are for those that wait
    for them."""

    @wraps(call)
    def wrapped(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        answer = call(self, *args, **kwargs)
        self._go_on_with_workflows()
        self.slots.serve()
        return answer

    return wrapped


class Slots:
    """Who holds what, and who is next.

    Attributes:
        closed: the lines that are closed.
    """

    def __init__(self, table: Table, rules_of: Callable[[str], Iterable[Rule]], clock: Clock) -> None:
        """``rules_of``: the limits in force of a scope."""
        self._table = table
        self._clock = clock
        self._buckets: dict[Key, TokenBucket] = {}
        self._rules_of = rules_of
        self._taken: Counter[Key] = Counter()
        self._unserved: set[Key] = set()
        self.closed = ClosedLines()

    # --- becoming ready ----------------------------------------------------------------------------------------------
    def join(self, row: Row) -> None:
        """A job became ready anew: it takes the slots that it needs, or is blocked."""
        self._decide(row, self._missing(row, is_in_turn=False))

    def come_back(self, row: Row, *, unstarted: int | None = None) -> None:
        """A job is ready at its old place: it is blocked if it may not be. ``unstarted``: the fence of its lease, in
        which it has not started; None: it has, or it was not leased."""
        if unstarted is not None:
            for key, rule in self._needs(row):
                if isinstance(rule, RateRule):
                    self._bucket(key, rule).give_back(unstarted, self._now())
                    self._unserved.add(key)
        self._decide(row, self._missing(row, is_in_turn=True))

    def _decide(self, row: Row, missing: Missing | None) -> None:
        needs = self._needs(row)
        if missing is None:
            for key in {need.key for need in needs} - row.slots:
                row.slots.add(key)
                self._taken[key] += 1
            self.give_back(row, {need.key for need in needs})
            return
        self.give_back(row, set() if missing.key.kind == Kind.PAUSED else self.lasting(row) - {missing.key})
        if row.state is State.READY:
            row.waits_for = missing
            row.forget_refusals()
            self._table.go(row, Event.BLOCK, State.BLOCKED)
        else:
            self._table.take_out(row)
            row.waits_for = missing
            self._table.put_in(row)
        if self._room(missing.key) > 0:
            self._unserved.add(missing.key)

    def _missing(self, row: Row, *, is_in_turn: bool) -> Missing | None:
        """What a job has to wait for; None: nothing. ``is_in_turn``: it need not stand behind those that wait."""
        needs = self._needs(row)
        if needs and self.closed.reason_of(*row.line) is Closed.PAUSED:
            return Missing(key_of_line(*row.line), None)
        for key, rule in needs:
            if key in row.slots:
                # There are fewer slots than there were when it took one.
                is_missing = self._room(key) < 0
            else:
                is_missing = self._room(key) <= 0 or (not is_in_turn and len(self._table.blocked[key]) > 0)
            if is_missing:
                return Missing(key, rule)
        return None

    def _needs(self, row: Row) -> list[Need]:
        scopes = (f"queue:{row.queue}", f"task:{row.task}")
        rules = [(scope, rule) for scope in scopes for rule in self._rules_of(scope)]
        return needs_of(keyed_rules(rules), row.values or {})

    def _rule_of(self, key: Key) -> Rule | None:
        found = [rule for rule in self._rules_of(key.scope) if kind_of(key.scope, rule) == key.kind]
        return found[0] if found else None

    def _room(self, key: Key) -> float:
        """How many more jobs may have a slot."""
        if key.kind == Kind.PAUSED:
            return 0 if self.closed.reason_of(*key.text.split("\n")) is Closed.PAUSED else inf
        rule = self._rule_of(key)
        if rule is None:
            return inf
        most = rule.count if isinstance(rule, ConcurrencyRule) else self._bucket(key, rule).tokens(self._now())
        return most - self._taken[key]

    def _now(self) -> float:
        return self._clock.monotonic()

    def _bucket(self, key: Key, rule: RateRule) -> TokenBucket:
        """The tokens of a key. A bucket that was never taken from is full."""
        if key not in self._buckets:
            self._buckets[key] = TokenBucket(rule, self._now())
        return self._buckets[key]

    def leased(self, row: Row) -> None:
        """A job is leased: of each rate that counts for its keys, a token is spent."""
        assert row.lease is not None, "it is leased"
        for key in [key for key in row.slots if key.is_of_rate]:
            row.slots.discard(key)
            self._taken[key] -= 1
            rule = self._rule_of(key)
            if isinstance(rule, RateRule):
                self._bucket(key, rule).take(1, self._now(), row.lease.fence)

    def step(self) -> None:
        """Time has passed: tokens have come in."""
        self._unserved.update(key for key, waiting in self._table.blocked.items() if len(waiting) and key.is_of_rate)
        self.serve()

    def next_at(self) -> float | None:
        """When a token comes in that somebody waits for, in monotonic seconds; None: never, as things are."""
        times = []
        for key, waiting in self._table.blocked.items():
            rule = self._rule_of(key) if len(waiting) and key.is_of_rate else None
            if isinstance(rule, RateRule) and self._taken[key] < burst_of(rule):
                times.append(self._bucket(key, rule).next_at(self._taken[key] + 1, self._now()))
        return min(times, default=None)

    # --- giving back -------------------------------------------------------------------------------------------------
    def lasting(self, row: Row) -> set[Key]:
        """The keys that a job keeps its slot of while it waits to run again."""
        return {need.key for need in self._needs(row) if keeps_slot(need.rule)}

    def give_back(self, row: Row, kept: Collection[Key] = ()) -> None:
        """Take all slots from a job but those of ``kept``."""
        for key in row.slots - set(kept):
            row.slots.discard(key)
            self._taken[key] -= 1
            self._unserved.add(key)

    def serve(self) -> None:
        """At the end of each call: whoever waits for a key that has slots has them, in its order."""
        while self._unserved:
            for key in sorted(self._unserved):
                self._serve(key)
                self._unserved.discard(key)

    def _serve(self, key: Key) -> None:
        while self._room(key) > 0 and (first := self._table.blocked[key].first()) is not None:
            row = self._table.rows[first[1]]
            missing = self._missing(row, is_in_turn=True)
            self._decide(row, missing)
            if missing is None:
                self._table.go(row, Event.UNBLOCK, State.READY)
                row.waits_for = None

    # --- when limits change, or a line is paused or resumed ----------------------------------------------------------
    def review(self) -> None:
        """Look over all jobs: does each hold the slots that it needs, and no more than there are?"""
        for key, bucket in list(self._buckets.items()):
            rule = self._rule_of(key)
            if isinstance(rule, RateRule) and not bucket.is_full(self._now()):
                bucket.change(rule, self._now())
            else:
                # A bucket that is full is full, and a rate that is taken away comes again with full ones.
                del self._buckets[key]
        for row in self._ready(key=lambda row: row.number):
            if row.slots and self.closed.reason_of(*row.line) is Closed.PAUSED:
                self._rejoin(row)
        for key in sorted(self._taken):
            self._reduce(key)
        for row in list(self._table.running.values()):
            for need in self._needs(row):
                if need.key not in row.slots and not need.key.is_of_rate:
                    row.slots.add(need.key)
                    self._taken[need.key] += 1
        ready = self._ready(key=lambda row: row.order)
        refused = [row for row in self._ready(key=lambda row: row.number) if row.refused_since is not None]
        for row in [row for row in ready if row.refused_since is None] + refused:
            if any(need.key not in row.slots for need in self._needs(row)):
                self._rejoin(row)
        self.serve()
        after = Key("", "")
        while behind := [key for key, waiting in self._table.blocked.items() if len(waiting) and key > after]:
            after = min(behind)
            if self._room(after) > 0:
                self._unserved.add(after)
                self.serve()

    def _reduce(self, key: Key) -> None:
        """The last ready jobs of a key that has too many slots taken are blocked."""
        rule = self._rule_of(key)
        excess = int(max(0, -self._room(key)))
        holders = [row for row in self._ready(key=lambda row: row.number) if key in row.slots]
        holders.sort(key=lambda row: (place_in_key(row.order, rule), row.number), reverse=True)
        for row in holders[:excess]:
            self.give_back(row)
            self._rejoin(row)

    def _ready(self, key: Callable[[Row], object]) -> list[Row]:
        found = [row for row in self._table.rows.values() if row.state is State.READY]
        return sorted(found, key=key)  # type: ignore[arg-type]  # keys of one kind can be compared

    def _rejoin(self, row: Row) -> None:
        self._table.take_out(row)
        row.forget_refusals()
        self._table.put_in(row)
        self.come_back(row)

    def shown(self, view: LimitView) -> LimitView:
        """A limit that counts for each key, with what all its keys together have of it."""
        kind, rule, most = kind_of(view.scope, view.rule), view.rule, limits.LIMIT_WAITING_MAX
        waiting = sum(len(jobs) for key, jobs in self._table.blocked.items() if key.kind == kind)
        in_use = sum(number for key, number in self._taken.items() if key.kind == kind)
        if isinstance(rule, RateRule):
            buckets = [bucket for key, bucket in self._buckets.items() if key.kind == kind]
            in_use = sum(bucket.burst - bucket.tokens(self._now()) for bucket in buckets)
        return replace(view, in_use=min(in_use, most), waiting=min(waiting, most))

    # --- for people --------------------------------------------------------------------------------------------------
    def reason_of(self, row: Row) -> tuple[str, str | None]:
        """Why a job is blocked, and for which key."""
        assert row.waits_for is not None, "a blocked job waits for something"
        key = row.waits_for.key
        rule = self._rule_of(key) if key.is_of_limit else None
        return reason_of(key, rule, self._taken[key]), shown_key(key)
