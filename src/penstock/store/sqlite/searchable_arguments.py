"""What jobs can be found by: a table of texts beside `job`, in which only jobs with searchable arguments have rows.

Such a job has the bit `Interest.SEARCHABLE`, so the table hears when its record goes, and forgets it in the same
transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from penstock.model.interests import Ending, Interest
from penstock.model.job import JobEntry
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.ready_jobs import Newcomers

_searchable_of: Final = attrgetter("searchable")


def interest_of(jobs: Sequence[JobEntry]) -> int:
    """The interest that jobs of one group begin with. One that has no such arguments, beside others that have, is
    looked up in vain when it ends, and that is all."""
    return Interest.SEARCHABLE.value if any(map(_searchable_of, jobs)) else 0


class SearchableArguments:
    """The table `searchable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def keep(self, jobs: Sequence[JobEntry], newcomers: Newcomers) -> None:
        """Note what can be found of the jobs of a group that are new."""
        row_of = {row[1]: row[0] for row in newcomers.rows}
        self.database.run_many(
            "insert_searchable",
            [
                (name, text, row_of[job.id])
                for job in jobs
                if job.searchable and job.id in row_of
                for name, text in job.searchable.items()
            ],
        )

    def forget(self, endings: Sequence[Ending]) -> None:
        """Hears of jobs that end. Those whose records go are not found any more."""
        self.database.run_many("delete_searchable", [(ending.seq,) for ending in endings if ending.target is None])

    def has(self, seq: int, name: str, text: str) -> bool:
        """Whether the job in this row has this text."""
        return self.database.row("has_searchable", name, text, seq) is not None

    def is_known(self, name: str) -> bool:
        """Whether some job has an argument of this name."""
        return self.database.row("is_searchable", name) is not None

    def rarest(self, arguments: dict[str, str], most: int) -> str:
        """The name of the argument that fewest jobs have as it is asked for. Not more than ``most`` are counted."""
        if len(arguments) == 1:
            return next(iter(arguments))
        counts = {name: self.database.value("count_searchable", name, text, most) for name, text in arguments.items()}
        return min(counts, key=lambda name: int(counts[name]))
