"""Ready jobs as the engine hands them around: rows taken from a line, and new jobs that are about to join one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final, NamedTuple

from penstock.store.sqlite.in_memory import Place

Row = tuple[int, bytes, int, bytes]
"""seq, id, checksum, body: what is a new job's own."""
Values = Sequence[bytes | None] | None
"""Of new jobs: the packed `JobEntry.values` of each, None where it has none; None: none of them has any."""


class Ready(NamedTuple):
    """A row of `take_ready`: a job that was just taken from a line."""

    line: int
    urgency: int
    rank: int
    arrival: int
    seq: int
    id: bytes
    attempts: int
    checksum: int
    body: bytes
    extra: bytes | None
    expires_at: float | None
    interest: int
    step: int | None = None
    place_in_step: int | None = None

    @property
    def place(self) -> Place:
        """Where it stood."""
        return Place(self.urgency, self.rank, self.arrival)


Taken = tuple[Any, ...]
"""The same as SQLite answers it. Naming its columns takes longer than all that most leases do with a row."""
as_ready: Final[Callable[[Taken], Ready]] = partial(tuple.__new__, Ready)
"""Names the columns of a row."""
_at = Ready._fields.index
line_of, seq_of, body_of = itemgetter(_at("line")), itemgetter(_at("seq")), itemgetter(_at("body"))
checksum_of, expires_at_of = itemgetter(_at("checksum")), itemgetter(_at("expires_at"))
interest_of = itemgetter(_at("interest"))
"""One column of a row, without naming all."""


class Alike(NamedTuple):
    """What the jobs of one group share. ``first_arrival`` is the first one's, and each has the next; 0: they wait
    for a time, and have none yet. ``interest``: who has to be told when they end."""

    line: int
    priority: int
    rank: int
    first_arrival: int
    extra: bytes | None
    created_at: float
    run_at: float
    expires_at: float | None
    interest: int


class Newcomers(NamedTuple):
    """New jobs of one line, in order, with their arrival numbers. ``arrivals_end`` is past the last one given out for
    them. ``ranks``: of each, in a fair queue; None: that of all (`Alike.rank`). ``step``: the row of the step of a
    workflow that they belong to, with what is packed with each, and the place of each there; None: to none."""

    alike: Alike
    arrivals: Sequence[int]
    rows: Sequence[Row]
    arrivals_end: int
    values: Values = None
    ranks: Sequence[int] | None = None
    step: int | None = None
    extras: Sequence[bytes] = ()
    places: Sequence[int | None] = ()

    def ready(self, limit: int) -> list[Taken]:
        """What `take_ready` would find of the first ``limit``."""
        line, priority, rank, _, extra, _, _, expires_at, interest = self.alike
        if self.step is None:
            return [
                (line, -priority, rank, arrival, seq, job_id, 0, crc, body, extra, expires_at, interest, None, None)
                for arrival, (seq, job_id, crc, body) in zip(self.arrivals[:limit], self.rows, strict=False)
            ]
        own = zip(self.arrivals[:limit], self.rows, self.extras, self.places, strict=False)
        return [
            (line, -priority, rank, arrival, seq, job_id, 0, crc, body, packed, expires_at, interest, self.step, place)
            for arrival, (seq, job_id, crc, body), packed, place in own
        ]

    def after(self, count: int) -> Newcomers:
        """Those behind the first ``count``."""
        values = None if self.values is None else self.values[count:]
        left = self._replace(arrivals=self.arrivals[count:], rows=self.rows[count:], values=values)
        return left if self.step is None else left._replace(extras=self.extras[count:], places=self.places[count:])


class TakenBatch(NamedTuple):
    """Jobs taken, in order.

    Attributes:
        room_bytes: that is left; 0 or less when it was filled.
        parties: of those that were refused, by seq, the party whose they were.
    """

    rows: list[Taken]
    room_bytes: int
    parties: dict[int, int] = {}
