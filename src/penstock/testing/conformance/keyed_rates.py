"""Claims about rates that count for each key."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.job import Extension, Lost, Outcomes, Refused, Retried
from penstock.model.lines import Closed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.keyed import TASK, UNFIT, declare, keyed, put_for, reasons
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    elapse,
    group,
    ids_of,
    see,
    settle,
    states,
    take,
    take_one,
)

RETURNS: Final[dict[str, Callable[[int], Outcomes]]] = {
    "released": lambda fence: Outcomes(HOLDER, released=[fence]),
    "lost": lambda fence: Outcomes(HOLDER, lost=[Lost(fence, Loss.UNSTARTED, ERROR)]),
    "refused": lambda fence: Outcomes(HOLDER, refused=[Refused(fence, UNFIT)]),
}
"""How a job comes back before it has started."""


def rate(count: int = 2, per_s: float = 1.0, **options: int) -> RateRule:
    """So many jobs of a tenant in so many seconds."""
    return RateRule(count, per_s, per="tenant", **options)


def run_all(store: Store) -> list[bytes]:
    """Lease what there is, and let it succeed."""
    held = take(store)
    settle(store, forgotten=[one.fence for one in held])
    return ids_of(held)


class KeyedRateClaims(StoreClaims):
    """`RateRule` with ``per``."""

    def test_what_is_over_the_rate_of_a_key_is_blocked_until_its_token_comes_in(
        self, store: Store, clock: VirtualClock
    ) -> None:
        declare(store, rate(2, 10.0))
        ids = put_for(store, "acme", 4)
        others = put_for(store, "bolt", 2)
        assert states(store, ids) == [State.READY] * 2 + [State.BLOCKED] * 2
        assert set(run_all(store)) == {*ids[:2], *others}
        shown = (State.BLOCKED, "over the rate of tenant acme: 2 per 10 s", "acme")
        assert reasons(store, ids[2:]) == [shown, shown]
        elapse(store, clock, 4.9)
        assert take(store) == []
        elapse(store, clock, 0.2)
        assert run_all(store) == [ids[2]]
        elapse(store, clock, 4.7)
        assert take(store) == []
        elapse(store, clock, 0.3)
        assert run_all(store) == [ids[3]]

    def test_tokens_are_spent_by_leases_and_not_by_jobs_that_wait(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(3))
        ids = put_for(store, "acme", 9)
        elapse(store, clock, 60.0)
        assert states(store, ids).count(State.READY) == 3
        assert store.cancel(ids[:1]) == [State.CANCELLED]
        assert states(store, ids[1:5]) == [State.READY] * 3 + [State.BLOCKED]
        assert run_all(store) == ids[1:4]
        assert take(store) == []

    def test_a_burst_is_spent_once_and_never_more_than_the_bucket_allows(
        self, store: Store, clock: VirtualClock
    ) -> None:
        declare(store, rate(5, 1.0, burst=20))
        put_for(store, "acme", 100)
        begun, leased = clock.monotonic(), 0
        while clock.monotonic() < begun + 10.0:
            leased += len(run_all(store))
            assert leased <= 20 + 5 * (clock.monotonic() - begun) + 1e-6
            elapse(store, clock, 0.25)
        assert leased >= 20 + 5 * 9

    def test_tokens_do_not_pile_up_beyond_the_burst(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 1.0, burst=2))
        put_for(store, "acme", 2)
        assert len(run_all(store)) == 2
        elapse(store, clock, 500.0)
        put_for(store, "acme", 5)
        assert len(run_all(store)) == 2

    def test_a_job_that_comes_back_before_it_started_brings_its_token_back(self, store: Store) -> None:
        declare(store, rate(1, 10.0))
        first, second = put_for(store, "acme", 2)
        settle(store, released=[take_one(store).fence])
        settle(store, lost=[Lost(take_one(store).fence, Loss.UNSTARTED, ERROR)])
        settle(store, refused=[Refused(take_one(store).fence, UNFIT)])
        assert states(store, [first, second]) == [State.READY, State.BLOCKED]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [first]

    @pytest.mark.parametrize("limit", [rate(1, 3_600.0), RateRule(1, 3_600.0)], ids=["of a key", "of all"])
    @pytest.mark.parametrize("back", RETURNS.values(), ids=RETURNS)
    def test_a_job_that_was_leased_before_its_rate_brings_no_token(
        self, store: Store, limit: RateRule, back: Callable[[int], Outcomes]
    ) -> None:
        put_for(store, "acme", 2)
        before = take_one(store)
        store.put_limits(f"task:{TASK}", [limit])
        # With the answer to a lease the token of a whole task is lost. That of a key comes back.
        leased = len(take(store))
        assert leased == 1 or limit.per is None
        assert store.settle(back(before.fence)).exceptions == []
        assert leased + len(take(store, holder=OTHER_HOLDER)) <= 1

    def test_a_token_of_a_rate_that_was_taken_away_is_not_brought_to_the_next(self, store: Store) -> None:
        store.put_limits(f"task:{TASK}", [rate(1, 3_600.0)])
        ids = put_for(store, "acme", 3)
        before = take_one(store)
        store.restore_limits(f"task:{TASK}")
        store.put_limits(f"task:{TASK}", [rate(1, 3_600.0)])
        assert ids_of(take(store)) == ids[1:2]
        settle(store, released=[before.fence])
        assert take(store) == []

    def test_a_token_that_a_smaller_bucket_has_no_room_for_is_not_brought_back(self, store: Store) -> None:
        store.put_limits(f"task:{TASK}", [rate(10, 3_600.0)])
        ids = put_for(store, "acme", 20)
        before = take(store, 8)
        assert len(before) == 8
        store.put_limits(f"task:{TASK}", [rate(10, 3_600.0, burst=5)])
        assert ids_of(take(store)) == ids[8:10]
        settle(store, released=[one.fence for one in before])
        assert take(store) == []

    def test_what_came_in_since_is_not_brought_back_besides(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 10.0))
        ids = put_for(store, "acme", 3)
        before = take_one(store, lease_s=60.0)
        elapse(store, clock, 10.1)
        assert ids_of(take(store)) == ids[1:2]
        settle(store, released=[before.fence])
        assert take(store) == []

    def test_each_lease_brings_back_its_own_token(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(3, 30.0))
        ids = put_for(store, "acme", 4)
        held = take(store, 2)
        elapse(store, clock, 5.0)
        store.put_limits("queue:elsewhere", [rate(1, 10.0)])
        settle(store, released=[one.fence for one in held])
        assert ids_of(take(store)) == ids[:3]

    def test_a_job_that_has_started_has_spent_its_token(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 10.0))
        first, second = put_for(store, "acme", 2)
        fence = take_one(store).fence
        store.extend(Extension(HOLDER, [fence], started=[(fence, clock.time())]))
        settle(store, released=[fence])
        assert states(store, [first, second]) == [State.BLOCKED] * 2
        elapse(store, clock, 10.1)
        held = take_one(store)
        assert held.job.id == first
        settle(store, lost=[Lost(held.fence, Loss.BLAMED, ERROR)])
        assert states(store, [first, second]) == [State.BLOCKED] * 2
        elapse(store, clock, 10.1)
        assert ids_of(take(store)) == [first]

    def test_a_job_that_runs_again_needs_a_token_again(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 10.0))
        (job,) = put_for(store, "acme")
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        assert states(store, [job]) == [State.BLOCKED]
        elapse(store, clock, 10.1)
        assert take_one(store).job.attempt == 2

    def test_a_lease_that_ends_leaves_no_slot_behind(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 100.0), ConcurrencyRule(1, per="tenant"))
        first, second = put_for(store, "acme", 2)
        fence = take_one(store, lease_s=1.0).fence
        store.extend(Extension(HOLDER, [fence], lease_s=1.0, started=[(fence, clock.time())]))
        elapse(store, clock, 2.0)
        # Back at its place, without a token: it waits for one, and its slot is for whoever has a token first.
        assert reasons(store, [first]) == [(State.BLOCKED, "over the rate of tenant acme: 1 per 100 s", "acme")]
        elapse(store, clock, 100.0)
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [first]
        assert states(store, [second]) == [State.BLOCKED]

    def test_a_limit_and_a_rate_of_one_key_hold_at_once(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(3, 10.0), ConcurrencyRule(2, per="tenant"))
        ids = put_for(store, "acme", 5)
        held = take(store)
        assert ids_of(held) == ids[:2]
        settle(store, forgotten=[one.fence for one in held])
        assert ids_of(take(store)) == ids[2:3]
        assert see(store, ids[3]).reason == "over the rate of tenant acme: 3 per 10 s"
        elapse(store, clock, 3.4)
        assert ids_of(take(store)) == ids[3:4]
        elapse(store, clock, 3.4)
        assert see(store, ids[4]).reason == "2 of 2 running for tenant acme"

    def test_the_wall_clock_makes_no_tokens_and_takes_none(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 10.0))
        ids = put_for(store, "acme", 3)
        assert run_all(store) == ids[:1]
        clock.jump(3_600.0)
        elapse(store, clock, 1.0)
        assert take(store) == []
        clock.jump(-7_200.0)
        elapse(store, clock, 9.1)
        assert run_all(store) == ids[1:2]

    def test_the_tick_says_when_the_next_token_comes_in(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 10.0))
        put_for(store, "acme", 2)
        run_all(store)
        elapse(store, clock, 4.0)
        next_s = store.tick().next_s
        assert next_s is not None
        assert 5.0 < next_s <= 6.1

    def test_a_higher_rate_lets_more_go_and_a_lower_one_fewer(self, store: Store, clock: VirtualClock) -> None:
        store.put_limits(f"task:{TASK}", [rate(1, 10.0)])
        ids = put_for(store, "acme", 8)
        assert run_all(store) == ids[:1]
        store.put_limits(f"task:{TASK}", [rate(10, 10.0)])
        assert take(store) == []
        elapse(store, clock, 2.05)
        assert run_all(store) == ids[1:3]
        store.put_limits(f"task:{TASK}", [rate(1, 100.0)])
        elapse(store, clock, 5.0)
        assert take(store) == []
        store.restore_limits(f"task:{TASK}")
        store.put_limits(f"task:{TASK}", [rate(3, 100.0)])
        assert run_all(store) == ids[3:6]
        store.restore_limits(f"task:{TASK}")
        assert run_all(store) == ids[6:]

    @pytest.mark.parametrize("limit", [rate(1, 10.0), RateRule(1, 10.0)], ids=["of a key", "of all"])
    def test_a_rate_that_is_taken_away_leaves_nothing_to_do(
        self, store: Store, clock: VirtualClock, limit: RateRule
    ) -> None:
        store.put_limits(f"task:{TASK}", [limit])
        first, second, third = put_for(store, "acme", 3)
        assert ids_of(take(store)) == [first]
        assert take(store) == []
        store.restore_limits(f"task:{TASK}")
        assert ids_of(take(store, 1)) == [second]
        elapse(store, clock, 20.0)
        store.put_limits(f"task:{TASK}", [limit])
        assert ids_of(take(store)) == [third]

    def test_a_paused_queue_spends_nothing(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(1, 10.0))
        (here,) = put_for(store, "acme", queue="here")
        (there,) = put_for(store, "acme", queue="there")
        store.close_lines(Closed.PAUSED, queue="here")
        assert run_all(store) == [there]
        store.open_lines(queue="here")
        assert see(store, here).reason == "over the rate of tenant acme: 1 per 10 s"
        elapse(store, clock, 10.1)
        assert run_all(store) == [here]

    def test_what_all_keys_have_of_a_rate_is_told(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(2, 10.0))
        put_for(store, "acme", 3)
        put_for(store, "bolt", 1)
        assert len(run_all(store)) == 3
        (view,) = store.limits()
        assert (view.in_use, view.waiting) == (3, 1)
        elapse(store, clock, 5.1)
        (view,) = store.limits()
        assert (view.in_use, view.waiting) == (1, 0)

    @pytest.mark.parametrize("texts", [1, 40])
    def test_each_key_has_a_bucket_of_its_own(self, store: Store, clock: VirtualClock, texts: int) -> None:
        declare(store, rate(1, 10.0))
        store.enqueue([group(*(keyed({"tenant": f"t{at % texts}"}) for at in range(3 * texts)))])
        for _ in range(3):
            assert len(run_all(store)) == texts
            elapse(store, clock, 10.1)
        assert counted(store) == {"accepted_total": 3 * texts, "succeeded_total": 3 * texts}

    def test_a_take_over_fills_no_bucket(self, store: Store, clock: VirtualClock) -> None:
        declare(store, rate(2, 10.0))
        ids = put_for(store, "acme", 4)
        assert run_all(store) == ids[:2]
        again = self.take_over(store, clock)
        elapse(again, clock, 4.5)
        assert take(again) == []
        elapse(again, clock, 0.6)
        assert run_all(again) == ids[2:3]
