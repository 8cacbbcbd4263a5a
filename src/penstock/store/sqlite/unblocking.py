"""How jobs that wait for a key become ready: as many as there are slots for, in the order of the key.

Whoever gives slots back notes their keys (`Joining.unserved`). They are served at the end of the call, in its
transaction, in bounded steps: what is left, and what an owner left behind, is done by the tick.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from penstock.model import limits
from penstock.model.flow import RateRule
from penstock.model.keyed_limits import Key
from penstock.model.states import Event, State
from penstock.store.sqlite.in_memory import Place
from penstock.store.sqlite.joining import Joiner, Joining

_JOBS_AT_ONCE: Final = 100
"""Jobs that are taken out of the line of a key at a time."""
_BEFORE_ALL: Final = Key("", "")
_KEYS_MAX: Final = 50_000
"""Keys of which it is remembered what there is of them. Beyond: all are forgotten, and asked again."""


class Unblocking:
    """Serves the keys that have slots again."""

    def __init__(self, joining: Joining) -> None:
        self.joining = joining
        self._swept: Key | None = _BEFORE_ALL

    def after_call(self) -> None:
        """What a call has given back is for those that wait for it."""
        joining = self.joining
        if joining.unserved:
            joining.line.write_all()
            self.serve()
        if len(joining.slots) + len(joining.buckets) > _KEYS_MAX:
            joining.forget()

    def serve(self) -> None:
        """Let jobs become ready that wait for keys which have slots for them; at the end of each call. When they are
        too many at a time, `step` goes on."""
        budget, served = limits.TICK_STEP_JOBS, _Served()
        while self.joining.unserved and budget > 0:
            for key in sorted(self.joining.unserved):
                budget = self._serve(key, budget, served)
                if budget <= 0:
                    break
                self.joining.unserved.discard(key)
        self._write(served)

    def _serve(self, key: Key, budget: int, served: _Served) -> int:
        """Serve one key, with so many jobs at most. Answers how many more there might have been."""
        while budget > 0 and self.joining.slots.waits(key) and (room := self.joining.room(key)) > 0:
            if key in served.keys:
                # What is read of its line now must not be what was taken from it before.
                self._write(served)
            wanted = int(min(room, budget, _JOBS_AT_ONCE))
            rows = self.joining.slots.first(key, wanted)
            jobs = [Joiner(seq, line, Place(*place), values) for seq, line, *place, values in rows]
            budget -= len(jobs)
            ready, blocked, taken = self.joining.decided(jobs, are_new=False, is_in_turn=True)
            served.add(key, rows, ready, taken)
            if blocked:
                self._write(served)
                self.joining.block(blocked)
            elif len(ready) == room:
                # As mostly: what has ended has freed one slot, and one job has taken it.
                break
        if key.is_of_rate:
            rule = self.joining.rules.of_key(key)
            if isinstance(rule, RateRule):
                self._write(served)
                self.joining.buckets.look_at(
                    key, rule, self.joining.slots.taken(key), waits=self.joining.slots.waits(key)
                )
        return budget

    def _write(self, served: _Served) -> None:
        """Move the jobs that are served from the lines of their keys to those of ready ones."""
        if served.keys:
            self.joining.slots.blocked.remove(served.gone)
            self.joining.slots.write(served.taken)
            self.joining.count(served.ready, Event.UNBLOCK, State.BLOCKED, State.READY)
            if served.ready:
                self.joining.make_ready(served.ready)
            served.clear()

    def step(self) -> int:
        """One step of what is left to do: keys that were not served, and, after an opening or what was undone, all keys
        that jobs wait for. Answers `limits.TICK_STEP_JOBS` when there is more."""
        for key in self.joining.buckets.due():
            self._look_at(key)
        self.serve()
        looked_at = 0
        while self._swept is not None and looked_at < limits.TICK_STEP_JOBS and not self.joining.unserved:
            self._swept = self.joining.slots.next_key(self._swept)
            if self._swept is not None:
                looked_at += 1
                if self._swept.is_of_rate or self.joining.room(self._swept) > 0:
                    self.joining.unserved.add(self._swept)
                    self.serve()
        if self.joining.unserved or self._swept is not None:
            return limits.TICK_STEP_JOBS
        old = self.joining.buckets.to_renew()
        for key in old:
            self._renew(key)
        self.serve()
        return limits.TICK_STEP_JOBS if old else 0

    def _look_at(self, key: Key) -> None:
        """The time of a key has come: who waits may be ready, or its bucket is full (`_serve`)."""
        rule = self.joining.rules.of_key(key)
        if isinstance(rule, RateRule):
            self.joining.unserved.add(key)
        else:
            self.joining.buckets.drop(key)

    def _renew(self, key: Key) -> None:
        """Write a key's bucket anew (`KeyBuckets.to_renew`)."""
        rule = self.joining.rules.of_key(key)
        if isinstance(rule, RateRule):
            self.joining.buckets.renew(key, rule)
            if self.joining.slots.waits(key):
                self.joining.unserved.add(key)
        else:
            self.joining.buckets.drop(key)

    def sweep(self) -> None:
        """Look at all keys that jobs wait for, in `step`."""
        self._swept = _BEFORE_ALL

    def rolled_back(self) -> None:
        """The transaction was undone. What was to be served is found again."""
        self.sweep()


class _Served:
    """What `Unblocking.serve` has done and not written yet.

    Attributes:
        keys: of which jobs were taken.
        gone: the numbers of the rows of those that leave the lines of their keys.
        ready: those of them that are ready now.
        taken: slots, and whose they are.
    """

    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self.gone: list[int] = []
        self.ready: list[Joiner] = []
        self.taken: list[tuple[int, Key]] = []

    def add(self, key: Key, rows: Iterable[tuple[Any, ...]], ready: list[Joiner], taken: list[tuple[int, Key]]) -> None:
        """These are served."""
        self.keys.add(key)
        self.gone += [row[0] for row in rows]
        self.ready += ready
        self.taken += taken

    def clear(self) -> None:
        """All of it is written."""
        self.keys.clear()
        self.gone, self.ready, self.taken = [], [], []
