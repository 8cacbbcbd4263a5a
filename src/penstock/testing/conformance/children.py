"""Claims about the jobs that land with an outcome."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.ids import new_ids
from penstock.model.job import Outcomes
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    HOLDER,
    StoreClaims,
    counted,
    each_outcome,
    entry,
    group,
    ids_of,
    put,
    settle,
    states,
    succeeded,
    take,
    take_one,
)


class ChildrenClaims(StoreClaims):
    """Jobs that land with an outcome."""

    def test_children_land_with_the_outcome(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        fence = take_one(store).fence
        now, later = entry(), entry()
        children = [(fence, [group(now, task="app.child", queue="q"), group(later, delay_s=5.0)])]
        settle(store, succeeded=[succeeded(fence, clock)], children=children)
        assert states(store, [now.id, later.id]) == [State.READY, State.SCHEDULED]
        assert take_one(store, queues=["q"]).task == "app.child"

    @pytest.mark.parametrize("place", range(8))
    def test_children_land_with_any_outcome_that_is_accepted(
        self, store: Store, clock: VirtualClock, place: int
    ) -> None:
        put(store)
        fence = take_one(store).fence
        child = entry()
        settle(store, **each_outcome(fence, clock)[place], children=[(fence, [group(child, queue="q")])])
        assert states(store, [child.id]) == [State.READY]
        assert counted(store, "q") == {"ready": 1, "accepted_total": 1}

    def test_children_of_a_refused_outcome_do_not_land(self, store: Store) -> None:
        put(store, 2)
        stale, fence = (held.fence for held in take(store))
        settle(store, released=[stale])
        lost, landed = entry(), entry()
        outcomes = Outcomes(
            HOLDER, forgotten=[stale, fence], children=[(stale, [group(lost)]), (fence, [group(landed)])]
        )
        assert store.settle(outcomes).stale == [stale]
        assert states(store, [lost.id, landed.id]) == [None, State.READY]

    def test_children_without_an_outcome_do_not_land(self, store: Store) -> None:
        put(store)
        fence = take_one(store).fence
        child = entry()
        store.settle(Outcomes(HOLDER, children=[(fence, [group(child)])]))
        assert states(store, [child.id]) == [None]

    def test_children_are_checked_for_duplicates_like_any_job(self, store: Store) -> None:
        first = entry(key="k")
        store.enqueue([group(first)])
        fence = take_one(store).fence
        same, other, fresh = entry(key="k"), entry(b"other", key="k"), entry(key="fresh")
        settle(store, forgotten=[fence], children=[(fence, [group(same, other, fresh)])])
        assert states(store, [same.id, other.id, fresh.id]) == [None, None, State.READY]
        assert counted(store) == {"ready": 1, "accepted_total": 2, "succeeded_total": 1}

    def test_children_that_may_not_be_refuse_the_whole_settlement(self, store: Store) -> None:
        put(store, 2)
        first, second = (held.fence for held in take(store))
        fine = entry()
        for bad, error in (
            (group(delay_s=1.0, run_at=1.0), InvalidOption),
            (group(entry(b"m" * (limits.JOB_BODY_BYTES_MAX + 1))), BodyTooLarge),
        ):
            with pytest.raises(error):
                store.settle(
                    Outcomes(HOLDER, forgotten=[first], released=[second], children=[(first, [group(fine), bad])])
                )
        assert states(store, [fine.id]) == [None]
        assert counted(store) == {"running": 2, "accepted_total": 2}
        settle(store, forgotten=[first, second])

    def test_many_children_land_at_once(self, store: Store) -> None:
        put(store)
        fence = take_one(store).fence
        ids = new_ids(2_000)
        settle(store, forgotten=[fence], children=[(fence, [group(*(entry(job_id=one) for one in ids))])])
        assert ids_of(take(store, 2_000)) == ids
