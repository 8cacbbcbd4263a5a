"""Hypothesis strategies for what one may ask of a store: few values, so that they meet."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from penstock.model.deliveries import delivering_holder
from penstock.model.durable_steps import Record, RecordKind
from penstock.model.flow import (
    ConcurrencyRule,
    FairRule,
    QueueRecord,
    RateRule,
    Retention,
    Rule,
    TaskFlow,
    UniqueRule,
)
from penstock.model.job import (
    Buried,
    Cancelled,
    Filter,
    JobError,
    JobGroup,
    Lost,
    Outcomes,
    Refused,
    Retried,
    Snoozed,
    Succeeded,
    Suspended,
    TaskRecord,
)
from penstock.model.losses import Loss
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import State
from penstock.model.topics import MessageGroup, channel_queue

TASKS = ("app.one", "app.two")
QUEUES = ("a", "b", "c")
HOLDERS = (b"holder-0-16bytes", b"holder-1-16bytes", delivering_holder(b"door", 1))
ERROR = JobError("ValueError", "no good", "Traceback")
FOREVER_S = 1e9

Picks = list[int]
"""Places in a list that grows, counted from its end, so that small numbers are what happened last."""


class NewJob(NamedTuple):
    """A job to be made. ``again``: enqueue one that was made before instead, counted from the last; None: a new one."""

    body: bytes
    key: str | None
    is_corrupt: bool
    again: int | None
    identity: tuple[int, int] | None = None
    searchable: dict[str, str] | None = None
    unique_key: str | None = None
    values: dict[str, str] | None = None


class NewGroup(NamedTuple):
    """Jobs to be made, with their options. ``run_in_s``: run_at, from now."""

    jobs: list[NewJob]
    options: JobGroup
    run_in_s: float | None


class DrawnOutcome(NamedTuple):
    """What is said of one lease, with jobs that land with it."""

    pick: int
    kind: str
    delay_s: float
    keep_s: float
    result: bytes | None
    started: bool
    loss: Loss
    children: list[NewGroup]


picks = st.lists(st.integers(0, 30), max_size=4)
delays_s = st.sampled_from([0.0, 1.0, 3.0, 40.0])
keeps_s = st.sampled_from([0.0, 2.0, 60.0, FOREVER_S])

new_jobs = st.builds(
    NewJob,
    body=st.sampled_from([b"m\x01", b"m\x02", b"jj"]),
    key=st.sampled_from([None, None, None, "k", "l"]),
    is_corrupt=st.sampled_from([False] * 9 + [True]),
    again=st.sampled_from([None, None, None, 0, 1, 5]),
    identity=st.sampled_from([None, None, (1, 2), (3, 2)]),
    searchable=st.sampled_from([None, None, {"n": "1"}, {"n": "2", "o": "1"}]),
    unique_key=st.sampled_from([None, "u", "u", "v"]),
    values=st.sampled_from([None, None, {"tenant": "a"}, {"tenant": "b"}, {"tenant": "a", "user": "u"}, {"user": "u"}]),
)

_ALIVE = (State.SCHEDULED, State.BLOCKED, State.READY, State.RUNNING)
unique_rules = st.builds(
    UniqueRule,
    period_s=st.sampled_from([None, None, 3.0, 60.0, 50_000.0]),
    on_conflict=st.sampled_from(["existing", "replace", "replace", "keep_time", "refuse"]),
    states=st.sampled_from(
        [
            _ALIVE,
            _ALIVE,
            (*_ALIVE, State.SUCCEEDED),
            tuple(State),
            (State.SCHEDULED,),
            (State.BLOCKED, State.READY),
            (State.RUNNING, State.DEAD),
            (State.CANCELLED, State.EXPIRED),
        ]
    ),
)

group_options = st.builds(
    JobGroup,
    task=st.sampled_from(TASKS),
    jobs=st.just([]),
    queue=st.sampled_from(QUEUES),
    priority=st.sampled_from([0, 0, 0, 1, -100, 100]),
    delay_s=st.one_of(st.none(), st.none(), delays_s),
    expires_s=st.sampled_from([None, None, 2.0, 20.0]),
    headers=st.sampled_from([None, {"h": "ü"}]),
    tags=st.sampled_from([None, ["x"], ["x", "y"]]),
    unique=st.one_of(st.none(), unique_rules),
)

new_groups = st.lists(
    st.builds(
        NewGroup,
        jobs=st.lists(new_jobs, max_size=4),
        options=group_options,
        run_in_s=st.sampled_from([None, None, None, -5.0, 0.0, 2.0]),
    ),
    max_size=3,
)

ENDINGS = (
    "forgotten",
    "succeeded",
    "retried",
    "snoozed",
    "sleeping",
    "awaiting",
    "awaiting a while",
    "buried",
    "cancelled",
    "lost",
    "released",
    "unknown",
    "unfit",
)

endings = st.lists(
    st.builds(
        DrawnOutcome,
        pick=st.integers(0, 12),
        kind=st.sampled_from(ENDINGS),
        delay_s=delays_s,
        keep_s=keeps_s,
        result=st.sampled_from([None, b"", b"m\x2a"]),
        started=st.booleans(),
        loss=st.sampled_from(Loss),
        children=st.one_of(st.just([]), new_groups),
    ),
    max_size=6,
    unique_by=lambda ending: ending.pick,
)

filters = st.builds(
    Filter,
    state=st.sampled_from([None, None, *State]),
    queue=st.sampled_from([None, None, *QUEUES, "s:x", "s:"]),
    task=st.sampled_from([None, None, *TASKS]),
    tag=st.sampled_from([None, None, "x", "y"]),
    key=st.sampled_from([None, None, None, "k", "u"]),
    error=st.sampled_from([None, None, None, "ValueError", "WorkerLost", "UnknownTask", "InvalidArguments"]),
    since=st.sampled_from([None, None, None, 1_800_000_003.0]),
    until=st.sampled_from([None, None, None, 1_800_000_010.0]),
    arguments=st.sampled_from([None, None, None, {"n": "1"}, {"n": "2", "o": "1"}, {"o": "none"}]),
)
"""The virtual clock begins at 1,800,000,000."""

TOPICS = ("s", "t#ephemeral")
CHANNELS = ("x", "y", "z#ephemeral")
CHANNEL_QUEUES = [channel_queue(topic, channel) for topic in TOPICS for channel in CHANNELS]


EVENTS = ("approved", "paid")
step_records = st.lists(
    st.builds(
        Record,
        place=st.integers(0, 3),
        name=st.sampled_from(["a", "b"]),
        kind=st.just(RecordKind.STEP),
        value=st.sampled_from([b"m\x01", b"m\x02"]),
    ),
    max_size=2,
)
published_values = st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from([b"m\x01", b"m\x02"]), max_size=1)


class NewMessage(NamedTuple):
    """A message to be made. ``again``: as of `NewJob`."""

    body: bytes
    idempotency_key: str | None
    key: str | None
    is_corrupt: bool
    again: int | None


class NewMessages(NamedTuple):
    """Messages to be made, with their options."""

    messages: list[NewMessage]
    options: MessageGroup


new_messages = st.lists(
    st.builds(
        NewMessages,
        messages=st.lists(
            st.builds(
                NewMessage,
                body=st.sampled_from([b"r", b"r\x01", b"r" + bytes(2_000)]),
                idempotency_key=st.sampled_from([None, None, None, "k", "l"]),
                key=st.sampled_from([None, None, "a"]),
                is_corrupt=st.sampled_from([False] * 9 + [True]),
                again=st.sampled_from([None, None, None, 0, 1, 5]),
            ),
            max_size=4,
        ),
        options=st.builds(
            MessageGroup,
            messages=st.just([]),
            delay_s=st.one_of(st.none(), st.none(), delays_s),
            headers=st.sampled_from([None, {"h": "ü"}]),
            idempotency_s=st.sampled_from([None, None, 2.0]),
        ),
    ),
    max_size=3,
)
lease_channels = st.sampled_from([None, None, [], CHANNEL_QUEUES[:1], CHANNEL_QUEUES])

keyed_rules: st.SearchStrategy[Rule] = st.one_of(
    st.builds(
        ConcurrencyRule,
        count=st.sampled_from([1, 1, 2, 3]),
        per=st.sampled_from(["tenant", "user"]),
        order=st.sampled_from(["priority", "priority", "fifo"]),
    ),
    st.builds(
        RateRule,
        count=st.sampled_from([1, 2]),
        per_s=st.sampled_from([1.0, 2.0, 60.0]),
        burst=st.sampled_from([None, None, 1, 3]),
        per=st.sampled_from(["tenant", "user"]),
    ),
)
"""Limits that count for each key."""

Lines = tuple[str | None, str | None]
"""A queue and a task; None: all."""
lines: st.SearchStrategy[Lines] = st.sampled_from(
    [(QUEUES[0], None), (None, TASKS[0]), (QUEUES[-1], TASKS[-1]), (CHANNEL_QUEUES[0], None)]
)

SOURCES = ("binlog", "relay")
cursors = st.builds(
    SourceCursor,
    source=st.sampled_from(SOURCES),
    partition=st.sampled_from(["0", "1"]),
    offset=st.integers(0, 6),
    fence=st.integers(0, 2),
)
maybe_cursors = st.one_of(st.none(), st.none(), st.none(), cursors)

SCOPES = ("queue:a", "queue:b", "task:app.one")
rules: st.SearchStrategy[tuple[Rule, ...]] = st.sampled_from(
    [
        (),
        (ConcurrencyRule(1),),
        (ConcurrencyRule(2),),
        (ConcurrencyRule(3), RateRule(1, per_s=2.0, burst=2)),
        (RateRule(3, per_s=1.0),),
        (RateRule(2, per_s=4.0, burst=5),),
        (RateRule(1, per_s=3_600.0, burst=4),),
    ]
)
fair_rules = st.sampled_from([None, FairRule("tenant"), FairRule("tenant", {"a": 3.0}), FairRule("user")])
task_records = st.builds(
    TaskRecord,
    name=st.sampled_from(TASKS),
    max_attempts=st.sampled_from([1, 5]),
    keep_record_s=keeps_s,
    flow=st.one_of(st.none(), st.none(), st.builds(TaskFlow, limits=rules, fair=fair_rules)),
)

queue_records = st.builds(
    QueueRecord,
    name=st.sampled_from(QUEUES),
    limits=rules,
    retention=st.sampled_from([None, Retention(records=2), Retention(dead=1), Retention(size_bytes=7)]),
)


def add_ending(outcomes: Outcomes, ending: DrawnOutcome, fence: int, now: float) -> None:
    """Say of the lease with this fence what the ending says. ``now``: Unix seconds."""
    if ending.kind in ("forgotten", "released"):
        getattr(outcomes, ending.kind).append(fence)
    elif ending.kind == "succeeded":
        kept_s = {"keep_result_s": ending.keep_s, "keep_record_s": ending.delay_s}
        outcomes.succeeded.append(Succeeded(fence, now - 1, now, ending.result, **kept_s))
    elif ending.kind == "retried":
        outcomes.retried.append(Retried(fence, ending.delay_s, ERROR))
    elif ending.kind == "snoozed":
        outcomes.snoozed.append(Snoozed(fence, ending.delay_s))
    elif ending.kind in ("sleeping", "awaiting", "awaiting a while"):
        outcomes.suspended.append(_suspended(ending, fence))
    elif ending.kind == "buried":
        started_at = now - 1 if ending.started else None
        outcomes.buried.append(Buried(fence, ERROR, started_at, ending.keep_s or 1.0))
    elif ending.kind == "cancelled":
        outcomes.cancelled.append(Cancelled(fence, ending.keep_s))
    elif ending.kind in ("unknown", "unfit"):
        error = JobError("UnknownTask" if ending.kind == "unknown" else "InvalidArguments", "not here")
        outcomes.refused.append(Refused(fence, error))
    else:
        outcomes.lost.append(Lost(fence, ending.loss, ERROR))


def _suspended(ending: DrawnOutcome, fence: int) -> Suspended:
    """A sleep, or an event that is waited for: without a limit, or for a while."""
    place = ending.pick % 4
    caught = [Record(place, "a", RecordKind.STEP, error=ERROR)] if ending.started else []
    if ending.kind == "sleeping":
        record = Record(place + 1, "sleep", RecordKind.SLEEP)
    else:
        record = Record(place + 1, EVENTS[ending.pick % 2], RecordKind.EVENT)
    return Suspended(fence, record, caught, None if ending.kind == "awaiting" else ending.delay_s)
