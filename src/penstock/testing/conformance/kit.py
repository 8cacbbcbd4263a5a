"""Short ways to say what nearly every claim about a store needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import pytest

from penstock.model import limits
from penstock.model.durable_steps import Record, RecordKind
from penstock.model.ids import new_id, new_ids
from penstock.model.job import (
    Buried,
    Cancelled,
    JobEntry,
    JobError,
    JobGroup,
    JobView,
    LeasedJob,
    LeaseRequest,
    Lost,
    Outcomes,
    QueueStats,
    Retried,
    Snoozed,
    Succeeded,
    Suspended,
    checksum,
)
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock

HOLDER = b"holder-0-16bytes"
OTHER_HOLDER = b"holder-1-16bytes"
BODY = b"m\x92\x90\x80"
"""No arguments at all, packed."""
ERROR = JobError("ValueError", "it was no good", "Traceback: …")

_STEPS_MAX = 100_000


class HeldJob(NamedTuple):
    """A leased job with its fence and its task, and who leased it."""

    fence: int
    task: str
    job: LeasedJob
    holder: bytes


class StoreClaims(ABC):
    """What each part of the suite builds on."""

    tried: Store

    @abstractmethod
    def make_store(
        self, clock: VirtualClock, *, records_max: int = limits.RECORDS_MAX, dead_max: int = limits.DEAD_MAX
    ) -> Store:
        """A new, empty store that takes its time from ``clock`` and does nothing by itself: the suite ticks it."""

    def reopen(self, store: Store, clock: VirtualClock) -> Store:  # noqa: ARG002 - for those who can
        """Close a store that `make_store` made, and open what it left. Skips the test where nothing is left."""
        pytest.skip("this store forgets everything when it is closed")

    def take_over(self, store: Store, clock: VirtualClock) -> Store:
        """`reopen`, and try the new one from now on."""
        self.tried = self.reopen(store, clock)
        return self.tried

    @pytest.fixture
    def clock(self) -> VirtualClock:
        """The only time there is."""
        return VirtualClock()

    @pytest.fixture
    def store(self, clock: VirtualClock) -> Iterator[Store]:
        """The store that is tried. Whatever a test did to it, its books balance afterwards."""
        self.tried = self.make_store(clock)
        yield self.tried
        unaccounted = {name: counts.unaccounted() for name, counts in all_queues(self.tried).items()}
        self.tried.close()
        assert not any(unaccounted.values()), unaccounted


def id_at(time_s: float) -> bytes:
    """An id made at this time."""
    return int(time_s * 1_000).to_bytes(6, "big") + new_id()[6:]


def near(time_s: float | None) -> Any:
    """Equal up to the millisecond."""
    return pytest.approx(time_s, abs=0.001)


def entry(body: bytes = BODY, key: str | None = None, job_id: bytes | None = None) -> JobEntry:
    """A new job's own part."""
    return JobEntry(new_id() if job_id is None else job_id, body, checksum(body), key)


def group(*entries: JobEntry, task: str = "app.work", **options: Any) -> JobGroup:
    """Jobs that are alike; one without arguments when none is given."""
    return JobGroup(task, list(entries) or [entry()], **options)


def put(store: Store, count: int = 1, *, task: str = "app.work", **options: Any) -> list[bytes]:
    """Enqueue ``count`` jobs without arguments. Answers their ids."""
    ids = new_ids(count)
    answer = store.enqueue([JobGroup(task, [entry(job_id=one) for one in ids], **options)])
    assert answer.accepted == count
    return ids


def take(
    store: Store,
    limit: int = 100,
    *,
    queues: list[str] | None = None,
    holder: bytes = HOLDER,
    lease_s: float = limits.LEASE_S,
    tasks: list[str] | None = None,
    channels: list[str] | None = None,
    lane: str | None = None,
) -> list[HeldJob]:
    """Lease."""
    batch = store.lease(LeaseRequest(holder, limit, queues, lease_s, tasks, channels, lane=lane))
    assert len(batch.task_of) == len(batch.jobs)
    return [
        HeldJob(batch.first_fence + place, batch.tasks[batch.task_of[place]], job, holder)
        for place, job in enumerate(batch.jobs)
    ]


