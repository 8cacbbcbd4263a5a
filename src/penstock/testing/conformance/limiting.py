"""Claims about limits on whole queues and whole tasks: what is leased stays within them, whoever dies."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, QueueRecord, RateRule
from penstock.model.ids import new_id
from penstock.model.job import Buried, Extension, JobEntry, LeaseRequest, Lost, Refused, Retried, Snoozed
from penstock.model.lines import Closed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.declaring import task
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    HeldJob,
    StoreClaims,
    counted,
    elapse,
    group,
    ids_of,
    near,
    put,
    see,
    settle,
    states,
    take,
    take_one,
)

THREE: Final = ConcurrencyRule(3)
SLOW: Final = RateRule(2, per_s=10.0)
"""Two at once, then one in five seconds."""


def take_limited(
    store: Store, limit: int, limited: int | None, *, queues: list[str] | None = None, tasks: list[str] | None = None
) -> list[HeldJob]:
    """Lease, of limited jobs only so many."""
    batch = store.lease(LeaseRequest(HOLDER, limit, queues, tasks=tasks, limited=limited))
    return [
        HeldJob(batch.first_fence + place, batch.tasks[batch.task_of[place]], job, HOLDER)
        for place, job in enumerate(batch.jobs)
    ]


class ConcurrencyClaims(StoreClaims):
    """`ConcurrencyRule` without ``per``."""

    def test_a_lease_is_given_what_there_is_room_for(self, store: Store) -> None:
        store.put_limits("queue:default", [THREE])
        jobs = put(store, 5)
        assert ids_of(take(store, 100)) == jobs[:3]
        assert take(store, 100, holder=OTHER_HOLDER) == []
        assert counted(store) == {"ready": 2, "running": 3, "accepted_total": 5}

    def test_jobs_that_wait_stay_ready_and_say_why(self, store: Store) -> None:
        store.put_limits("queue:default", [THREE])
        store.put_limits("task:app.other", [ConcurrencyRule(1)])
        jobs, others = put(store, 4), put(store, 2, task="app.other", queue="q")
        assert {see(store, job).reason for job in jobs + others} == {None}
        take(store, 100)
        assert states(store, [jobs[3], others[1]]) == [State.READY] * 2
        assert see(store, jobs[3]).reason == "3 of 3 running in queue default"
        assert see(store, others[1]).reason == "1 of 1 running of task app.other"
        assert see(store, jobs[0]).reason is None

    def test_another_reason_comes_first(self, store: Store) -> None:
        store.put_limits("queue:default", [ConcurrencyRule(1)])
        jobs = put(store, 2)
        take_one(store)
        store.close_lines(Closed.PAUSED, queue="default")
        assert see(store, jobs[1]).reason == "paused"

    def test_a_queue_and_a_task_both_hold(self, store: Store) -> None:
        store.put_limits("queue:a", [THREE])
        store.put_limits("task:app.one", [ConcurrencyRule(4)])
        for queue in ("a", "b"):
            for name in ("app.one", "app.two"):
                put(store, 5, queue=queue, task=name)
        held = take(store, 100)
        lines = [(one.job.queue, one.task) for one in held]
        assert sum(queue == "a" for queue, _ in lines) == 3
        assert sum(name == "app.one" for _, name in lines) == 4
        assert lines.count(("b", "app.two")) == 5
        assert take(store, 100) == []

    def test_those_that_run_already_count(self, store: Store) -> None:
        put(store, 5)
        first = take(store, 4)
        store.put_limits("queue:default", [THREE])
        assert take(store, 100) == []
        settle(store, forgotten=[one.fence for one in first[:2]])
        assert len(take(store, 100)) == 1

    def test_the_order_is_that_of_the_jobs_there_is_room_for(self, store: Store) -> None:
        store.put_limits("queue:a", [ConcurrencyRule(2)])
        jobs = [put(store, queue=queue)[0] for queue in "abababab"]
        urgent = put(store, queue="a", priority=1)
        assert ids_of(take(store, 5)) == [*urgent, jobs[0], jobs[1], jobs[3], jobs[5]]
        assert ids_of(take(store, 5)) == [jobs[7]]

    def test_a_queue_that_is_full_does_not_stand_before_the_next(self, store: Store) -> None:
        store.put_limits("queue:a", [ConcurrencyRule(1)])
        put(store, 3, queue="a")
        (other,) = put(store, queue="b")
        take_one(store, queues=["a", "b"])
        assert ids_of(take(store, queues=["a", "b"])) == [other]

    def test_what_may_not_run_takes_no_place(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [THREE])
        put(store, 2, expires_s=1.0)
        store.enqueue([group(JobEntry(new_id(), BODY, 7))])
        clock.advance(2.0)
        sound = put(store, 5)
        assert ids_of(take(store, 100)) == sound[:3]

    @pytest.mark.parametrize("way", range(8))
    def test_whatever_becomes_of_a_job_its_place_is_free(self, store: Store, clock: VirtualClock, way: int) -> None:
        store.put_limits("queue:default", [ConcurrencyRule(1)])
        store.put_limits("task:app.work", [ConcurrencyRule(1)])
        put(store)
        held = take_one(store)
        (last,) = put(store, priority=5)
        assert take(store) == []
        fence = held.fence
        outcomes: list[dict[str, Any]] = [
            {"forgotten": [fence]},
            {"retried": [Retried(fence, 0.0, ERROR)]},
            {"snoozed": [Snoozed(fence, 9.0)]},
            {"buried": [Buried(fence, ERROR)]},
            {"lost": [Lost(fence, Loss.BLAMED, ERROR)]},
            {"released": [fence]},
            {"refused": [Refused(fence, ERROR)]},
            {},
        ]
        settle(store, **outcomes[way]) if outcomes[way] else elapse(store, clock, limits.LEASE_S + 1.0)
        assert [view.in_use for view in store.limits()] == [0, 0]
        assert ids_of(take(store, 100)) == [last]
        assert take(store) == []

    def test_jobs_of_a_supervisor_that_is_gone_free_their_places(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [ConcurrencyRule(2)])
        put(store, 4)
        started = take(store)[0].fence
        store.extend(Extension(HOLDER, [started], started=[(started, clock.time())]))
        assert store.reconcile(HOLDER, [started]) == 1
        assert len(take(store)) == 1
        assert store.reconcile(HOLDER, []) == 2
        assert len(take(store)) == 2

    def test_a_live_change_holds_at_once_and_is_restored(self, store: Store) -> None:
        store.register_tasks([task(ConcurrencyRule(2))])
        put(store, 9)
        assert len(take(store)) == 2
        store.put_limits("task:app.work", [ConcurrencyRule(5)])
        assert len(take(store)) == 3
        store.put_limits("task:app.work", [ConcurrencyRule(1)])
        assert take(store) == []
        store.restore_limits("task:app.work")
        assert take(store) == []
        store.register_tasks([task(ConcurrencyRule(6))])
        assert len(take(store)) == 1
        store.register_tasks([task()])
        assert len(take(store)) == 3

    def test_jobs_that_move_count_where_they_are(self, store: Store) -> None:
        store.register_tasks([], [QueueRecord("a", (ConcurrencyRule(1),)), QueueRecord("b", (ConcurrencyRule(1),))])
        jobs = put(store, 3, queue="a")
        take_one(store)
        store.move([jobs[1]], "b")
        assert ids_of(take(store)) == [jobs[1]]
        store.move([jobs[2]], "free")
        assert ids_of(take(store)) == [jobs[2]]

    def test_refused_jobs_count_as_others_do(self, store: Store) -> None:
        store.put_limits("queue:default", [ConcurrencyRule(2)])
        jobs = put(store, 4)
        settle(store, refused=[Refused(one.fence, ERROR) for one in take(store)])
        assert ids_of(take(store, 100, holder=OTHER_HOLDER)) == jobs[:2]
        assert take(store, 100, holder=OTHER_HOLDER) == []
        assert [view.waiting for view in store.limits()] == [2]

    def test_a_limit_holds_over_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        store.register_tasks([task(ConcurrencyRule(2))], [QueueRecord("default", (THREE,))])
        jobs = put(store, 5)
        held = take(store, 1)
        again = self.take_over(store, clock)
        assert [(view.scope, view.in_use, view.waiting) for view in again.limits()] == [
            ("queue:default", 1, 4),
            ("task:app.work", 1, 4),
        ]
        assert ids_of(take(again, 100)) == jobs[1:2]
        settle(again, forgotten=[held[0].fence])
        assert ids_of(take(again, 100)) == jobs[2:3]


class RateClaims(StoreClaims):
    """`RateRule` without ``per``."""

    def test_a_burst_is_leased_at_once_and_then_so_many_per_time(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("task:app.work", [SLOW])
        jobs = put(store, 9)
        assert ids_of(take(store, 100)) == jobs[:2]
        assert take(store, 100) == []
        elapse(store, clock, 4.9)
        assert take(store, 100) == []
        elapse(store, clock, 0.2)
        assert ids_of(take(store, 100)) == jobs[2:3]
        elapse(store, clock, 20.0)
        assert ids_of(take(store, 100)) == jobs[3:5]

    def test_a_job_over_the_rate_says_so_and_when_the_next_may_start(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [SLOW])
        last = put(store, 3)[-1]
        take(store)
        assert see(store, last).reason == "over the rate of queue default: 2 per 10 s"
        (view,) = store.limits()
        assert (view.in_use, view.waiting, view.next_free_at) == (2, 1, near(clock.time() + 5.0))
        elapse(store, clock, 5.0)
        assert (see(store, last).reason, store.limits()[0].next_free_at) == (None, None)

    def test_tokens_are_spent_at_the_lease_whatever_becomes_of_the_job(self, store: Store) -> None:
        store.put_limits("queue:default", [SLOW])
        put(store, 4)
        fences = [one.fence for one in take(store)]
        settle(store, released=fences[:1], retried=[Retried(fence, 0.0, ERROR) for fence in fences[1:]])
        assert take(store) == []

    def test_what_may_not_run_spends_no_token(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [SLOW])
        put(store, 5, expires_s=1.0)
        clock.advance(1.5)
        sound = put(store, 3)
        assert ids_of(take(store, 100)) == sound[:2]

    def test_a_rate_and_a_concurrency_both_hold(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [THREE, RateRule(10, per_s=1.0, burst=4)])
        put(store, 20)
        held = take(store, 100)
        assert len(held) == 3
        settle(store, forgotten=[one.fence for one in held])
        assert len(take(store, 100)) == 1
        elapse(store, clock, 1.0)
        assert len(take(store, 100)) == 2

    def test_no_more_than_the_bucket_allows_however_it_is_asked(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [RateRule(50, per_s=1.0, burst=10)])
        put(store, 400)
        began, leased = clock.monotonic(), 0
        for step in range(60):
            held = take(store, 1 + step % 7, holder=(HOLDER, OTHER_HOLDER)[step % 2])
            leased += len(held)
            assert leased <= 10 + 50 * (clock.monotonic() - began) + 1e-6
            clock.advance(0.013 * (step % 5))
        assert leased >= 50 * (clock.monotonic() - began) - 10

    def test_declaring_a_rate_again_adds_no_tokens(self, store: Store) -> None:
        store.register_tasks([task(SLOW)])
        put(store, 9)
        assert len(take(store)) == 2
        store.register_tasks([task(SLOW)])
        store.put_limits("task:app.work", [SLOW])
        store.restore_limits("task:app.work")
        assert take(store) == []
        store.put_limits("task:app.work", [RateRule(1_000, per_s=1.0)])
        assert take(store) == []

    def test_the_wall_clock_fills_no_bucket(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [SLOW])
        put(store, 9)
        take(store)
        clock.jump(3_600.0)
        assert take(store) == []
        clock.jump(-7_200.0)
        elapse(store, clock, 5.0)
        assert len(take(store)) == 1

    def test_the_tick_says_when_the_next_token_comes(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [RateRule(1, per_s=0.25)])
        put(store, 2)
        take_one(store)
        next_s = store.tick().next_s
        assert next_s is not None
        assert 0.0 < next_s <= 0.25
        clock.advance(next_s)
        store.tick()
        assert len(take(store)) == 1

    def test_a_bucket_is_no_fuller_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [RateRule(1, per_s=5.0, burst=2)])
        put(store, 9)
        take(store)
        again = self.take_over(store, clock)
        assert take(again) == []
        elapse(again, clock, 5.0)
        assert len(take(again)) <= 1
        assert take(again) == []

    def test_a_bucket_fills_while_nobody_owns_the_store(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [RateRule(1, per_s=5.0, burst=2)])
        put(store, 9)
        take(store)
        clock.advance(5.0)
        (view,) = self.take_over(store, clock).limits()
        assert view.in_use == 1

    def test_a_wall_clock_that_went_back_fills_no_bucket(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits("queue:default", [RateRule(1, per_s=5.0, burst=2)])
        put(store, 9)
        take(store)
        clock.jump(-3_600.0)
        (view,) = self.take_over(store, clock).limits()
        assert view.in_use == 2


class LimitedLeaseClaims(StoreClaims):
    """`LeaseRequest.limited`: what a holder can start at once."""

    def test_of_limited_jobs_only_so_many_are_given(self, store: Store) -> None:
        store.put_limits("queue:a", [ConcurrencyRule(9)])
        jobs = [put(store, queue=queue)[0] for queue in "aabaab"]
        assert ids_of(take_limited(store, 4, 1)) == [jobs[0], jobs[2], jobs[5]]
        assert take_limited(store, 4, 0) == []
        assert ids_of(take_limited(store, 4, 2)) == [jobs[1], jobs[3]]
        assert ids_of(take_limited(store, 4, None)) == [jobs[4]]

    def test_what_may_not_run_leaves_no_room_for_limited_jobs(self, store: Store) -> None:
        store.put_limits("queue:a", [ConcurrencyRule(9)])
        store.enqueue([group(JobEntry(new_id(), BODY, 7), queue="b")])
        put(store, 2, queue="a")
        assert take_limited(store, 5, 0) == []

    def test_a_limit_by_a_name_counts_as_well(self, store: Store) -> None:
        store.put_limits("task:app.work", [ConcurrencyRule(9, per="tenant")])
        jobs = put(store, 3)
        assert take_limited(store, 9, 0, queues=["default"], tasks=["app.work"]) == []
        assert ids_of(take_limited(store, 9, 2)) == jobs[:2]

    def test_where_nothing_is_limited_it_says_nothing(self, store: Store) -> None:
        jobs = put(store, 3)
        batch = store.lease(LeaseRequest(HOLDER, 2, limited=0))
        assert ([job.id for job in batch.jobs], batch.limited) == (jobs[:2], None)
        store.put_limits("queue:other", [THREE])
        batch = store.lease(LeaseRequest(HOLDER, 2, limited=0))
        assert ([job.id for job in batch.jobs], batch.limited) == (jobs[2:], [])
        assert store.lease(LeaseRequest(HOLDER, 2)).limited == []
        store.restore_limits("queue:other")
        assert store.lease(LeaseRequest(HOLDER, 2)).limited is None

    def test_the_answer_says_which_jobs_are_limited(self, store: Store) -> None:
        store.put_limits("queue:a", [ConcurrencyRule(9)])
        store.put_limits("task:app.keyed", [ConcurrencyRule(9, per="tenant")])
        for queue, name in (("a", "app.work"), ("b", "app.work"), ("b", "app.keyed"), ("b", "app.work")):
            put(store, queue=queue, task=name)
        assert store.lease(LeaseRequest(HOLDER, 9)).limited == [0, 2]

    def test_less_than_none_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidOption):
            store.lease(LeaseRequest(HOLDER, 1, limited=-1))
