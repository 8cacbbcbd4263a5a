"""Claims about reading: `Store.get`, `Store.query`, `Store.stats`, `Store.tasks`, `Store.capabilities`."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.model import limits
from penstock.model.counts import added
from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import Buried, Filter, JobView, QueueStats, Retried, Snoozed, TaskRecord, Totals
from penstock.model.states import State
from penstock.ports import Store
from penstock.store.paging import all_queues, full_page
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    id_at,
    leap,
    ledger,
    near,
    one_of_each,
    put,
    rest,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)


def pages(store: Store, where: Filter, limit: int) -> Iterator[list[JobView]]:
    """Every page of a query."""
    cursor = None
    while True:
        page = store.query(where, cursor=cursor, limit=limit)
        yield page.jobs
        cursor = page.cursor
        if cursor is None:
            return


def found(store: Store, limit: int = 100, **where: object) -> list[bytes]:
    """The ids of every job that a filter finds, in order."""
    return [view.id for jobs in pages(store, Filter(**where), limit) for view in jobs]  # type: ignore[arg-type]  # by name


class AskingClaims(StoreClaims):
    """By id."""

    def test_answers_come_in_the_order_of_the_ids(self, store: Store) -> None:
        first, second = put(store, 2)
        unknown = new_id()
        views = store.get([second, unknown, first, second])
        assert [view and view.id for view in views] == [second, None, first, second]
        assert store.get([]) == []

    def test_large_fields_come_only_when_asked_for(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, b"m1")])
        assert (see(store, job).body, see(store, job).result) == (None, None)
        view = see(store, job, body=True, result=True)
        assert (view.body, view.result) == (BODY, b"m1")

    def test_tasks_are_listed_by_name_and_the_latest_record_stands(self, store: Store) -> None:
        assert store.tasks() == []
        late = TaskRecord("b", "q", 3, 7, 5.0, 1.0, 2.0, ("t", "ü"), '{"x": 1}')
        store.register_tasks([TaskRecord("b"), TaskRecord("a")])
        store.register_tasks([late, TaskRecord("c")])
        store.register_tasks([])
        assert store.tasks() == [TaskRecord("a"), late, TaskRecord("c")]

    def test_tasks_of_jobs_that_nobody_registered_are_not_listed(self, store: Store) -> None:
        put(store, task="app.unknown")
        assert store.tasks() == []

    def test_a_store_says_what_it_guarantees(self, store: Store) -> None:
        assert store.capabilities().durability in {"memory", "disk", "replicated"}

    def test_a_closed_store_is_unavailable_and_may_be_closed_again(self, clock: VirtualClock) -> None:
        store = self.make_store(clock)
        put(store)
        store.close()
        store.close()
        with pytest.raises(StoreUnavailable):
            store.enqueue([group()])


class SearchClaims(StoreClaims):
    """By filter."""

    def test_an_empty_store_has_one_empty_page(self, store: Store) -> None:
        page = store.query(Filter())
        assert (page.jobs, page.cursor) == ([], None)

    def test_jobs_are_found_newest_first(self, store: Store) -> None:
        ids = put(store, 3) + put(store, 2, delay_s=9.0)
        assert found(store) == ids[::-1]

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
    def test_pages_show_each_job_once(self, store: Store, limit: int) -> None:
        ids = put(store, 6)
        sizes = [len(jobs) for jobs in pages(store, Filter(), limit)]
        assert found(store, limit) == ids[::-1]
        assert max(sizes) <= limit
        assert len(full_page(store, Filter(), limit=limit).jobs) == min(limit, len(ids))

    def test_a_job_that_comes_in_between_does_not_disturb_the_pages(self, store: Store) -> None:
        ids = put(store, 6)
        first = store.query(Filter(), limit=3)
        put(store, 3)
        second = store.query(Filter(), cursor=first.cursor, limit=3)
        assert [view.id for view in first.jobs + second.jobs] == ids[::-1]

    def test_a_search_goes_on_where_it_was_though_the_jobs_there_are_gone(self, store: Store) -> None:
        ids = put(store, 6)
        first = full_page(store, Filter(), limit=3)
        store.delete(ids[2:4])
        second = full_page(store, Filter(), cursor=first.cursor, limit=3)
        assert [view.id for view in second.jobs] == ids[1::-1]
        assert second.cursor is None

    def test_a_cursor_is_text_and_good_for_a_bulk_action_of_the_same_filter(self, store: Store) -> None:
        ids = put(store, 6)
        cursor = full_page(store, Filter(), limit=2).cursor
        assert isinstance(cursor, str)
        step = store.cancel_where(Filter(), cursor=cursor)
        changed = step.changed
        while step.cursor is not None:
            step = store.cancel_where(Filter(), cursor=step.cursor)
            changed += step.changed
        assert changed == 4
        assert states(store, ids) == [State.CANCELLED] * 4 + [State.READY] * 2

    def test_the_cursor_of_counts_is_none_of_a_search_and_the_other_way_round(self, store: Store) -> None:
        put(store, 2, queue="a")
        put(store, 2, queue="b")
        of_jobs, of_queues = store.query(Filter(), limit=1).cursor, store.stats(limit=1).cursor
        with pytest.raises(InvalidOption):
            store.query(Filter(), cursor=of_queues)
        with pytest.raises(InvalidOption):
            store.stats(cursor=of_jobs)

    def test_a_search_that_matches_none_of_many_jobs_comes_to_its_end(self, store: Store) -> None:
        put(store, 5_000, tags=["x"])
        assert found(store, tag="none") == []
        assert found(store, tag="x", state=State.DEAD) == []

    def test_no_page_is_larger_than_the_named_limit(self, store: Store) -> None:
        put(store, limits.PAGE_JOBS_MAX + 1)
        assert len(store.query(Filter(), limit=limits.PAGE_JOBS_MAX * 2).jobs) == limits.PAGE_JOBS_MAX

    def test_every_field_of_a_filter_must_match(self, store: Store) -> None:
        plain = put(store)
        images = put(store, 2, queue="images")
        thumbs = put(store, 2, queue="images", task="app.thumb", tags=["x", "größe"])
        late = put(store, task="app.thumb", tags=["x"], delay_s=9.0)
        assert found(store, queue="images") == (images + thumbs)[::-1]
        assert found(store, task="app.thumb") == (thumbs + late)[::-1]
        assert found(store, tag="x") == (thumbs + late)[::-1]
        assert found(store, tag="größe", limit=1) == thumbs[::-1]
        assert found(store, state=State.SCHEDULED) == late
        assert found(store, state=State.READY, queue="default") == plain
        assert found(store, tag="x", queue="default", task="app.work") == found(store, queue="none") == []
        assert found(store, tag="none") == found(store, task="none") == found(store, state=State.DEAD) == []

    def test_each_state_can_be_searched_for(self, store: Store, clock: VirtualClock) -> None:
        (expired,) = put(store, expires_s=1.0)
        elapse(store, clock, 1.0)
        good, bad, running = put(store, 3)
        fences = [held.fence for held in take(store)]
        settle(store, succeeded=[succeeded(fences[0], clock)], buried=[Buried(fences[1], ERROR)])
        (ready,), (scheduled,), (cancelled,) = put(store), put(store, delay_s=9.0), put(store)
        store.cancel([cancelled])
        expected = {
            State.EXPIRED: expired, State.SUCCEEDED: good, State.DEAD: bad, State.RUNNING: running,
            State.READY: ready, State.SCHEDULED: scheduled, State.CANCELLED: cancelled,
        }  # fmt: skip
        assert {state: found(store, state=state) for state in State} == {
            state: [expected[state]] if state in expected else [] for state in State
        }

    def test_what_is_found_looks_as_it_does_by_id(self, store: Store, clock: VirtualClock) -> None:
        put(store, headers={"a": "b"}, tags=["t"], expires_s=99.0)
        settle(store, retried=[Retried(take_one(store).fence, 9.0, ERROR)])
        put(store)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, b"m1")])
        jobs = store.query(Filter()).jobs
        assert store.get([view.id for view in jobs]) == jobs
        assert len(jobs) == 2

    def test_records_whose_time_is_up_are_not_found(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock, keep_record_s=10.0)])
        clock.advance(10.0)
        assert found(store) == found(store, state=State.SUCCEEDED) == []


class CountingClaims(StoreClaims):
    """Counts."""

    def test_a_store_that_works_has_no_problems(self, store: Store, clock: VirtualClock) -> None:
        one_of_each(store, clock)
        rest(store)
        health = store.health()
        assert health.problems() == []
        assert not health.fails
        assert (health.results_dropped, health.records_dropped) == (0, 0)

    def test_a_store_without_jobs_counts_nothing(self, store: Store) -> None:
        assert all(counted(store, name) == {} for name in all_queues(store))

    def test_queues_are_counted_apart(self, store: Store) -> None:
        put(store, 3, queue="a")
        put(store, 2, queue="b")
        settle(store, forgotten=[take_one(store, queues=["a"]).fence])
        assert counted(store, "a") == {"ready": 2, "accepted_total": 3, "succeeded_total": 1}
        assert counted(store, "b") == {"ready": 2, "accepted_total": 2}

    def test_counts_come_in_pages_that_show_each_queue_once_by_name(self, store: Store) -> None:
        names = [f"queue-{number:02}" for number in range(10)]
        for name in reversed(names):
            put(store, queue=name)
        for limit in (1, 3, 9, 10, 11, limits.PAGE_QUEUES_MAX):
            sizes, cursor = [], None
            shown: list[str] = []
            while True:
                page = store.stats(cursor=cursor, limit=limit)
                assert page.others is None
                sizes.append(len(page.queues))
                shown += page.queues
                cursor = page.cursor
                if cursor is None:
                    break
            assert shown == names
            assert max(sizes) <= limit
            assert all(sizes)

    def test_a_page_of_counts_goes_on_whatever_was_added_before_it(self, store: Store) -> None:
        put(store, queue="b")
        put(store, queue="d")
        first = store.stats(limit=1)
        put(store, queue="a")
        put(store, queue="c")
        assert list(first.queues) == ["b"]
        assert list(store.stats(cursor=first.cursor).queues) == ["c", "d"]

    def test_no_page_of_counts_is_larger_than_the_named_limit(self, store: Store) -> None:
        store.enqueue([group(queue=f"queue-{number}") for number in range(limits.PAGE_QUEUES_MAX + 1)])
        assert len(store.stats(limit=limits.PAGE_QUEUES_MAX * 2).queues) <= limits.PAGE_QUEUES_MAX
        assert len(store.stats().queues) <= limits.PAGE_QUEUES
        assert len(all_queues(store)) == limits.PAGE_QUEUES_MAX + 1

    def test_the_busiest_queues_are_those_that_most_jobs_have_come_into(self, store: Store) -> None:
        for count, name in ((1, "few"), (3, "most"), (2, "many"), (1, "also-few")):
            put(store, count, queue=name)
        store.cancel(put(store, 4, queue="moved-to"))
        store.move(put(store, 2, queue="moved-from"), "many")
        page = store.stats(busiest=True, limit=3)
        assert list(page.queues) == ["many", "moved-to", "most"]
        assert page.cursor is None
        assert {name: ledger(store, name) for name in page.queues} == page.queues
        assert page.others is not None
        assert (page.others.ready, page.others.accepted_total, page.others.moved_out_total) == (2, 4, 2)
        assert added([page.others, *page.queues.values()]) == store.totals().counts

    def test_the_busiest_queues_are_all_of_them_when_they_are_few(self, store: Store) -> None:
        put(store, queue="a")
        page = store.stats(busiest=True)
        assert list(page.queues) == ["a"]
        assert page.others == QueueStats()

    def test_totals_are_the_sum_of_all_queues(self, store: Store, clock: VirtualClock) -> None:
        assert store.totals() == Totals(0, QueueStats(), QueueStats())
        one_of_each(store, clock)
        put(store, 3, queue="a")
        put(store, 2, queue="b", delay_s=9.0)
        settle(store, retried=[Retried(take_one(store, queues=["a"]).fence, 9.0, ERROR)])
        totals = store.totals()
        assert totals.queues == 3
        assert totals.counts == added(all_queues(store).values())
        assert totals.counts.unaccounted() == 0
        assert (totals.counts.ready, totals.counts.scheduled, totals.counts.retried_total) == (3, 4, 1)

    def test_a_queue_that_is_empty_again_keeps_its_totals_for_a_while(self, store: Store) -> None:
        put(store, queue="a")
        settle(store, forgotten=[take_one(store).fence])
        assert set(all_queues(store)) >= {"a"}
        assert ledger(store, "a").ready == 0

    def test_the_age_of_the_oldest_ready_job_is_told(self, store: Store, clock: VirtualClock) -> None:
        put(store, delay_s=900.0)
        assert ledger(store).oldest_ready_age_s is None
        first, second = entry(job_id=id_at(clock.time())), entry(job_id=id_at(clock.time() + 10.0))
        store.enqueue([group(first, priority=-1)])
        clock.advance(10.0)
        store.enqueue([group(second, priority=1)])
        clock.advance(5.0)
        assert ledger(store).oldest_ready_age_s == near(15.0)
        store.delete([first.id])
        assert ledger(store).oldest_ready_age_s == near(5.0)

    def test_a_job_that_was_told_to_wait_ages_from_when_it_could_start(self, store: Store, clock: VirtualClock) -> None:
        put(store, delay_s=900.0)
        leap(store, clock, 900.0)
        settle(store, snoozed=[Snoozed(take_one(store).fence, 60.0)])
        leap(store, clock, 60.0)
        clock.advance(5.0)
        assert ledger(store).oldest_ready_age_s == near(5.0)

    def test_a_revived_job_ages_from_its_revival(self, store: Store, clock: VirtualClock) -> None:
        ids = put(store) + put(store, priority=1)
        store.cancel(ids)
        leap(store, clock, 900.0)
        store.revive(ids)
        clock.advance(5.0)
        assert ledger(store).oldest_ready_age_s == near(5.0)

    def test_counts_are_those_of_the_records(self, store: Store, clock: VirtualClock) -> None:
        put(store, 8)
        put(store, 2, delay_s=9.0)
        fences = [held.fence for held in take(store, 6)]
        settle(
            store,
            forgotten=fences[:1],
            succeeded=[succeeded(fences[1], clock)],
            buried=[Buried(fences[2], ERROR)],
            retried=[Retried(fences[3], 9.0, ERROR)],
        )
        counts = ledger(store)
        assert {state: getattr(counts, state.value) for state in State} == {
            state: len(found(store, state=state)) for state in State
        }
        assert states(store, found(store)).count(State.RUNNING) == 2
