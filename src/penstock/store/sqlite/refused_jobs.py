"""Jobs that workers refused: a line of their own for each set of workers that did, a *party*.

A ready job that was refused stands in the table `refused` instead of `ready`, so that who refused it never scans past
it, and all others find it in order. Which workers a party is of is known in memory alone, and forgotten with the owner:
then they refuse anew. What must not be forgotten, since when a job has been refused, is in its row, which stays while
the job is leased (as party 0) and goes when it ends or has run.

Which tasks a worker does not know is remembered for a while, so that the rest of a long line of such jobs is set aside
where it stands, and does not travel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.job import JobError, LeaseRequest, Refused
from penstock.model.refusals import Holders, aside_until, is_hopeless
from penstock.store.sqlite.in_memory import ANY_PARTY, Books, Place
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.line_heads import Front
from penstock.store.sqlite.ready_jobs import Ready

_LEASED: Final = 0

Key = tuple[frozenset[tuple[bytes, bool]], bool, bool]
"""What tells parties apart: who refused, and whether for the arguments; `Party.again`; `Party.is_exact`."""

_encode = msgspec.msgpack.Encoder().encode
_decode_error = msgspec.msgpack.Decoder(JobError).decode


class Party:
    """Jobs that the same workers refused.

    Attributes:
        again: those workers may have them again when they have nothing else to do.
        is_exact: each of them did refuse each of these jobs.
        counts: how many jobs are in it, by line.
    """

    __slots__ = ("again", "counts", "holders", "is_exact", "number")

    def __init__(self, number: int, holders: dict[bytes, bool], *, again: bool, is_exact: bool = True) -> None:
        self.number = number
        self.holders = holders
        self.again = again
        self.is_exact = is_exact
        self.counts: dict[int, int] = {}

    def key(self) -> Key:
        """What tells it apart."""
        return frozenset(self.holders.items()), self.again, self.is_exact

    def serves(self, holder: bytes, *, again: bool) -> bool:
        """Whether a worker gets its jobs: at once those that it has not refused, with ``again`` those it has."""
        return self.again and holder in self.holders if again else holder not in self.holders


class Refusals:
    """The table `refused`, and what of it is in memory."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.database = books.database
        self.holders = Holders(books.clock.monotonic())
        self._parties: dict[int, Party] = {}
        self._numbers: dict[Key, int] = {}
        self._unknown: dict[bytes, dict[int, tuple[float, JobError]]] = {}
        self._next_number = ANY_PARTY + 1
        self._waiting = 0
        self.load()

    def load(self) -> None:
        """Count what is in the file. Who refused it is known for the parties of this owner."""
        for party in self._parties.values():
            party.counts.clear()
        self._waiting = 0
        for number, line, count in self.database.rows("refused_counts"):
            if number != _LEASED:
                self._add(number, line, count)
        self._next_number = max(self._next_number, *self._parties, ANY_PARTY) + 1

    @property
    def matters(self) -> bool:
        """Whether a lease has to look here."""
        return self._waiting > 0 or bool(self._unknown)

    def waiting(self, queue: int) -> int:
        """How many ready jobs of a queue were refused."""
        lines = self.books.lines_of(queue)
        return sum(party.counts.get(line.id, 0) for party in self._parties.values() if party.counts for line in lines)

    def waiting_in(self, lines: Iterable[int]) -> int:
        """How many ready jobs of these lines were refused."""
        counts = [party.counts for party in self._parties.values() if party.counts]
        return sum(found.get(line, 0) for line in (lines if counts else ()) for found in counts)

    # --- leasing -----------------------------------------------------------------------------------------------------
    def fronts(self, holder: bytes, queue: int | None, tasks: Collection[int] | None, *, again: bool) -> list[Front]:
        """The lines of refused jobs that a worker is served from. ``again``: of those that it has refused before."""
        found: list[Front] = []
        for party in self._parties.values():
            if party.counts and party.serves(holder, again=again):
                for number in party.counts:
                    line = self.books.lines[number]
                    if queue not in (None, line.queue) or (tasks is not None and line.leased_as not in tasks):
                        continue
                    limits_of_line = self.books.limits.of_line(number)
                    if not self.books.is_closed(line) and self.books.limits.has_room(limits_of_line):
                        front = Front(number, line.queue, line.leased_as, party=party.number)
                        front.limits = limits_of_line
                        found.append(front)
        return found

    def taken(self, rows: Sequence[Ready], parties: dict[int, int]) -> None:
        """These have been taken to be leased. ``parties``: whose each was."""
        self.database.run_many("place_refused", [(_LEASED, None, row.seq) for row in rows])
        for (line, party), number in Counter([(row.line, parties[row.seq]) for row in rows]).items():
            self._add(party, line, -number)

    def put_back(self, row: Ready, number: int) -> None:
        """Return a job that was just taken to its party."""
        self._place(row.seq, row.line, self._party(number))

    def knows_unknown(self, holder: bytes) -> bool:
        """Whether this worker is known not to know some task."""
        return holder in self._unknown

    def set_aside(
        self, holder: bytes, rows: list[Ready], parties: dict[int, int]
    ) -> tuple[list[Ready], list[Ready], list[tuple[Ready, JobError]]]:
        """Refuse in a worker's name, of these jobs that were just taken, those whose task it does not know.

        Answers the others, those that are aside now, and those that are to be given up, with the reason.
        ``parties``: those they were taken from.
        """
        unknown, now = self._unknown[holder], self.books.clock.time()
        for task in [task for task, (until, _) in unknown.items() if until <= now]:
            del unknown[task]
        if not unknown:
            del self._unknown[holder]
        task_of = {line: self.books.lines[line].task for line in {row.line for row in rows}}
        known = [row for row in rows if task_of[row.line] not in unknown]
        hopeless: list[tuple[Ready, JobError]] = []
        again = [row for row in rows if task_of[row.line] in unknown and row.seq in parties]
        fresh = [row for row in rows if task_of[row.line] in unknown and row.seq not in parties]
        for row in again:
            party, error = parties[row.seq], unknown[task_of[row.line]][1]
            reason = self._refuse(row.seq, row.line, row.place, party, holder, error, unfit=False)
            if reason is not None:
                hopeless.append((row, reason))
        if fresh:
            errors = {row.line: unknown[task_of[row.line]][1] for row in fresh}
            self._refuse_fresh(fresh, holder, errors, now)
        given_up = {row.seq for row, _ in hopeless}
        return known, fresh + [row for row in again if row.seq not in given_up], hopeless

    def _refuse_fresh(self, rows: list[Ready], holder: bytes, errors: dict[int, JobError], now: float) -> None:
        """Refuse many jobs at once that nobody has refused before, of tasks that are not known. ``errors``: by line."""
        party = self._party_of({holder: False}, self.holders.live(self.books.clock.monotonic()))
        until = aside_until(now, None, now)
        packed = {line: _encode(error) for line, error in errors.items()}
        self.database.run_many(
            "refuse",
            [(row.seq, party.number, row.line, *row.place, until, now, None, packed[row.line]) for row in rows],
        )
        for line, count in Counter([row.line for row in rows]).items():
            self._add(party.number, line, count)

    # --- refusing ----------------------------------------------------------------------------------------------------
    def refuse(self, held: Lease, place: Place, refused: Refused) -> JobError | None:
        """Put a job that a worker will not run aside for it. Answers the reason if the job is to be given up instead;
        then it is in no line."""
        if not refused.is_unfit:
            unknown = self._unknown.setdefault(held.holder, {})
            if held.task in unknown or len(unknown) < limits.UNKNOWN_TASKS_MAX:
                unknown[held.task] = (self.books.clock.time() + limits.REFUSED_AGAIN_S_MAX, refused.error)
        unfit = refused.is_unfit
        return self._refuse(held.seq, held.line, place, held.party, held.holder, refused.error, unfit=unfit)

    def _refuse(
        self, seq: int, line: int, place: Place, number: int, holder: bytes, error: JobError, *, unfit: bool
    ) -> JobError | None:
        now, monotonic = self.books.clock.time(), self.books.clock.monotonic()
        row = self.database.row("refusal", seq)
        _, since, unfit_since, packed = row or (0, now, None, None)
        if unfit or unfit_since is None:
            packed = _encode(error)
        if unfit and unfit_since is None:
            unfit_since = now
        live = self.holders.live(monotonic)
        before = self._party(number).holders if number else {}
        holders = {one: was_unfit for one, was_unfit in before.items() if one in live} | {holder: unfit}
        if self._is_hopeless(holders, line, unfit_since, now):
            self.database.run("forget_refusal", seq)
            return _decode_error(packed)
        party = self._party_of(holders, live)
        until = aside_until(since, unfit_since, now)
        self.database.run("refuse", seq, party.number, line, *place, until, since, unfit_since, packed)
        self._add(party.number, line, 1)
        return None

    def _is_hopeless(self, holders: dict[bytes, bool], line: int, unfit_since: float | None, now: float) -> bool:
        monotonic = self.books.clock.monotonic()
        if unfit_since is None or not self.holders.knows_all(monotonic):
            return False
        live = self.holders.live(monotonic, *self.books.line_name(line))
        return is_hopeless(holders, live, unfit_since, now)

    def back(self, held: Lease) -> None:
        """A job that was refused before, and leased since, did not run: it has its place again."""
        self._place(held.seq, held.line, self._with_again(self._party(held.party), again=False))

    def _place(self, seq: int, line: int, party: Party) -> None:
        row = self.database.row("refusal", seq)
        assert row is not None, "what was refused has its row until it has run"
        _, since, unfit_since, _ = row
        self.database.run("place_refused", party.number, self._look_at(party, since, unfit_since), seq)
        self._add(party.number, line, 1)

    def _look_at(self, party: Party, since: float, unfit_since: float | None) -> float | None:
        """When to look at a job of a party next. None: never, what can be done for it is done."""
        if party.again and unfit_since is None:
            return None
        return aside_until(since, unfit_since, self.books.clock.time())

    def forget(self, seq: int, line: int) -> bool:
        """A job has run, or ended, or is somewhere else: nothing is remembered. Answers whether it stood in a line."""
        row = self.database.row("refusal", seq)
        if row is None:
            return False
        self.database.run("forget_refusal", seq)
        if row[0] != _LEASED:
            self._add(row[0], line, -1)
        return bool(row[0] != _LEASED)

    def forget_workers(self, front: bytes) -> None:
        """What workers refused whose names begin so is offered to them anew: they may be others of these names."""
        for holder in [holder for holder in self._unknown if holder.startswith(front)]:
            del self._unknown[holder]
        for party in self._parties.values():
            for holder in [holder for holder in party.holders if holder.startswith(front)]:
                del party.holders[holder]
        self._number_all()

    def learn(self, tasks: list[int]) -> None:
        """Somebody knows these tasks: whoever did not may do so by now."""
        for holder, unknown in list(self._unknown.items()):
            for task in tasks:
                unknown.pop(task, None)
            if not unknown:
                del self._unknown[holder]

    def heard_of(self, request: LeaseRequest) -> None:
        """A worker asks for jobs. One that was away for long may know other tasks by now."""
        now = self.books.clock.monotonic()
        if request.holder in self._unknown and request.holder not in self.holders.live(now):
            del self._unknown[request.holder]
        self.holders.leases(request, now)

    def sweep(self) -> None:
        """Forget about workers that are gone."""
        live = self.holders.live(self.books.clock.monotonic())
        for holder in [holder for holder in self._unknown if holder not in live]:
            del self._unknown[holder]
        self._drop_empty()

    # --- as time passes ----------------------------------------------------------------------------------------------
    def due(self, now: float, limit: int) -> list[tuple[Any, ...]]:
        """Rows, of those whose time it is to be looked at, for `ask_again`."""
        return self.database.rows("refusals_due", now, limit)

    def ask_again(self, rows: Iterable[tuple[Any, ...]]) -> list[tuple[int, int, JobError]]:
        """Let jobs be tried again by those who refused them. Answers those that are to be given up instead, which stand
        in no line any more: their rows, lines, and the reasons."""
        now = self.books.clock.time()
        hopeless: list[tuple[int, int, JobError]] = []
        moved: list[tuple[int, float | None, int]] = []
        changes: Counter[tuple[int, int]] = Counter()
        for seq, number, line, since, unfit_since, packed in rows:
            party = self._party(number)
            changes[number, line] -= 1
            if party.is_exact and self._is_hopeless(party.holders, line, unfit_since, now):
                self.database.run("forget_refusal", seq)
                hopeless.append((seq, line, _decode_error(packed)))
                continue
            again = self._with_again(party, again=True)
            changes[again.number, line] += 1
            moved.append((again.number, self._look_at(again, since, unfit_since), seq))
        self.database.run_many("place_refused", moved)
        for (number, line), change in changes.items():
            self._add(number, line, change)
        return hopeless

    def lines(self) -> set[int]:
        """The numbers of the lines that have refused jobs."""
        return {line for party in self._parties.values() for line in party.counts}

    def parties_in(self, line: int) -> list[int]:
        """The parties that have jobs of a line."""
        return [number for number, party in self._parties.items() if line in party.counts]

    def waiting_lines(self) -> list[tuple[int, int]]:
        """Parties and lines in which ready jobs stand here."""
        return [(number, line) for number, party in self._parties.items() for line in party.counts]

    # --- parties -----------------------------------------------------------------------------------------------------
    def _party(self, number: int) -> Party:
        """The party of this number. Of one that another owner made nobody is known to have refused."""
        found = self._parties.get(number)
        if found is None:
            found = self._parties[number] = Party(number, {}, again=False)
        return found

    def _party_of(self, holders: dict[bytes, bool], live: set[bytes]) -> Party:
        party = Party(self._next_number, holders, again=False)
        if party.key() not in self._numbers and len(self._parties) >= limits.REFUSAL_SETS_MAX:
            self._drop_empty()
            if len(self._parties) >= limits.REFUSAL_SETS_MAX:
                # Too many: aside for all that there are. They are asked again in time; for newcomers it is not.
                everybody = dict.fromkeys([*live, *holders], False)
                party = Party(self._next_number, everybody, again=False, is_exact=False)
        return self._known(party)

    def _with_again(self, party: Party, *, again: bool) -> Party:
        if party.again is again:
            return party
        return self._known(Party(self._next_number, dict(party.holders), again=again, is_exact=party.is_exact))

    def _known(self, party: Party) -> Party:
        """The party that is like this one, which is known from now on."""
        number = self._numbers.setdefault(party.key(), party.number)
        if number == party.number:
            self._next_number += 1
            self._parties[number] = party
        return self._parties[number]

    def _drop_empty(self) -> None:
        leased = {held.party for held in self.books.by_fence.values()}
        self._parties = {n: party for n, party in self._parties.items() if party.counts or n in leased}
        self._number_all()

    def _number_all(self) -> None:
        self._numbers = {party.key(): number for number, party in self._parties.items()}

    def _add(self, number: int, line: int, change: int) -> None:
        self._waiting += change
        counts = self._party(number).counts
        counts[line] = counts.get(line, 0) + change
        if not counts[line]:
            del counts[line]
