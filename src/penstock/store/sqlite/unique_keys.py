"""Unique keys in the file: who holds which key, and what becomes of newcomers that meet who holds theirs.

The rules are in `penstock.model.unique`. A request with unique jobs is looked at whole before anything is written
(`UniqueKeys.plan`), so that one that is refused leaves nothing behind. `Acceptor` then makes rows of what is new, and
hands the plan to `UniqueKeys.write` in the same transaction. Ends of jobs come through the seam of `Listeners`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

import msgspec

from penstock.model import limits
from penstock.model.flow import UniqueRule
from penstock.model.interests import Ending, Interest
from penstock.model.job import Enqueued, JobEntry, JobGroup
from penstock.model.states import State
from penstock.model.unique import Claim, Remains, Verdict, after_end, verdict
from penstock.store.sqlite.database import STATEMENTS, Database, of_many
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.reading import Inspector
from penstock.store.sqlite.row_numbers import row_numbers

_BITS: Final = {
    State.SCHEDULED: 1,
    State.BLOCKED: 2,
    State.READY: 4,
    State.RUNNING: 8,
    State.SUCCEEDED: 16,
    State.DEAD: 32,
    State.CANCELLED: 64,
    State.EXPIRED: 128,
}
"""States as they are stored: a bit that was given out keeps its meaning."""
_encode_json: Final = msgspec.json.Encoder().encode
_CHUNK_ROWS: Final = 50
"""Keys in one statement."""
_CLAIMS: Final = of_many("unique_claims", _CHUNK_ROWS)

Key = tuple[str, str]
"""A task's name and the text of a key."""
FirstUse = tuple[bytes, int, int]
"""The job that an idempotency key was first used for, with checksum and length of its call."""


class Entries(NamedTuple):
    """Jobs of a group, and their places in the request."""

    jobs: Sequence[JobEntry]
    places: Sequence[int]


def in_order(groups: Sequence[JobGroup]) -> Iterator[Entries]:
    """Each group whole."""
    offset = 0
    for group in groups:
        behind = offset + len(group.jobs)
        yield Entries(group.jobs, range(offset, behind))
        offset = behind


class Replacement(NamedTuple):
    """A waiting job that is given the arguments of a newcomer."""

    job_id: bytes
    group: JobGroup
    entry: JobEntry
    keep_time: bool


class Holder(NamedTuple):
    """The job that holds a key. ``state``: that it is in; None: it has no record."""

    id: bytes
    claim: Claim
    state: State | None


class Plan:
    """What becomes of the jobs of a request. Nothing is written yet.

    Attributes:
        fresh: those that are new, group by group.
        exceptions: what is said of the others.
        replacements: jobs that are given others' arguments, in order.
        remembered: idempotency keys of newcomers that are jobs that were there: task, newcomer, that job.
        holders: the job that holds a key once all is written, of those that are new.
        released: jobs in the file that do not hold their key any more. With each whether it has a record.
        renewed: jobs in the file whose period begins anew, and when it ends.
    """

    def __init__(self) -> None:
        self.fresh: list[Entries] = []
        self.exceptions: list[Enqueued] = []
        self.replacements: list[Replacement] = []
        self.remembered: list[tuple[str, JobEntry, bytes]] = []
        self.holders: dict[Key, Holder] = {}
        self.released: list[tuple[bytes, bool]] = []
        self.renewed: dict[bytes, Claim] = {}


