"""What tasks and queues declare of the flow of their jobs: limits, unique jobs, fairness, what can be searched.

Rules name parameters of a task (``tenant``, or a dotted path into one: ``order.customer``) or headers
(``header:user``). Whoever enqueues a job computes the text of each name that a rule of its task or queue uses
(`penstock.tasks.arguments.named_texts`), and sends these texts with the job
(`penstock.model.entry.JobEntry.values`). So a store never reads arguments. Pure data.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from penstock.model.numbers import Seconds, Whole
from penstock.model.states import State

OnConflict = Literal["existing", "replace", "keep_time", "refuse"]
"""What an enqueue does that meets a job with the same unique key: answer with that job; put the new arguments into it
and let its delay begin anew; put the new arguments into it and keep its time; refuse the new job."""
Order = Literal["priority", "fifo"]
"""In which order the jobs of one key run: as in any line, or strictly one after another in the order they came."""


class ConcurrencyRule(Struct, array_like=True, frozen=True, tag="concurrency"):
    """At most ``count`` jobs are leased at a time: of the queue or the task that declares it, or (``per``) of each text
    that this name has among their jobs.

    Attributes:
        order: of the jobs of one key.
    """

    count: Whole
    per: str | None = None
    order: Order = "priority"


class RateRule(Struct, array_like=True, frozen=True, tag="rate"):
    """A token bucket: ``count`` jobs per ``per_s`` seconds are leased, at most ``burst`` at once. ``per`` as in
    `ConcurrencyRule`.

    Attributes:
        burst: how many tokens the bucket holds; None: ``count``.
    """

    count: Whole
    per_s: Seconds = 1.0
    burst: Whole | None = None
    per: str | None = None


Rule = ConcurrencyRule | RateRule
"""A limit. A queue or a task has at most one of each kind for each ``per``."""


class UniqueRule(Struct, array_like=True, frozen=True):
    """Jobs of which there is one for each unique key. What that comes to: `penstock.model.unique`.

    Attributes:
        names: the key is made of their texts, in this order. Empty: of all arguments.
        period_s: a job keeps others away for so long from its enqueue, and no longer; one that ended in one of
            ``states`` also when its record is gone by then. None: for as long as it is in one of ``states``.
        states: in which a job keeps others away.
    """

    names: tuple[str, ...] = ()
    period_s: Seconds | None = None
    on_conflict: OnConflict = "existing"
    states: tuple[State, ...] = (State.SCHEDULED, State.BLOCKED, State.READY, State.RUNNING)


class FairRule(Struct, array_like=True, frozen=True):
    """Tenants take turns within a queue.

    Attributes:
        by: the name whose text is the tenant. A job without one belongs to the tenant ``""``.
        weights: a tenant with weight 3 has three turns where one without an entry has one.
    """

    by: str
    weights: dict[str, float] = {}


class TaskFlow(Struct, array_like=True, frozen=True):
    """What a task declares. Part of its `penstock.model.job.TaskRecord`.

    Attributes:
        parameters: the names of its parameters, in order, and the text of each one's default (None: it has none). For
            doors that do not have the application.
        searchable: names whose texts jobs can be found by.
        sensitive: parameters that are never searched, shown or logged.
    """

    limits: tuple[Rule, ...] = ()
    unique: UniqueRule | None = None
    fair: FairRule | None = None
    searchable: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str | None], ...] = ()


class Retention(Struct, array_like=True, frozen=True):
    """How much of a queue's finished jobs is kept, beside what holds for the whole store. None: that alone.

    Attributes:
        records: at most so many that are not dead.
        dead: at most so many dead ones.
        size_bytes: results and bodies together.
    """

    records: Whole | None = None
    dead: Whole | None = None
    size_bytes: Whole | None = None


class QueueRecord(Struct, array_like=True, frozen=True):
    """What an application declares of a queue (`app.queue`), recorded when a worker registers."""

    name: str
    limits: tuple[Rule, ...] = ()
    retention: Retention | None = None
