"""Claims about limits of keys: strict order, limits that change, lines that are paused, and take-overs."""
# ruff: noqa: D102 - the name of a test is its claim; ways to end a job have one signature

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule
from penstock.model.job import (
    Buried,
    Retried,
    Snoozed,
)
from penstock.model.lines import Closed
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.keyed import TASK, declare, keyed, per_tenant, put_for, reasons
from penstock.testing.conformance.kit import (
    ERROR,
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


class FifoClaims(StoreClaims):
    """Jobs of a key strictly one after another."""

    def test_the_failed_one_stays_in_front(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        assert take(store) == []
        assert reasons(store, [second]) == [(State.BLOCKED, "1 of 1 running for tenant acme", "acme")]
        elapse(store, clock, 6.0)
        held = take_one(store)
        assert (held.job.id, held.job.attempt) == (first, 2)
        settle(store, snoozed=[Snoozed(held.fence, 0.0)])
        held = take_one(store)
        assert held.job.id == first
        settle(store, buried=[Buried(held.fence, ERROR)])
        assert ids_of(take(store)) == [second]

    def test_the_order_is_that_of_arrival_whatever_the_priority(self, store: Store) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        (urgent,) = put_for(store, "acme", priority=100)
        order = []
        for _ in range(3):
            held = take_one(store)
            order.append(held.job.id)
            settle(store, forgotten=[held.fence])
        assert order == [first, second, urgent]

    @pytest.mark.parametrize("act", ["cancel", "delete", "edit"])
    def test_one_in_back_off_that_is_taken_away_lets_the_next_go(
        self, store: Store, clock: VirtualClock, act: str
    ) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        if act == "edit":
            assert store.edit([first], run_at=clock.time() + 50.0) == [State.SCHEDULED]
            assert take(store) == []
            assert store.move([first], "elsewhere") == [State.SCHEDULED]
            assert take(store) == []
            store.cancel([first])
        else:
            getattr(store, act)([first])
        assert ids_of(take(store)) == [second]

    def test_it_keeps_its_turn_while_it_waits_for_another_key(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1, order="fifo"), ConcurrencyRule(1, per="user"))
        first, second = keyed({"tenant": "acme", "user": "u"}), keyed({"tenant": "acme"})
        store.enqueue([group(first, second)])
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        other = keyed({"user": "u"})
        store.enqueue([group(other)])
        held = take_one(store)
        assert held.job.id == other.id
        elapse(store, clock, 6.0)
        assert reasons(store, [first.id]) == [(State.BLOCKED, "1 of 1 running for user u", "u")]
        assert states(store, [second.id]) == [State.BLOCKED]
        settle(store, forgotten=[held.fence])
        assert ids_of(take(store)) == [first.id]


class ChangingLimitClaims(StoreClaims):
    """Limits of keys that change while there are jobs."""

    def test_raising_a_limit_lets_waiting_jobs_go(self, store: Store) -> None:
        declare(store, per_tenant(1))
        ids = put_for(store, "acme", 5)
        declare(store, per_tenant(3))
        assert states(store, ids) == [State.READY] * 3 + [State.BLOCKED] * 2
        assert see(store, ids[4]).reason == "3 of 3 running for tenant acme"

    def test_lowering_a_limit_lets_running_jobs_finish_and_holds_ready_ones(self, store: Store) -> None:
        declare(store, per_tenant(4))
        ids = put_for(store, "acme", 4)
        held = take(store, 2)
        declare(store, per_tenant(1))
        assert states(store, ids) == [State.RUNNING, State.RUNNING, State.BLOCKED, State.BLOCKED]
        assert see(store, ids[3]).reason == "2 of 1 running for tenant acme"
        settle(store, forgotten=[held[0].fence])
        assert take(store) == []
        settle(store, forgotten=[held[1].fence])
        assert ids_of(take(store)) == [ids[2]]

    def test_a_new_limit_counts_jobs_that_were_there_before(self, store: Store) -> None:
        ids = put_for(store, "acme", 4)
        held = take(store, 1)
        store.put_limits(f"task:{TASK}", [per_tenant(2)])
        assert states(store, ids) == [State.RUNNING, State.READY, State.BLOCKED, State.BLOCKED]
        settle(store, forgotten=[held[0].fence])
        assert ids_of(take(store)) == ids[1:3]

    def test_a_limit_that_is_taken_away_holds_nobody(self, store: Store) -> None:
        store.put_limits(f"task:{TASK}", [per_tenant(1)])
        ids = put_for(store, "acme", 4)
        store.restore_limits(f"task:{TASK}")
        assert ids_of(take(store)) == ids
        store.put_limits(f"task:{TASK}", [per_tenant(1)])
        (late,) = put_for(store, "acme")
        assert see(store, late).reason == "4 of 1 running for tenant acme"

    def test_many_waiting_jobs_are_let_go_in_steps(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        count = 3 * limits.TICK_STEP_JOBS
        put_for(store, "acme", count)
        declare(store, per_tenant(2 * count))
        elapse(store, clock, 0.0)
        assert counted(store) == {"ready": count, "accepted_total": count}
        declare(store, per_tenant(1))
        elapse(store, clock, 0.0)
        assert counted(store) == {"ready": 1, "blocked": count - 1, "accepted_total": count}

    def test_what_all_keys_have_of_a_limit_is_told(self, store: Store) -> None:
        declare(store, per_tenant(2))
        put_for(store, "acme", 5)
        put_for(store, "bolt", 1)
        (view,) = store.limits()
        assert (view.rule, view.in_use, view.waiting) == (per_tenant(2), 3, 3)
        settle(store, forgotten=[held.fence for held in take(store)])
        (view,) = store.limits()
        assert (view.in_use, view.waiting) == (2, 1)


class PausedKeyClaims(StoreClaims):
    """Lines that are paused, and the slots of their jobs."""

    def test_jobs_of_a_paused_queue_leave_their_slots_to_others(self, store: Store) -> None:
        declare(store, per_tenant(1))
        (here,) = put_for(store, "acme", queue="here")
        (there,) = put_for(store, "acme", queue="there")
        store.close_lines(Closed.PAUSED, queue="here")
        assert reasons(store, [here]) == [(State.BLOCKED, "paused", None)]
        (new,) = put_for(store, "acme", queue="here")
        assert see(store, new).reason == "paused"
        held = take_one(store)
        assert held.job.id == there
        store.open_lines(queue="here")
        assert reasons(store, [here]) == [(State.BLOCKED, "1 of 1 running for tenant acme", "acme")]
        settle(store, forgotten=[held.fence])
        assert ids_of(take(store)) == [here]

    def test_jobs_without_keys_stay_ready_in_a_paused_queue(self, store: Store) -> None:
        declare(store, per_tenant(1))
        ids = put_for(store, None, 2)
        store.close_lines(Closed.PAUSED, queue="default")
        assert states(store, ids) == [State.READY] * 2

    def test_a_job_of_a_paused_queue_can_be_moved_out(self, store: Store) -> None:
        declare(store, per_tenant(1))
        store.close_lines(Closed.PAUSED, queue="here")
        (job,) = put_for(store, "acme", queue="here")
        assert store.move([job], "there") == [State.READY]
        assert ids_of(take(store)) == [job]

    def test_leased_jobs_of_a_paused_queue_hold_their_slots(self, store: Store) -> None:
        declare(store, per_tenant(1))
        put_for(store, "acme", queue="here")
        (there,) = put_for(store, "acme", queue="there")
        take_one(store)
        store.close_lines(Closed.PAUSED, queue="here")
        assert states(store, [there]) == [State.BLOCKED]


class KeyedReopeningClaims(StoreClaims):
    """Slots outlive the store's process."""

    def test_slots_and_who_waits_stand_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(2))
        ids = put_for(store, "acme", 5)
        held = take_one(store)
        again = self.take_over(store, clock)
        assert states(again, ids) == [State.RUNNING, State.READY] + [State.BLOCKED] * 3
        assert see(again, ids[4]).reason == "2 of 2 running for tenant acme"
        settle(again, forgotten=[held.fence])
        assert ids_of(take(again)) == ids[1:3]

    def test_a_fifo_job_in_back_off_keeps_its_turn_over_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        again = self.take_over(store, clock)
        elapse(again, clock, 0.0)
        assert take(again) == []
        elapse(again, clock, 6.0)
        assert ids_of(take(again)) == [first]
        assert states(again, [second]) == [State.BLOCKED]
