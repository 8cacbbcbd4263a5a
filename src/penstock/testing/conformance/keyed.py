"""Claims about limits that count for each key, and about jobs that are blocked by one."""
# ruff: noqa: D102, ARG001 - the name of a test is its claim; ways to end a job have one signature

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, QueueRecord, Rule, TaskFlow
from penstock.model.ids import new_ids
from penstock.model.job import (
    Buried,
    Cancelled,
    Filter,
    JobEntry,
    JobError,
    Lost,
    Outcomes,
    Refused,
    Retried,
    Snoozed,
    TaskRecord,
    checksum,
)
from penstock.model.lines import Closed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    HeldJob,
    StoreClaims,
    counted,
    elapse,
    group,
    ids_of,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)

TASK = "app.work"
UNFIT: Final = JobError("InvalidArguments", "no such argument")


def declare(store: Store, *rules: Rule, task: str = TASK) -> None:
    """A task declares these limits, and no others."""
    store.register_tasks([TaskRecord(task, flow=TaskFlow(limits=rules))])


def per_tenant(count: int = 2, **options: Any) -> ConcurrencyRule:
    """At most so many jobs of a tenant at a time."""
    return ConcurrencyRule(count, per="tenant", **options)


def keyed(values: dict[str, str] | None, job_id: bytes | None = None) -> JobEntry:
    """A new job with these values."""
    return JobEntry(job_id or new_ids(1)[0], BODY, checksum(BODY), values=values)


def put_for(store: Store, tenant: str | None, count: int = 1, *, task: str = TASK, **options: Any) -> list[bytes]:
    """Enqueue so many jobs of a tenant."""
    entries = [keyed(None if tenant is None else {"tenant": tenant}) for _ in range(count)]
    assert store.enqueue([group(*entries, task=task, **options)]).accepted == count
    return [entry.id for entry in entries]


def reasons(store: Store, ids: Sequence[bytes]) -> list[tuple[State, str | None, str | None]]:
    """What is shown of each."""
    return [(view.state, view.reason, view.key) for view in (see(store, job) for job in ids)]


