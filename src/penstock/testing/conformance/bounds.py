"""Claims about requests that no store can do: refused by type, alone, and without a trace."""
# ruff: noqa: ARG005, D102 - each call takes what all are given; the name of a test is its claim

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.ids import new_id
from penstock.model.job import (
    Buried,
    Extension,
    Filter,
    JobEntry,
    LeaseRequest,
    Outcomes,
    Progress,
    Retried,
    Snoozed,
    TaskRecord,
)
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    HOLDER,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
)

_NUMBERS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_HUGE: Final = (1 << 64) - 1
_CALLS: Final[dict[str, Callable[[Store, int, bytes, float], Any]]] = {
    "delay_s": lambda s, f, j, x: s.enqueue([group(delay_s=x)]),
    "run_at": lambda s, f, j, x: s.enqueue([group(run_at=x)]),
    "expires_s": lambda s, f, j, x: s.enqueue([group(expires_s=x)]),
    "lease_s": lambda s, f, j, x: s.lease(LeaseRequest(HOLDER, 1, lease_s=x)),
    "extend": lambda s, f, j, x: s.extend(Extension(HOLDER, [f], lease_s=x)),
    "started": lambda s, f, j, x: s.extend(Extension(HOLDER, [f], started=[(f, x)])),
    "progress": lambda s, f, j, x: s.extend(Extension(HOLDER, [f], progress=[(f, Progress(x))])),
    "progress total": lambda s, f, j, x: s.extend(Extension(HOLDER, [f], progress=[(f, Progress(1.0, x))])),
    "retry delay": lambda s, f, j, x: s.settle(Outcomes(HOLDER, retried=[Retried(f, x, ERROR)])),
    "snooze delay": lambda s, f, j, x: s.settle(Outcomes(HOLDER, snoozed=[Snoozed(f, x)])),
    "keep dead": lambda s, f, j, x: s.settle(Outcomes(HOLDER, buried=[Buried(f, ERROR, keep_s=x)])),
    "edit": lambda s, f, j, x: s.edit([j], run_at=x),
    "task record": lambda s, f, j, x: s.register_tasks([TaskRecord("app.work", keep_record_s=x)]),
    "task expiry": lambda s, f, j, x: s.register_tasks([TaskRecord("app.work", expires_s=x)]),
}
_BAD: Final[dict[str, Callable[[Store, int, bytes], Any]]] = {
    "a lease of more than an hour": lambda s, f, j: s.lease(LeaseRequest(HOLDER, 1, lease_s=3_600.1)),
    "a lease of less than nothing": lambda s, f, j: s.lease(LeaseRequest(HOLDER, 1, lease_s=-0.1)),
    "an extension of more than an hour": lambda s, f, j: s.extend(Extension(HOLDER, [f], lease_s=3_600.1)),
    "negative limit": lambda s, f, j: s.lease(LeaseRequest(HOLDER, -1)),
    "empty cursor": lambda s, f, j: s.query(Filter(), cursor=""),
    "cursor that is a number": lambda s, f, j: s.query(Filter(), cursor="5"),
    "long cursor": lambda s, f, j: s.query(Filter(), cursor="9" * 10_000),
    "cursor in other letters": lambda s, f, j: s.query(Filter(), cursor="\u0661\u0662"),
    "strange cursor of a step": lambda s, f, j: s.delete_where(Filter(), cursor="no cursor"),
    "strange cursor of counts": lambda s, f, j: s.stats(cursor="no cursor"),
    "cursor with the busiest queues": lambda s, f, j: s.stats(cursor="no cursor", busiest=True),
    "huge priority": lambda s, f, j: s.enqueue([group(priority=_HUGE)]),
    "huge priority of an edit": lambda s, f, j: s.edit([j], priority=-_HUGE // 2),
    "huge checksum": lambda s, f, j: s.enqueue([group(JobEntry(new_id(), BODY, _HUGE))]),
    "queue with a NUL": lambda s, f, j: s.move([j], "a\0b"),
    "task with a NUL": lambda s, f, j: s.enqueue([group(task="app\0work")]),
    "record without a name": lambda s, f, j: s.register_tasks([TaskRecord("")]),
    "record of a huge priority": lambda s, f, j: s.register_tasks([TaskRecord("app.work", priority=_HUGE)]),
    "record of huge attempts": lambda s, f, j: s.register_tasks([TaskRecord("app.work", max_attempts=_HUGE)]),
}


class BoundsClaims(StoreClaims):
    """What is refused, and that nothing of it stays."""

    @pytest.mark.parametrize("number", _NUMBERS)
    @pytest.mark.parametrize("call", _CALLS)
    def test_a_time_that_is_no_number_is_refused_and_changes_nothing(
        self, store: Store, clock: VirtualClock, call: str, number: str
    ) -> None:
        self._refused(store, clock, lambda fence, job: _CALLS[call](store, fence, job, _NUMBERS[number]))

    @pytest.mark.parametrize("call", _BAD)
    def test_what_is_out_of_range_is_refused_and_changes_nothing(
        self, store: Store, clock: VirtualClock, call: str
    ) -> None:
        self._refused(store, clock, lambda fence, job: _BAD[call](store, fence, job))

    def _refused(self, store: Store, clock: VirtualClock, call: Callable[[int, bytes], Any]) -> None:
        running, waiting = put(store, 2)
        (held,) = take(store, 1)
        before = counted(store), store.tasks()
        with pytest.raises(InvalidOption):
            call(held.fence, waiting)
        assert (counted(store), store.tasks()) == before
        assert states(store, [running, waiting]) == [State.RUNNING, State.READY]
        assert see(store, running).progress is None
        settle(store, succeeded=[succeeded(held.fence, clock)])

    @pytest.mark.parametrize("fence", [(1 << 63) - 1, 1, 0])
    def test_a_fence_that_never_was_is_stale_whatever_it_is(
        self, store: Store, clock: VirtualClock, fence: int
    ) -> None:
        assert store.settle(Outcomes(HOLDER, forgotten=[fence])).stale == [fence]
        assert store.settle(Outcomes(HOLDER, succeeded=[succeeded(fence, clock)])).stale == [fence]
        assert store.extend(Extension(HOLDER, [fence], started=[(fence, 1.0)])).lost == [fence]

    def test_more_than_fits_an_answer_is_refused_and_less_is_answered(
        self, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "ANSWER_BYTES_MAX", 10_000)
        ids = put(store, 3)
        result = b"m" + bytes(4_000)
        settle(store, succeeded=[succeeded(held.fence, clock, result) for held in take(store)])
        with pytest.raises(BodyTooLarge, match="fewer"):
            store.get(ids, result=True)
        assert [view.result for view in store.get(ids[:2], result=True) if view] == [result] * 2
        assert states(store, ids) == [State.SUCCEEDED] * 3

    @pytest.mark.parametrize("ahead_s", [-1_000_000.0, 1_000_000.0])
    def test_results_and_records_are_kept_by_the_stores_clock(
        self, store: Store, clock: VirtualClock, ahead_s: float
    ) -> None:
        (job,) = put(store)
        (held,) = take(store)
        outcome = succeeded(held.fence, clock, b"m\x01", keep_result_s=10.0, keep_record_s=20.0)
        at = clock.time() + ahead_s
        settle(store, succeeded=[type(outcome)(held.fence, at - 1.0, at, b"m\x01", 10.0, 20.0)])
        view = see(store, job, result=True)
        assert (view.result, view.started_at, view.finished_at) == (b"m\x01", at - 1.0, at), "its times fit each other"
        elapse(store, clock, 9.0)
        assert see(store, job).result_kept
        elapse(store, clock, 1.0)
        assert not see(store, job).result_kept
        elapse(store, clock, 10.0)
        assert states(store, [job]) == [None]

    def test_a_batch_with_one_bad_job_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(InvalidOption):
            store.enqueue([group(entry(), entry()), group(entry(), expires_s=math.nan)])
        assert counted(store) == {}
