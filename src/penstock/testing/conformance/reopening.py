"""Claims about a store that outlives its process."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from penstock.model import limits
from penstock.model.job import Extension, LeaseRequest, Lost, Outcomes
from penstock.model.lines import Closed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    StoreClaims,
    elapse,
    entry,
    group,
    ids_of,
    ledger,
    one_of_each,
    put,
    rest,
    settle,
    states,
    take,
    take_one,
)


class ReopeningClaims(StoreClaims):
    """What a store that outlives its process leaves behind."""

    def test_everything_is_there_again(self, store: Store, clock: VirtualClock) -> None:
        made = one_of_each(store, clock)
        ids = list(made.values())
        views, counts, tasks = store.get(ids, body=True, result=True), all_queues(store), store.tasks()
        again = self.take_over(store, clock)
        assert again.get(ids, body=True, result=True) == views
        assert (all_queues(again), again.tasks()) == (counts, tasks)

    def test_closed_lines_stay_closed(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, queue="q")
        store.close_lines(Closed.PAUSED, queue="q")
        store.close_lines(Closed.RATE, task="app.other")
        again = self.take_over(store, clock)
        assert [(one.queue, one.task, one.reason) for one in again.closed_lines()] == [
            (None, "app.other", Closed.RATE),
            ("q", None, Closed.PAUSED),
        ]
        assert take(again) == []
        again.open_lines(queue="q")
        assert ids_of(take(again)) == [job]

    def test_fences_rise_over_a_take_over_and_live_leases_stand(self, store: Store, clock: VirtualClock) -> None:
        put(store, 2)
        first = take_one(store).fence
        again = self.take_over(store, clock)
        second = take_one(again).fence
        assert second > first
        settle(again, forgotten=[first, second])

    def test_a_holder_that_held_nothing_at_one_take_over_keeps_at_the_next_what_it_took(
        self, store: Store, clock: VirtualClock
    ) -> None:
        put(store, 2)
        settle(store, forgotten=[take_one(store).fence])
        again = self.take_over(store, clock)
        fence = take_one(again).fence
        last = self.take_over(again, clock)
        assert last.extend(Extension(HOLDER, [fence])).lost == []
        settle(last, forgotten=[fence])
        assert ledger(last).running == 0

    def test_what_is_held_against_jobs_stands_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store, 3)
        for loss, held in zip((Loss.BLAMED, Loss.SHARED, Loss.STRAY), take(store), strict=True):
            settle(store, lost=[Lost(held.fence, loss, ERROR)])
        again = self.take_over(store, clock)
        assert [(view.losses, view.strays, view.suspect) for view in again.get(ids) if view] == [
            (1, 0, True), (0, 0, True), (0, 1, False),
        ]  # fmt: skip
        assert again.lease(LeaseRequest(HOLDER, 3)).alone == [0, 1]

    def test_order_and_keys_stand_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        first, second = entry(key="k"), entry()
        store.enqueue([group(first, second)])
        again = self.take_over(store, clock)
        third = put(again)
        assert again.enqueue([group(entry(key="k"))]).exceptions[0].id == first.id
        assert ids_of(take(again)) == [first.id, second.id, *third]

    def test_leases_start_anew_at_a_take_over_and_end_in_time(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        elapse(store, clock, limits.LEASE_S - 1)
        again = self.take_over(store, clock)
        elapse(again, clock, limits.LEASE_S - 1)
        assert states(again, [job]) == [State.RUNNING]
        elapse(again, clock, 1.0)
        assert states(again, [job]) == [State.READY]
        assert again.settle(Outcomes(HOLDER, forgotten=[fence])).stale == [fence]
        rest(again)