class KeyedLimitClaims(StoreClaims):
    """Concurrency for each key."""

    def test_what_is_over_the_limit_of_a_key_is_blocked_and_says_so(self, store: Store) -> None:
        declare(store, per_tenant(2))
        ids = put_for(store, "acme", 4)
        assert states(store, ids) == [State.READY, State.READY, State.BLOCKED, State.BLOCKED]
        assert counted(store) == {"ready": 2, "blocked": 2, "accepted_total": 4}
        assert ids_of(take(store)) == ids[:2]
        assert reasons(store, ids[2:]) == [(State.BLOCKED, "2 of 2 running for tenant acme", "acme")] * 2

    def test_the_answer_names_the_jobs_that_are_blocked(self, store: Store) -> None:
        declare(store, per_tenant(1))
        first, second, free = keyed({"tenant": "a"}), keyed({"tenant": "a"}), keyed({"tenant": "b"})
        answer = store.enqueue([group(first, second, free)])
        assert (answer.accepted, [(one.index, one.id, one.state) for one in answer.exceptions]) == (
            3,
            [(1, second.id, State.BLOCKED)],
        )

    def test_keys_do_not_wait_for_each_other_and_jobs_without_one_for_none(self, store: Store) -> None:
        declare(store, per_tenant(1))
        acme, bolt, nobody = put_for(store, "acme", 3), put_for(store, "bolt", 3), put_for(store, None, 2)
        assert set(ids_of(take(store))) == {acme[0], bolt[0], *nobody}

    def test_a_limit_of_a_task_holds_in_all_queues_and_one_of_a_queue_for_all_tasks(self, store: Store) -> None:
        store.register_tasks(
            [TaskRecord(TASK, flow=TaskFlow(limits=(per_tenant(1),)))], [QueueRecord("shared", limits=(per_tenant(2),))]
        )
        here, there = put_for(store, "acme", queue="a"), put_for(store, "acme", queue="b")
        assert states(store, here + there) == [State.READY, State.BLOCKED]
        others = put_for(store, "acme", 3, task="app.other", queue="shared")
        assert states(store, others) == [State.READY, State.READY, State.BLOCKED]
        assert reasons(store, others[2:]) == [(State.BLOCKED, "2 of 2 running for tenant acme", "acme")]

    def test_a_key_may_be_a_header(self, store: Store) -> None:
        declare(store, ConcurrencyRule(1, per="header:user"))
        entries = [keyed({"header:user": "ann"}) for _ in range(2)]
        store.enqueue([group(*entries)])
        assert reasons(store, [entries[1].id]) == [(State.BLOCKED, "1 of 1 running for user ann", "ann")]

    def test_a_job_has_slots_of_all_its_keys_or_of_none(self, store: Store) -> None:
        declare(store, per_tenant(1), ConcurrencyRule(1, per="user"))
        both = [keyed({"tenant": "a", "user": "u"}) for _ in range(2)]
        user_alone, tenant_alone = keyed({"user": "u"}), keyed({"tenant": "a"})
        store.enqueue([group(both[0], both[1], user_alone, tenant_alone)])
        assert [reason for _, reason, _ in reasons(store, [both[1].id, user_alone.id, tenant_alone.id])] == [
            "1 of 1 running for tenant a",
            "1 of 1 running for user u",
            "1 of 1 running for tenant a",
        ]
        settle(store, forgotten=[take_one(store).fence])
        held = take(store)
        assert ids_of(held) == [both[1].id]
        settle(store, forgotten=[held[0].fence])
        assert ids_of(take(store)) == [user_alone.id, tenant_alone.id]

    def test_a_job_that_has_one_of_its_keys_waits_for_the_other_without_holding_it(self, store: Store) -> None:
        declare(store, per_tenant(1), ConcurrencyRule(1, per="user"))
        tenant_alone, user_alone = keyed({"tenant": "a"}), keyed({"user": "u"})
        both, tenant_again = keyed({"tenant": "a", "user": "u"}), keyed({"tenant": "a"})
        store.enqueue([group(tenant_alone, user_alone, both, tenant_again)])
        held = take(store)
        assert ids_of(held) == [tenant_alone.id, user_alone.id]
        settle(store, forgotten=[held[0].fence])
        assert see(store, both.id).reason == "1 of 1 running for user u"
        (again,) = take(store)
        assert again.job.id == tenant_again.id
        settle(store, forgotten=[held[1].fence])
        assert see(store, both.id).reason == "1 of 1 running for tenant a"
        settle(store, forgotten=[again.fence])
        assert ids_of(take(store)) == [both.id]

    def test_whoever_is_next_of_a_key_goes_by_priority_then_arrival(self, store: Store) -> None:
        declare(store, per_tenant(1))
        first, normal = put_for(store, "acme", 2)
        (low,) = put_for(store, "acme", priority=-5)
        (urgent,) = put_for(store, "acme", priority=5)
        order = []
        for _ in range(4):
            held = take_one(store)
            order.append(held.job.id)
            settle(store, forgotten=[held.fence])
        assert order == [first, urgent, normal, low]

    def test_a_new_job_does_not_pass_those_that_wait(self, store: Store) -> None:
        declare(store, per_tenant(1))
        first, second = put_for(store, "acme", 2)
        held = take_one(store)
        children = [(held.fence, [group(keyed({"tenant": "acme"}))])]
        store.settle(Outcomes(HOLDER, forgotten=[held.fence], children=children))
        assert ids_of(take(store)) == [second]
        assert first not in [view.id for view in store.query(Filter(state=State.BLOCKED)).jobs]

    def test_jobs_that_become_due_are_blocked_like_new_ones(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        later = put_for(store, "acme", 2, delay_s=5.0)
        (now,) = put_for(store, "acme")
        assert ids_of(take(store)) == [now]
        assert states(store, later) == [State.SCHEDULED] * 2
        elapse(store, clock, 6.0)
        assert states(store, later) == [State.BLOCKED] * 2

    def test_a_blocked_job_is_found_and_counted_as_such(self, store: Store) -> None:
        declare(store, per_tenant(1))
        _, blocked = put_for(store, "acme", 2)
        assert [view.id for view in store.query(Filter(state=State.BLOCKED)).jobs] == [blocked]
        assert counted(store) == {"ready": 1, "blocked": 1, "accepted_total": 2}

    def test_jobs_with_values_but_without_limits_are_ready(self, store: Store) -> None:
        ids = put_for(store, "acme", 5)
        assert states(store, ids) == [State.READY] * 5
        settle(store, forgotten=[held.fence for held in take(store)])
        assert counted(store) == {"accepted_total": 5, "succeeded_total": 5}

    def test_a_job_that_is_enqueued_again_takes_no_second_slot(self, store: Store) -> None:
        declare(store, per_tenant(2))
        entry = keyed({"tenant": "acme"})
        for _ in range(3):
            store.enqueue([group(entry)])
        (other,) = put_for(store, "acme")
        assert set(ids_of(take(store))) == {entry.id, other}

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({f"n{at}": "" for at in range(limits.JOB_VALUES_MAX + 1)}, "values"),
            ({"tenant": "x" * (limits.JOB_VALUE_BYTES_MAX + 1)}, "values"),
            ({"two\nlines": "x"}, "values"),
        ],
    )
    def test_values_that_are_too_many_or_too_long_are_refused(
        self, store: Store, values: dict[str, str], field: str
    ) -> None:
        with pytest.raises(InvalidOption) as refused:
            store.enqueue([group(keyed(values))])
        assert refused.value.field == field
        assert store.totals().counts.accepted_total == 0

    def test_a_text_may_be_anything(self, store: Store) -> None:
        declare(store, per_tenant(1))
        for text in ("", "two\nlines", "ünï", "a\0b", "'; --"):
            ids = put_for(store, text, 2)
            assert reasons(store, ids[1:]) == [(State.BLOCKED, f"1 of 1 running for tenant {text}", text)]


