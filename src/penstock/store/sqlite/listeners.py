"""Who hears of a job's end, in the transaction in which the job ends.

There is one seam: `Endings`, `Settling`, `Chores` and `Operating` end jobs in different ways, and all of them say so
here, once for each move that ends a job or throws its record away. Each listener is registered for a bit of
`penstock.model.interests`, and is told of those jobs alone that have this bit. Where nobody has an interest, which is
usual, the question costs nothing: it is answered for a whole batch by two sets that are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from penstock.model.interests import Ending, Interest
from penstock.model.states import Event, State
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.ready_line import ReadyLine

_PARENT: Final = Interest.PARENT.value
Listener = Callable[[Sequence[Ending]], None]
"""Is told of jobs that ended, in their transaction, and may write in it. What it raises undoes the transaction."""


def _nobody(parts: Sequence[Lease]) -> None:
    assert not parts, "there are no workflows"


class Listeners:
    """The listeners of one engine. The first one notes for the owner which jobs ended that a client waits for.

    Attributes:
        watched: ids of jobs that a client waits for. The owner fills the set.
        ended: those of them that ended since the owner last emptied the list.
        parts_succeeded: is told of leases of jobs of workflows that have succeeded, and interest nobody else.
    """

    def __init__(self, books: Books, line: ReadyLine) -> None:
        self.books = books
        self.database = books.database
        self.line = line
        self.watched: set[bytes] = set()
        self.ended: list[bytes] = []
        self.parts_succeeded: Callable[[Sequence[Lease]], None] = _nobody
        # By their bits: to ask a member of an enum for its number takes longer than the rest of the question.
        self._listeners: list[tuple[int, Listener]] = []
        self.register(Interest.WATCHER, self._note_watched)

    def register(self, interest: Interest, listener: Listener) -> None:
        """Let a listener hear of the ends of jobs for which this bit is set."""
        self._listeners.append((interest.value, listener))

    def add_interest(self, seq: int, interest: Interest) -> None:
        """Set a bit for a job that has its row, whatever its state: its end is told from now on."""
        # A job that is not in the ready table yet would be leased without the bit.
        self.line.write_all()
        self.database.run("add_interest", interest.value, seq)
        fence = self.books.by_seq.get(seq)
        if fence is not None:
            self.books.by_fence[fence].interest |= interest.value
            self.database.run("add_interest_leased", interest.value, fence)
            self.books.interested.add(seq)

    # --- telling -----------------------------------------------------------------------------------------------------
    def tell_leased(self, ended: Iterable[Lease], event: Event, target: State | None) -> None:
        """These leases have ended, and their jobs with them."""
        watched = self.watched
        heard = [held for held in ended if held.interest or held.id in watched]
        if event is Event.SUCCEED and heard:
            # Of members of large groups there are very many, and nothing of them matters but what is counted.
            parts = [held for held in heard if held.interest == _PARENT and held.id not in watched]
            if parts:
                self.parts_succeeded(parts)
                if len(parts) == len(heard):
                    return
                heard = [held for held in heard if held.interest != _PARENT or held.id in watched]
        if heard:
            self._tell(
                [
                    Ending(held.seq, held.id, held.queue, held.task, event, State.RUNNING, target, held.interest)
                    for held in heard
                ]
            )

    def tell_row(self, seq: int, job_id: bytes, line: int, event: Event, source: State, target: State | None) -> None:
        """A job that is not leased ends, or its record goes. Its row is still there."""
        interest = self.database.value("interest", seq) or 0
        if interest or job_id in self.watched:
            found = self.books.lines[line]
            self._tell([Ending(seq, job_id, found.queue, found.task, event, source, target, interest)])

    def tell_deleted(self, rows: Iterable[tuple[int, bytes, int]], line: int, source: State) -> None:
        """Jobs of one line that wait are thrown away: seq, id, interest. Their rows are still there."""
        found = self.books.lines[line]
        heard = [
            Ending(seq, job_id, found.queue, found.task, Event.DELETE, source, None, interest)
            for seq, job_id, interest in rows
            if interest or job_id in self.watched
        ]
        if heard:
            self._tell(heard)

    def tell_dropped(self, rows: Iterable[tuple[int, int, str, int]]) -> None:
        """Records are going to be thrown away: seq, line, state, interest. Their rows are still there."""
        for seq, line, state, interest in rows:
            if interest:
                job_id = self.database.value("id_at", seq)
                found = self.books.lines[line]
                self._tell([Ending(seq, job_id, found.queue, found.task, Event.TRIM, State(state), None, interest)])

    def _tell(self, endings: list[Ending]) -> None:
        if self.watched:
            endings = [self._with_watcher(ending) for ending in endings]
        for bit, listener in self._listeners:
            heard = [ending for ending in endings if ending.interest & bit]
            if heard:
                listener(heard)

    def _with_watcher(self, ending: Ending) -> Ending:
        """A client that waits is known in memory alone."""
        if ending.id not in self.watched:
            return ending
        return ending._replace(interest=ending.interest | Interest.WATCHER.value)

    def _note_watched(self, endings: Sequence[Ending]) -> None:
        self.ended.extend(ending.id for ending in endings)
