"""The ready lines: where jobs join them, and where leases take from their fronts.

Within a transaction, new jobs of a line that had nothing ready are held in memory first. When a lease of the same
transaction takes them, which is how a system lives whose workers keep up, they never touch the `ready` table; what is
left is written with the commit, or before anything else looks at the table.

A lease that finds one line alone takes a stretch of it with two statements. One that finds several takes what comes
next by what is known of their fronts in memory (line_heads.py), and fetches those jobs many at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.in_memory import Books, Place
from penstock.store.sqlite.line_fronts import Fronts
from penstock.store.sqlite.line_heads import (
    ENTRIES_MAX,
    Chosen,
    Front,
    Heads,
    give_back,
    key_of,
    take_by_tasks,
    take_in_order,
)
from penstock.store.sqlite.ready_jobs import Newcomers, Taken, TakenBatch, as_ready, body_of
from penstock.store.sqlite.ready_rows import CHUNK_ROWS, delete_between, fetch_jobs, insert_newcomers, size_bytes_of

FRESH_NOTED_MAX: Final = 16
"""More new jobs of one line than these are not noted one by one. Most lines that are long are taken from alone."""


class ReadyLine(Fronts):
    """The one place that adds jobs to the `ready` table and takes jobs from it."""

    def __init__(self, books: Books) -> None:
        super().__init__(books)
        self._fresh: dict[int, Newcomers] = {}
        self._touched: set[int] = set()

    # --- joining -----------------------------------------------------------------------------------------------------
    def join(self, newcomers: Newcomers) -> None:
        """Add new jobs. Their count is the caller's, and made after this."""
        line = newcomers.alike.line
        if not newcomers.rows:
            return
        self._touched.add(line)
        if newcomers.ranks is not None:
            self.write(line)
            insert_newcomers(self.database, newcomers)
            urgency, places = -newcomers.alike.priority, zip(newcomers.ranks, newcomers.arrivals, strict=True)
            self._note((line, urgency, *place, row[0]) for place, row in zip(places, newcomers.rows, strict=True))
        elif line in self._fronts:
            if self._fresh:
                self.write(line)
            self._insert(newcomers)
        else:
            self._fresh[line] = newcomers
            self._refresh(self._front(line))

    def insert(self, line: int, place: Place, seq: int) -> None:
        """Put a job into the `ready` table. Its count is the caller's."""
        self.insert_many([(line, *place, seq)])

    def insert_many(self, rows: Sequence[tuple[int, int, int, int, int]]) -> None:
        """As `insert`, of several: line, urgency, rank, arrival, seq."""
        for line in {row[0] for row in rows}:
            self.write(line)
        self.database.run_many("insert_ready", rows)
        self._note(rows)

    def _note(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        """These have been put into the table: line, urgency, rank, arrival, seq."""
        for line, urgency, rank, arrival, seq in rows:
            self._touched.add(line)
            front = self._fronts.get(line)
            if front is None:
                front = self._front(line)
                front.is_whole = True
            if front.add((urgency, rank, arrival, seq, key_of(urgency, arrival))):
                self._refresh(front)

    def remove(self, line: int, place: Place) -> None:
        """Take a job out of the `ready` table. Its count is the caller's."""
        self.write(line)
        self.database.run("delete_ready", line, *place)
        assert self.database.connection.changes() == 1, "a ready job stands in its line"
        self._touched.add(line)
        front = self._fronts[line]
        front.remove(place)
        self._refresh(front)

    # --- taking ------------------------------------------------------------------------------------------------------
    def take(
        self,
        queue: int | None,
        tasks: Collection[int] | None,
        limit: int,
        room_bytes: int,
        aside: Sequence[Front] = (),
        *,
        of_lines: bool = True,
    ) -> TakenBatch:
        """Remove up to ``limit`` jobs that come next, until their bodies fill the room. Their count is the caller's.

        Args:
            queue: from its lines alone; None: from all.
            tasks: from the lines of these alone; None: from all.
            aside: other lines that are taken from besides.
            of_lines: False: from those alone.
        """
        try:
            return self._take(queue, tasks, limit, room_bytes, aside, of_lines=of_lines)
        except BaseException:
            # Some jobs are out of the fronts that nothing has been noted of.
            self._touched.update(self._fronts)
            raise

    def _take(
        self,
        queue: int | None,
        tasks: Collection[int] | None,
        limit: int,
        room_bytes: int,
        aside: Sequence[Front],
        *,
        of_lines: bool,
    ) -> TakenBatch:
        takes = None
        if self.books.limits:
            takes = self._takes
            self._notice_limits()
        if not of_lines:
            return self._take_chosen(take_in_order(aside, limit, self._read, takes), room_bytes)
        heads = [] if queue is not None else self._heads(tasks)
        fronts = [] if queue is None else self._fronts_in(queue, tasks)
        if not heads and not fronts and not aside:
            return TakenBatch([], room_bytes)
        if not aside and len(fronts) + sum([len(one.members) for one in heads]) == 1:
            (lone,) = fronts or _members(heads)
            return self._take_lone(lone, limit, room_bytes)
        self.write_all()
        self._read_unread([*fronts, *(front for one in heads for front in one.unread)])
        if heads and not aside and not self._compares_ranks(tasks):
            denials = self.books.limits.denials
            chosen = take_by_tasks(heads, limit, self._read)
            denied = self.books.limits.denials > denials
            return self._take_chosen(chosen, room_bytes, is_by_tasks=True, denied=denied)
        fronts = self._fronts_in(queue, tasks) if queue is not None else _members(self._heads(tasks))
        return self._take_chosen(take_in_order([*fronts, *aside], limit, self._read, takes), room_bytes)

    def _read_unread(self, fronts: Iterable[Front]) -> None:
        """Read of those lines of which no job is known, and tell their tasks' heads, which would read them again."""
        for front in [one for one in fronts if not one.entries and not one.is_whole]:
            self._read(front, None)
            self._refresh(front)

    def _take_lone(self, front: Front, limit: int, room_bytes: int) -> TakenBatch:
        """Remove jobs from the front of a line."""
        line = front.line
        if front.limits:
            limit = self.books.limits.most(front.limits, limit)
        self._touched.add(line)
        fresh = self._fresh.pop(line, None)
        candidates = (
            self.database.connection.execute(STATEMENTS[_taking(front)], (line, limit))
            if fresh is None
            else fresh.ready(limit)
        )
        rows: list[Taken] = []
        for row in candidates:
            rows.append(row)
            room_bytes -= len(body_of(row))
            if room_bytes <= 0:
                break
        if front.limits:
            self.books.limits.take(front.limits, len(rows))
        if fresh is not None:
            if len(rows) < len(fresh.rows):
                self._fresh[line] = fresh.after(len(rows))
                return TakenBatch(rows, room_bytes)
        elif rows:
            first, last = as_ready(rows[0]).place, as_ready(rows[-1]).place
            are_alike = first[:2] == last[:2]
            self.database.run("delete_ready_alike_to" if are_alike else "delete_ready_to", line, *last)
        front.forget()
        # All of the queue's ready jobs were counted so far, those just taken included.
        was_last = self.books.queues[front.queue].counts.ready <= len(rows)
        front.is_whole = was_last or (len(rows) < limit and room_bytes > 0)
        self._refresh(front)
        return TakenBatch(rows, room_bytes)

    def _take_chosen(
        self, chosen: Chosen, room_bytes: int, *, is_by_tasks: bool = False, denied: bool = False
    ) -> TakenBatch:
        """Fetch these jobs and remove them from their lines, as far as there is room for their bodies.

        Args:
            is_by_tasks: `take_by_tasks` has chosen them.
            denied: and limits had no room for some that stand between them.
        """
        rows: list[Taken] = []
        used = 0
        while used < len(chosen) and room_bytes > 0:
            part = chosen[used : used + CHUNK_ROWS]
            found = fetch_jobs(self.database, [entry[3] for _, entry in part])
            if len(found) == len(part):
                whole = [(front.line, *entry[:3], *found[entry[3]]) for front, entry in part]
                size_bytes = size_bytes_of(whole)
                if size_bytes is not None and size_bytes < room_bytes:
                    rows += whole
                    room_bytes -= size_bytes
                    used += len(part)
                    continue
            for front, (urgency, rank, arrival, seq, _) in part:
                used += 1
                row = found.get(seq)
                if row is None:
                    # A row without a job: the file is damaged.
                    continue
                job = (front.line, urgency, rank, arrival, *row)
                if not isinstance(body_of(job), bytes):
                    job = tuple(as_ready(job)._replace(body=self.database.value("body", seq)))
                rows.append(job)
                room_bytes -= len(body_of(job))
                if room_bytes <= 0:
                    break
        unused = chosen[used:]
        self._give_back(unused)
        taken = chosen[:used] if unused else chosen
        if denied:
            self._leave([one for one in taken if one[0].limits])
            taken = [one for one in taken if not one[0].limits]
        parties = self._leave_by_tasks(taken) if is_by_tasks else self._leave(taken)
        for front, _ in unused:
            if not front.party:
                self._refresh(front)
        return TakenBatch(rows, room_bytes, parties)

    def _give_back(self, unused: Chosen) -> None:
        """These were chosen and are not taken after all. Their fronts have to be refreshed."""
        give_back(unused)
        for front, _ in unused:
            if front.limits:
                self.books.limits.put_back(front.limits)

    def _leave_by_tasks(self, chosen: Chosen) -> dict[int, int]:
        """As `_leave`, of jobs that `take_by_tasks` has chosen. Of lines of which none has a rank: where all are as
        urgent, no other job without a rank has an arrival there between those of the first and the last."""
        if self.books.fair.queues:
            ranked = {front for front, entry in chosen if entry[1]}
            if ranked:
                # Such a line may have jobs without a rank too, from before its queue was fair, which stand in front.
                self._leave([one for one in chosen if one[0] in ranked])
                chosen = [one for one in chosen if one[0] not in ranked]
        first, last = (chosen[0][1], chosen[-1][1]) if chosen else (None, None)
        if first is None or last is None or first[0] != last[0]:
            return self._leave(chosen)
        fronts = dict.fromkeys([front for front, _ in chosen])
        lines = [front.line for front in fronts]
        deleted = delete_between(self.database, lines, first[0], first[2], last[2])
        assert deleted == len(chosen), "what comes next of some lines is all that stands between"
        self._touched.update(lines)
        for front in fronts:
            # Of the others the heads know already which job is first now.
            if not front.entries:
                self._refresh(front)
        return {}

    def _leave(self, chosen: Chosen) -> dict[int, int]:
        """Delete these from the `ready` table, and note it of their lines. Answers those that were refused, which are
        not in it, and by whom."""
        last = {front: entry for front, entry in chosen if not front.party}
        parties = {entry[3]: front.party for front, entry in chosen if front.party}
        if len(last) + len(parties) == len(chosen):
            single = [(front.line, *entry[:3]) for front, entry in last.items()]
        else:
            taken = Counter([front for front, _ in chosen if not front.party])
            single = [(front.line, *entry[:3]) for front, entry in last.items() if taken[front] == 1]
            for front, entry in last.items():
                if taken[front] > 1:
                    self.database.run("delete_ready_to", front.line, *entry[:3])
        if single:
            self.database.run_many("delete_ready", single)
        self._touched.update([front.line for front in last])
        for front in last:
            self._refresh(front)
        return parties

    def cut(self, line: int, last: Place) -> None:
        """Take the front of a line out of the `ready` table, up to this place. Its count is the caller's."""
        self.database.run("delete_ready_to", line, *last)
        self._touched.add(line)
        front = self._fronts.get(line)
        if front is not None:
            front.forget()
            self._refresh(front)

    def put_back(self, rows: Sequence[Taken]) -> None:
        """Return jobs that were just taken to their places. They have not been counted out."""
        self.insert_many([row[:5] for row in rows])

    # --- what is held in memory --------------------------------------------------------------------------------------
    def write_all(self) -> None:
        """Write what is held in memory. Whoever reads the `ready` table, or adds to it, calls this first."""
        while self._fresh:
            self.write(next(iter(self._fresh)))

    def write(self, line: int) -> None:
        """As `write_all`, for one line."""
        fresh = self._fresh.pop(line, None)
        if fresh is not None:
            self._fronts[line].is_whole = len(fresh.rows) <= FRESH_NOTED_MAX
            self._insert(fresh)

    def _insert(self, newcomers: Newcomers) -> None:
        """Write new jobs into the table, and note the first of them if others of their line are known."""
        alike, arrivals, new, *_ = newcomers
        line, urgency, rank = alike.line, -alike.priority, alike.rank
        insert_newcomers(self.database, newcomers)
        front = self._fronts[line]
        if not front.is_whole and (not front.entries or front.entries[-1] < (urgency, rank, arrivals[0])):
            # They stand behind all that is known of the line, as nearly all do that join a long one.
            return
        first = zip(arrivals[:ENTRIES_MAX], new, strict=False)
        self._note((line, urgency, rank, arrival, row[0]) for arrival, row in first)
        if len(new) > ENTRIES_MAX:
            front.is_whole = False

    def committed(self) -> None:
        """What the open transaction did is durable."""
        self._touched.clear()
        self._closings.clear()

    def forget(self) -> None:
        """The transaction is undone. What `forget_touched` needs is kept."""
        self._fresh.clear()

    def rolled_back(self) -> None:
        """The transaction was undone, and the books are as they were: nothing is known of the lines it changed."""
        for number in self._touched:
            front = self._fronts.get(number)
            if front is not None:
                self._drop(front)
            if number in self.books.lines:
                self._refresh(self._front(number))
        self._touched.clear()
        self._recheck_undone()

    def renamed(self, queue: int) -> None:
        """A queue has another name, which may say that its lines are open, or that they are closed."""
        self._touched.update(line.id for line in self.books.lines_of(queue))
        self.recheck(self.books.queues[queue].name, None)


def _members(heads: Iterable[Heads]) -> list[Front]:
    return [front for one in heads for front in one.members.values()]


def _taking(front: Front) -> str:
    """The statement that takes from a line. That bodies of messages may stand elsewhere costs ordinary jobs nothing."""
    return "take_messages" if front.task < 0 else "take_ready"
