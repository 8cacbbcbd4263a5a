"""Claims about unique jobs: who is let in. Whose arguments are replaced: `unique_replacing`. What becomes of keys:
`unique_ends`, `unique_periods`."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import (
    EnqueueAnswer,
    Enqueued,
    JobEntry,
    JobGroup,
    checksum,
)
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
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
