"""Unique keys of the in-memory store: which job holds which key. The rules are in `penstock.model.unique`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from penstock.model.flow import UniqueRule
from penstock.model.job import Enqueued, JobEntry, JobGroup
from penstock.model.states import TERMINAL, Event, State
from penstock.model.unique import Claim, Remains, Verdict, after_end, verdict
from penstock.ports import Clock
from penstock.testing.memory_keys import Keys
from penstock.testing.memory_table import Row, Table

Key = tuple[str, str]
"""A task and the text of a key."""


def in_order(groups: Sequence[JobGroup]) -> Iterator[tuple[JobGroup, JobEntry]]:
    """Each job, with the group that it is in."""
    return ((group, entry) for group in groups for entry in group.jobs)


class UniqueKeys:
    """The job that holds each key. What a job has of its key stands in its row (`Row.unique_key`, `Row.claim`).

    Attributes:
        state_of: the state of a job; None: it has no record.
    """

    def __init__(self, clock: Clock, state_of: Callable[[bytes], State | None]) -> None:
        self._clock = clock
        self.state_of = state_of
        self._holders: dict[Key, Row] = {}

    def is_holder(self, row: Row, key: str) -> bool:
        """Whether a job holds this key."""
        return self._holders.get((row.task, key)) is row

    def keeps_away(self, task: str, key: str) -> Row | None:
        """The job that keeps others away from this key; None: none does."""
        row = self._holders.get((task, key))
        if row is None or row.claim is None:
            return None
        return row if row.claim.keeps_away(self.state_of(row.id), self._clock.time()) else None

    def hold(self, row: Row) -> None:
        """From now on a job holds its key, whoever held it before."""
        if row.unique_key is not None:
            self._holders[row.task, row.unique_key] = row

    def take_again(self, row: Row, key: str | None = None) -> bool:
        """Let a job that is about to be revived hold its key again, or from now on ``key``. False: another keeps it
        away, so it must not be revived."""
        if row.claim is None or row.unique_key is None:
            return True
        if key is None:
            key = row.unique_key
        if self.keeps_away(row.task, key) not in (None, row):
            return False
        if self._holders.get((row.task, row.unique_key)) is row:
            del self._holders[row.task, row.unique_key]
        row.unique_key, row.claim = key, row.claim.anew(self._clock.time())
        self.hold(row)
        return True

    def moved(self, row: Row, event: Event, source: State | None, target: State | None) -> None:
        """A job has made a move. If it ended with that, or its record is gone, its key may be free."""
        if row.unique_key is None or row.claim is None or source is None or (target and target not in TERMINAL):
            return
        key = row.task, row.unique_key
        if self._holders.get(key) is row:
            remains = after_end(row.claim, event, source, target, self._clock.time())
            if remains is not Remains.HELD:
                del self._holders[key]


class Rehearsal:
    """What would be answered if jobs were enqueued one after another. Nothing changes."""

    def __init__(self, table: Table, keys: Keys, unique: UniqueKeys, now: float) -> None:
        self._table = table
        self._keys = keys
        self._unique = unique
        self._now = now
        self._ids: set[bytes] = set()
        self._uses: dict[Key, tuple[bytes, tuple[int, int]]] = {}
        self._claims: dict[Key, tuple[bytes, Claim, State]] = {}

    def answers(self, groups: Sequence[JobGroup]) -> Iterator[Enqueued]:
        """For each job; of one that is new and of one that is a duplicate only the id matters."""
        for index, (group, entry) in enumerate(in_order(groups)):
            yield self._answer(group, entry, index)

    def _answer(self, group: JobGroup, entry: JobEntry, index: int) -> Enqueued:
        if entry.id in self._table.rows or entry.id in self._ids:
            return Enqueued(index, entry.id, None, duplicate=True)
        key = entry.idempotency_key
        use = self._keys.find(group.task, key, self._now)
        first = self._uses.get((group.task, key or "")) if use is None else (use.id, use.call)
        if key is not None and first is not None:
            same = entry.is_call(first[1])
            return Enqueued(index, first[0], None, duplicate=same, conflict=not same)
        job_id, refused = entry.id, False
        if group.unique is not None and entry.unique_key is not None:
            job_id, refused = self._meet(group, group.unique, (group.task, entry.unique_key), entry.id)
        if job_id == entry.id:
            self._ids.add(job_id)
        if key is not None and not refused:
            self._uses[group.task, key] = (job_id, entry.told_by())
        return Enqueued(index, job_id, None, conflict=refused, unique=refused)

    def _meet(self, group: JobGroup, rule: UniqueRule, key: Key, job_id: bytes) -> tuple[bytes, bool]:
        """Let a newcomer meet the job that keeps it away, if any. Answers the job that it is, and whether it is
        refused."""
        waits = (group.delay_s or 0.0) > 0 or (group.run_at or 0.0) > self._now
        state = State.SCHEDULED if waits else State.READY
        held = self._held(*key)
        what = Verdict.NEW if held is None else verdict(rule.on_conflict, held[2])
        if held is None or what is Verdict.NEW:
            self._claims[key] = (job_id, Claim.of(rule, self._now), state)
            return job_id, False
        if what is Verdict.REPLACE:
            self._claims[key] = (held[0], held[1].anew(self._now), state)
        return held[0], what is Verdict.REFUSE

    def _held(self, task: str, key: str) -> tuple[bytes, Claim, State | None] | None:
        """The job that keeps others away from a key."""
        here = self._claims.get((task, key))
        if here is not None:
            return here if here[1].keeps_away(here[2], self._now) else None
        row = self._unique.keeps_away(task, key)
        return None if row is None or row.claim is None else (row.id, row.claim, self._unique.state_of(row.id))
