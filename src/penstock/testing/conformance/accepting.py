"""Claims about `Store.enqueue`."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.ids import new_id, new_ids
from penstock.model.job import EnqueueAnswer, Enqueued, JobGroup, TaskRecord
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    ids_of,
    near,
    put,
    see,
    settle,
    states,
    take,
    take_one,
)

DAY_S = 86_400.0


class AcceptingClaims(StoreClaims):
    """Jobs come in."""

    def test_a_new_job_is_ready_and_counted(self, store: Store) -> None:
        job = entry()
        assert store.enqueue([group(job)]) == EnqueueAnswer(1, [])
        assert states(store, [job.id]) == [State.READY]
        assert counted(store) == {"ready": 1, "accepted_total": 1}

    def test_nothing_enqueued_is_nothing_accepted(self, store: Store) -> None:
        assert store.enqueue([]) == EnqueueAnswer(0, [])
        assert store.enqueue([JobGroup("app.work", [])]) == EnqueueAnswer(0, [])
        assert store.enqueue([], atomic=True) == EnqueueAnswer(0, [])

    def test_a_job_is_shown_as_it_was_enqueued(self, store: Store, clock: VirtualClock) -> None:
        job = entry("m ünï→🚰".encode())
        headers, tags = {"trace": "é-1", "": "empty"}, ["größe", "b"]
        options = {"queue": "images", "priority": 7, "expires_s": 60.0, "headers": headers, "tags": tags}
        store.enqueue([group(job, task="app.thumb", **options)])
        view = see(store, job.id, body=True)
        assert (view.id, view.task, view.queue, view.priority) == (job.id, "app.thumb", "images", 7)
        assert (view.headers, view.tags, view.body) == (headers, tags, job.body)
        assert (view.attempt, view.losses, view.max_attempts) == (0, 0, limits.MAX_ATTEMPTS)
        assert view.expires_at == near(clock.time() + 60)
        assert view.created_at == near(clock.time()), "by the store's clock, whatever its maker's clock said"
        assert (view.started_at, view.finished_at, view.error, view.progress) == (None, None, None, None)
        assert (view.result, view.result_kept, view.cancel_requested) == (None, False, False)

    def test_max_attempts_are_those_of_the_task_as_it_was_registered(self, store: Store) -> None:
        (job,) = put(store)
        store.register_tasks([TaskRecord("app.work", max_attempts=9)])
        assert see(store, job).max_attempts == 9

    @pytest.mark.parametrize("body", [b"", b"\x00", bytes(range(256)), b"m" + b"\xff" * 1_000_000], ids=len)
    def test_a_body_comes_back_byte_for_byte(self, store: Store, body: bytes) -> None:
        job = entry(body)
        store.enqueue([group(job)])
        assert take_one(store).job.body == body
        assert see(store, job.id, body=True).body == body

    def test_only_jobs_that_are_not_simply_new_and_ready_are_listed_by_index_over_all_groups(
        self, store: Store
    ) -> None:
        known, late = entry(), entry()
        store.enqueue([group(known)])
        answer = store.enqueue([group(entry(), entry()), group(entry(), known), group(late, delay_s=5.0), group()])
        assert answer.accepted == 5
        assert answer.exceptions == [
            Enqueued(3, known.id, State.READY, duplicate=True),
            Enqueued(4, late.id, State.SCHEDULED),
        ]

    def test_a_delayed_job_is_scheduled_by_the_clock_of_the_store(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, delay_s=5.0)
        assert see(store, job).state is State.SCHEDULED
        assert see(store, job).run_at == near(clock.time() + 5)
        assert counted(store) == {"scheduled": 1, "accepted_total": 1}

    def test_run_at_is_a_time_by_the_clock_of_the_store(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, run_at=clock.time() + 3_600)
        assert see(store, job).run_at == near(clock.time() + 3_600)
        assert see(store, job).state is State.SCHEDULED

    @pytest.mark.parametrize("late_s", [0.0, 1.0, 1e9])
    def test_a_time_that_has_come_means_ready_at_once(self, store: Store, clock: VirtualClock, late_s: float) -> None:
        first = put(store, run_at=clock.time() - late_s)
        second = put(store, delay_s=-late_s)
        assert states(store, first + second) == [State.READY] * 2
        assert ids_of(take(store)) == first + second

    def test_delay_and_run_at_together_are_refused(self, store: Store, clock: VirtualClock) -> None:
        fine = entry()
        with pytest.raises(InvalidOption):
            store.enqueue([group(fine), group(delay_s=1.0, run_at=clock.time())])
        assert states(store, [fine.id]) == [None]
        assert counted(store) == {}

    def test_an_id_that_is_known_is_a_duplicate_of_itself(self, store: Store) -> None:
        job = entry()
        store.enqueue([group(job)])
        answer = store.enqueue([group(job)])
        assert answer == EnqueueAnswer(0, [Enqueued(0, job.id, State.READY, duplicate=True)])
        held = take_one(store)
        assert store.enqueue([group(job)]).exceptions == [Enqueued(0, job.id, State.RUNNING, duplicate=True)]
        assert take(store) == []
        assert held.job.id == job.id
        assert counted(store) == {"running": 1, "accepted_total": 1}

    @pytest.mark.parametrize("delay_s", [None, 5.0])
    def test_an_id_that_comes_twice_in_one_call_is_accepted_once(self, store: Store, delay_s: float | None) -> None:
        job = entry()
        state = State.READY if delay_s is None else State.SCHEDULED
        answer = store.enqueue([group(job, job, delay_s=delay_s), group(job, queue="other")])
        assert answer.accepted == 1
        first = [] if delay_s is None else [Enqueued(0, job.id, state)]
        again = [Enqueued(index, job.id, state, duplicate=True) for index in (1, 2)]
        assert answer.exceptions == first + again
        assert states(store, [job.id]) == [state]
        assert counted(store) == {state.value: 1, "accepted_total": 1}

    def test_a_job_that_is_asked_for_again_with_its_key_is_a_duplicate_of_itself(self, store: Store) -> None:
        job = entry(key="k")
        answer = store.enqueue([group(job, job)])
        assert answer == EnqueueAnswer(1, [Enqueued(1, job.id, State.READY, duplicate=True)])
        assert store.enqueue([group(job)]) == EnqueueAnswer(0, [Enqueued(0, job.id, State.READY, duplicate=True)])

    def test_ids_that_differ_in_their_last_byte_alone_are_different_jobs(self, store: Store) -> None:
        first = new_id()
        ids = [first[:-1] + bytes([last]) for last in range(20)]
        jobs = [entry(b"m%d" % place, job_id=one) for place, one in enumerate(ids)]
        assert store.enqueue([group(*jobs)]).accepted == 20
        assert store.enqueue([group(*jobs)]).accepted == 0
        assert [see(store, one, body=True).body for one in ids] == [b"m%d" % place for place in range(20)]
        assert store.delete(ids[:10]) == [True] * 10
        assert states(store, ids) == [None] * 10 + [State.READY] * 10
        assert store.enqueue([group(*jobs)]).accepted == 10
        assert sorted(ids_of(take(store))) == ids

    def test_a_job_is_known_after_the_one_that_its_id_is_nearly_equal_to_is_gone(self, store: Store) -> None:
        first = entry()
        second = entry(job_id=first.id[:-1] + bytes([first.id[-1] ^ 1]))
        store.enqueue([group(first, second)])
        store.delete([first.id])
        assert store.enqueue([group(second)]) == EnqueueAnswer(0, [Enqueued(0, second.id, State.READY, duplicate=True)])
        assert ids_of(take(store)) == [second.id]

    def test_ten_thousand_jobs_are_one_call(self, store: Store) -> None:
        ids = put(store, limits.BATCH_JOBS_MAX)
        assert counted(store) == {"ready": len(ids), "accepted_total": len(ids)}
        leased: list[bytes] = []
        while held := take(store, limits.LEASE_JOBS_MAX):
            leased += ids_of(held)
        assert leased == ids

    def test_more_jobs_than_a_batch_holds_are_refused(self, store: Store) -> None:
        jobs = [entry(job_id=one) for one in new_ids(limits.BATCH_JOBS_MAX + 1)]
        with pytest.raises(BodyTooLarge):
            store.enqueue([group(*jobs[:5_000]), group(*jobs[5_000:])])
        assert counted(store) == {}

    def test_the_largest_body_is_accepted_and_one_byte_more_refused(self, store: Store) -> None:
        largest = entry(b"m" * limits.JOB_BODY_BYTES_MAX)
        assert store.enqueue([group(largest)]).accepted == 1
        with pytest.raises(BodyTooLarge):
            store.enqueue([group(entry(), entry(largest.body + b"m"))])
        assert counted(store) == {"ready": 1, "accepted_total": 1}

    @pytest.mark.parametrize(
        "option",
        [
            {"priority": limits.PRIORITY_MAX + 1},
            {"priority": limits.PRIORITY_MIN - 1},
            {"delay_s": limits.DELAY_S_MAX + 1},
            {"delay_s": float("nan")},
            {"run_at": float("nan")},
            {"run_at": 1e18},
            {"expires_s": 0.0},
            {"expires_s": float("nan")},
            {"tags": ["t"] * (limits.JOB_TAGS_MAX + 1)},
            {"headers": {"h": "é" * limits.JOB_HEADERS_BYTES_MAX}},
        ],
        ids=str,
    )
    def test_an_option_outside_its_limits_is_refused(self, store: Store, option: dict[str, Any]) -> None:
        with pytest.raises(InvalidOption):
            store.enqueue([group(), group(**option)])
        assert counted(store) == {}

    def test_options_at_their_limits_are_accepted(self, store: Store) -> None:
        key = "k" * limits.IDEMPOTENCY_KEY_BYTES_MAX
        put(store, priority=limits.PRIORITY_MAX, tags=["t"] * limits.JOB_TAGS_MAX)
        put(store, priority=limits.PRIORITY_MIN, delay_s=limits.DELAY_S_MAX)
        assert store.enqueue([group(entry(key=key))]).accepted == 1
        with pytest.raises(InvalidOption):
            store.enqueue([group(entry(key=key + "k"))])


class IdempotencyClaims(StoreClaims):
    """Idempotency keys."""

    def test_the_same_key_with_the_same_body_is_a_duplicate_of_the_first(self, store: Store) -> None:
        first, second = entry(key="k"), entry(key="k")
        store.enqueue([group(first)])
        assert store.enqueue([group(second)]) == EnqueueAnswer(0, [Enqueued(0, first.id, State.READY, duplicate=True)])
        assert states(store, [second.id]) == [None]
        assert counted(store) == {"ready": 1, "accepted_total": 1}

    def test_the_same_key_with_another_body_is_a_conflict(self, store: Store) -> None:
        first, second = entry(key="k"), entry(BODY + b"!", key="k")
        store.enqueue([group(first)])
        answer = store.enqueue([group(second, entry())])
        assert answer.accepted == 1
        (conflict,) = answer.exceptions
        assert (conflict.index, conflict.id, conflict.conflict, conflict.duplicate) == (0, first.id, True, False)
        assert states(store, [second.id]) == [None]

    def test_a_key_compares_calls_by_their_identity(self, store: Store) -> None:
        first = replace(entry(key="k"), identity=(7, 3))
        store.enqueue([group(first)])
        same, other = replace(entry(BODY + b"!", key="k"), identity=(7, 3)), replace(entry(key="k"), identity=(7, 4))
        duplicate, conflict = store.enqueue([group(same, other)]).exceptions
        assert (duplicate.duplicate, duplicate.id) == (True, first.id)
        assert conflict.conflict

    def test_a_call_with_an_identity_is_the_same_as_one_remembered_by_its_body(self, store: Store) -> None:
        """What earlier versions remembered of a key."""
        store.enqueue([group(entry(key="k"))])
        (again,) = store.enqueue([group(replace(entry(key="k"), identity=(7, 3)))]).exceptions
        assert again.duplicate

    @pytest.mark.parametrize("identity", [(-1, 3), (7, 1 << 64)])
    def test_an_identity_out_of_range_is_refused(self, store: Store, identity: tuple[int, int]) -> None:
        with pytest.raises(InvalidOption):
            store.enqueue([group(replace(entry(key="k"), identity=identity))])

    def test_a_key_belongs_to_its_task(self, store: Store) -> None:
        assert store.enqueue([group(entry(key="k"), task="a"), group(entry(key="k"), task="b")]).accepted == 2

    def test_a_key_does_not_care_about_queue_or_options(self, store: Store) -> None:
        first = entry(key="k")
        store.enqueue([group(first)])
        (again,) = store.enqueue([group(entry(key="k"), queue="other", priority=9, delay_s=60.0)]).exceptions
        assert (again.id, again.duplicate) == (first.id, True)

    def test_the_same_key_twice_in_one_call_is_accepted_once(self, store: Store) -> None:
        first, same, other = entry(key="k"), entry(key="k"), entry(b"other", key="k")
        answer = store.enqueue([group(first, same), group(other)])
        assert answer.accepted == 1
        duplicate, conflict = answer.exceptions
        assert duplicate == Enqueued(1, first.id, State.READY, duplicate=True)
        assert (conflict.index, conflict.id, conflict.duplicate, conflict.conflict) == (2, first.id, False, True)
        assert ids_of(take(store)) == [first.id]

    def test_keys_may_hold_any_text(self, store: Store) -> None:
        keys = ["", " ", "größe/→", "k", "K", "k ", "\x00", "%'\"\\"]
        assert store.enqueue([group(*(entry(key=key) for key in keys))]).accepted == len(keys)
        assert store.enqueue([group(*(entry(key=key) for key in keys))]).accepted == 0

    def test_a_duplicate_answers_the_state_the_first_job_has_now(self, store: Store, clock: VirtualClock) -> None:
        first = entry(key="k")
        store.enqueue([group(first, delay_s=1.0)])
        for state in (State.SCHEDULED, State.READY, State.RUNNING):
            (again,) = store.enqueue([group(entry(key="k"))]).exceptions
            assert again == Enqueued(0, first.id, state, duplicate=True)
            if state is State.SCHEDULED:
                elapse(store, clock, 1.0)
            else:
                take(store)

    def test_a_key_outlives_the_record_of_its_job(self, store: Store) -> None:
        first = entry(key="k")
        store.enqueue([group(first)])
        settle(store, forgotten=[take_one(store).fence])
        answer = store.enqueue([group(entry(key="k"))])
        assert answer == EnqueueAnswer(0, [Enqueued(0, first.id, None, duplicate=True)])

    def test_a_key_is_forgotten_after_its_time(self, store: Store, clock: VirtualClock) -> None:
        first = entry(key="k")
        store.enqueue([group(first)])
        clock.advance(limits.IDEMPOTENCY_S - 1)
        assert store.enqueue([group(entry(key="k"))]).accepted == 0
        clock.advance(1)
        second = entry(b"another body", key="k")
        assert store.enqueue([group(second)]) == EnqueueAnswer(1, [])
        (again,) = store.enqueue([group(entry(b"another body", key="k"))]).exceptions
        assert again.id == second.id

    def test_the_time_of_a_key_is_not_prolonged_by_its_use(self, store: Store, clock: VirtualClock) -> None:
        store.enqueue([group(entry(key="k"))])
        clock.advance(limits.IDEMPOTENCY_S / 2)
        assert store.enqueue([group(entry(key="k"))]).accepted == 0
        clock.advance(limits.IDEMPOTENCY_S / 2)
        assert store.enqueue([group(entry(key="k"))]).accepted == 1

    def test_an_atomic_call_with_a_conflict_accepts_nothing(self, store: Store) -> None:
        first = entry(key="k")
        store.enqueue([group(first)])
        fine, same, other = entry(key="new"), entry(key="k"), entry(b"other", key="k")
        answer = store.enqueue([group(fine, same), group(other)], atomic=True)
        assert answer.accepted == 0
        assert [(one.index, one.id, one.conflict) for one in answer.exceptions] == [(2, first.id, True)]
        assert states(store, [fine.id, same.id, other.id]) == [None] * 3
        assert store.enqueue([group(entry(b"not the same", key="new"))]).accepted == 1
        assert counted(store) == {"ready": 2, "accepted_total": 2}

    def test_an_atomic_call_may_conflict_with_itself(self, store: Store) -> None:
        first, other = entry(key="k"), entry(b"other", key="k")
        answer = store.enqueue([group(first, entry(), other)], atomic=True)
        assert answer.accepted == 0
        assert [(one.index, one.conflict) for one in answer.exceptions] == [(2, True)]
        assert counted(store) == {}

    def test_an_atomic_call_with_duplicates_alone_is_accepted(self, store: Store) -> None:
        first = entry(key="k")
        store.enqueue([group(first)])
        answer = store.enqueue([group(entry(key="k"), entry())], atomic=True)
        assert answer == EnqueueAnswer(1, [Enqueued(0, first.id, State.READY, duplicate=True)])
