"""Claims about unique jobs whose arguments are replaced by a newcomer's."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model.flow import ConcurrencyRule, TaskFlow, UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import (
    EnqueueAnswer,
    Enqueued,
    Filter,
    JobEntry,
    JobError,
    Lost,
    Refused,
    Retried,
    TaskRecord,
    checksum,
)
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)
from penstock.testing.conformance.unique import HOURLY, KEEP_TIME, REPLACE, add, met, one, same, unique


class ReplacingClaims(StoreClaims):
    """A newcomer may give its arguments to the job that is there."""

    @pytest.mark.parametrize("rule", [REPLACE, KEEP_TIME])
    def test_the_arguments_are_replaced(self, store: Store, rule: UniqueRule) -> None:
        job = one(body=b"m1")
        store.enqueue([unique(job, rule=rule, headers={"a": "1"}, tags=["x"], queue="q", priority=3, delay_s=9.0)])
        newcomer = one(body=b"m22")
        answer = store.enqueue([unique(newcomer, rule=rule, headers={"b": "2"}, tags=["y"], delay_s=5.0)])
        assert answer == EnqueueAnswer(0, [same(job.id, State.SCHEDULED, replaced=True)])
        view = see(store, job.id, body=True)
        assert (view.body, view.headers, view.tags) == (b"m22", {"b": "2"}, ["y"])
        assert (view.queue, view.priority) == ("q", 3), "where it waits stays as it is"
        assert states(store, [newcomer.id]) == [None]
        assert counted(store, "q") == {"scheduled": 1, "accepted_total": 1}
        assert [found.id for found in store.query(Filter(tag="y")).jobs] == [job.id]
        assert store.query(Filter(tag="x")).jobs == []

    def test_the_new_arguments_are_what_runs(self, store: Store) -> None:
        job = one(body=b"m1")
        store.enqueue([unique(job, rule=REPLACE), unique(one(body=b"m2"), rule=REPLACE)])
        store.enqueue([unique(one(body=b"m" + b"3" * 100_000), rule=REPLACE)])
        held = take_one(store)
        assert (held.job.id, held.job.body) == (job.id, b"m" + b"3" * 100_000)

    def test_a_debounced_job_s_delay_begins_anew(self, store: Store, clock: VirtualClock) -> None:
        job = add(store, rule=REPLACE, delay_s=10.0)
        elapse(store, clock, 6.0)
        assert met(store, REPLACE, delay_s=10.0).replaced
        elapse(store, clock, 6.0)
        assert states(store, [job]) == [State.SCHEDULED]
        elapse(store, clock, 4.0)
        assert states(store, [job]) == [State.READY]

    def test_a_throttled_job_keeps_its_time(self, store: Store, clock: VirtualClock) -> None:
        job = add(store, rule=KEEP_TIME, delay_s=10.0)
        elapse(store, clock, 6.0)
        assert met(store, KEEP_TIME, delay_s=10.0).replaced
        elapse(store, clock, 4.0)
        assert states(store, [job]) == [State.READY]
        assert met(store, KEEP_TIME, delay_s=10.0).state is State.READY

    def test_a_replaced_job_waits_as_the_newcomer_would(self, store: Store, clock: VirtualClock) -> None:
        first, second = add(store, "a", REPLACE), add(store, "b", REPLACE)
        assert met(store, REPLACE, "a").state is State.READY
        assert ids_of(take(store)) == [second, first], "it stands at the end of its line"
        third = add(store, "c", REPLACE)
        assert met(store, REPLACE, "c", delay_s=5.0).state is State.SCHEDULED
        assert met(store, REPLACE, "c", run_at=clock.time() + 50).state is State.SCHEDULED
        elapse(store, clock, 6.0)
        assert states(store, [third]) == [State.SCHEDULED]
        assert met(store, REPLACE, "c").state is State.READY
        assert ids_of(take(store)) == [third]

    def test_a_throttled_job_keeps_its_place(self, store: Store) -> None:
        first, second = add(store, "a", KEEP_TIME), add(store, "b", KEEP_TIME)
        met(store, KEEP_TIME, "a")
        assert ids_of(take(store)) == [first, second]

    def test_replaced_within_one_call_it_is_told_with_the_state_it_has_then(self, store: Store) -> None:
        first, other = one(body=b"m1"), one("b")
        answer = store.enqueue(
            [
                unique(first, rule=REPLACE),
                unique(other, rule=REPLACE, delay_s=5.0),
                unique(one(body=b"m2"), rule=REPLACE, delay_s=5.0),
                unique(one("b"), rule=REPLACE),
            ]
        )
        assert answer == EnqueueAnswer(
            2,
            [
                Enqueued(0, first.id, State.SCHEDULED),
                same(first.id, State.SCHEDULED, 2, replaced=True),
                same(other.id, State.READY, 3, replaced=True),
            ],
        )
        assert see(store, first.id, body=True).body == b"m2"
        assert counted(store) == {"scheduled": 1, "ready": 1, "accepted_total": 2}

    @pytest.mark.parametrize("rule", [REPLACE, KEEP_TIME])
    def test_while_it_runs_a_second_one_waits_which_later_ones_replace(self, store: Store, rule: UniqueRule) -> None:
        first = add(store, rule=rule)
        held = take_one(store)
        second = add(store, rule=rule, delay_s=5.0)
        assert met(store, rule, delay_s=5.0) == same(second, State.SCHEDULED, replaced=True)
        settle(store, retried=[Retried(held.fence, 1.0, ERROR)])
        assert states(store, [first, second]) == [State.SCHEDULED] * 2, "the one that ran runs again with its own"
        assert met(store, rule).id == second

    @pytest.mark.parametrize("rule", [REPLACE, KEEP_TIME])
    def test_one_that_has_ended_is_not_replaced(self, store: Store, clock: VirtualClock, rule: UniqueRule) -> None:
        job = add(store, rule=HOURLY)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
        assert met(store, rule) == same(job, State.SUCCEEDED)

    def test_new_arguments_begin_at_attempt_one(self, store: Store) -> None:
        job = add(store, rule=REPLACE)
        settle(store, retried=[Retried(take_one(store).fence, 60.0, ERROR)])
        assert (see(store, job).attempt, see(store, job).error) == (1, ERROR)
        met(store, REPLACE)
        view = see(store, job)
        assert (view.state, view.attempt, view.error, view.losses, view.strays) == (State.READY, 0, None, 0, 0)
        assert take_one(store).job.attempt == 1

    def test_a_suspect_stays_one_with_whatever_arguments(self, store: Store) -> None:
        job = add(store, rule=REPLACE)
        settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, ERROR)])
        met(store, REPLACE)
        assert (see(store, job).suspect, see(store, job).losses) == (True, 0)

    def test_what_a_worker_refused_is_new_to_it_with_new_arguments(self, store: Store) -> None:
        job = add(store, rule=KEEP_TIME)
        error = JobError("InvalidArguments", "not these")
        settle(store, refused=[Refused(take_one(store).fence, error)])
        assert see(store, job).error == error
        met(store, KEEP_TIME)
        assert see(store, job).error is None
        assert ids_of(take(store)) == [job]

    def test_an_expiry_begins_anew_with_the_delay_and_is_kept_with_the_time(
        self, store: Store, clock: VirtualClock
    ) -> None:
        debounced, throttled = add(store, "a", REPLACE, expires_s=5.0), add(store, "b", KEEP_TIME, expires_s=5.0)
        elapse(store, clock, 3.0)
        met(store, REPLACE, "a", expires_s=5.0)
        met(store, KEEP_TIME, "b", expires_s=5.0)
        elapse(store, clock, 3.0)
        assert states(store, [debounced, throttled]) == [State.READY, State.EXPIRED]
        elapse(store, clock, 3.0)
        assert states(store, [debounced]) == [State.EXPIRED]

    def test_an_expiry_goes_when_the_newcomer_has_none_and_counts_again_when_it_has_one(
        self, store: Store, clock: VirtualClock
    ) -> None:
        job = add(store, rule=REPLACE, expires_s=60.0)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        met(store, REPLACE, expires_s=5.0)
        assert see(store, job).expires_at == pytest.approx(clock.time() + 5)
        elapse(store, clock, 5.0)
        assert states(store, [job]) == [State.EXPIRED]
        other = add(store, "b", REPLACE, expires_s=5.0)
        met(store, REPLACE, "b")
        elapse(store, clock, 6.0)
        assert (see(store, other).state, see(store, other).expires_at) == (State.READY, None)

    def test_a_damaged_job_is_mended_by_new_arguments(self, store: Store) -> None:
        job = JobEntry(new_id(), b"m1", checksum(b"m2"), unique_key="k")
        store.enqueue([unique(job, rule=REPLACE)])
        met(store, REPLACE)
        assert ids_of(take(store)) == [job.id]

    def test_the_period_begins_anew_with_the_delay(self, store: Store, clock: VirtualClock) -> None:
        debounce = UniqueRule(period_s=10.0, on_conflict="replace")
        throttle = UniqueRule(period_s=10.0, on_conflict="keep_time")
        first, second = add(store, "a", debounce), add(store, "b", throttle)
        elapse(store, clock, 6.0)
        assert [met(store, debounce, "a").id, met(store, throttle, "b").id] == [first, second]
        elapse(store, clock, 6.0)
        assert met(store, debounce, "a").id == first
        assert add(store, "b", throttle) != second

    @pytest.mark.parametrize("rule", [REPLACE, KEEP_TIME])
    def test_it_waits_for_the_limits_of_its_new_arguments(self, store: Store, rule: UniqueRule) -> None:
        store.register_tasks([TaskRecord("app.work", flow=TaskFlow(limits=(ConcurrencyRule(1, per="tenant"),)))])
        first = one("a", values={"tenant": "acme"})
        store.enqueue([unique(first, rule=rule)])
        held = take_one(store)
        job = one("b", values={"tenant": "zen"})
        assert store.enqueue([unique(job, rule=rule)]).accepted == 1
        told = store.enqueue([unique(one("b", values={"tenant": "acme"}), rule=rule)]).exceptions
        assert told == [same(job.id, State.BLOCKED, replaced=True)]
        assert (see(store, job.id).key, counted(store)["blocked"]) == ("acme", 1)
        other = one("c", values={"tenant": "zen"})
        store.enqueue([unique(other, rule=rule)])
        assert ids_of(take(store)) == [other.id], "it has given back what it had"
        settle(store, forgotten=[held.fence])
        assert states(store, [job.id]) == [State.READY]
        told = store.enqueue([unique(one("b", values={"tenant": "none"}), rule=rule)]).exceptions
        assert told == [same(job.id, State.READY, replaced=True)]
        assert ids_of(take(store)) == [job.id]

    def test_a_blocked_job_keeps_others_away_and_is_replaced(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.work", flow=TaskFlow(limits=(ConcurrencyRule(1, per="tenant"),)))])
        jobs = [one(key, values={"tenant": "acme"}) for key in "ab"]
        assert store.enqueue([unique(*jobs)]).exceptions == [Enqueued(1, jobs[1].id, State.BLOCKED)]
        assert store.enqueue([unique(one("b"))]).exceptions == [same(jobs[1].id, State.BLOCKED)]
        told = store.enqueue([unique(one("b", b"m2"), rule=REPLACE, delay_s=5.0)]).exceptions
        assert told == [same(jobs[1].id, State.SCHEDULED, replaced=True)]
        assert counted(store) == {"ready": 1, "scheduled": 1, "accepted_total": 2}

    @pytest.mark.parametrize("rule", [REPLACE, KEEP_TIME])
    def test_it_is_found_by_its_new_arguments(self, store: Store, rule: UniqueRule) -> None:
        store.register_tasks([TaskRecord("app.work", flow=TaskFlow(searchable=("order",)))])
        job = one(searchable={"order": "1"})
        store.enqueue([unique(job, rule=rule)])
        store.enqueue([unique(one(searchable={"order": "2"}), rule=rule)])
        assert [view.id for view in store.query(Filter(arguments={"order": "2"})).jobs] == [job.id]
        assert store.query(Filter(arguments={"order": "1"})).jobs == []
