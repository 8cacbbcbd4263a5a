"""Claims about what becomes of unique keys when their jobs end."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.flow import UniqueRule
from penstock.model.job import (
    Buried,
    Cancelled,
    EnqueueAnswer,
    Filter,
    Lost,
    Outcomes,
    Retried,
    Snoozed,
)
from penstock.model.losses import Loss
from penstock.model.states import TERMINAL, State
from penstock.ports import Store
from penstock.store.paging import all_steps
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    elapse,
    leap,
    ledger,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.unique import (
    DONE,
    HOUR_S,
    REFUSE,
    REPLACE,
    add,
    met,
    one,
    same,
    unique,
)

End = Callable[[Store, VirtualClock, bytes], None]
"""Ends a job that is ready, in one way."""


def _succeeds(store: Store, clock: VirtualClock, _: bytes) -> None:
    settle(store, succeeded=[succeeded(take_one(store).fence, clock)])


def _is_forgotten(store: Store, _: VirtualClock, __: bytes) -> None:
    settle(store, forgotten=[take_one(store).fence])


def _is_buried(store: Store, _: VirtualClock, __: bytes) -> None:
    settle(store, buried=[Buried(take_one(store).fence, ERROR)])


def _is_cancelled_while_it_runs(store: Store, _: VirtualClock, job: bytes) -> None:
    fence = take_one(store).fence
    store.cancel([job])
    settle(store, cancelled=[Cancelled(fence)])


def _is_cancelled_when_it_comes_back(store: Store, _: VirtualClock, job: bytes) -> None:
    fence = take_one(store).fence
    store.cancel([job])
    store.settle(Outcomes(HOLDER, released=[fence]))


def _is_cancelled(store: Store, _: VirtualClock, job: bytes) -> None:
    store.cancel([job])


def _is_cancelled_while_scheduled(store: Store, clock: VirtualClock, job: bytes) -> None:
    store.edit([job], run_at=clock.time() + 60)
    all_steps(lambda cursor: store.cancel_where(Filter(state=State.SCHEDULED), cursor=cursor))


def _is_deleted(store: Store, _: VirtualClock, job: bytes) -> None:
    store.delete([job])


def _is_deleted_by_filter(store: Store, _: VirtualClock, __: bytes) -> None:
    all_steps(lambda cursor: store.delete_where(Filter(task="app.work"), cursor=cursor))


def _expires(store: Store, clock: VirtualClock, _: bytes) -> None:
    leap(store, clock, HOUR_S)


def _expires_at_a_lease(store: Store, clock: VirtualClock, _: bytes) -> None:
    clock.advance(HOUR_S)
    take(store)


def _is_lost_for_good(store: Store, _: VirtualClock, __: bytes) -> None:
    for _loss in range(limits.LOSSES_MAX):
        store.settle(Outcomes(HOLDER, lost=[Lost(take_one(store).fence, Loss.BLAMED, ERROR)]))


def _is_moved_and_ends(store: Store, clock: VirtualClock, job: bytes) -> None:
    store.move([job], "elsewhere")
    assert met(store).id == job, "a key is the task's, whatever the queue"
    _succeeds(store, clock, job)


ENDS: Final[dict[str, End]] = {
    "succeeds": _succeeds,
    "is forgotten": _is_forgotten,
    "is buried": _is_buried,
    "is cancelled while it runs": _is_cancelled_while_it_runs,
    "is cancelled when it comes back": _is_cancelled_when_it_comes_back,
    "is cancelled": _is_cancelled,
    "is cancelled while scheduled": _is_cancelled_while_scheduled,
    "is deleted": _is_deleted,
    "is deleted by filter": _is_deleted_by_filter,
    "expires": _expires,
    "expires at a lease": _expires_at_a_lease,
    "is lost for good": _is_lost_for_good,
    "is moved and ends": _is_moved_and_ends,
}
"""Ways for a job that is ready and expires in an hour to end. Each leaves no other job behind."""


class UniqueEndClaims(StoreClaims):
    """What becomes of a key when its job ends."""

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    def test_however_a_job_ends_its_key_is_free(self, store: Store, clock: VirtualClock, end: End) -> None:
        job = add(store, expires_s=HOUR_S)
        end(store, clock, job)
        (state,) = states(store, [job])
        assert state is None or state in TERMINAL
        add(store)

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    def test_only_a_job_that_ended_as_it_says_keeps_others_away(
        self, store: Store, clock: VirtualClock, end: End
    ) -> None:
        rule = UniqueRule(period_s=2 * HOUR_S, states=DONE)
        job = add(store, rule=rule, expires_s=HOUR_S)
        end(store, clock, job)
        has_succeeded = end in (_succeeds, _is_forgotten, _is_moved_and_ends)
        assert store.enqueue([unique()]).accepted == (not has_succeeded)

    def test_jobs_that_are_settled_in_a_range_set_their_keys_free(self, store: Store) -> None:
        keys = [str(number) for number in range(30)]
        store.enqueue([unique(*map(one, keys))])
        settle(store, forgotten=[held.fence for held in take(store)])
        answer = store.enqueue([unique(*map(one, keys))])
        assert answer == EnqueueAnswer(30, [])
        assert counted(store) == {"ready": 30, "accepted_total": 60, "succeeded_total": 30}

    def test_jobs_with_and_without_keys_end_together(self, store: Store, clock: VirtualClock) -> None:
        store.enqueue([unique(one("a"))])
        put(store, 20)
        store.enqueue([unique(one("b"))])
        settle(store, succeeded=[succeeded(held.fence, clock) for held in take(store)])
        assert store.enqueue([unique(one("a"), one("b"))]).accepted == 2

    def test_a_job_that_comes_back_keeps_its_key(self, store: Store) -> None:
        job = add(store)
        for outcome in ("released", "retried", "snoozed", "lost"):
            fence = take_one(store).fence
            said: dict[str, Any] = {
                "released": [fence],
                "retried": [Retried(fence, 0.0, ERROR)],
                "snoozed": [Snoozed(fence, 0.0)],
                "lost": [Lost(fence, Loss.UNSTARTED, ERROR)],
            }
            assert store.settle(Outcomes(HOLDER, **{outcome: said[outcome]})).stale == []
            assert met(store).id == job

    def test_a_lease_that_ends_keeps_the_key(self, store: Store, clock: VirtualClock) -> None:
        job = add(store)
        take_one(store, lease_s=5.0)
        elapse(store, clock, 6.0)
        assert met(store) == same(job, State.READY)

    def test_a_stale_outcome_sets_no_key_free(self, store: Store, clock: VirtualClock) -> None:
        job = add(store)
        stale = take_one(store, lease_s=5.0).fence
        elapse(store, clock, 6.0)
        take_one(store, holder=OTHER_HOLDER)
        store.settle(Outcomes(HOLDER, forgotten=[stale]))
        assert met(store).id == job

    def test_the_end_of_one_that_has_lost_its_key_does_not_set_it_free(self, store: Store) -> None:
        rule = UniqueRule(states=(State.READY, State.SCHEDULED))
        add(store, rule=rule)
        held = take_one(store)
        second = add(store, rule=rule)
        settle(store, forgotten=[held.fence])
        assert met(store, rule).id == second

    def test_a_child_may_have_the_key_of_its_parent(self, store: Store) -> None:
        add(store)
        child = one()
        held = take_one(store)
        settle(store, forgotten=[held.fence], children=[(held.fence, [unique(child)])])
        assert met(store).id == child.id

    def test_a_child_that_is_not_new_does_not_land(self, store: Store) -> None:
        first = add(store)
        (parent,) = put(store, task="app.parent")
        held = take_one(store, tasks=["app.parent"])
        children = [unique(one(), rule=REFUSE), unique(one(body=b"m2"), rule=REPLACE), unique(one("new"))]
        settle(store, forgotten=[held.fence], children=[(held.fence, children)])
        assert states(store, [parent]) == [None]
        assert see(store, first, body=True).body == b"m2"
        assert ledger(store).accepted_total == 3