def take_one(store: Store, **options: Any) -> HeldJob:
    """Lease one job, which must be there."""
    (held,) = take(store, 1, **options)
    return held


def ids_of(held: Sequence[HeldJob]) -> list[bytes]:
    """Their ids, in order."""
    return [one.job.id for one in held]


def settle(store: Store, *, holder: bytes = HOLDER, **outcomes: Any) -> None:
    """Settle; nothing may be stale."""
    assert store.settle(Outcomes(holder, **outcomes)).stale == []


def succeeded(fence: int, clock: VirtualClock, result: bytes | None = None, **options: float) -> Succeeded:
    """It returned just now."""
    return Succeeded(fence, clock.time(), clock.time(), result, **options)


def see(store: Store, job_id: bytes, **options: bool) -> JobView:
    """A job that must have a record."""
    (view,) = store.get([job_id], **options)
    assert view is not None
    return view


def states(store: Store, ids: Sequence[bytes]) -> list[State | None]:
    """The state of each; None: no record."""
    return [None if view is None else view.state for view in store.get(ids)]


def ledger(store: Store, queue: str = "default") -> QueueStats:
    """The counts of one queue, which must balance."""
    counts = all_queues(store).get(queue, QueueStats())
    assert counts.unaccounted() == 0, counts
    return counts


def counted(store: Store, queue: str = "default") -> dict[str, int]:
    """The counts of one queue that are not 0."""
    counts = ledger(store, queue)
    named = {name: cast(int, getattr(counts, name)) for name in counts.__struct_fields__}
    return {name: count for name, count in named.items() if count and name != "oldest_ready_age_s"}


def rest(store: Store) -> None:
    """Tick until nothing is due."""
    for _ in range(_STEPS_MAX):
        if store.tick().next_s != 0:
            return
    pytest.fail("the store always has more to do")


def elapse(store: Store, clock: VirtualClock, duration_s: float) -> None:
    """Let time pass as an owner sees it: in ticks, with no gap between them."""
    step_s = limits.TICK_GAP_S / 2
    end = clock.monotonic() + duration_s
    rest(store)
    while clock.monotonic() < end:
        clock.advance(min(step_s, end - clock.monotonic()))
        rest(store)


def leap(store: Store, clock: VirtualClock, duration_s: float) -> None:
    """Let much time pass at once: the owner was stopped, and is back."""
    clock.advance(duration_s)
    rest(store)


def one_of_each(store: Store, clock: VirtualClock) -> dict[State | None, bytes]:
    """A job in every state that can be reached, and under None an id that is unknown."""
    made: dict[State | None, bytes] = {None: new_id()}
    (made[State.EXPIRED],) = put(store, expires_s=1.0)
    elapse(store, clock, 1.0)
    made[State.SUCCEEDED], made[State.DEAD], made[State.RUNNING] = put(store, 3)
    fences = [held.fence for held in take(store)]
    settle(store, succeeded=[succeeded(fences[0], clock)], buried=[Buried(fences[1], ERROR)])
    (made[State.CANCELLED],) = put(store)
    store.cancel([made[State.CANCELLED]])
    (made[State.READY],) = put(store)
    (made[State.SCHEDULED],) = put(store, delay_s=900.0)
    return made


def each_outcome(fence: int, clock: VirtualClock) -> list[dict[str, Any]]:
    """A settlement of this fence for each way to say what became of it."""
    return [
        {"forgotten": [fence]},
        {"succeeded": [succeeded(fence, clock, b"late")]},
        {"retried": [Retried(fence, 0.0, ERROR)]},
        {"snoozed": [Snoozed(fence, 0.0)]},
        {"buried": [Buried(fence, ERROR)]},
        {"cancelled": [Cancelled(fence)]},
        {"lost": [Lost(fence, Loss.BLAMED, ERROR)]},
        {"released": [fence]},
        {"suspended": [Suspended(fence, Record(0, "sleep", RecordKind.SLEEP), delay_s=0.0)]},
    ]
