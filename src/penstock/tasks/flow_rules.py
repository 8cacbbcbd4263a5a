"""What applications write to say when jobs may run: `Concurrency`, `Rate` and `Fair` of a task or a queue; of which
jobs there is one (`Unique`); and how much a queue keeps of finished jobs. Each checks itself where it is written. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, get_args

from penstock.model import flow
from penstock.model.flow import (
    ConcurrencyRule,
    FairRule,
    OnConflict,
    Order,
    QueueRecord,
    RateRule,
    Rule,
    UniqueRule,
)
from penstock.model.flow_acceptance import check_fair
from penstock.model.limits_in_force import check_queue_record, check_rules
from penstock.model.states import State
from penstock.tasks.arguments.named_places import check_names
from penstock.tasks.names import check_queue, check_seconds, refuse, shown


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most ``count`` jobs are leased at a time: ``Concurrency(100)``, ``Concurrency(2, per="tenant")``.

    A limit of a task counts the task's jobs in all queues, a limit of a queue the jobs of all its tasks. Where both
    have limits, all hold at once. What is counted are leases: a job whose worker died counts until that is noticed.

    Attributes:
        count: 1 or more.
        per: a parameter of the task (``"tenant"``), a path into one (``"order.customer"``) or a header of the job
            (``"header:user"``): ``count`` jobs at a time for each of its values. None: for all together.
        order: in which order the jobs of one value run. ``"priority"``: as in any queue. ``"fifo"``: as they came; one
            that is retried keeps its place, and those behind it wait. With a ``count`` of 1 they run strictly one after
            another.

    Raises:
        InvalidOption: one is not what it may be.
    """

    count: int
    _: KW_ONLY
    per: str | None = None
    order: Order = "priority"

    def __post_init__(self) -> None:
        _check_whole("limits", "a limit", self.count)
        _check_per(self.per)
        if self.order not in get_args(Order):
            refuse("order", f'is {shown(self.order)}: use "priority" or "fifo"')
        check_rules("limits", [self.rule()])

    def rule(self) -> ConcurrencyRule:
        """The same as stores take it."""
        return ConcurrencyRule(self.count, self.per, self.order)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` jobs are leased in ``per_s`` seconds: ``Rate(500)``, ``Rate(5, per_s=60, per="header:user")``.

    A token bucket: it holds ``burst`` tokens when full, fills at ``count`` tokens per ``per_s`` seconds, and each lease
    takes one, also that of a job that runs again.

    Attributes:
        count: 1 or more.
        per_s: seconds.
        burst: as many jobs may be leased at once after a quiet time. None: ``count``.
        per: as of `Concurrency`.

    Raises:
        InvalidOption: one is not what it may be.
    """

    count: int
    _: KW_ONLY
    per_s: float = 1.0
    burst: int | None = None
    per: str | None = None

    def __post_init__(self) -> None:
        _check_whole("limits", "a rate", self.count)
        check_seconds("per_s", self.per_s, zero=False)
        if self.burst is not None:
            _check_whole("limits", "a burst", self.burst)
        _check_per(self.per)
        check_rules("limits", [self.rule()])

    def rule(self) -> RateRule:
        """The same as stores take it."""
        return RateRule(self.count, float(self.per_s), self.burst, self.per)


Limit = Concurrency | Rate


@dataclass(frozen=True, slots=True)
class Fair:
    """Tenants take turns within a queue: ``Fair("tenant")``, ``Fair("tenant", weights={"acme": 3})``.

    Priorities count first. Jobs without a tenant are together one tenant.

    Attributes:
        by: where the tenant is: a parameter of the task, a path into one, or a header, as in ``per`` of `Concurrency`.
        weights: a tenant with weight 3 has three turns where one without an entry has one.

    Raises:
        InvalidOption: one is not what it may be.
    """

    by: str
    _: KW_ONLY
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.by, str):
            refuse("fair", f'is by {shown(self.by)}: name the parameter that says whose job it is, such as "tenant"')
        if not isinstance(self.weights, Mapping):
            refuse("weights", f'is {shown(self.weights)}: give numbers by tenant, such as {{"acme": 3}}')
        for tenant, weight in self.weights.items():
            if not isinstance(tenant, str) or not isinstance(weight, (int, float)) or isinstance(weight, bool):
                refuse("weights", f"has {shown(tenant)}: {shown(weight)}: give numbers by tenant, as text")
        check_fair("fair", self.rule())

    def rule(self) -> FairRule:
        """The same as stores take it."""
        return FairRule(self.by, {tenant: float(weight) for tenant, weight in self.weights.items()})


class Unique:
    """Of jobs with the same arguments there is one: ``Unique("order_id")``, ``Unique("order_id", period_s=3600)``.

    ``Unique()`` without names goes by all arguments. Keys are a task's own. What a newcomer meets is told by
    ``Job.duplicate`` and ``Job.replaced``. An idempotency key is looked at first.

    Attributes:
        names: which arguments the key is made of, together: parameters of the task (``"order_id"``), paths into them
            (``"order.customer"``) or headers (``"header:user"``). A job that lacks one of them, such as a header that
            was not sent, is not unique.
        period_s: a job keeps others away for so long from its enqueue, and no longer, whether or not its record is
            kept. None: for as long as it is in one of ``states``.
        on_conflict: what becomes of a newcomer that is kept away. ``"existing"``: it is the job that is there, which
            stays as it is. ``"replace"`` (debounce): that job, if it still waits, has the newcomer's arguments, and its
            delay begins anew. ``"keep_time"`` (throttle): the same, but it keeps its time. ``"refuse"``: Conflict.
            Where the job runs already, the second and third make a new job that waits.
        states: in which a job keeps others away, as `State` or as its word. None: while it waits and while it runs;
            with a period also once it has succeeded.

    Raises:
        InvalidOption: one is not what it may be; ``field`` names it.
    """

    __slots__ = ("names", "on_conflict", "period_s", "states")

    def __init__(
        self,
        *names: str,
        period_s: float | None = None,
        on_conflict: OnConflict = "existing",
        states: Iterable[State | str] | None = None,
    ) -> None:
        self.names = check_names("unique", names)
        self.period_s = None if period_s is None else check_seconds("period_s", period_s, zero=False)
        if on_conflict not in get_args(OnConflict):
            refuse("on_conflict", f"is {shown(on_conflict)}: use {', '.join(get_args(OnConflict))}")
        self.on_conflict = on_conflict
        self.states = _states(states, has_period=period_s is not None)

    def rule(self) -> UniqueRule:
        """The same as stores take it."""
        return UniqueRule(self.names, self.period_s, self.on_conflict, self.states)

    def __repr__(self) -> str:
        given = [repr(name) for name in self.names]
        given += [] if self.period_s is None else [f"period_s={self.period_s:g}"]
        return f"Unique({', '.join([*given, f'on_conflict={self.on_conflict!r}'])})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unique) and other.rule() == self.rule()

    def __hash__(self) -> int:
        return hash(self.rule())


def _states(given: object, *, has_period: bool) -> tuple[State, ...]:
    """The states in which a job keeps others away, in their own order.

    Raises:
        InvalidOption: one is none, or there is none.
    """
    if given is None:
        return (*UniqueRule().states, State.SUCCEEDED) if has_period else UniqueRule().states
    words = ", ".join(state.value for state in State)
    if isinstance(given, str) or not isinstance(given, Iterable):
        refuse("states", f'is {shown(given)}: give a list, such as ["scheduled", "ready"]')
    found = set()
    for state in given:
        if not isinstance(state, str) or state not in list(State):
            refuse("states", f"has {shown(state)}: use {words}")
        found.add(State(state))
    if not found:
        refuse("states", f"is empty, so that no job would keep another away: use some of {words}")
    return tuple(state for state in State if state in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of a queue's finished jobs is kept, the oldest going first, beside what holds for all queues together.
    None: no bound of its own.

    Attributes:
        records: at most so many that are not dead.
        dead: at most so many dead ones.
        size_bytes: results and arguments together.

    Raises:
        InvalidOption: one is not a whole number, or negative.
    """

    records: int | None = None
    dead: int | None = None
    size_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in ("records", "dead", "size_bytes"):
            value = getattr(self, name)
            if value is not None:
                _check_whole("retention", name, value)
                if value < 0:
                    refuse("retention", f"has {name}={value}: give 0 or more, or leave it out")

    def rule(self) -> flow.Retention:
        """The same as stores take it."""
        return flow.Retention(self.records, self.dead, self.size_bytes)


def checked_limits(given: object) -> tuple[Limit, ...]:
    """The limits that a task or a queue is declared with.

    Raises:
        InvalidOption: they are no limits, or do not go together.
    """
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        refuse("limits", f"is {shown(given)}: give a list, such as [Concurrency(100)]")
    found = tuple(given)
    for limit in found:
        if not isinstance(limit, (Concurrency, Rate)):
            refuse("limits", f"has {shown(limit)}: give Concurrency(...) or Rate(...)")
    check_rules("limits", rules_of(found))
    return found


def rules_of(declared: Iterable[Limit]) -> tuple[Rule, ...]:
    """Limits as stores take them."""
    return tuple(limit.rule() for limit in declared)


def queue_record(name: object, given: object, retention: object) -> QueueRecord:
    """What an application declares of a queue.

    Raises:
        InvalidOption: an option is not what it may be; ``field`` names it.
    """
    queue = check_queue(name)
    if retention is not None and not isinstance(retention, Retention):
        refuse("retention", f"is {shown(retention)}: give Retention(records=…, dead=…, size_bytes=…)")
    record = QueueRecord(
        queue,
        rules_of(checked_limits(given)),
        None if retention is None else retention.rule(),
    )
    check_queue_record(record)
    return record


def channel_record(queue: str, given: object, retention: object) -> QueueRecord | None:
    """What a consumer declares of its channel, whose queue is named so. None: nothing.

    Raises:
        InvalidOption: an option is not what it may be; ``field`` names it.
    """
    if retention is not None and not isinstance(retention, Retention):
        refuse("retention", f"is {shown(retention)}: give Retention(records=…, dead=…, size_bytes=…)")
    rules = rules_of(checked_limits(given))
    if not rules and retention is None:
        return None
    record = QueueRecord(queue, rules, None if retention is None else retention.rule())
    check_queue_record(record)
    return record


def _check_whole(option: str, what: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        refuse(option, f"has {what} of {shown(value)}: give a whole number")


def _check_per(per: Any) -> None:
    if per is not None and not isinstance(per, str):
        refuse("limits", f'has per={shown(per)}: name a parameter of the task, such as "tenant", or a header')