class UniqueKeys:
    """The one place that reads and writes the table `unique_key`.

    Attributes:
        replace: gives a waiting job other arguments. Whoever moves jobs sets it (`Operating.replace`).
    """

    def __init__(self, books: Books, inspector: Inspector) -> None:
        self.books = books
        self.database = books.database
        self.inspector = inspector
        self.replace: Callable[[Replacement], None] = _cannot

    # --- newcomers ---------------------------------------------------------------------------------------------------
    def plan(self, groups: Sequence[JobGroup]) -> Plan:
        """What becomes of these jobs: an id that is known, then an idempotency key, then a unique key, one job after
        the other."""
        return _Planning(self).plan(groups)

    def write(self, plan: Plan, inserted: Iterable[tuple[JobGroup, JobEntry]]) -> None:
        """Write what was planned. Rows of what is new are there already.

        Args:
            plan: of this transaction.
            inserted: jobs that are new and have a unique key, with their groups.
        """
        now = self.books.clock.time()
        if plan.released:
            self.database.run_many("release_unique", [(job_id,) for job_id, has_record in plan.released if has_record])
            self.database.run_over("forget_unique", [job_id for job_id, has_record in plan.released if not has_record])
        rows = []
        for group, entry in inserted:
            assert group.unique is not None, "only such jobs are handed over"
            assert entry.unique_key is not None, "only such jobs are handed over"
            holder = plan.holders[group.task, entry.unique_key]
            holds = holder.id == entry.id
            claim = holder.claim if holds else Claim.of(group.unique, now)
            task = self.books.task(group.task)
            rows.append((entry.id, task, entry.unique_key, _mask(claim.states), *claim[1:], 1 if holds else None))
        self.database.run_many("insert_unique", rows)
        self.database.run_many("renew_unique", [(claim.until, job_id) for job_id, claim in plan.renewed.items()])
        for replacement in plan.replacements:
            self.replace(replacement)

    # --- ends --------------------------------------------------------------------------------------------------------
    def ended(self, endings: Sequence[Ending]) -> None:
        """Jobs that have a unique key have ended, or their records go. The listener of `Interest.UNIQUE`."""
        now = self.books.clock.time()
        gone: list[bytes] = []
        free: list[tuple[bytes]] = []
        kept: list[tuple[float | None, bytes]] = []
        claims = self._claims([ending.id for ending in endings])
        for ending in endings:
            row = claims.get(ending.id)
            if row is None:
                continue
            states, period_s, until, holds = row
            claim = Claim(_states(states), period_s, until)
            if not holds:
                # Another has the key. This one may take it up again when it is revived.
                claim = claim._replace(states=frozenset())
            remains = after_end(claim, ending.event, ending.source, ending.target, now)
            if remains is Remains.NOTHING and ending.target is not None and ending.interest & Interest.PARENT:
                # One of a workflow may run again, however it has ended.
                remains = Remains.LEFT
            if remains is Remains.NOTHING:
                gone.append(ending.id)
            elif remains is Remains.LEFT:
                free.append((ending.id,))
            elif ending.target is None:
                kept.append((until, ending.id))
        self.database.run_over("forget_unique", gone)
        self.database.run_many("release_unique", free)
        self.database.run_many("outlive_unique", kept)

    def _claims(self, ids: Sequence[bytes]) -> dict[bytes, tuple[int, float | None, float | None, int | None]]:
        """Of these jobs that have a unique key: states, period_s, until, holds."""
        found = {}
        for start in range(0, len(ids), _CHUNK_ROWS):
            part = ids[start : start + _CHUNK_ROWS]
            padded = [*part, *[None] * (_CHUNK_ROWS - len(part))]
            found.update({row[0]: row[1:] for row in self.database.connection.execute(_CLAIMS, padded)})
        return found

    def take_again(self, job_id: bytes, other_key: str | None = None) -> bool:
        """Let a job that is about to be revived hold its key again, or from now on another one. False: another job
        keeps it away, so it must not be revived."""
        if self.is_kept_away(job_id, other_key):
            return False
        row = self.database.row("unique_key", job_id)
        if row is None:
            return True
        task, key, states, period_s, until = row
        key = key if other_key is None else other_key
        holder = self.holders(task, [key]).get(key)
        if holder is not None and holder.id != job_id:
            self.database.run("forget_unique" if holder.state is None else "release_unique", holder.id)
        claim = Claim(_states(states), period_s, until).anew(self.books.clock.time())
        self.database.run("hold_unique", key, claim.until, job_id)
        return True

    def is_kept_away(self, job_id: bytes, other_key: str | None = None) -> bool:
        """Whether another job keeps this one away from its key, or from another one."""
        row = self.database.row("unique_key", job_id)
        if row is None:
            return False
        key = row[1] if other_key is None else other_key
        holder = self.holders(row[0], [key]).get(key)
        if holder is None or holder.id == job_id:
            return False
        return holder.claim.keeps_away(holder.state, self.books.clock.time())

    def forget(self) -> int:
        """Forget some keys whose job is gone and whose period is over. Answers how many."""
        self.database.run("forget_old_unique", self.books.clock.time(), limits.TICK_STEP_JOBS)
        return self.database.connection.changes()

    def next_at(self) -> float | None:
        """When the next such period is over, Unix seconds."""
        found: float | None = self.database.value("next_old_unique")
        return found

    def holders(self, task: int, keys: Collection[str]) -> dict[str, Holder]:
        """The jobs that hold these keys of a task, whether or not they keep others away."""
        if not keys:
            return {}
        if len(keys) == 1:
            (key,) = keys
            found = self.database.rows("unique_holder", task, key)
        else:
            found = self.database.rows("unique_holders", task, _encode_json(list(keys)).decode())
        return {
            key: Holder(job_id, Claim(_states(states), period_s, until), self.inspector.state_of(job_id))
            for key, job_id, states, period_s, until in found
        }


