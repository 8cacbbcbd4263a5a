"""Claims about the jobs that land with an outcome, and that a settlement happens whole or not at all."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.ids import new_ids
from penstock.model.job import JobGroup, Outcomes, Refused, Retried, Snoozed
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
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

    @pytest.mark.parametrize("place", range(10))
    def test_children_land_with_success_only(self, store: Store, clock: VirtualClock, place: int) -> None:
        put(store)
        fence = take_one(store).fence
        outcome = [*each_outcome(fence, clock), {"refused": [Refused(fence, ERROR)]}][place]
        child = entry()
        settle(store, **outcome, children=[(fence, [group(child, queue="q")])])
        lands = bool(outcome.keys() & {"forgotten", "succeeded"})
        assert states(store, [child.id]) == [State.READY if lands else None]
        assert counted(store, "q") == ({"ready": 1, "accepted_total": 1} if lands else {})

    def test_children_of_a_success_that_nothing_is_kept_of_land(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        fence = take_one(store).fence
        child = entry()
        unkept = succeeded(fence, clock, b"m1", keep_result_s=0.0, keep_record_s=0.0)
        settle(store, succeeded=[unkept], children=[(fence, [group(child)])])
        assert states(store, [child.id]) == [State.READY]

    def test_children_of_a_job_that_was_to_be_cancelled_and_succeeded_land(self, store: Store) -> None:
        (job,) = put(store)
        fence = take_one(store).fence
        store.cancel([job])
        child = entry()
        settle(store, forgotten=[fence], children=[(fence, [group(child)])])
        assert states(store, [child.id]) == [State.READY]

    def test_children_of_another_holders_job_do_not_land(self, store: Store) -> None:
        put(store)
        fence = take_one(store).fence
        child = entry()
        outcomes = Outcomes(OTHER_HOLDER, forgotten=[fence], children=[(fence, [group(child, queue="q")])])
        assert store.settle(outcomes).stale == [fence]
        assert states(store, [child.id]) == [None]
        settle(store, forgotten=[fence])

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

    def test_many_children_land_at_once(self, store: Store) -> None:
        put(store)
        fence = take_one(store).fence
        ids = new_ids(2_000)
        settle(store, forgotten=[fence], children=[(fence, [group(*(entry(job_id=one) for one in ids))])])
        assert ids_of(take(store, 2_000)) == ids


def _too_many(fences: list[int]) -> list[tuple[int, list[JobGroup]]]:
    """Children of two jobs, none of which has too many, and which are too many together."""
    half = limits.BATCH_JOBS_MAX // 2 + 1
    return [(fence, [group(*(entry(job_id=one) for one in new_ids(half)))]) for fence in fences[:2]]


def _said_of(fences: list[int], clock: VirtualClock) -> dict[str, Any]:
    """Each job of nine has another outcome."""
    first, second, *rest = (each_outcome(fence, clock)[place] for place, fence in enumerate(fences[:8]))
    return {**first, **second, **{name: said for one in rest for name, said in one.items()}}


REFUSED: dict[str, tuple[type[Exception], Callable[[list[int]], dict[str, Any]]]] = {
    "a time that is none": (InvalidOption, lambda f: {"snoozed": [Snoozed(f[3], math.nan)]}),
    "a fence said twice": (InvalidOption, lambda f: {"released": [*f[7:8], f[0]]}),
    "a fence said twice in one list": (InvalidOption, lambda f: {"forgotten": [f[0], f[0]]}),
    "too many outcomes": (BodyTooLarge, lambda f: {"released": list(range(f[8], f[8] + limits.SETTLE_JOBS_MAX))}),
    "a child at two times": (InvalidOption, lambda f: {"children": [(f[0], [group(delay_s=1.0, run_at=1.0)])]}),
    "a child of no task": (InvalidOption, lambda f: {"children": [(f[1], [group(), group(task="")])]}),
    "a child in no queue": (InvalidOption, lambda f: {"children": [(f[1], [group(queue="no name")])]}),
    "a child with a short id": (InvalidOption, lambda f: {"children": [(f[1], [group(entry(job_id=b"short"))])]}),
    "a child too large": (
        BodyTooLarge,
        lambda f: {"children": [(f[0], [group()]), (f[1], [group(entry(bytes(limits.JOB_BODY_BYTES_MAX + 1)))])]},
    ),
    "too many children of one job": (
        BodyTooLarge,
        lambda f: {"children": [(f[0], [group(*(entry(job_id=i) for i in new_ids(limits.BATCH_JOBS_MAX + 1)))])]},
    ),
    "too many children together": (BodyTooLarge, lambda f: {"children": _too_many(f)}),
    "a child of a stale fence that may not be": (InvalidOption, lambda f: {"children": [(f[8] + 1, [group(task="")])]}),
}
"""Why a settlement is refused, and what is said in it beside an outcome of each kind."""


class WholeClaims(StoreClaims):
    """A settlement happens whole or not at all."""

    @pytest.mark.parametrize("why", REFUSED)
    def test_a_settlement_that_is_refused_changes_nothing(self, store: Store, clock: VirtualClock, why: str) -> None:
        error, about = REFUSED[why]
        jobs = put(store, 9)
        fences = [held.fence for held in take(store)]
        said = _said_of(fences, clock)
        before = (store.get(jobs), all_queues(store))
        with pytest.raises(error):
            store.settle(Outcomes(HOLDER, **{**said, **about(fences)}))
        assert (store.get(jobs), all_queues(store)) == before
        settle(store, **said)
        assert counted(store)["running"] == 1

    def test_at_the_limit_of_queues_a_child_in_a_new_one_refuses_all(
        self, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "QUEUES_MAX", 20)
        jobs = put(store, 9, queue="q0")
        store.enqueue([group(queue=f"q{number}") for number in range(1, limits.QUEUES_MAX)])
        fences = [held.fence for held in take(store, queues=["q0"])]
        said = _said_of(fences, clock)
        fits, new = entry(), entry()
        children = [(fences[0], [group(fits, queue="q7")]), (fences[1], [group(new, queue="one_more")])]
        before = (store.get(jobs), store.totals())
        with pytest.raises(InvalidOption, match="QUEUES_MAX"):
            store.settle(Outcomes(HOLDER, **said, children=children))
        assert (store.get(jobs), store.totals()) == before
        assert states(store, [fits.id, new.id]) == [None, None]
        # Those that do not land make no queue.
        settle(store, **said, children=[children[0], (fences[2], children[1][1])])
        assert states(store, [fits.id, new.id]) == [State.READY, None]

    def test_children_that_do_not_land_are_not_counted(self, store: Store, clock: VirtualClock) -> None:
        put(store, 4)
        fences = [held.fence for held in take(store)]
        settle(store, released=fences[3:])
        children = [*_too_many(fences), *_too_many(fences[3:] * 2)]
        outcomes = Outcomes(
            HOLDER,
            forgotten=[fences[0], fences[3]],
            retried=[Retried(fences[1], 0.0, ERROR)],
            succeeded=[succeeded(fences[2], clock)],
            children=children,
        )
        assert store.settle(outcomes).stale == [fences[3]]
        assert counted(store)["accepted_total"] == 4 + limits.BATCH_JOBS_MAX // 2 + 1
