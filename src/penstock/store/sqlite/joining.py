"""How jobs become ready anew: an enqueue, a promotion, a retry, a snooze, a revival, a move, an edit, the end of a
block.

All of these come through here, so this is the one place that decides which place such a job has, and whether it has
one: a job that needs slots of keys (`penstock.model.keyed_limits`) takes them here, or is blocked. A job that only
comes back to its old place, because it was released, lost or refused, holds its slots still; `Joining.comes_back` says
whether it may have its place.

Keys of which slots were given back are noted, and served at the end of the call: those that wait first become ready.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from math import inf
from typing import Final, NamedTuple

from penstock.model.flow import ConcurrencyRule, RateRule, Rule
from penstock.model.interests import Ending
from penstock.model.keyed_limits import (
    Key,
    Kind,
    Need,
    keeps_slot,
    key_of_line,
    place_in_key,
    reason_of,
    shown_key,
)
from penstock.model.lines import Closed
from penstock.model.states import TERMINAL, Event, State
from penstock.store.sqlite.blocked_line import Blocked
from penstock.store.sqlite.in_memory import Books, Place
from penstock.store.sqlite.key_buckets import KeyBuckets
from penstock.store.sqlite.keyed_rules import KeyedRules
from penstock.store.sqlite.ready_jobs import Newcomers
from penstock.store.sqlite.ready_line import ReadyLine
from penstock.store.sqlite.slots import Slots
from penstock.store.sqlite.tenants import Tenants

_FENCES_MAX: Final = 50_000
"""Of so many buckets it is remembered which leases may give tokens back, when all else of them is forgotten."""


class Joiner(NamedTuple):
    """A job that has its row, stands in no table besides, and is to be ready.

    Attributes:
        place: as `Joining.place` gave it, or the one it had before. The row of the job has it already.
        values: as packed in the row; None: it has none.
    """

    seq: int
    line: int
    place: Place
    values: bytes | None


class Joining:
    """Lets jobs join the lines of ready jobs, or those of blocked ones.

    Attributes:
        readied: lines, each a queue and a task, in which something became ready since the set was last emptied.
        unserved: keys that may have slots for jobs that wait for them.
        rules: the limits that count for each key.
        tenants: whose turn it is in fair queues.
    """

    def __init__(self, books: Books, line: ReadyLine) -> None:
        self.books = books
        self.database = books.database
        self.line = line
        self.rules = KeyedRules(books)
        self.tenants = Tenants(books)
        self.slots = Slots(books.database)
        self.buckets = KeyBuckets(books)
        self.readied: set[tuple[str, str]] = set()
        self.unserved: set[Key] = set()

    # --- joining -----------------------------------------------------------------------------------------------------
    def place(self, line: int, urgency: int, values: bytes | None) -> Place:
        """A place at the end of a line, for a job with these packed values."""
        return Place(urgency, self.tenants.rank(line, urgency, values), self.books.take_arrivals(1))

    def newcomers(self, newcomers: Newcomers) -> Collection[int]:
        """New jobs of one group that do not wait for a time. The caller counts them as ready. Answers the numbers of
        the rows of those that are blocked, which is counted here besides."""
        line = newcomers.alike.line
        if newcomers.values is None or not self.rules.has(line):
            self.line.join(newcomers)
            self.readied.add(self.books.line_name(line))
            return ()
        urgency, number = -newcomers.alike.priority, len(newcomers.rows)
        ranks = newcomers.ranks or [newcomers.alike.rank] * number
        values_of = newcomers.values or [None] * number
        jobs = [
            Joiner(row[0], line, Place(urgency, rank, arrival), values)
            for rank, arrival, row, values in zip(ranks, newcomers.arrivals, newcomers.rows, values_of, strict=True)
        ]
        return self._join(jobs, are_new=True)

    def join(self, jobs: Sequence[Joiner]) -> bool:
        """Let jobs join their lines. The caller counts them as ready. Those that are blocked are counted as such here.
        Answers whether there are any."""
        return bool(self._join(jobs, are_new=False))

    def _join(self, jobs: Sequence[Joiner], *, are_new: bool) -> Collection[int]:
        ready = [job for job in jobs if job.values is None]
        blocked: list[Waiting] = []
        if len(ready) < len(jobs):
            ready, blocked, taken = self.decided(jobs, are_new=are_new, is_in_turn=False)
            self.slots.write(taken)
        if blocked:
            self.block(blocked)
            self.count([one.job for one in blocked], Event.BLOCK, State.READY, State.BLOCKED)
        if ready:
            self.make_ready(ready)
        return {one.job.seq for one in blocked}

    def make_ready(self, jobs: Sequence[Joiner]) -> None:
        """Put jobs that have all their slots into their lines. Their count is the caller's."""
        self.line.insert_many([(line, *place, seq) for seq, line, place, _ in jobs])
        self.readied.update([self.books.line_name(line) for line in {job.line for job in jobs}])

    def block(self, waiting: Iterable[Waiting]) -> None:
        """Put jobs that miss a slot into the line of its key. Their count is the caller's."""
        by_key: dict[Key, list[Blocked]] = {}
        for job, key, rule in waiting:
            place = Place(*place_in_key(job.place, rule))
            by_key.setdefault(key, []).append(Blocked(job.seq, place))
        for key, jobs in by_key.items():
            self.slots.block(key, jobs)
            if key.is_of_rate or self.room(key) > 0:
                self.unserved.add(key)

    def count(self, jobs: Iterable[Joiner], event: Event, source: State, target: State) -> None:
        """Count jobs of whatever lines that make the same move."""
        for line, number in Counter([job.line for job in jobs]).items():
            self.books.move(self.books.lines[line].queue, event, source, target, number)

    def comes_back(self, job: Joiner, *, unstarted: int | None = None) -> bool:
        """Whether a job with an interest in slots may have its old place again. It is blocked, if not; that is counted
        here, after the caller has counted it as ready. ``unstarted``: the fence of its lease, in which it has not
        started; None: it has, or it was not leased."""
        needs = self.rules.needs(job.line, job.values)
        if unstarted is not None:
            self._return_tokens(needs, unstarted)
        held = self.slots.held(job.seq)
        missing = self._missing(job, needs, held, is_in_turn=True)
        if missing is None:
            self._take(job, needs, held)
        if held:
            self._give_back_but(job, needs, missing)
        if missing is None:
            return True
        self.block([missing])
        self.count([job], Event.BLOCK, State.READY, State.BLOCKED)
        return False

    def _return_tokens(self, needs: Iterable[Need], fence: int) -> None:
        """The job of this lease has not started: what it took of rates is there again."""
        for key, rule in needs:
            if isinstance(rule, RateRule):
                self.buckets.give_back(key, rule, fence)
                self.unserved.add(key)

    # --- slots -------------------------------------------------------------------------------------------------------
    def decided(
        self, jobs: Sequence[Joiner], *, are_new: bool, is_in_turn: bool
    ) -> tuple[list[Joiner], list[Waiting], list[tuple[int, Key]]]:
        """Take the slots that jobs need. Answers those that have them, the others with what they wait for, and whose
        the slots are, which is to be written."""
        ready: list[Joiner] = []
        blocked: list[Waiting] = []
        taken: list[tuple[int, Key]] = []
        may_keep = self.rules.may_keep and not are_new
        for job in jobs:
            needs = self.rules.needs(job.line, job.values)
            held = self.slots.held(job.seq) if may_keep and job.values is not None else ()
            missing = self._missing(job, needs, held, is_in_turn=is_in_turn) if needs else None
            if missing is None:
                keys = [need.key for need in needs if need.key not in held]
                self.slots.take(keys)
                taken += [(job.seq, key) for key in keys]
                ready.append(job)
            else:
                self.slots.note_waiting(missing.key)
                blocked.append(missing)
            if held:
                self._give_back_but(job, needs, missing)
        return ready, blocked, taken

    def has_all(self, seq: int) -> bool:
        """Whether a ready job holds all the slots that it needs."""
        job = self.joiner(seq)
        if job is None:
            return True
        held = self.slots.held(seq)
        return all(need.key in held for need in self.rules.needs(job.line, job.values))

    def take_anyway(self, seq: int) -> None:
        """A leased job takes the slots that it needs, whether there are any left or not."""
        job = self.joiner(seq)
        if job is not None and job.values is not None:
            needs = [need for need in self.rules.needs(job.line, job.values) if not need.key.is_of_rate]
            self._take(job, needs, self.slots.held(seq))

    def _take(self, job: Joiner, needs: Sequence[Need], held: Collection[Key]) -> None:
        keys = [need.key for need in needs if need.key not in held]
        if keys:
            self.slots.take(keys)
            self.slots.write([(job.seq, key) for key in keys])

    def _give_back_but(self, job: Joiner, needs: Sequence[Need], missing: Waiting | None) -> None:
        """Take slots from a job that it needs no more, or not while it waits."""
        if missing is None:
            kept = {need.key for need in needs}
        elif missing.key.kind == Kind.PAUSED:
            kept = set()
        else:
            kept = {need.key for need in needs if keeps_slot(need.rule)} - {missing.key}
        self.give_back([job.seq], kept)

    def _missing(
        self, job: Joiner, needs: Sequence[Need], held: Collection[Key], *, is_in_turn: bool
    ) -> Waiting | None:
        """What a job has to wait for; None: nothing. ``is_in_turn``: it need not stand behind those that wait."""
        if not needs:
            return None
        if self.is_paused(job.line):
            return Waiting(job, key_of_line(*self.books.line_name(job.line)), None)
        for key, rule in needs:
            if key in held:
                # There are fewer slots than there were when it took one.
                is_missing = self.room(key) < 0
            else:
                is_missing = self.room(key) <= 0 or (not is_in_turn and self.slots.waits(key))
            if is_missing:
                return Waiting(job, key, rule)
        return None

    def is_paused(self, line: int) -> bool:
        """Whether the slots of a line's jobs are for others, because somebody has paused it."""
        closed = self.books.closed
        return bool(closed) and closed.reason_of(*self.books.line_name(line)) is Closed.PAUSED

    def room(self, key: Key) -> float:
        """How many more jobs may have a slot of a key."""
        rule = self.rules.of_key(key)
        if isinstance(rule, ConcurrencyRule):
            return rule.count - self.slots.taken(key)
        if rule is not None:
            return self.buckets.of(key, rule).tokens(self.books.clock.monotonic()) - self.slots.taken(key)
        if key.kind == Kind.PAUSED:
            return 0 if self.books.closed.reason_of(*key.text.split("\n")) is Closed.PAUSED else inf
        return inf if key.is_of_limit else 0

    def excess(self, key: Key) -> int:
        """How many slots of a key are taken that there are not any more."""
        room = self.room(key)
        return 0 if room >= 0 else int(-room)

    def lasting(self, line: int, values: bytes | None) -> set[Key]:
        """The keys that a job keeps its slot of while it waits for a time to run again."""
        return {need.key for need in self.rules.needs(line, values) if keeps_slot(need.rule)}

    def give_back(self, seqs: Sequence[int], kept: Collection[Key] = ()) -> None:
        """Take all slots from these jobs but those of ``kept``. Who waits for them is served at the end of the call."""
        self.unserved |= self.slots.give_back(seqs, kept)

    def leased(self, seqs: Sequence[int], fence: int) -> None:
        """Jobs with an interest in slots are leased: of each rate that counts for their keys, a token is spent.
        ``fence``: the first of their leases."""
        for key, number in self.slots.spend(seqs).items():
            rule = self.rules.of_key(key)
            if isinstance(rule, RateRule):
                self.buckets.take(key, rule, number, fence)
                self.unserved.add(key)

    def ended(self, endings: Sequence[Ending]) -> None:
        """Jobs with an interest in slots have ended (`listeners.Listener`)."""
        seqs = [ending.seq for ending in endings if ending.source not in TERMINAL]
        if seqs:
            self.give_back(seqs)

    def joiner(self, seq: int) -> Joiner | None:
        """A job by the number of its row; None: the row is gone, the file is damaged."""
        row = self.database.row("joiner", seq)
        return None if row is None else Joiner(seq, row[0], Place(*row[1:4]), row[4])

    # --- limits that change -----------------------------------------------------------------------------------------
    def renamed(self) -> None:
        """Queues have other names, by which limits are found."""
        self.rules.renamed()

    def rolled_back(self) -> None:
        """The transaction was undone. What was to be served is found again."""
        self.forget()
        self.buckets.load()
        self.unserved.clear()
        self.rules.load()

    def forget(self) -> None:
        """Nothing is known of any key but what is in the file."""
        self.slots.forget()
        self.buckets.forget(_FENCES_MAX)

    def used(self, kind: str, rule: Rule, most: int) -> tuple[int, int]:
        """Of all keys of a limit together: how many slots are taken, or tokens are missing, and how many jobs wait. No
        more than ``most`` are looked at."""
        waiting = int(self.database.value("count_blocked_of_kind", kind, most))
        if not isinstance(rule, RateRule):
            return int(self.database.value("count_slots_of_kind", kind, most)), waiting
        now = self.books.clock.monotonic()
        buckets = [self.buckets.of(Key(kind, text), rule) for text in self.buckets.texts(kind, most)]
        return min(most, sum(bucket.burst - bucket.tokens(now) for bucket in buckets)), waiting

    # --- for people --------------------------------------------------------------------------------------------------
    def reason_of(self, kind: str, text: str) -> tuple[str, str | None]:
        """Why a job is blocked, and for which key, for people."""
        key = Key(kind, text)
        rule, taken = (self.rules.of_key(key), self.slots.taken(key)) if key.is_of_limit else (None, 0)
        return reason_of(key, rule, taken), shown_key(key)


class Waiting(NamedTuple):
    """A job that is to wait: for what, and the limit that this is a key of; None: its line is paused."""

    job: Joiner
    key: Key
    rule: Rule | None