class _Planning:
    """Makes one `Plan`."""

    def __init__(self, keys: UniqueKeys) -> None:
        self._keys = keys
        self._books = keys.books
        self._database = keys.database
        self._now = keys.books.clock.time()
        self._plan = Plan()
        self._ids: set[bytes] = set()
        self._uses: dict[Key, FirstUse] = {}
        self._stored: dict[Key, Holder] = {}
        self._changed: dict[Key, Holder] = {}

    def plan(self, groups: Sequence[JobGroup]) -> Plan:
        """See `UniqueKeys.plan`."""
        for group, whole in zip(groups, in_order(groups), strict=True):
            task = self._books.task_ids.get(group.task)
            known = self._known(group)
            if task is not None and group.unique is not None:
                self._read(task, group)
            kept: list[tuple[JobEntry, int]] = []
            for entry, place in zip(whole.jobs, whole.places, strict=True):
                if entry.id in known or entry.id in self._ids:
                    self._plan.exceptions.append(Enqueued(place, entry.id, None, duplicate=True))
                    continue
                told = self._repeated(group.task, task, entry, place) or self._met(group, entry, place)
                if told is not None:
                    self._plan.exceptions.append(told)
                    continue
                kept.append((entry, place))
                self._ids.add(entry.id)
                self._use(group.task, entry, entry.id)
            self._plan.fresh.append(Entries([entry for entry, _ in kept], [place for _, place in kept]))
        return self._plan

    def _known(self, group: JobGroup) -> set[bytes]:
        """Ids of a group that are in the store."""
        ids = [entry.id for entry in group.jobs]
        numbers = _encode_json(row_numbers(ids)).decode()
        known = {job_id for (job_id,) in self._database.connection.execute(STATEMENTS["ids_at"], (numbers,))}
        displaced = self._books.displaced
        known.update(one for one in ids if one in displaced and self._keys.inspector.seq_of(one) is not None)
        return known.intersection(ids)

    def _read(self, task: int, group: JobGroup) -> None:
        """Find the holders of the keys of a group, with one statement."""
        wanted = {entry.unique_key for entry in group.jobs if entry.unique_key is not None}
        keys = [key for key in wanted if (group.task, key) not in self._stored]
        for key, holder in self._keys.holders(task, keys).items():
            self._stored[group.task, key] = holder

    # --- one newcomer ------------------------------------------------------------------------------------------------
    def _repeated(self, name: str, task: int | None, entry: JobEntry, place: int) -> Enqueued | None:
        """What is said of a newcomer whose idempotency key was used before."""
        key = entry.idempotency_key
        if key is None:
            return None
        first = self._uses.get((name, key))
        if first is None and task is not None:
            first = self._database.row("idempotency", task, key, self._now)
        if first is None:
            return None
        same = entry.is_call(first[1:])
        return Enqueued(place, first[0], None, duplicate=same, conflict=not same)

    def _use(self, name: str, entry: JobEntry, job_id: bytes) -> None:
        if entry.idempotency_key is not None:
            self._uses[name, entry.idempotency_key] = (job_id, *entry.told_by())

    def _met(self, group: JobGroup, entry: JobEntry, place: int) -> Enqueued | None:
        """What is said of a newcomer that another keeps away from its unique key."""
        if group.unique is None or entry.unique_key is None:
            return None
        key = (group.task, entry.unique_key)
        held = self._changed.get(key) or self._stored.get(key)
        what = Verdict.NEW
        if held is not None and held.claim.keeps_away(held.state, self._now):
            what = verdict(group.unique.on_conflict, held.state)
        if held is None or what is Verdict.NEW:
            self._hold(key, group, group.unique, entry)
            return None
        # What this call makes or changes is looked at again when all is written.
        state = None if key in self._changed else held.state
        if what is Verdict.REFUSE:
            return Enqueued(place, held.id, state, conflict=True, unique=True)
        if what is not Verdict.EXISTING:
            self._replace(key, held, group, entry, keep_time=what is Verdict.KEEP_TIME)
        if entry.idempotency_key is not None:
            self._use(group.task, entry, held.id)
            self._plan.remembered.append((group.task, entry, held.id))
        replaced = what is not Verdict.EXISTING
        return Enqueued(place, held.id, state, duplicate=True, replaced=replaced, unique=True)

    def _hold(self, key: Key, group: JobGroup, rule: UniqueRule, entry: JobEntry) -> None:
        """A newcomer holds its key from now on."""
        stored = self._stored.get(key)
        if stored is not None and key not in self._plan.holders:
            self._plan.released.append((stored.id, stored.state is not None))
        holder = Holder(entry.id, Claim.of(rule, self._now), self._state_in(group))
        self._changed[key] = self._plan.holders[key] = holder

    def _replace(self, key: Key, held: Holder, group: JobGroup, entry: JobEntry, *, keep_time: bool) -> None:
        """The job that holds a key has a newcomer's arguments from now on."""
        self._plan.replacements.append(Replacement(held.id, group, entry, keep_time))
        if keep_time:
            return
        holder = Holder(held.id, held.claim.anew(self._now), self._state_in(group))
        self._changed[key] = holder
        if key in self._plan.holders:
            self._plan.holders[key] = holder
        else:
            self._plan.renewed[held.id] = holder.claim

    def _state_in(self, group: JobGroup) -> State:
        """The state that a job of this group has when it waits anew."""
        waits = (group.delay_s or 0.0) > 0 or (group.run_at or 0.0) > self._now
        return State.SCHEDULED if waits else State.READY


@cache
def _mask(states: frozenset[State]) -> int:
    return sum(_BITS[state] for state in states)


@cache
def _states(mask: int) -> frozenset[State]:
    return frozenset(state for state, bit in _BITS.items() if mask & bit)


def stored_rule(database: Database, seq: int) -> tuple[str, UniqueRule] | None:
    """The unique key that a job has or had, and the rule, to make a job of the same call. None: it has none.

    What is to become of newcomers is not in the file. They are refused, as a member of a workflow is whose key another
    job has, whatever its rule says.
    """
    row = database.row("unique_rule", seq)
    if row is None:
        return None
    key, states, period_s = row
    return key, UniqueRule((), period_s, "refuse", tuple(state for state in State if state in _states(states)))


def _cannot(replacement: Replacement) -> None:
    raise AssertionError(f"nobody has said how to replace {replacement.job_id.hex()}")
