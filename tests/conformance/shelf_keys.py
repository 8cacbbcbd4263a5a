"""Limits that count for each key, on the shelf: who has a slot is asked of all jobs, each time."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.keyed_limits import (
    Key,
    Kind,
    keeps_slot,
    key_of_line,
    keyed_rules,
    kind_of,
    needs_of,
    place_in_key,
    reason_of,
    shown_key,
)
from penstock.model.limits_in_force import queue_scope, task_scope
from penstock.model.lines import Closed
from penstock.model.states import Event, State
from penstock.model.token_bucket import TokenBucket, burst_of

if TYPE_CHECKING:
    from tests.conformance.shelf_store import ShelfStore as Base
else:
    Base = object


class ShelfKeys(Base):
    """A part of `ShelfStore`. `_begin_keys` makes what it keeps."""

    def _begin_keys(self) -> None:
        self._buckets = {}
        self._asked = set()

    def _needs(self, job):
        scopes = (queue_scope(job.queue), task_scope(job.task))
        rules = keyed_rules((one, rule) for one in scopes for rule in self._limits.rules(one))
        return needs_of(rules, job.entry.values or {})

    def _rule_of(self, key):
        found = (rule for rule in self._limits.rules(key.scope) if kind_of(key.scope, rule) == key.kind)
        return next(found, None)

    def _taken(self, key):
        return sum(key in job.slots for job in self._jobs.values())

    def _is_paused(self, queue, task):
        return self._closed_lines.reason_of(queue, task) is Closed.PAUSED

    def _bucket(self, key, rule):
        now = self._clock.monotonic()
        return self._buckets.setdefault(key, TokenBucket(rule, now))

    def _room(self, key):
        if key.kind == Kind.PAUSED:
            return 0 if self._is_paused(*key.text.split("\n")) else inf
        rule = self._rule_of(key)
        if rule is None:
            return inf
        is_count = isinstance(rule, ConcurrencyRule)
        most = rule.count if is_count else self._bucket(key, rule).tokens(self._clock.monotonic())
        return most - self._taken(key)

    def _queue_of(self, key):
        """Who waits for a key, in order."""
        found = [job for job in self._in(State.BLOCKED) if job.waits_for == key]
        return sorted(found, key=lambda job: (place_in_key(job.order, job.waits_by), job.number))

    def _missing(self, job, *, is_in_turn):
        needs = self._needs(job)
        if needs and self._is_paused(job.queue, job.task):
            return key_of_line(job.queue, job.task), None
        for key, rule in needs:
            if key in job.slots:
                if self._room(key) < 0:
                    return key, rule
            elif self._room(key) <= 0 or (not is_in_turn and self._queue_of(key)):
                return key, rule
        return None

    def _take_slots(self, job, *, is_in_turn):
        """A job that is ready, or is blocked and next: let it have what it needs, or wait for it."""
        missing = self._missing(job, is_in_turn=is_in_turn)
        if missing is None:
            self._leave_slots(job, {key for key, _ in self._needs(job)})
            job.slots |= {key for key, _ in self._needs(job)}
            if job.state is State.BLOCKED:
                self._go(job, Event.UNBLOCK, State.READY)
            return
        key, rule = missing
        self._leave_slots(job, set() if key.kind == Kind.PAUSED else self._lasting(job) - {key})
        job.waits_for, job.waits_by, job.refusal = key, rule, None
        if job.state is State.READY:
            self._go(job, Event.BLOCK, State.BLOCKED)
        self._asked.add(key)

    def _lasting(self, job):
        return {key for key, rule in self._needs(job) if keeps_slot(rule)}

    def _leave_slots(self, job, kept=()):
        gone = job.slots - set(kept)
        job.slots -= gone
        self._asked |= gone

    def _serve(self):
        while self._asked:
            key = min(self._asked)
            while self._room(key) > 0 and (waiting := self._queue_of(key)):
                self._take_slots(waiting[0], is_in_turn=True)
            self._asked.discard(key)

    def _take_turn(self, job):
        """Somebody did something to a job by hand."""
        if job.state is State.BLOCKED:
            self._serve()

    def _unblock(self, job):
        if job.state is State.BLOCKED:
            self._go(job, Event.UNBLOCK, State.READY)

    def _spend_tokens(self, job):
        for key in [key for key in job.slots if key.is_of_rate]:
            job.slots.discard(key)
            rule = self._rule_of(key)
            if isinstance(rule, RateRule):
                self._bucket(key, rule).take(1, self._clock.monotonic(), job.fence)

    def _return_tokens(self, job):
        for key, rule in self._needs(job):
            if isinstance(rule, RateRule):
                self._bucket(key, rule).give_back(job.fence, self._clock.monotonic())
                self._asked.add(key)

    def _waits_of_keys(self):
        """How long until each token that somebody waits for."""
        now, waits = self._clock.monotonic(), []
        for key in {job.waits_for for job in self._in(State.BLOCKED)}:
            rule = self._rule_of(key) if key.is_of_rate else None
            if isinstance(rule, RateRule) and self._taken(key) < burst_of(rule):
                waits.append(self._bucket(key, rule).next_at(self._taken(key) + 1, now) - now)
        return waits

    def _look_over_keys(self):
        """Other limits are in force, or other lines are paused."""
        now = self._clock.monotonic()
        missing = [(key, one) for key, one in self._buckets.items() if one.tokens(now) < one.burst]
        self._buckets = {key: one for key, one in missing if self._rule_of(key) is not None}
        for key, bucket in self._buckets.items():
            bucket.change(self._rule_of(key), now)
        for job in self._in(State.READY):
            if job.slots and self._is_paused(job.queue, job.task):
                self._take_slots(job, is_in_turn=True)
        for key in sorted({key for job in self._jobs.values() for key in job.slots}):
            self._shrink(key)
        for job in self._in(State.RUNNING):
            job.slots |= {key for key, _ in self._needs(job) if not key.is_of_rate}
        for job in sorted(self._in(State.READY), key=lambda job: (job.refusal is not None, job.order)):
            if any(key not in job.slots for key, _ in self._needs(job)):
                job.refusal = None
                self._take_slots(job, is_in_turn=True)
        self._asked |= {job.waits_for for job in self._in(State.BLOCKED)}
        self._serve()

    def _shrink(self, key):
        """The last ready jobs of a key with too few slots give theirs back."""
        rule = self._rule_of(key)
        holders = [job for job in self._in(State.READY) if key in job.slots]
        holders.sort(key=lambda job: (place_in_key(job.order, rule), job.number))
        while self._room(key) < 0 and holders:
            job = holders.pop()
            self._leave_slots(job)
            job.refusal = None
            self._take_slots(job, is_in_turn=True)

    def _used_of_keys(self, kind, rule):
        """Of all keys of a limit: what is used of it, and how many jobs wait."""
        used = sum(key.kind == kind for job in self._jobs.values() for key in job.slots)
        if isinstance(rule, RateRule):
            now = self._clock.monotonic()
            used = sum(one.burst - one.tokens(now) for key, one in self._buckets.items() if key.kind == kind)
        waiting = sum(job.waits_for.kind == kind for job in self._in(State.BLOCKED))
        return min(used, limits.LIMIT_WAITING_MAX), min(waiting, limits.LIMIT_WAITING_MAX)

    def _explained(self, job):
        """Why a job is blocked, and for which key."""
        key: Key = job.waits_for
        rule = self._rule_of(key) if key.is_of_limit else None
        return reason_of(key, rule, self._taken(key)), shown_key(key)
