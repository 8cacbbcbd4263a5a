"""What is held against the few jobs that were lost: a small table beside `job`, and the same in memory.

Blames are in `job.losses`. A row here lives as long as its job's; whoever deletes that one calls `forget`. The hot
paths look only whether there is any row at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from penstock.store.sqlite.database import Database


class Mishap(NamedTuple):
    """``strays`` and ``suspect`` as in `penstock.model.losses.Standing`."""

    strays: int = 0
    suspect: bool = False


NONE = Mishap()


class Mishaps:
    """By the number of the job's row."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, Mishap] = {}
        self._suspects: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._known)

    def load(self) -> None:
        """Read everything from the file."""
        rows = self._database.rows("load_mishaps")
        self._known = {seq: Mishap(strays, bool(suspect)) for seq, strays, suspect in rows}
        self._suspects = {seq for seq, mishap in self._known.items() if mishap.suspect}

    def of(self, seq: int) -> Mishap:
        """What is held against this job."""
        return self._known.get(seq, NONE)

    def all(self) -> dict[int, Mishap]:
        """All of them."""
        return dict(self._known)

    def suspects(self, seqs: Iterable[int]) -> list[int]:
        """The places among these of those that are to run alone."""
        return [place for place, seq in enumerate(seqs) if seq in self._suspects] if self._suspects else []

    def note(self, seq: int, mishap: Mishap) -> None:
        """From now on this is held against it."""
        if mishap == self.of(seq):
            return
        if mishap == NONE:
            self.forget([seq])
            return
        self._known[seq] = mishap
        if mishap.suspect:
            self._suspects.add(seq)
        else:
            self._suspects.discard(seq)
        self._database.run("insert_mishap", seq, *mishap)

    def clear(self, seqs: Iterable[int]) -> None:
        """These have ended by themselves, so they are no suspects."""
        if self._suspects:
            for seq in self._suspects.intersection(seqs):
                self.note(seq, self._known[seq]._replace(suspect=False))

    def forget(self, seqs: Iterable[int]) -> None:
        """The rows of these jobs are gone."""
        if self._known:
            gone = [seq for seq in seqs if seq in self._known]
            for seq in gone:
                del self._known[seq]
                self._suspects.discard(seq)
            self._database.run_many("delete_mishap", [(seq,) for seq in gone])
