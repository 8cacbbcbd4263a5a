"""Claims about unique jobs: who is let in, and whose arguments are replaced. What becomes of keys: `unique_ends`."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, TaskFlow, UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import (
    EnqueueAnswer,
    Enqueued,
    Filter,
    JobEntry,
    JobError,
    JobGroup,
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
    BODY,
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

HOUR_S: Final = 3_600.0
ALIVE: Final = (State.SCHEDULED, State.BLOCKED, State.READY, State.RUNNING)
DONE: Final = (*ALIVE, State.SUCCEEDED)
EXISTING: Final = UniqueRule()
REPLACE: Final = UniqueRule(on_conflict="replace")
KEEP_TIME: Final = UniqueRule(on_conflict="keep_time")
REFUSE: Final = UniqueRule(on_conflict="refuse")
HOURLY: Final = UniqueRule(period_s=HOUR_S, states=DONE)


def one(key: str | None = "k", body: bytes = BODY, idempotency_key: str | None = None, **told: Any) -> JobEntry:
    """A new job with a unique key."""
    return JobEntry(new_id(), body, checksum(body), idempotency_key, unique_key=key, **told)


def unique(*entries: JobEntry, rule: UniqueRule = EXISTING, task: str = "app.work", **options: Any) -> JobGroup:
    """Jobs that are alike; one with the key ``k`` when none is given."""
    return JobGroup(task, list(entries) or [one()], unique=rule, **options)


def add(store: Store, key: str = "k", rule: UniqueRule = EXISTING, **options: Any) -> bytes:
    """Enqueue a job with this key, which must be new. Answers its id."""
    job = one(key)
    answer = store.enqueue([unique(job, rule=rule, **options)])
    assert answer.accepted == 1, answer
    return job.id


def met(store: Store, rule: UniqueRule = EXISTING, key: str = "k", **options: Any) -> Enqueued:
    """Enqueue a job that must not be new. Answers what was said of it."""
    answer = store.enqueue([unique(one(key), rule=rule, **options)])
    assert answer.accepted == 0, answer
    (exception,) = answer.exceptions
    return exception


def same(job: bytes, state: State | None, index: int = 0, **options: bool) -> Enqueued:
    """What is said of a newcomer that is this job."""
    return Enqueued(index, job, state, duplicate=True, unique=True, **options)


class UniqueClaims(StoreClaims):
    """Of the jobs with one key there is one."""

    def test_a_second_job_with_a_key_is_the_first_one(self, store: Store) -> None:
        first, second = one(body=b"m1"), one(body=b"m2")
        assert store.enqueue([unique(first)]) == EnqueueAnswer(1, [])
        assert store.enqueue([unique(second)]) == EnqueueAnswer(0, [same(first.id, State.READY)])
        assert states(store, [second.id]) == [None]
        assert see(store, first.id, body=True).body == b"m1"
        assert counted(store) == {"ready": 1, "accepted_total": 1}

    def test_keys_differ_and_are_a_task_s_own(self, store: Store) -> None:
        add(store, "a")
        add(store, "b")
        add(store, "a", task="app.other")
        assert met(store, key="a", queue="elsewhere").duplicate

    def test_jobs_without_a_key_or_without_a_rule_are_any_number(self, store: Store) -> None:
        job = add(store)
        assert store.enqueue([unique(one(None), one(None)), JobGroup("app.work", [one()])]).accepted == 3
        assert met(store).id == job

    def test_within_one_call_the_first_is_the_one(self, store: Store) -> None:
        first, second, third = one(), one(), one("other")
        answer = store.enqueue([unique(first, second), unique(third), unique(one(), delay_s=5.0)])
        assert answer == EnqueueAnswer(2, [same(first.id, State.READY, index) for index in (1, 3)])
        assert ids_of(take(store)) == [first.id, third.id]

    @pytest.mark.parametrize("state", [State.SCHEDULED, State.READY, State.RUNNING])
    def test_by_default_a_job_keeps_others_away_while_it_waits_and_runs(self, store: Store, state: State) -> None:
        job = add(store, delay_s=9.0 if state is State.SCHEDULED else None)
        if state is State.RUNNING:
            take_one(store)
        assert met(store) == same(job, state)

    def test_states_say_where_a_job_keeps_others_away(self, store: Store) -> None:
        rule = UniqueRule(states=(State.SCHEDULED, State.BLOCKED, State.READY))
        first = add(store, rule=rule)
        assert met(store, rule).id == first
        take_one(store)
        second = add(store, rule=rule)
        assert met(store, rule).id == second
        assert ids_of(take(store)) == [second]

    def test_the_rule_of_the_job_that_is_there_says_whether_it_keeps_others_away(self, store: Store) -> None:
        first = add(store, rule=UniqueRule(states=(State.SUCCEEDED,)))
        second = add(store, rule=EXISTING)
        assert first != second
        assert met(store, UniqueRule(states=(State.SUCCEEDED,))).id == second

    def test_refused_jobs_are_conflicts_and_leave_nothing_behind(self, store: Store) -> None:
        first = add(store)
        refused = one(idempotency_key="i")
        answer = store.enqueue([unique(refused, rule=REFUSE), unique(one("free"))])
        assert answer.accepted == 1
        (exception,) = answer.exceptions
        assert (exception.index, exception.id, exception.conflict, exception.unique) == (0, first, True, True)
        settle(store, forgotten=[held.fence for held in take(store)])
        assert store.enqueue([unique(refused, rule=REFUSE)]).accepted == 1

    def test_with_atomic_one_that_is_refused_refuses_all(self, store: Store) -> None:
        first = add(store)
        groups = [unique(one("a")), unique(one(), rule=REFUSE), unique(one("b")), unique(one("b"), rule=REFUSE)]
        answer = store.enqueue(groups, atomic=True)
        assert answer.accepted == 0
        assert [(told.index, told.conflict) for told in answer.exceptions] == [(1, True), (3, True)]
        assert counted(store) == {"ready": 1, "accepted_total": 1}
        assert store.enqueue([groups[0], groups[2]], atomic=True).accepted == 2, "no key is left behind"
        assert states(store, [first]) == [State.READY]

    def test_with_atomic_what_replaces_changes_nothing_when_another_is_refused(self, store: Store) -> None:
        job = one(body=b"m1")
        store.enqueue([unique(job, rule=REPLACE)])
        add(store, "other")
        groups = [unique(one(body=b"m2"), rule=REPLACE), unique(one("other"), rule=REFUSE)]
        assert store.enqueue(groups, atomic=True).accepted == 0
        assert see(store, job.id, body=True).body == b"m1"

    @pytest.mark.parametrize(
        "rule",
        [
            UniqueRule(period_s=0.0),
            UniqueRule(period_s=-1.0),
            UniqueRule(period_s=limits.DELAY_S_MAX * 2),
            UniqueRule(states=()),
        ],
    )
    def test_a_rule_that_cannot_be_kept_is_refused(self, store: Store, rule: UniqueRule) -> None:
        with pytest.raises(InvalidOption):
            store.enqueue([unique(one("free")), unique(one(), rule=rule)])
        assert counted(store) == {}

    def test_a_key_has_a_bound(self, store: Store) -> None:
        with pytest.raises(InvalidOption):
            store.enqueue([unique(one("é" * limits.JOB_VALUE_BYTES_MAX))])
        add(store, "")
        add(store, "é" * (limits.JOB_VALUE_BYTES_MAX // 2))
        assert counted(store)["accepted_total"] == 2

    # --- the idempotency key is looked at first ----------------------------------------------------------------------
    def test_the_idempotency_key_is_looked_at_first(self, store: Store) -> None:
        first = one("a", b"m1", "i")
        store.enqueue([unique(first)])
        told = store.enqueue([unique(one("b", b"m1", "i"))])
        assert told.exceptions == [Enqueued(0, first.id, State.READY, duplicate=True)]
        other = store.enqueue([unique(one("a", b"m2", "i"), rule=REPLACE)])
        assert [(told.conflict, told.unique) for told in other.exceptions] == [(True, False)]
        assert see(store, first.id, body=True).body == b"m1"
        add(store, "b")

    def test_an_idempotency_key_answers_again_with_the_job_that_it_was_answered_with(self, store: Store) -> None:
        first = add(store)
        assert store.enqueue([unique(one("k", b"m2", "i"))]).exceptions[0].id == first
        settle(store, forgotten=[take_one(store).fence])
        answer = store.enqueue([unique(one("k", b"m2", "i"))])
        assert answer.exceptions == [Enqueued(0, first, None, duplicate=True)]

    def test_so_it_does_within_one_call(self, store: Store) -> None:
        first = add(store)
        answer = store.enqueue([unique(one("k", b"m2", "i")), JobGroup("app.work", [one(None, b"m2", "i")])])
        assert answer.exceptions == [same(first, State.READY), Enqueued(1, first, State.READY, duplicate=True)]

    def test_a_replacement_with_an_idempotency_key_is_done_once(self, store: Store, clock: VirtualClock) -> None:
        job = add(store, rule=REPLACE, delay_s=10.0)
        for _ in range(2):
            store.enqueue([unique(one("k", b"m2", "i"), rule=REPLACE, delay_s=10.0)])
            elapse(store, clock, 6.0)
        assert states(store, [job]) == [State.READY]

    def test_an_id_that_is_known_is_a_duplicate_of_itself_whatever_its_key(self, store: Store) -> None:
        job = one("a")
        store.enqueue([unique(job)])
        add(store, "b")
        again = JobEntry(job.id, job.body, job.checksum, unique_key="b")
        answer = store.enqueue([unique(again, rule=REFUSE), unique(one("a"), rule=REPLACE)])
        assert [(told.id, told.duplicate, told.unique) for told in answer.exceptions] == [
            (job.id, True, False),
            (job.id, True, True),
        ]

    def test_an_id_that_comes_again_after_its_job_ended_takes_no_key(self, store: Store, clock: VirtualClock) -> None:
        job = one()
        store.enqueue([unique(job)])
        settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
        following = one()
        answer = store.enqueue([unique(job, following)])
        assert (answer.accepted, [told.id for told in answer.exceptions]) == (1, [job.id])
        assert met(store).id == following.id


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
