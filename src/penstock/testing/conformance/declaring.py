"""Claims about which limits are in force: declared ones, and live ones over them."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import math
from typing import Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, QueueRecord, RateRule, Retention, Rule, TaskFlow
from penstock.model.job import TaskRecord
from penstock.model.limits_in_force import LimitView
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, put, take

TWO: Final = ConcurrencyRule(2)
NINE: Final = ConcurrencyRule(9)
PER_TENANT: Final = ConcurrencyRule(2, per="tenant")
SLOW: Final = RateRule(5, per_s=60.0)

_BAD: Final[dict[str, Rule]] = {
    "a limit of 0": ConcurrencyRule(0),
    "a limit below 0": ConcurrencyRule(-1),
    "a limit beyond count": ConcurrencyRule(limits.LIMIT_COUNT_MAX + 1),
    "a rate of 0": RateRule(0),
    "a rate in no time": RateRule(1, per_s=0.0),
    "a rate in less than no time": RateRule(1, per_s=-1.0),
    "a rate in ages": RateRule(1, per_s=limits.RATE_PER_S_MAX * 1.01),
    "a rate of what is no number": RateRule(1, per_s=math.nan),
    "a burst of 0": RateRule(1, burst=0),
    "strict order of no key": ConcurrencyRule(1, order="fifo"),
    "a name that is empty": ConcurrencyRule(1, per=""),
    "a name with a space": ConcurrencyRule(1, per="the tenant"),
    "a header without a name": RateRule(1, per="header:"),
    "a long name": RateRule(1, per="x" * (limits.LIMIT_NAME_CHARS_MAX + 1)),
}


def task(*rules: Rule, name: str = "app.work") -> TaskRecord:
    """A task that declares these limits."""
    return TaskRecord(name, flow=TaskFlow(limits=rules) if rules else None)


def in_force(store: Store) -> list[tuple[str, Rule, str, Rule | None]]:
    """The limits that are in force, without what is used of them."""
    return [(view.scope, view.rule, view.source, view.declared) for view in store.limits()]


class DeclaringClaims(StoreClaims):
    """`Store.register_tasks`, `Store.put_limits`, `Store.restore_limits`, `Store.limits`."""

    def test_nothing_is_limited_at_first(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.work")], [QueueRecord("q")])
        assert store.limits() == []

    def test_what_a_worker_registers_is_in_force(self, store: Store) -> None:
        store.register_tasks([task(SLOW, TWO)], [QueueRecord("q", (PER_TENANT, NINE))])
        assert in_force(store) == [
            ("queue:q", NINE, "declared", None),
            ("queue:q", PER_TENANT, "declared", None),
            ("task:app.work", TWO, "declared", None),
            ("task:app.work", SLOW, "declared", None),
        ]

    def test_the_newest_record_of_a_name_stands(self, store: Store) -> None:
        store.register_tasks([task(TWO), task(NINE, name="app.other")], [QueueRecord("q", (TWO,))])
        store.register_tasks([task(NINE)])
        assert [one[:2] for one in in_force(store)] == [
            ("queue:q", TWO),
            ("task:app.other", NINE),
            ("task:app.work", NINE),
        ]
        store.register_tasks([task()], [QueueRecord("q")])
        assert [one[0] for one in in_force(store)] == ["task:app.other"]

    def test_queues_are_listed_by_name_and_the_latest_record_stands(self, store: Store) -> None:
        assert store.declared_queues() == []
        late = QueueRecord("b", (TWO, PER_TENANT), Retention(1, 2, 3))
        store.register_tasks([], [QueueRecord("b", (NINE,)), QueueRecord("a")])
        store.register_tasks([task(TWO)], [late, QueueRecord("c", (SLOW,))])
        put(store, queue="d")
        assert store.declared_queues() == [QueueRecord("a"), late, QueueRecord("c", (SLOW,))]

    def test_a_live_limit_wins_until_it_is_restored(self, store: Store) -> None:
        store.register_tasks([task(TWO, SLOW)])
        store.put_limits("task:app.work", [NINE])
        assert in_force(store) == [("task:app.work", NINE, "live", TWO), ("task:app.work", SLOW, "declared", None)]
        store.register_tasks([task(ConcurrencyRule(3))])
        assert in_force(store) == [("task:app.work", NINE, "live", ConcurrencyRule(3))]
        store.restore_limits("task:app.work")
        assert in_force(store) == [("task:app.work", ConcurrencyRule(3), "declared", None)]

    def test_a_live_limit_needs_nothing_declared(self, store: Store) -> None:
        store.put_limits("queue:later", [SLOW])
        store.put_limits("task:app.later", [TWO])
        store.put_limits("task:app.later", [PER_TENANT])
        assert in_force(store) == [
            ("queue:later", SLOW, "live", None),
            ("task:app.later", TWO, "live", None),
            ("task:app.later", PER_TENANT, "live", None),
        ]
        store.put_limits("task:app.later", [NINE])
        assert in_force(store)[1] == ("task:app.later", NINE, "live", None)

    def test_live_limits_of_one_name_are_restored_alone(self, store: Store) -> None:
        per_user = RateRule(1, per="header:user")
        store.put_limits("queue:q", [TWO, PER_TENANT, per_user])
        store.restore_limits("queue:q", "tenant")
        assert [one[1] for one in in_force(store)] == [TWO, per_user]
        store.restore_limits("queue:q")
        store.restore_limits("queue:q")
        store.restore_limits("task:app.none", "tenant")
        assert store.limits() == []

    def test_a_limit_shows_what_is_used_of_it(self, store: Store) -> None:
        store.register_tasks([task(NINE, SLOW)], [QueueRecord("q", (NINE,))])
        put(store, 3, queue="q")
        put(store, 2)
        assert store.limits() == [
            LimitView("queue:q", NINE, "declared", 0, 3),
            LimitView("task:app.work", NINE, "declared", 0, 5),
            LimitView("task:app.work", SLOW, "declared", 0, 5),
        ]
        take(store, 2, queues=["q"])
        shown = [(view.scope, view.in_use, view.waiting) for view in store.limits()]
        assert shown[:2] == [("queue:q", 2, 1), ("task:app.work", 2, 3)]

    @pytest.mark.parametrize("scope", ["", "app.work", "job:app.work", "queue", "queue:", "queue:no name", "task:1"])
    def test_a_scope_that_is_none_is_refused(self, store: Store, scope: str) -> None:
        with pytest.raises(InvalidOption):
            store.put_limits(scope, [TWO])
        with pytest.raises(InvalidOption):
            store.restore_limits(scope)
        assert store.limits() == []

    @pytest.mark.parametrize("bad", _BAD)
    def test_a_limit_that_is_none_is_refused_and_changes_nothing(self, store: Store, bad: str) -> None:
        store.register_tasks([task(TWO)], [QueueRecord("q", (NINE,))])
        store.put_limits("queue:q", [TWO])
        before = in_force(store), store.tasks()
        with pytest.raises(InvalidOption):
            store.put_limits("queue:q", [SLOW, _BAD[bad]])
        with pytest.raises(InvalidOption):
            store.register_tasks([task(NINE), task(_BAD[bad])])
        with pytest.raises(InvalidOption):
            store.register_tasks([task(NINE)], [QueueRecord("p"), QueueRecord("q", (_BAD[bad],))])
        assert (in_force(store), store.tasks()) == before

    def test_two_limits_of_one_kind_are_refused(self, store: Store) -> None:
        for twice in ([TWO, NINE], [PER_TENANT, PER_TENANT], [SLOW, RateRule(1)]):
            with pytest.raises(InvalidOption):
                store.put_limits("queue:q", twice)
        with pytest.raises(InvalidOption):
            store.put_limits("queue:q", [])
        store.put_limits("queue:q", [TWO, RateRule(2), PER_TENANT, RateRule(2, per="tenant")])
        assert len(store.limits()) == 4

    def test_there_are_only_so_many(self, store: Store) -> None:
        many = [ConcurrencyRule(1, per=f"name_{number}") for number in range(limits.LIMITS_OF_SCOPE_MAX)]
        store.put_limits("queue:q", many)
        with pytest.raises(InvalidOption):
            store.put_limits("queue:q", [TWO])
        with pytest.raises(InvalidOption):
            store.register_tasks([task(*many, TWO)])
        assert len(store.limits()) == len(many)
        for number in range(1, limits.LIVE_LIMITS_MAX):
            store.put_limits(f"queue:q{number}", [TWO])
        with pytest.raises(InvalidOption):
            store.put_limits("queue:another", [TWO])
        store.put_limits("queue:q1", [NINE])
        store.restore_limits("queue:q2")
        store.put_limits("queue:another", [TWO])

    def test_records_of_queues_are_checked(self, store: Store) -> None:
        for bad in (QueueRecord("no name"), QueueRecord("q", retention=Retention(-1))):
            with pytest.raises(InvalidOption):
                store.register_tasks([], [bad])
        store.register_tasks([], [QueueRecord("q")])

    def test_limits_outlive_the_process(self, store: Store, clock: VirtualClock) -> None:
        store.register_tasks([task(TWO)], [QueueRecord("q", (NINE, PER_TENANT))])
        store.put_limits("queue:q", [TWO, SLOW])
        store.put_limits("task:app.other", [SLOW])
        store.restore_limits("task:app.other")
        before = in_force(store)
        again = self.take_over(store, clock)
        assert in_force(again) == before
        assert again.declared_queues() == [QueueRecord("q", (NINE, PER_TENANT))]
        again.restore_limits("queue:q")
        assert [one[1] for one in in_force(again)] == [NINE, PER_TENANT, TWO]
