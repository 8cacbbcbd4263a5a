"""Claims about the names of queues: who keeps one, and when an empty queue goes."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.counts import added
from penstock.model.errors import InvalidOption
from penstock.model.job import Filter, Outcomes
from penstock.model.lines import Closed
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues, all_steps
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    HOLDER,
    StoreClaims,
    counted,
    entry,
    group,
    leap,
    put,
    rest,
    see,
    settle,
    succeeded,
    take,
    take_one,
)

DAY_S = limits.QUEUE_EMPTY_S


def used(store: Store, queue: str) -> None:
    """A job comes into a queue and leaves no record."""
    put(store, queue=queue)
    settle(store, forgotten=[take_one(store, queues=[queue]).fence])


def fill(store: Store, count: int, prefix: str = "queue") -> None:
    """Make so many queues, each with a job."""
    store.enqueue([group(queue=f"{prefix}-{number}") for number in range(count)])


class NamingClaims(StoreClaims):
    """Queues that nobody uses any more, and what happens when there are too many."""

    def test_a_queue_that_was_empty_for_long_is_removed_and_stays_in_the_totals(
        self, store: Store, clock: VirtualClock
    ) -> None:
        used(store, "a")
        put(store, queue="b")
        rest(store)
        before = store.totals().counts
        leap(store, clock, DAY_S - 1)
        assert set(all_queues(store)) == {"a", "b"}
        leap(store, clock, 1)
        totals = store.totals()
        assert set(all_queues(store)) == {"b"}
        assert (totals.queues, totals.counts) == (1, before)
        assert (totals.removed.accepted_total, totals.removed.succeeded_total) == (1, 1)
        assert added([totals.removed, *all_queues(store).values()]) == totals.counts

    def test_a_queue_with_a_job_or_a_record_stays(self, store: Store, clock: VirtualClock) -> None:
        put(store, queue="waits", delay_s=90 * DAY_S)
        put(store, queue="ended")
        fence = take_one(store, queues=["ended"]).fence
        settle(store, succeeded=[succeeded(fence, clock, keep_record_s=10 * DAY_S)])
        leap(store, clock, 5 * DAY_S)
        assert set(all_queues(store)) == {"waits", "ended"}
        leap(store, clock, 5 * DAY_S)
        leap(store, clock, DAY_S)
        assert set(all_queues(store)) == {"waits"}

    def test_a_closed_queue_stays(self, store: Store, clock: VirtualClock) -> None:
        for name in ("whole", "of-a-task", "open"):
            used(store, name)
        store.close_lines(Closed.PAUSED, queue="whole")
        store.close_lines(Closed.PAUSED, queue="of-a-task", task="app.work")
        store.close_lines(Closed.PAUSED, task="app.work")
        rest(store)
        leap(store, clock, DAY_S)
        assert set(all_queues(store)) == {"whole", "of-a-task"}
        store.open_lines(queue="whole")
        leap(store, clock, DAY_S)
        leap(store, clock, DAY_S)
        assert set(all_queues(store)) == {"of-a-task"}

    def test_lines_are_closed_and_opened_when_queues_were_removed(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store, 3, queue="a")
        for held in take(store, 2):
            settle(store, forgotten=[held.fence])
        store.cancel(ids)
        leap(store, clock, 31 * DAY_S)
        leap(store, clock, DAY_S)
        assert all_queues(store) == {}
        store.close_lines(Closed.PAUSED, task="app.work")
        (job,) = put(store, queue="a")
        assert take(store) == []
        store.open_lines(task="app.work")
        assert take_one(store).job.id == job

    def test_a_queue_that_is_used_has_its_time_anew(self, store: Store, clock: VirtualClock) -> None:
        used(store, "a")
        leap(store, clock, DAY_S - 1)
        used(store, "a")
        leap(store, clock, DAY_S - 1)
        assert counted(store, "a")["accepted_total"] == 2

    def test_a_queue_that_was_removed_comes_again_when_it_is_named(self, store: Store, clock: VirtualClock) -> None:
        used(store, "a")
        rest(store)
        leap(store, clock, DAY_S)
        assert all_queues(store) == {}
        (job,) = put(store, queue="a")
        assert counted(store, "a") == {"ready": 1, "accepted_total": 1}
        assert see(store, job).queue == "a"
        assert take_one(store, queues=["a"]).job.id == job
        assert store.totals().counts.accepted_total == 2

    def test_arrival_goes_on_where_it_was_when_a_queue_is_removed(self, store: Store, clock: VirtualClock) -> None:
        (first,) = put(store, queue="b", priority=-1)
        used(store, "a")
        rest(store)
        leap(store, clock, DAY_S)
        (second,) = put(store, queue="a", priority=-1)
        assert [take_one(store).job.id, take_one(store).job.id] == [first, second]

    def test_when_names_run_short_empty_queues_give_way_at_once(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "QUEUES_MAX", 20)
        fill(store, limits.QUEUES_MAX)
        with pytest.raises(InvalidOption) as refused:
            put(store, queue="one-more")
        assert refused.value.field == "queue"
        store.delete_where(Filter(queue="queue-7"))
        put(store, queue="one-more")
        totals = store.totals()
        assert (totals.queues, totals.removed.accepted_total, totals.counts.discarded_total) == (
            limits.QUEUES_MAX,
            1,
            1,
        )
        assert counted(store, "one-more") == {"ready": 1, "accepted_total": 1}
        with pytest.raises(InvalidOption):
            put(store, queue="another")

    def test_where_there_are_too_many_queues_nothing_is_accepted_and_nothing_moved(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "QUEUES_MAX", 20)
        fill(store, limits.QUEUES_MAX)
        held = take_one(store, queues=["queue-3"])
        job = entry()
        before = store.totals()
        for groups in ([group(job, queue="queue-5"), group(queue="one-more")], [group(queue="one-more"), group(job)]):
            with pytest.raises(InvalidOption):
                store.enqueue(groups)
            with pytest.raises(InvalidOption):
                store.settle(Outcomes(HOLDER, forgotten=[held.fence], children=[(held.fence, groups)]))
        with pytest.raises(InvalidOption):
            store.move([held.job.id], "one-more")
        with pytest.raises(InvalidOption):
            store.move_where(Filter(queue="queue-1"), "one-more")
        assert store.totals() == before
        assert store.get([job.id]) == [None]
        assert see(store, held.job.id).state is State.RUNNING

    def test_all_names_are_free_again_when_all_queues_are_empty(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "QUEUES_MAX", 300)
        fill(store, limits.QUEUES_MAX)
        assert all_steps(lambda cursor: store.delete_where(Filter(), cursor=cursor)) == limits.QUEUES_MAX
        fill(store, limits.QUEUES_MAX // 2, "other")
        totals = store.totals()
        assert totals.queues == limits.QUEUES_MAX
        assert totals.removed.accepted_total == limits.QUEUES_MAX // 2
        assert totals.counts.ready == limits.QUEUES_MAX // 2
