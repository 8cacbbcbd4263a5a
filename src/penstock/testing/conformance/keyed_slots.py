"""Claims about slots of keys: whatever becomes of their holder, they go to the next."""
# ruff: noqa: D102, ARG001 - the name of a test is its claim; ways to end a job have one signature

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.flow import QueueRecord
from penstock.model.job import (
    Buried,
    Cancelled,
    Filter,
    Lost,
    Outcomes,
    Refused,
    Retried,
    Snoozed,
)
from penstock.model.lines import Closed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.keyed import UNFIT, declare, per_tenant, put_for
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    HeldJob,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    settle,
    states,
    succeeded,
    take,
    take_one,
)

Way = Callable[[Store, VirtualClock, HeldJob], Any]


def _kept(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, succeeded=[succeeded(held.fence, clock, b"m\x01")])


def _forgotten(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, forgotten=[held.fence])


def _buried(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, buried=[Buried(held.fence, ERROR)])


def _cancelled(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, cancelled=[Cancelled(held.fence)])


def _cancelled_instead(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    store.cancel([held.job.id])
    assert store.settle(Outcomes(HOLDER, released=[held.fence])).exceptions


def _retried_later(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, retried=[Retried(held.fence, 50.0, ERROR)])


def _snoozed(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, snoozed=[Snoozed(held.fence, 50.0)])


def _poisonous(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    for _ in range(limits.LOSSES_MAX - 1):
        settle(store, lost=[Lost(held.fence, Loss.BLAMED, ERROR)])
        held = take_one(store)
    settle(store, lost=[Lost(held.fence, Loss.BLAMED, ERROR)])


def _its_queue_is_paused(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    store.close_lines(Closed.PAUSED, queue="first")


def _released_into_a_paused_queue(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    store.close_lines(Closed.PAUSED, queue="first")
    settle(store, released=[held.fence])


def _ready_and_cancelled(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    assert store.cancel([held.job.id]) == [State.CANCELLED]


def _ready_and_deleted(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    assert store.delete([held.job.id]) == [True]


def _ready_and_postponed(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    assert store.edit([held.job.id], run_at=clock.time() + 50.0) == [State.SCHEDULED]


def _cancelled_by_filter(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    store.cancel_where(Filter(queue="first"))


FREES: Final[list[Way]] = [
    _kept,
    _forgotten,
    _buried,
    _cancelled,
    _cancelled_instead,
    _retried_later,
    _snoozed,
    _poisonous,
    _its_queue_is_paused,
    _released_into_a_paused_queue,
    _ready_and_cancelled,
    _ready_and_deleted,
    _ready_and_postponed,
    _cancelled_by_filter,
]


class SlotClaims(StoreClaims):
    """When a slot is free again, and who has it."""

    @pytest.mark.parametrize("way", FREES, ids=lambda way: way.__name__.strip("_"))
    def test_whatever_becomes_of_its_holder_the_slot_goes_to_the_next(
        self, store: Store, clock: VirtualClock, way: Way
    ) -> None:
        declare(store, per_tenant(1))
        (job,) = put_for(store, "acme", queue="first")
        waiting = put_for(store, "acme", 2, queue="second")
        assert states(store, waiting) == [State.BLOCKED] * 2
        held = take_one(store)
        assert held.job.id == job
        way(store, clock, held)
        assert states(store, waiting) == [State.READY, State.BLOCKED]
        assert ids_of(take(store, queues=["second"])) == waiting[:1]

    @pytest.mark.parametrize(
        "outcome",
        [
            lambda fence: {"released": [fence]},
            lambda fence: {"lost": [Lost(fence, Loss.BLAMED, ERROR)]},
            lambda fence: {"lost": [Lost(fence, Loss.UNSTARTED, ERROR)]},
            lambda fence: {"refused": [Refused(fence, UNFIT)]},
        ],
        ids=["released", "blamed", "unstarted", "refused"],
    )
    def test_what_has_its_old_place_again_has_its_slot_too(self, store: Store, outcome: Any) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        settle(store, **outcome(take_one(store).fence))
        assert states(store, [job, waiting]) == [State.READY, State.BLOCKED]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [job]

    def test_a_lease_that_ends_keeps_the_slot_for_its_job(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        take_one(store, lease_s=1.0)
        elapse(store, clock, 2.0)
        assert states(store, [job, waiting]) == [State.READY, State.BLOCKED]
        assert ids_of(take(store)) == [job]

    def test_a_job_that_a_restarted_worker_does_not_list_has_its_slot_again(self, store: Store) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        take_one(store)
        assert store.reconcile(HOLDER, []) == 1
        assert states(store, [job, waiting]) == [State.READY, State.BLOCKED]

    def test_a_stale_fence_frees_nothing(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        stale = take_one(store, lease_s=1.0).fence
        elapse(store, clock, 2.0)
        fresh = take_one(store).fence
        for outcomes in (Outcomes(HOLDER, forgotten=[stale]), Outcomes(OTHER_HOLDER, forgotten=[fresh])):
            assert store.settle(outcomes).stale
            assert states(store, [job, waiting]) == [State.RUNNING, State.BLOCKED]
        settle(store, forgotten=[fresh])
        assert store.settle(Outcomes(HOLDER, forgotten=[fresh])).stale == [fresh]
        assert states(store, [waiting]) == [State.READY]
        assert len(take(store)) == 1

    def test_a_job_that_fails_at_once_stands_behind_those_that_wait(self, store: Store) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        assert states(store, [job, waiting]) == [State.BLOCKED, State.READY]

    def test_one_that_expires_while_it_is_ready_frees_its_slot(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        (late,) = put_for(store, "acme", expires_s=1.0)
        (waiting,) = put_for(store, "acme")
        elapse(store, clock, 2.0)
        assert states(store, [late, waiting]) == [State.EXPIRED, State.READY]

    def test_a_blocked_job_expires_and_can_be_cancelled_and_deleted(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        put_for(store, "acme")
        (expired,) = put_for(store, "acme", expires_s=1.0)
        cancelled, deleted, last = put_for(store, "acme", 3)
        elapse(store, clock, 2.0)
        assert store.cancel([cancelled]) == [State.CANCELLED]
        assert store.delete([deleted]) == [True]
        assert states(store, [expired, cancelled, deleted]) == [State.EXPIRED, State.CANCELLED, None]
        settle(store, forgotten=[take_one(store).fence])
        assert ids_of(take(store)) == [last]

    def test_a_revived_job_needs_a_slot(self, store: Store) -> None:
        declare(store, per_tenant(1))
        dead, running = put_for(store, "acme", 2)
        settle(store, buried=[Buried(take_one(store).fence, ERROR)])
        held = take_one(store)
        assert (held.job.id, store.revive([dead])) == (running, [State.BLOCKED])
        settle(store, forgotten=[held.fence])
        assert ids_of(take(store)) == [dead]

    def test_a_job_is_moved_to_a_queue_with_another_limit_and_back(self, store: Store) -> None:
        store.register_tasks([], [QueueRecord("narrow", limits=(per_tenant(1),))])
        put_for(store, "acme", queue="narrow")
        (job,) = put_for(store, "acme", queue="wide")
        assert store.move([job], "narrow") == [State.BLOCKED]
        assert store.move([job], "wide") == [State.READY]
        assert ids_of(take(store, queues=["wide"])) == [job]
        assert counted(store, "narrow") == {
            "ready": 1,
            "accepted_total": 1,
            "moved_in_total": 1,
            "moved_out_total": 1,
        }

    def test_a_new_priority_changes_who_is_next(self, store: Store) -> None:
        declare(store, per_tenant(1))
        first, second, third = put_for(store, "acme", 3)
        assert store.edit([third], priority=7) == [State.BLOCKED]
        assert states(store, [first, second]) == [State.READY, State.BLOCKED]
        settle(store, forgotten=[take_one(store).fence])
        assert states(store, [second, third]) == [State.BLOCKED, State.READY]
        assert store.edit([third], priority=-7) == [State.BLOCKED]
        assert ids_of(take(store)) == [second]

    def test_slots_of_many_jobs_that_end_together_are_taken_at_once(self, store: Store) -> None:
        declare(store, per_tenant(50))
        ids = put_for(store, "acme", 150)
        for start in (0, 50, 100):
            held = take(store, 150)
            assert ids_of(held) == ids[start : start + 50]
            settle(store, forgotten=[one.fence for one in held])
        assert counted(store) == {"accepted_total": 150, "succeeded_total": 150}
