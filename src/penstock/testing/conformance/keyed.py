"""Claims about limits that count for each key, and about jobs that are blocked by one."""
# ruff: noqa: D102 - the name of a test is its claim; ways to end a job have one signature

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, QueueRecord, Rule, TaskFlow
from penstock.model.ids import new_ids
from penstock.model.job import (
    Filter,
    JobEntry,
    JobError,
    Outcomes,
    TaskRecord,
    checksum,
)
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    HOLDER,
    StoreClaims,
    counted,
    elapse,
    group,
    ids_of,
    see,
    settle,
    states,
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