Way = Callable[[Store, VirtualClock, HeldJob], Any]


def _kept(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, succeeded=[succeeded(held.fence, clock, b"m\x01")])


def _forgotten(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, forgotten=[held.fence])


def _buried(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, buried=[Buried(held.fence, ERROR)])


def _cancelled(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, cancelled=[Cancelled(held.fence)])


def _cancelled_instead(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    store.cancel([held.job.id])
    assert store.settle(Outcomes(HOLDER, released=[held.fence])).exceptions


def _retried_later(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, retried=[Retried(held.fence, 50.0, ERROR)])


def _snoozed(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, snoozed=[Snoozed(held.fence, 50.0)])


def _poisonous(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    for _ in range(limits.LOSSES_MAX - 1):
        settle(store, lost=[Lost(held.fence, Loss.BLAMED, ERROR)])
        held = take_one(store)
    settle(store, lost=[Lost(held.fence, Loss.BLAMED, ERROR)])


def _its_queue_is_paused(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    store.close_lines(Closed.PAUSED, queue="first")


def _released_into_a_paused_queue(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    store.close_lines(Closed.PAUSED, queue="first")
    settle(store, released=[held.fence])


def _ready_and_cancelled(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    assert store.cancel([held.job.id]) == [State.CANCELLED]


def _ready_and_deleted(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    assert store.delete([held.job.id]) == [True]


def _ready_and_postponed(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    assert store.edit([held.job.id], run_at=clock.time() + 50.0) == [State.SCHEDULED]


def _cancelled_by_filter(store: Store, clock: VirtualClock, held: HeldJob) -> None:
    settle(store, released=[held.fence])
    store.cancel_where(Filter(queue="first"))


FREES: Final[list[Way]] = [
    _kept,
    _forgotten,
    _buried,
    _cancelled,
    _cancelled_instead,
    _retried_later,
    _snoozed,
    _poisonous,
    _its_queue_is_paused,
    _released_into_a_paused_queue,
    _ready_and_cancelled,
    _ready_and_deleted,
    _ready_and_postponed,
    _cancelled_by_filter,
]


class SlotClaims(StoreClaims):
    """When a slot is free again, and who has it."""

    @pytest.mark.parametrize("way", FREES, ids=lambda way: way.__name__.strip("_"))
    def test_whatever_becomes_of_its_holder_the_slot_goes_to_the_next(
        self, store: Store, clock: VirtualClock, way: Way
    ) -> None:
        declare(store, per_tenant(1))
        (job,) = put_for(store, "acme", queue="first")
        waiting = put_for(store, "acme", 2, queue="second")
        assert states(store, waiting) == [State.BLOCKED] * 2
        held = take_one(store)
        assert held.job.id == job
        way(store, clock, held)
        assert states(store, waiting) == [State.READY, State.BLOCKED]
        assert ids_of(take(store, queues=["second"])) == waiting[:1]

    @pytest.mark.parametrize(
        "outcome",
        [
            lambda fence: {"released": [fence]},
            lambda fence: {"lost": [Lost(fence, Loss.BLAMED, ERROR)]},
            lambda fence: {"lost": [Lost(fence, Loss.UNSTARTED, ERROR)]},
            lambda fence: {"refused": [Refused(fence, UNFIT)]},
        ],
        ids=["released", "blamed", "unstarted", "refused"],
    )
    def test_what_has_its_old_place_again_has_its_slot_too(self, store: Store, outcome: Any) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        settle(store, **outcome(take_one(store).fence))
        assert states(store, [job, waiting]) == [State.READY, State.BLOCKED]
        assert ids_of(take(store, holder=OTHER_HOLDER)) == [job]

    def test_a_lease_that_ends_keeps_the_slot_for_its_job(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        take_one(store, lease_s=1.0)
        elapse(store, clock, 2.0)
        assert states(store, [job, waiting]) == [State.READY, State.BLOCKED]
        assert ids_of(take(store)) == [job]

    def test_a_job_that_a_restarted_worker_does_not_list_has_its_slot_again(self, store: Store) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        take_one(store)
        assert store.reconcile(HOLDER, []) == 1
        assert states(store, [job, waiting]) == [State.READY, State.BLOCKED]

    def test_a_stale_fence_frees_nothing(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        stale = take_one(store, lease_s=1.0).fence
        elapse(store, clock, 2.0)
        fresh = take_one(store).fence
        for outcomes in (Outcomes(HOLDER, forgotten=[stale]), Outcomes(OTHER_HOLDER, forgotten=[fresh])):
            assert store.settle(outcomes).stale
            assert states(store, [job, waiting]) == [State.RUNNING, State.BLOCKED]
        settle(store, forgotten=[fresh])
        assert store.settle(Outcomes(HOLDER, forgotten=[fresh])).stale == [fresh]
        assert states(store, [waiting]) == [State.READY]
        assert len(take(store)) == 1

    def test_a_job_that_fails_at_once_stands_behind_those_that_wait(self, store: Store) -> None:
        declare(store, per_tenant(1))
        job, waiting = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        assert states(store, [job, waiting]) == [State.BLOCKED, State.READY]

    def test_one_that_expires_while_it_is_ready_frees_its_slot(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        (late,) = put_for(store, "acme", expires_s=1.0)
        (waiting,) = put_for(store, "acme")
        elapse(store, clock, 2.0)
        assert states(store, [late, waiting]) == [State.EXPIRED, State.READY]

    def test_a_blocked_job_expires_and_can_be_cancelled_and_deleted(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        put_for(store, "acme")
        (expired,) = put_for(store, "acme", expires_s=1.0)
        cancelled, deleted, last = put_for(store, "acme", 3)
        elapse(store, clock, 2.0)
        assert store.cancel([cancelled]) == [State.CANCELLED]
        assert store.delete([deleted]) == [True]
        assert states(store, [expired, cancelled, deleted]) == [State.EXPIRED, State.CANCELLED, None]
        settle(store, forgotten=[take_one(store).fence])
        assert ids_of(take(store)) == [last]

    def test_a_revived_job_needs_a_slot(self, store: Store) -> None:
        declare(store, per_tenant(1))
        dead, running = put_for(store, "acme", 2)
        settle(store, buried=[Buried(take_one(store).fence, ERROR)])
        held = take_one(store)
        assert (held.job.id, store.revive([dead])) == (running, [State.BLOCKED])
        settle(store, forgotten=[held.fence])
        assert ids_of(take(store)) == [dead]

    def test_a_job_is_moved_to_a_queue_with_another_limit_and_back(self, store: Store) -> None:
        store.register_tasks([], [QueueRecord("narrow", limits=(per_tenant(1),))])
        put_for(store, "acme", queue="narrow")
        (job,) = put_for(store, "acme", queue="wide")
        assert store.move([job], "narrow") == [State.BLOCKED]
        assert store.move([job], "wide") == [State.READY]
        assert ids_of(take(store, queues=["wide"])) == [job]
        assert counted(store, "narrow") == {
            "ready": 1,
            "accepted_total": 1,
            "moved_in_total": 1,
            "moved_out_total": 1,
        }

    def test_a_new_priority_changes_who_is_next(self, store: Store) -> None:
        declare(store, per_tenant(1))
        first, second, third = put_for(store, "acme", 3)
        assert store.edit([third], priority=7) == [State.BLOCKED]
        assert states(store, [first, second]) == [State.READY, State.BLOCKED]
        settle(store, forgotten=[take_one(store).fence])
        assert states(store, [second, third]) == [State.BLOCKED, State.READY]
        assert store.edit([third], priority=-7) == [State.BLOCKED]
        assert ids_of(take(store)) == [second]

    def test_slots_of_many_jobs_that_end_together_are_taken_at_once(self, store: Store) -> None:
        declare(store, per_tenant(50))
        ids = put_for(store, "acme", 150)
        for start in (0, 50, 100):
            held = take(store, 150)
            assert ids_of(held) == ids[start : start + 50]
            settle(store, forgotten=[one.fence for one in held])
        assert counted(store) == {"accepted_total": 150, "succeeded_total": 150}


class FifoClaims(StoreClaims):
    """Jobs of a key strictly one after another."""

    def test_the_failed_one_stays_in_front(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        assert take(store) == []
        assert reasons(store, [second]) == [(State.BLOCKED, "1 of 1 running for tenant acme", "acme")]
        elapse(store, clock, 6.0)
        held = take_one(store)
        assert (held.job.id, held.job.attempt) == (first, 2)
        settle(store, snoozed=[Snoozed(held.fence, 0.0)])
        held = take_one(store)
        assert held.job.id == first
        settle(store, buried=[Buried(held.fence, ERROR)])
        assert ids_of(take(store)) == [second]

    def test_the_order_is_that_of_arrival_whatever_the_priority(self, store: Store) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        (urgent,) = put_for(store, "acme", priority=100)
        order = []
        for _ in range(3):
            held = take_one(store)
            order.append(held.job.id)
            settle(store, forgotten=[held.fence])
        assert order == [first, second, urgent]

    @pytest.mark.parametrize("act", ["cancel", "delete", "edit"])
    def test_one_in_back_off_that_is_taken_away_lets_the_next_go(
        self, store: Store, clock: VirtualClock, act: str
    ) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        if act == "edit":
            assert store.edit([first], run_at=clock.time() + 50.0) == [State.SCHEDULED]
            assert take(store) == []
            assert store.move([first], "elsewhere") == [State.SCHEDULED]
            assert take(store) == []
            store.cancel([first])
        else:
            getattr(store, act)([first])
        assert ids_of(take(store)) == [second]

    def test_it_keeps_its_turn_while_it_waits_for_another_key(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1, order="fifo"), ConcurrencyRule(1, per="user"))
        first, second = keyed({"tenant": "acme", "user": "u"}), keyed({"tenant": "acme"})
        store.enqueue([group(first, second)])
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        other = keyed({"user": "u"})
        store.enqueue([group(other)])
        held = take_one(store)
        assert held.job.id == other.id
        elapse(store, clock, 6.0)
        assert reasons(store, [first.id]) == [(State.BLOCKED, "1 of 1 running for user u", "u")]
        assert states(store, [second.id]) == [State.BLOCKED]
        settle(store, forgotten=[held.fence])
        assert ids_of(take(store)) == [first.id]


class ChangingLimitClaims(StoreClaims):
    """Limits of keys that change while there are jobs."""

    def test_raising_a_limit_lets_waiting_jobs_go(self, store: Store) -> None:
        declare(store, per_tenant(1))
        ids = put_for(store, "acme", 5)
        declare(store, per_tenant(3))
        assert states(store, ids) == [State.READY] * 3 + [State.BLOCKED] * 2
        assert see(store, ids[4]).reason == "3 of 3 running for tenant acme"

    def test_lowering_a_limit_lets_running_jobs_finish_and_holds_ready_ones(self, store: Store) -> None:
        declare(store, per_tenant(4))
        ids = put_for(store, "acme", 4)
        held = take(store, 2)
        declare(store, per_tenant(1))
        assert states(store, ids) == [State.RUNNING, State.RUNNING, State.BLOCKED, State.BLOCKED]
        assert see(store, ids[3]).reason == "2 of 1 running for tenant acme"
        settle(store, forgotten=[held[0].fence])
        assert take(store) == []
        settle(store, forgotten=[held[1].fence])
        assert ids_of(take(store)) == [ids[2]]

    def test_a_new_limit_counts_jobs_that_were_there_before(self, store: Store) -> None:
        ids = put_for(store, "acme", 4)
        held = take(store, 1)
        store.put_limits(f"task:{TASK}", [per_tenant(2)])
        assert states(store, ids) == [State.RUNNING, State.READY, State.BLOCKED, State.BLOCKED]
        settle(store, forgotten=[held[0].fence])
        assert ids_of(take(store)) == ids[1:3]

    def test_a_limit_that_is_taken_away_holds_nobody(self, store: Store) -> None:
        store.put_limits(f"task:{TASK}", [per_tenant(1)])
        ids = put_for(store, "acme", 4)
        store.restore_limits(f"task:{TASK}")
        assert ids_of(take(store)) == ids
        store.put_limits(f"task:{TASK}", [per_tenant(1)])
        (late,) = put_for(store, "acme")
        assert see(store, late).reason == "4 of 1 running for tenant acme"

    def test_many_waiting_jobs_are_let_go_in_steps(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1))
        count = 3 * limits.TICK_STEP_JOBS
        put_for(store, "acme", count)
        declare(store, per_tenant(2 * count))
        elapse(store, clock, 0.0)
        assert counted(store) == {"ready": count, "accepted_total": count}
        declare(store, per_tenant(1))
        elapse(store, clock, 0.0)
        assert counted(store) == {"ready": 1, "blocked": count - 1, "accepted_total": count}

    def test_what_all_keys_have_of_a_limit_is_told(self, store: Store) -> None:
        declare(store, per_tenant(2))
        put_for(store, "acme", 5)
        put_for(store, "bolt", 1)
        (view,) = store.limits()
        assert (view.rule, view.in_use, view.waiting) == (per_tenant(2), 3, 3)
        settle(store, forgotten=[held.fence for held in take(store)])
        (view,) = store.limits()
        assert (view.in_use, view.waiting) == (2, 1)


class PausedKeyClaims(StoreClaims):
    """Lines that are paused, and the slots of their jobs."""

    def test_jobs_of_a_paused_queue_leave_their_slots_to_others(self, store: Store) -> None:
        declare(store, per_tenant(1))
        (here,) = put_for(store, "acme", queue="here")
        (there,) = put_for(store, "acme", queue="there")
        store.close_lines(Closed.PAUSED, queue="here")
        assert reasons(store, [here]) == [(State.BLOCKED, "paused", None)]
        (new,) = put_for(store, "acme", queue="here")
        assert see(store, new).reason == "paused"
        held = take_one(store)
        assert held.job.id == there
        store.open_lines(queue="here")
        assert reasons(store, [here]) == [(State.BLOCKED, "1 of 1 running for tenant acme", "acme")]
        settle(store, forgotten=[held.fence])
        assert ids_of(take(store)) == [here]

    def test_jobs_without_keys_stay_ready_in_a_paused_queue(self, store: Store) -> None:
        declare(store, per_tenant(1))
        ids = put_for(store, None, 2)
        store.close_lines(Closed.PAUSED, queue="default")
        assert states(store, ids) == [State.READY] * 2

    def test_a_job_of_a_paused_queue_can_be_moved_out(self, store: Store) -> None:
        declare(store, per_tenant(1))
        store.close_lines(Closed.PAUSED, queue="here")
        (job,) = put_for(store, "acme", queue="here")
        assert store.move([job], "there") == [State.READY]
        assert ids_of(take(store)) == [job]

    def test_leased_jobs_of_a_paused_queue_hold_their_slots(self, store: Store) -> None:
        declare(store, per_tenant(1))
        put_for(store, "acme", queue="here")
        (there,) = put_for(store, "acme", queue="there")
        take_one(store)
        store.close_lines(Closed.PAUSED, queue="here")
        assert states(store, [there]) == [State.BLOCKED]


class KeyedReopeningClaims(StoreClaims):
    """Slots outlive the store's process."""

    def test_slots_and_who_waits_stand_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(2))
        ids = put_for(store, "acme", 5)
        held = take_one(store)
        again = self.take_over(store, clock)
        assert states(again, ids) == [State.RUNNING, State.READY] + [State.BLOCKED] * 3
        assert see(again, ids[4]).reason == "2 of 2 running for tenant acme"
        settle(again, forgotten=[held.fence])
        assert ids_of(take(again)) == ids[1:3]

    def test_a_fifo_job_in_back_off_keeps_its_turn_over_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        declare(store, per_tenant(1, order="fifo"))
        first, second = put_for(store, "acme", 2)
        settle(store, retried=[Retried(take_one(store).fence, 5.0, ERROR)])
        again = self.take_over(store, clock)
        elapse(again, clock, 0.0)
        assert take(again) == []
        elapse(again, clock, 6.0)
        assert ids_of(take(again)) == [first]
        assert states(again, [second]) == [State.BLOCKED]
