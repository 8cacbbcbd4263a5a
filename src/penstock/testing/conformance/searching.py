"""Claims about finding jobs by what they are, and about what is counted of dead ones."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, TaskFlow, UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import (
    Buried,
    DeadCounts,
    DeadKind,
    Filter,
    JobEntry,
    JobError,
    JobGroup,
    Outcomes,
    Refused,
    Retried,
    TaskRecord,
    checksum,
)
from penstock.model.message_ids import message_id, new_message_ids
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK, MessageEntry, MessageGroup
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.asking import found
from penstock.testing.conformance.kit import (
    BODY,
    HOLDER,
    StoreClaims,
    entry,
    group,
    id_at,
    leap,
    put,
    rest,
    settle,
    succeeded,
    take,
    take_one,
)

TIMEOUT = JobError("TimeoutError", "too slow")
REFUSED = JobError("ConnectionRefusedError", "nobody there")


def put_searchable(store: Store, *, task: str = "app.work", **arguments: str) -> bytes:
    """Enqueue a job that can be found by these arguments."""
    job_id = new_id()
    job = JobEntry(job_id, BODY, checksum(BODY), searchable=arguments)
    assert store.enqueue([JobGroup(task, [job])]).accepted == 1
    return job_id


def bury(store: Store, error: JobError, count: int = 1, **options: Any) -> list[bytes]:
    """Jobs that die of this."""
    ids = put(store, count, **options)
    settle(store, buried=[Buried(held.fence, error) for held in take(store, count)])
    return ids


class FindingClaims(StoreClaims):
    """By key, by error, by time, by arguments."""

    def test_a_job_is_found_by_its_idempotency_key(self, store: Store) -> None:
        first, second, other = entry(key="k"), entry(key="k"), entry(key="l")
        store.enqueue([group(first, other, entry()), group(second, task="app.other")])
        assert sorted(found(store, key="k")) == sorted([first.id, second.id])
        assert found(store, key="k", task="app.other") == [second.id]
        assert found(store, key="l", state=State.READY) == [other.id]
        assert found(store, key="l", state=State.DEAD) == found(store, key="none") == []

    def test_the_copies_of_a_message_are_found_by_its_idempotency_key(self, store: Store) -> None:
        for channel in ("a", "b"):
            store.create_channel("orders", channel)
        wanted, other = (MessageEntry(one, b"rhello", checksum(b"rhello"), key)
                         for one, key in zip(new_message_ids(2), "kl", strict=True))  # fmt: skip
        store.publish("orders", [MessageGroup([wanted, other])])
        assert {message_id(job) for job in found(store, key="k")} == {wanted.id}
        assert len(found(store, key="k")) == 2
        assert len(found(store, key="k", queue="orders:b")) == 1
        assert len(found(store, key="k", task=MESSAGE_TASK)) == 2
        assert found(store, key="k", task="app.work") == []

    def test_a_job_is_found_by_the_unique_key_that_it_holds(self, store: Store, clock: VirtualClock) -> None:
        job = JobEntry(new_id(), BODY, checksum(BODY), unique_key="order 7")
        store.enqueue([JobGroup("app.work", [job, entry()], unique=UniqueRule(("order",)))])
        assert found(store, key="order 7") == found(store, key="order 7", state=State.READY) == [job.id]
        fences = [held.fence for held in take(store)]
        assert found(store, key="order 7", task="app.work") == [job.id]
        assert found(store, key="order 7", task="app.other") == []
        settle(store, succeeded=[succeeded(fence, clock) for fence in fences])
        assert found(store, key="order 7") == []

    def test_jobs_that_are_blocked_are_found_by_the_key_they_are_blocked_for(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.work", flow=TaskFlow(limits=(ConcurrencyRule(1, per="tenant"),)))])
        jobs = [JobEntry(new_id(), BODY, checksum(BODY), values={"tenant": name}) for name in ("acme", "zen") * 3]
        store.enqueue([group(*jobs), group(entry(key="acme"), task="app.other")])
        blocked = [job.id for job in jobs[2:]]
        assert sorted(found(store, state=State.BLOCKED)) == sorted(blocked)
        acme = [job.id for job in jobs[4:1:-2]]
        assert found(store, key="acme", task="app.work") == found(store, key="acme", state=State.BLOCKED) == acme
        assert found(store, key="acme", limit=1)[1:] == acme
        assert found(store, key="app.work", state=State.BLOCKED) == []
        store.pause(queue="default", by="ann")
        assert found(store, key="default\napp.work") == []

    def test_a_key_that_does_not_count_any_more_finds_nothing(self, store: Store, clock: VirtualClock) -> None:
        first = entry(key="k")
        store.enqueue([group(first)])
        clock.advance(limits.IDEMPOTENCY_S)
        assert found(store, key="k") == []
        again = entry(key="k")
        store.enqueue([group(again)])
        assert found(store, key="k") == [again.id]

    def test_dead_jobs_are_found_by_the_type_of_their_error(self, store: Store, clock: VirtualClock) -> None:
        slow = bury(store, TIMEOUT, 3)
        alone = bury(store, REFUSED)
        others = bury(store, TIMEOUT, 2, task="app.other", queue="q")
        put(store)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
        assert found(store, error="TimeoutError") == (slow + others)[::-1]
        assert found(store, error="TimeoutError", state=State.DEAD, limit=1) == (slow + others)[::-1]
        assert found(store, error="TimeoutError", task="app.other") == others[::-1]
        assert found(store, task="app.other", state=State.DEAD) == others[::-1]
        assert found(store, error="TimeoutError", queue="default", state=State.DEAD) == slow[::-1]
        assert found(store, error="ConnectionRefusedError") == alone
        assert found(store, error="Timeout") == found(store, error="TimeoutError", state=State.READY) == []

    def test_waiting_jobs_are_found_by_the_error_of_their_last_attempt(self, store: Store) -> None:
        ready, scheduled, running = put(store, 3)
        fences = [held.fence for held in take(store)]
        settle(store, retried=[Retried(fences[0], 0.0, TIMEOUT), Retried(fences[1], 60.0, TIMEOUT)])
        settle(store, retried=[Retried(fences[2], 0.0, TIMEOUT)])
        store.edit([running], priority=1)
        assert take_one(store).job.id == running
        put(store)
        assert found(store, error="TimeoutError") == [running, scheduled, ready]
        assert found(store, error="TimeoutError", state=State.RUNNING) == [running]
        assert found(store, error="TimeoutError", state=State.SCHEDULED) == [scheduled]

    def test_refused_jobs_are_found_by_why_they_were_refused(self, store: Store) -> None:
        (job,) = put(store)
        put(store, task="app.other")
        refused = Refused(take_one(store, tasks=["app.work"]).fence, JobError("InvalidArguments", "no such argument"))
        store.settle(Outcomes(HOLDER, refused=[refused]))
        assert (
            found(store, error="InvalidArguments") == found(store, error="InvalidArguments", queue="default") == [job]
        )

    def test_jobs_are_found_by_when_they_were_accepted(self, store: Store, clock: VirtualClock) -> None:
        ids, times = [], []
        for _ in range(4):
            # Producers' clocks are not the store's: what counts is when the store accepted.
            for skew_s in (-3_600.0, 0.0, 5.0, 86_400.0):
                job = entry(job_id=id_at(clock.time() + skew_s))
                store.enqueue([group(job)])
                ids.append(job.id)
                times.append(clock.time())
            clock.advance(10.0)
        for since, until in ((None, None), (times[4], None), (None, times[8]), (times[4], times[12]), (1.0, 2.0)):
            expected = [
                job_id
                for job_id, at in zip(ids, times, strict=True)
                if (since is None or since <= at) and (until is None or at < until)
            ]
            assert sorted(found(store, since=since, until=until)) == sorted(expected)
            assert sorted(found(store, since=since, until=until, limit=3, state=State.READY)) == sorted(expected)
        assert found(store, since=clock.time()) == found(store, since=clock.time(), state=State.RUNNING) == []

    def test_jobs_are_found_by_their_searchable_arguments(self, store: Store) -> None:
        first = put_searchable(store, order="7", customer="acme")
        second = put_searchable(store, order="8", customer="acme")
        other = put_searchable(store, task="app.other", order="7")
        put(store)
        assert found(store, arguments={"order": "7"}) == [other, first]
        assert found(store, arguments={"customer": "acme"}, limit=1) == [second, first]
        assert found(store, arguments={"order": "7", "customer": "acme"}) == [first]
        assert found(store, arguments={"order": "7"}, task="app.other") == [other]
        assert found(store, arguments={"order": "7"}, state=State.READY, queue="default") == [other, first]
        assert found(store, arguments={"order": "7"}, state=State.DEAD) == []
        assert found(store, arguments={"order": "none"}) == []
        assert found(store, arguments={}) == found(store)

    def test_an_argument_and_a_key_must_both_match(self, store: Store) -> None:
        jobs = [JobEntry(new_id(), BODY, checksum(BODY), "k", searchable={"order": order}) for order in "78"]
        store.enqueue([group(jobs[0]), group(jobs[1], task="app.other")])
        assert found(store, key="k", arguments={"order": "7"}) == [jobs[0].id]

    def test_a_job_is_found_by_its_arguments_for_as_long_as_it_has_a_record(
        self, store: Store, clock: VirtualClock
    ) -> None:
        ids = [put_searchable(store, order="7") for _ in range(6)]
        fences = [held.fence for held in take(store, 4)]
        settle(
            store,
            forgotten=fences[:1],
            succeeded=[succeeded(fences[1], clock, keep_record_s=10.0)],
            buried=[Buried(fences[2], TIMEOUT, keep_s=20.0)],
            retried=[Retried(fences[3], 0.0, TIMEOUT)],
        )
        assert found(store, arguments={"order": "7"}) == ids[:0:-1]
        assert found(store, arguments={"order": "7"}, state=State.DEAD) == [ids[2]]
        store.cancel(ids[4:5])
        store.delete(ids[4:6])
        assert found(store, arguments={"order": "7"}) == ids[3:0:-1]
        leap(store, clock, 10.0)
        assert found(store, arguments={"order": "7"}) == ids[3:1:-1]
        store.revive([ids[2]])
        assert found(store, arguments={"order": "7"}, state=State.READY) == ids[3:1:-1]
        leap(store, clock, 20.0)
        assert found(store, arguments={"order": "7"}) == ids[3:1:-1]
        assert take_one(store).job.id == ids[3]

    def test_bulk_actions_take_all_filters(self, store: Store, clock: VirtualClock) -> None:
        slow, (alone,) = bury(store, TIMEOUT, 2), bury(store, REFUSED)
        kept, order = put_searchable(store, order="8"), put_searchable(store, order="7")
        assert store.cancel_where(Filter(arguments={"order": "7"})).changed == 1
        assert found(store, state=State.CANCELLED) == [order]
        assert store.revive_where(Filter(state=State.DEAD, error="TimeoutError")).changed == 2
        assert found(store, state=State.READY) == [kept, *slow[::-1]]
        assert store.delete_where(Filter(until=clock.time() + 1.0, error="ConnectionRefusedError")).changed == 1
        assert store.get([alone]) == [None]

    def test_an_argument_that_no_task_declares_is_refused(self, store: Store) -> None:
        flow = TaskFlow(searchable=("order", "customer"))
        store.register_tasks([TaskRecord("app.work", flow=flow), TaskRecord("app.plain")])
        assert found(store, arguments={"order": "7"}) == found(store, arguments={"order": "7"}, task="app.work") == []
        refused = [
            Filter(arguments={"ordre": "7"}),
            Filter(arguments={"order": "7", "ordre": "7"}),
            Filter(arguments={"order": "7"}, task="app.plain"),
        ]
        for where in refused:
            with pytest.raises(InvalidOption) as caught:
                store.query(where)
            assert caught.value.field == "arguments"
            assert "searchable=" in caught.value.message
            for act in (store.cancel_where, store.revive_where, store.delete_where):
                with pytest.raises(InvalidOption):
                    act(where)
            with pytest.raises(InvalidOption):
                store.move_where(where, "q")
        with pytest.raises(InvalidOption, match="customer, order"):
            store.query(refused[0])

    def test_jobs_that_came_before_their_task_was_registered_are_found(self, store: Store) -> None:
        job = put_searchable(store, order="7")
        store.register_tasks([TaskRecord("app.other")])
        assert found(store, arguments={"order": "7"}) == [job]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("key", "k" * (limits.IDEMPOTENCY_KEY_BYTES_MAX + 1)),
            ("error", ""),
            ("error", "E" * (limits.ERROR_TYPE_LENGTH_MAX + 1)),
            ("arguments", {str(number): "" for number in range(limits.JOB_VALUES_MAX + 1)}),
        ],
    )
    def test_what_no_filter_has_is_refused(self, store: Store, field: str, value: Any) -> None:
        with pytest.raises(InvalidOption) as caught:
            store.query(Filter(**{field: value}))
        assert caught.value.field == field

    @pytest.mark.parametrize(
        "searchable",
        [
            {str(number): "" for number in range(limits.JOB_VALUES_MAX + 1)},
            {"": "7"},
            {"n" * (limits.JOB_VALUE_NAME_BYTES_MAX + 1): "7"},
            {"order": "ü" * (limits.JOB_VALUE_BYTES_MAX // 2 + 1)},
        ],
    )
    def test_arguments_beyond_their_bounds_are_refused_with_the_job(
        self, store: Store, searchable: dict[str, str]
    ) -> None:
        job = JobEntry(new_id(), BODY, checksum(BODY), searchable=searchable)
        with pytest.raises(InvalidOption) as caught:
            store.enqueue([group(entry(), job)])
        assert caught.value.field == "searchable"
        assert found(store) == []

    def test_arguments_within_their_bounds_are_kept_whole(self, store: Store) -> None:
        arguments = {f"{number:0200}": f"{number:0256}" for number in range(limits.JOB_VALUES_MAX)}
        job = JobEntry(new_id(), BODY, checksum(BODY), searchable=arguments)
        store.enqueue([group(job)])
        assert found(store, arguments=arguments) == [job.id]

    def test_what_is_found_and_counted_stands_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        (dead,), job = bury(store, TIMEOUT), put_searchable(store, order="7")
        keyed = entry(key="k")
        store.enqueue([group(keyed)])
        counts = store.dead_counts()
        again = self.take_over(store, clock)
        assert again.dead_counts() == counts
        assert found(again, state=State.DEAD, error="TimeoutError") == [dead]
        assert found(again, arguments={"order": "7"}) == [job]
        assert found(again, key="k") == [keyed.id]
        assert found(again, until=clock.time()) == []
        again.delete([dead, job])
        assert again.dead_counts() == DeadCounts([], 0)
        assert found(again) == [keyed.id]


class DeadCountClaims(StoreClaims):
    """Dead records by task and type of error."""

    def test_dead_records_are_counted_by_task_and_error(self, store: Store) -> None:
        assert store.dead_counts() == DeadCounts([], 0)
        bury(store, TIMEOUT, 3)
        bury(store, REFUSED)
        bury(store, TIMEOUT, 2, task="app.other", queue="q")
        assert store.dead_counts() == DeadCounts(
            [
                DeadKind("app.work", "TimeoutError", 3),
                DeadKind("app.other", "TimeoutError", 2),
                DeadKind("app.work", "ConnectionRefusedError", 1),
            ],
            0,
        )
        assert store.totals().counts.dead == 6

    def test_a_dead_record_counts_until_it_is_gone_or_revived(self, store: Store, clock: VirtualClock) -> None:
        ids = bury(store, TIMEOUT, 3)
        bury(store, REFUSED)
        store.revive(ids[:1])
        store.delete(ids[1:2])
        assert store.dead_counts().kinds == [
            DeadKind("app.work", "ConnectionRefusedError", 1),
            DeadKind("app.work", "TimeoutError", 1),
        ]
        leap(store, clock, limits.KEEP_DEAD_S)
        rest(store)
        assert store.dead_counts() == DeadCounts([], 0)

    def test_one_that_dies_again_counts_as_what_it_died_of_last(self, store: Store) -> None:
        (job,) = bury(store, TIMEOUT)
        store.revive([job])
        settle(store, buried=[Buried(take_one(store).fence, REFUSED)])
        assert store.dead_counts() == DeadCounts([DeadKind("app.work", "ConnectionRefusedError", 1)], 0)

    def test_dead_records_that_are_not_kept_do_not_count(self, store: Store) -> None:
        put(store)
        settle(store, buried=[Buried(take_one(store).fence, TIMEOUT, keep_s=0.0)])
        rest(store)
        assert store.dead_counts() == DeadCounts([], 0)

    def test_what_dies_without_an_attempt_counts_too(self, store: Store) -> None:
        job = JobEntry(new_id(), BODY, checksum(BODY) ^ 1)
        store.enqueue([group(job)])
        assert take(store) == []
        assert store.dead_counts() == DeadCounts([DeadKind("app.work", "Corrupt", 1)], 0)
        assert found(store, error="Corrupt", state=State.DEAD) == [job.id]

    def test_kinds_are_bounded_and_the_rest_is_counted_together(self, store: Store) -> None:
        count = limits.DEAD_KINDS_MAX + 5
        put(store, count)
        settle(
            store,
            buried=[Buried(held.fence, JobError(f"Error{at}", "")) for at, held in enumerate(take(store, count))],
        )
        counts = store.dead_counts()
        assert (len(counts.kinds), counts.others) == (limits.DEAD_KINDS_MAX, 5)
        assert all(kind.count == 1 for kind in counts.kinds)
        for error in ("Error0", f"Error{count - 1}"):
            assert len(found(store, error=error, state=State.DEAD)) == len(found(store, error=error)) == 1
        assert len(found(store, state=State.DEAD, task="app.work", limit=limits.PAGE_JOBS_MAX)) == count
        store.delete(found(store, error="Error0"))
        bury(store, TIMEOUT)
        again = store.dead_counts()
        assert (len(again.kinds), again.others) == (limits.DEAD_KINDS_MAX, 5)
        assert DeadKind("app.work", "TimeoutError", 1) in again.kinds
