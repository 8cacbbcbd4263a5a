"""Claims about `Store.lease`: what is given out, in which order, with which fence."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import msgspec

from penstock.model import limits
from penstock.model.job import JobEntry, JobExtra, Retried, Snoozed, checksum
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    OTHER_HOLDER,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    ids_of,
    near,
    put,
    rest,
    see,
    settle,
    states,
    take,
    take_one,
)


class OrderClaims(StoreClaims):
    """Priority first, then arrival."""

    def test_jobs_are_leased_in_the_order_they_arrived(self, store: Store) -> None:
        ids = put(store, 3) + put(store, 2) + put(store)
        assert ids_of(take(store, 4)) + ids_of(take(store, 4)) == ids

    def test_arrival_not_the_id_decides(self, store: Store) -> None:
        first, second = entry(), entry()
        store.enqueue([group(second), group(first)])
        assert ids_of(take(store)) == [second.id, first.id]

    def test_a_higher_priority_comes_first(self, store: Store) -> None:
        low, normal = put(store, priority=-100), put(store, 2)
        high, higher = put(store, 2, priority=99), put(store, priority=100)
        assert ids_of(take(store)) == higher + high + normal + low

    def test_all_queues_together_are_merged_by_priority_and_arrival(self, store: Store) -> None:
        first = put(store, queue="b")
        second = put(store, queue="a")
        urgent = put(store, queue="c", priority=1)
        third = put(store, queue="b")
        assert ids_of(take(store)) == urgent + first + second + third

    def test_a_list_of_queues_is_drained_in_its_order(self, store: Store) -> None:
        urgent = put(store, 2, queue="b", priority=50)
        modest = put(store, 2, queue="a", priority=-50)
        put(store, queue="c", priority=100)
        assert ids_of(take(store, 3, queues=["a", "b"])) == modest + urgent[:1]
        assert ids_of(take(store, 3, queues=["a", "b"])) == urgent[1:]

    def test_other_queues_are_left_alone(self, store: Store) -> None:
        (job,) = put(store, queue="images")
        assert take(store, queues=["default"]) == take(store, queues=[]) == take(store, queues=["none"]) == []
        assert states(store, [job]) == [State.READY]
        assert take_one(store, queues=["none", "images"]).job.queue == "images"

    def test_a_retried_job_queues_up_anew(self, store: Store) -> None:
        first, second, third = put(store, 3)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        assert ids_of(take(store)) == [second, third, first]

    def test_a_snoozed_job_queues_up_anew(self, store: Store) -> None:
        first, second = put(store, 2)
        settle(store, snoozed=[Snoozed(take_one(store).fence, 0.0)])
        assert ids_of(take(store)) == [second, first]

    def test_a_retried_job_keeps_its_priority(self, store: Store) -> None:
        (urgent,) = put(store, priority=5)
        (normal,) = put(store)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        assert ids_of(take(store)) == [urgent, normal]

    def test_a_released_job_has_its_old_place(self, store: Store) -> None:
        first, second, third = put(store, 3)
        settle(store, released=[held.fence for held in reversed(take(store, 2))])
        assert ids_of(take(store)) == [first, second, third]

    def test_due_jobs_arrive_in_the_order_of_their_times(self, store: Store, clock: VirtualClock) -> None:
        late, soon = put(store, delay_s=2.0), put(store, delay_s=1.0)
        (waits,) = put(store)
        clock.advance(2.5)
        rest(store)
        assert ids_of(take(store)) == [waits, *soon, *late]

    def test_a_due_job_arrives_when_it_is_promoted(self, store: Store, clock: VirtualClock) -> None:
        (late,) = put(store, delay_s=1.0)
        (early,) = put(store)
        elapse(store, clock, 1.0)
        (last,) = put(store)
        assert ids_of(take(store)) == [early, late, last]


class TaskClaims(StoreClaims):
    """A lease that names tasks."""

    def test_jobs_of_other_tasks_are_left_alone(self, store: Store) -> None:
        (other,) = put(store, task="app.other", priority=50)
        mine = put(store, 2, task="app.mine")
        assert ids_of(take(store, tasks=["app.mine", "app.new"])) == mine
        assert take(store, tasks=["app.mine"]) == take(store, tasks=[]) == take(store, tasks=["app.none"]) == []
        assert states(store, [other]) == [State.READY]
        assert ids_of(take(store)) == [other]

    def test_the_tasks_that_are_named_are_merged_in_order(self, store: Store) -> None:
        first = put(store, 2, task="app.one")
        put(store, task="app.two")
        second = put(store, task="app.three", queue="b")
        third = put(store, task="app.one")
        urgent = put(store, task="app.three", priority=1)
        assert ids_of(take(store, tasks=["app.three", "app.one"])) == urgent + first + second + third

    def test_a_list_of_queues_is_drained_in_its_order_task_by_task(self, store: Store) -> None:
        later = put(store, task="app.one", queue="b", priority=9)
        put(store, task="app.two", queue="a")
        sooner = put(store, task="app.one", queue="a")
        assert ids_of(take(store, queues=["a", "b"], tasks=["app.one"])) == sooner + later

    def test_a_job_that_comes_back_is_found_by_its_task(self, store: Store) -> None:
        first, second = put(store, 2, task="app.one")
        held = take(store, tasks=["app.one"])
        settle(store, released=[held[1].fence], retried=[Retried(held[0].fence, 0.0, ERROR)])
        assert take(store, tasks=["app.two"]) == []
        assert ids_of(take(store, tasks=["app.one"])) == [second, first]

    def test_a_moved_job_is_in_the_line_of_its_task_there(self, store: Store) -> None:
        one, two = put(store, task="app.one"), put(store, task="app.two")
        store.move([*one, *two], "b")
        assert take(store, queues=["default"]) == []
        assert ids_of(take(store, queues=["b"], tasks=["app.two"])) == two
        assert ids_of(take(store, queues=["b"], tasks=["app.one"])) == one

    def test_many_lines_are_given_out_in_the_order_of_arrival(self, store: Store) -> None:
        """So many that a store can hardly know all of each by heart, some short and some long."""
        ids: list[bytes] = []
        for turn in range(60):
            for line in range(12):
                if turn % (line + 1) == 0:
                    ids += put(store, 1 + turn % 3, task=f"app.t{line % 4}", queue=f"q{line}")
        got: list[bytes] = []
        while some := ids_of(take(store, 37)):
            got += some
        assert got == ids


class LeasingClaims(StoreClaims):
    """What a lease gives."""

    def test_an_empty_store_gives_nothing(self, store: Store) -> None:
        assert take(store) == []

    def test_a_leased_job_runs_and_is_not_given_out_again(self, store: Store) -> None:
        (job,) = put(store)
        assert ids_of(take(store)) == [job]
        assert take(store, holder=OTHER_HOLDER) == []
        assert see(store, job).state is State.RUNNING
        assert counted(store) == {"running": 1, "accepted_total": 1}

    def test_at_most_the_limit_is_given(self, store: Store) -> None:
        put(store, 5)
        assert [len(take(store, limit)) for limit in (0, 2, 1, 9)] == [0, 2, 1, 2]

    def test_no_lease_is_larger_than_the_named_limit(self, store: Store) -> None:
        put(store, limits.LEASE_JOBS_MAX + 1)
        assert len(take(store, limits.LEASE_JOBS_MAX * 2)) == limits.LEASE_JOBS_MAX

    def test_every_fence_is_greater_than_any_before(self, store: Store) -> None:
        put(store, 3)
        put(store, 3, queue="other")
        fences = [held.fence for _ in range(3) for held in take(store, 2)]
        settle(store, released=fences[:2], retried=[Retried(fences[2], 0.0, ERROR)])
        fences += [held.fence for held in take(store)]
        assert len(fences) == 9
        assert fences == sorted(set(fences))

    def test_attempts_count_from_one(self, store: Store) -> None:
        (job,) = put(store)
        for attempt in (1, 2, 3):
            held = take_one(store)
            assert held.job.attempt == see(store, job).attempt == attempt
            settle(store, retried=[Retried(held.fence, 0.0, ERROR)])
            assert see(store, job).attempt == attempt

    def test_each_job_comes_with_its_task_and_queue(self, store: Store) -> None:
        names = ["a", "b", "a", "c", "b"]
        for name in names:
            put(store, task=f"app.{name}", queue=name)
        held = take(store)
        assert [one.task for one in held] == [f"app.{name}" for name in names]
        assert [one.job.queue for one in held] == names

    def test_more_tasks_than_a_batch_can_name_take_several(self, store: Store) -> None:
        names = [f"app.task_{number}" for number in range(600)]
        store.enqueue([group(task=name) for name in names])
        given: list[str] = []
        while held := take(store, limits.LEASE_JOBS_MAX):
            given += [one.task for one in held]
        assert given == names

    def test_headers_and_tags_travel_packed_and_only_where_there_are_any(self, store: Store) -> None:
        put(store)
        put(store, headers={"a": "ü"}, tags=["t"])
        put(store, tags=["t"])
        plain, both, tagged = (held.job.extra for held in take(store))
        assert plain is None
        assert both is not None
        assert msgspec.msgpack.decode(both, type=JobExtra) == JobExtra({"a": "ü"}, ["t"])
        assert tagged is not None
        assert msgspec.msgpack.decode(tagged, type=JobExtra) == JobExtra(None, ["t"])

    def test_a_thousand_queues_are_drained(self, store: Store) -> None:
        jobs = [entry() for _ in range(1_000)]
        store.enqueue([group(job, queue=f"q{place}") for place, job in enumerate(jobs)])
        assert ids_of(take(store, 1_000)) == [job.id for job in jobs]
        assert store.totals().queues == 1_000

    def test_a_scheduled_job_is_not_given_out_before_its_time(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, delay_s=10.0)
        elapse(store, clock, 9.0)
        assert take(store) == []
        elapse(store, clock, 1.0)
        assert see(store, job).state is State.READY
        assert ids_of(take(store)) == [job]

    def test_an_expired_job_is_not_given_out(self, store: Store, clock: VirtualClock) -> None:
        (stale,) = put(store, expires_s=10.0)
        (fresh,) = put(store, expires_s=10.5)
        clock.advance(10.0)
        assert ids_of(take(store)) == [fresh]
        rest(store)
        assert see(store, stale).state is State.EXPIRED
        assert see(store, stale).finished_at == near(clock.time())
        assert counted(store) == {"expired": 1, "running": 1, "accepted_total": 2, "expired_total": 1}

    def test_expired_jobs_in_front_do_not_hide_those_behind(self, store: Store, clock: VirtualClock) -> None:
        put(store, 30, expires_s=1.0)
        fresh = put(store, 2)
        clock.advance(1.0)
        assert ids_of(take(store, 2)) == fresh

    def test_a_body_that_fails_its_checksum_is_dead_and_never_given_out(
        self, store: Store, clock: VirtualClock
    ) -> None:
        spoilt = JobEntry(entry().id, BODY, checksum(BODY) ^ 1)
        (behind,) = (entry(),)
        store.enqueue([group(spoilt, behind)])
        assert ids_of(take(store, 1)) == [behind.id]
        view = see(store, spoilt.id)
        assert view.state is State.DEAD
        assert view.error is not None
        assert view.error.type == "Corrupt"
        assert view.finished_at == near(clock.time())
        assert counted(store) == {"dead": 1, "running": 1, "accepted_total": 2, "dead_total": 1}

    def test_a_corrupt_job_takes_no_fence(self, store: Store) -> None:
        spoilt = JobEntry(entry().id, BODY, checksum(BODY) ^ 1)
        ids = [entry(), spoilt, entry(), entry()]
        store.enqueue([group(*ids)])
        held = take(store)
        assert ids_of(held) == [ids[0].id, ids[2].id, ids[3].id]
        settle(store, forgotten=[one.fence for one in held])
