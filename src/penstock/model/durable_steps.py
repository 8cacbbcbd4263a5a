"""What a running job records of itself, and what it waits for: durable steps, events, checkpoints, published values.

A job's function runs from its beginning each time. What it has recorded stands in its history, in the order in which
its function asked for it: the places 0, 1, 2 … At the same place the same name must be asked for again.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from penstock.model.job_error import JobError
from penstock.model.numbers import Seconds, Whole


class RecordKind(StrEnum):
    """What a record is of. At the place of a STEP nothing else is recorded any more, nor at that of an EVENT that has
    come or timed out. What the others say is taken over by what follows from it."""

    STEP = "step"
    """A step that has ended: it returned ``value``, or failed with ``error``, which the function has caught."""
    SLEEP = "sleep"
    """A time to sleep until: ``until``."""
    EVENT = "event"
    """An event: its payload is ``value``. Without one, and not ``timed_out``: waited for, up to ``until``."""
    TRIES = "tries"
    """A step that failed ``tries`` times and is tried again; ``error`` is the latest."""


class Record(Struct, array_like=True, frozen=True):
    """One place of a job's history.

    Attributes:
        place: from 0.
        name: the step's, ``sleep``, or the event's.
        value: encoded as a result, format byte first.
        until: Unix seconds; of an event None: without a limit.
        timed_out: of an event: it has not come in time.
    """

    place: Whole
    name: str
    kind: RecordKind
    value: bytes | None = None
    error: JobError | None = None
    until: Seconds | None = None
    timed_out: bool = False
    tries: Whole = 0


class JobRecords(Struct, array_like=True, frozen=True):
    """What a running job wants recorded, in one step.

    Attributes:
        fence: of its lease.
        job: its id. A fence that is not that of a lease of this job records nothing.
        records: where a place has a record of an end already (`penstock.model.step_history.is_end`), that one stands.
        checkpoint: takes the place of the one before; None: as it was. Encoded as a result.
        published: values by name, each in place of the one before of that name; encoded as results.
    """

    fence: Whole
    job: bytes
    records: list[Record] = []
    checkpoint: bytes | None = None
    published: dict[str, bytes] = {}


class Recorded(Struct, array_like=True, frozen=True):
    """The answer to one `JobRecords`.

    Attributes:
        held: the lease is in force; False: nothing was recorded, and the job runs elsewhere or has ended.
        standing: of the records that were sent, those at whose places another one stood already: these.
    """

    held: bool
    standing: list[Record] = []


class History(Struct, array_like=True, frozen=True):
    """What a job has recorded so far.

    Attributes:
        records: by place.
        checkpoint: the last one; None: none. Told with the first page alone.
        cursor: the place to go on at, when these are not all; None: they are.
        now: what the store's clock shows (Unix seconds). What a job waits until is compared with this, never with the
            clock of the machine that it runs on.
    """

    records: list[Record] = []
    checkpoint: bytes | None = None
    cursor: int | None = None
    now: float = 0.0


class Suspended(Struct, array_like=True, frozen=True):
    """The outcome of a job that waits, for a time or an event, and runs again then. Neither an attempt nor a loss. It
    holds no slot of a limit meanwhile, and keeps its unique key.

    Attributes:
        record: what it waits for: SLEEP, TRIES, or EVENT. It is recorded in the same step. Without ``until`` its time
            begins now; with one it has begun in an earlier run.
        before: what its function has caught since the last record, to be recorded as well.
        delay_s: where ``record`` has no ``until``: how long it waits from now, by the store's clock. None: without a
            limit.
    """

    fence: Whole
    record: Record
    before: list[Record] = []
    delay_s: Seconds | None = None


class Signalled(Struct, array_like=True, frozen=True):
    """What became of a signal.

    Attributes:
        delivered: to a job that waited for it, which runs on; False: it is kept for the first that will.
        kept: how many are kept for the workflow now.
    """

    delivered: bool
    kept: int
