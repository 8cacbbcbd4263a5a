"""Replaying: messages that have succeeded, and of which a record is kept, are delivered once more, the oldest first.

It is what a bulk action does (`bulk_actions`), a step at a time. Messages are many and alike, so those of a step join
their channel together: some statements for each of them, and none of what single jobs are asked.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from penstock.model.actions import Action, stages
from penstock.model.interests import Interest
from penstock.model.job import Step
from penstock.model.states import Event, State
from penstock.store.sqlite.endings import Endings
from penstock.store.sqlite.joining import Joiner
from penstock.store.sqlite.row_numbers import cursor_before, row_after
from penstock.store.sqlite.searching import Search

_AT_ONCE: Final = 100
"""Messages that are looked for before they are delivered."""


class _Message(NamedTuple):
    """A message whose record is kept. ``values``: packed, what limits count by."""

    seq: int
    line: int
    priority: int
    interest: int
    values: bytes | None


class Replays:
    """Goes through the records of a channel."""

    def __init__(self, search: Search, endings: Endings) -> None:
        self.search = search
        self.endings = endings
        self.books = endings.books
        self.database = endings.database

    def count(self, action: Action, most: int, until: float) -> tuple[Step, float | None]:
        """Count messages that match, as many as there is time for. Answers also when the oldest of them was published;
        None: there is none."""
        (where,) = stages(action)
        found, goes_on = self.search.rising(where, row_after(action.cursor), most, until)
        times = [created_at for _, created_at in self._kept(found) if created_at <= action.created_at]
        return Step(len(times), None if goes_on is None else cursor_before(goes_on)), min(times, default=None)

    def step(self, action: Action, most: int, until: float) -> Step:
        """Deliver at most so many messages once more, or as many as there is time for."""
        (where,) = stages(action)
        above, looked_at, changed = row_after(action.cursor), 0, 0
        while True:
            found, goes_on = self.search.rising(where, above, min(most - looked_at, _AT_ONCE), until)
            kept = self._kept(found)
            looked_at += len(kept)
            changed += self._deliver([job for job, created_at in kept if created_at <= action.created_at])
            if goes_on is None:
                return Step(changed, None)
            above = goes_on
            if looked_at >= most or self.books.clock.monotonic() >= until:
                return Step(changed, cursor_before(above))

    def _kept(self, rows: list[int]) -> list[tuple[_Message, float]]:
        """Of the messages in these rows those whose time is not up, each with when it was published."""
        now = self.books.clock.time()
        found = ((seq, self.database.row("to_replay", seq)) for seq in rows)
        return [(_Message(seq, *row[:4]), row[4]) for seq, row in found if row is not None and row[5] > now]

    def _deliver(self, messages: list[_Message]) -> int:
        """Let these messages stand at the end of their channel. Answers how many they are."""
        if not messages:
            return 0
        joining, books = self.endings.joining, self.books
        for one in messages:
            if one.interest & Interest.RECORDED:
                # What it has recorded was of the delivery before.
                self.endings.steps.forget_history(one.seq)
        jobs = [
            Joiner(one.seq, one.line, joining.place(one.line, -one.priority, one.values), one.values)
            for one in messages
        ]
        seqs, now = [job.seq for job in jobs], books.clock.time()
        books.finished.leave((seq, State.SUCCEEDED.value) for seq in seqs)
        self.database.run_many("delete_finished", [(seq,) for seq in seqs])
        self.database.run_many(
            "repeat_job", [(0, 0, None, now, job.place.priority, *job.place[1:], job.seq) for job in jobs]
        )
        if books.mishaps:
            for seq in seqs:
                books.mishaps.note(seq, books.mishaps.of(seq)._replace(strays=0))
        joining.count(jobs, Event.REPLAY, State.SUCCEEDED, State.READY)
        if joining.join(jobs):
            # Those that wait for the same keys may have their turn, and these messages with them.
            self.endings.unblocking.serve()
        return len(jobs)
