"""The examples of the how-to pages do what the pages say."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.model.job import JobView, LeaseBatch, LeaseRequest, Outcomes
from penstock.model.states import State
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore

PAGES = Path(__file__).resolve().parents[2] / "docs" / "howto"
HOLDER = b"h" * 16


class Page:
    """The Python of a page as one module, whose application keeps its jobs in memory, and a worker of its tasks."""

    def __init__(self, name: str) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(self.clock)
        text = (PAGES / name).read_text(encoding="utf-8")
        source = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
        names: dict[str, Any] = {"__name__": "page", "store": self.store}
        exec(compile(source.replace("Penstock()", "Penstock(store=store)"), name, "exec"), names)
        self.of = SimpleNamespace(**names)
        app = self.of.app
        self.store.register_tasks([task.record() for task in app.tasks.values()], list(app.queues.values()))

    def lease(self, limit: int = 1_000) -> LeaseBatch:
        return self.store.lease(LeaseRequest(HOLDER, limit))

    def end(self, batch: LeaseBatch) -> None:
        fences = range(batch.first_fence, batch.first_fence + len(batch.jobs))
        self.store.settle(Outcomes(HOLDER, forgotten=list(fences)))

    def arguments(self, batch: LeaseBatch, name: str) -> list[Any]:
        """One argument of each job, by its name."""
        found = []
        for place, job in enumerate(batch.jobs):
            task = self.of.app.get(batch.tasks[batch.task_of[place]])
            args, kwargs = task.decode(job.body)
            found.append(dict(zip(task.codec.positional_names(), args, strict=False)) | kwargs)
        return [one[name] for one in found]

    def views(self, jobs: list[Any]) -> list[JobView]:
        return [view for view in self.store.get([job._id for job in jobs]) if view is not None]


@pytest.fixture
def limits() -> Page:
    return Page("limits.md")


@pytest.fixture
def fairness() -> Page:
    return Page("fairness.md")


class TestLimits:
    def test_two_of_a_tenant_run_and_the_others_are_blocked_and_say_why(self, limits: Page) -> None:
        thumbnail = limits.of.thumbnail
        jobs = [thumbnail.enqueue(f"{n}.png", tenant) for n in range(3) for tenant in ("acme", "beta")]
        batch = limits.lease()
        assert Counter(limits.arguments(batch, "tenant")) == {"acme": 2, "beta": 2}
        waiting = [view for view in limits.views(jobs) if view.state is State.BLOCKED]
        assert {(view.reason, view.key) for view in waiting} == {
            ("2 of 2 running for tenant acme", "acme"),
            ("2 of 2 running for tenant beta", "beta"),
        }
        limits.end(batch)
        assert Counter(limits.arguments(limits.lease(), "tenant")) == {"acme": 1, "beta": 1}

    def test_a_hundred_of_the_task_run_and_the_next_say_why(self, limits: Page) -> None:
        jobs = [limits.of.thumbnail.enqueue("a.png", f"tenant {n}") for n in range(103)]
        assert len(limits.lease().jobs) == 100
        waiting = [view for view in limits.views(jobs) if view.state is State.READY]
        assert [view.reason for view in waiting] == ["100 of 100 running of task page.thumbnail"] * 3

    def test_a_user_starts_five_in_a_minute(self, limits: Page) -> None:
        of_user = limits.of.thumbnail.options(headers={"user": "jo"})
        for n in range(7):
            of_user.enqueue("a.png", f"tenant {n}")
        batch = limits.lease()
        assert len(batch.jobs) == 5
        limits.end(batch)
        assert limits.lease().jobs == []
        limits.clock.advance(12.5)
        limits.store.tick()
        assert len(limits.lease().jobs) == 1

    def test_orders_of_a_customer_are_shipped_one_after_another(self, limits: Page) -> None:
        for n in range(3):
            for customer in ("jo", "al"):
                limits.of.ship.enqueue({"customer": customer, "n": str(n)})
        for n in range(3):
            batch = limits.lease()
            orders = limits.arguments(batch, "order")
            assert sorted((order["customer"], order["n"]) for order in orders) == [("al", str(n)), ("jo", str(n))]
            limits.end(batch)
        assert limits.lease().jobs == []


class TestFairness:
    def test_three_reports_do_not_wait_behind_many_of_another_tenant(self, fairness: Page) -> None:
        for month in range(300):
            fairness.of.report.enqueue("acme", f"month {month}")
        fairness.end(fairness.lease(10))
        for month in range(3):
            fairness.of.report.enqueue("beta", f"month {month}")
        assert fairness.arguments(fairness.lease(6), "tenant") == ["acme", "beta"] * 3

    def test_acme_has_three_turns_where_others_have_one(self, fairness: Page) -> None:
        exports = fairness.of.export
        for customer in ("acme", "beta"):
            for n in range(30):
                exports.options(headers={"customer": customer}).enqueue(f"{customer} {n}")
        found = fairness.arguments(fairness.lease(20), "table")
        assert Counter(one.split()[0] for one in found) == {"acme": 15, "beta": 5}

    def test_those_without_the_header_are_together_one_tenant(self, fairness: Page) -> None:
        exports = fairness.of.export
        for n in range(20):
            exports.enqueue(f"nobody {n}")
        for n in range(20):
            exports.options(headers={"customer": "beta"}).enqueue(f"beta {n}")
        found = fairness.arguments(fairness.lease(10), "table")
        assert Counter(one.split()[0] for one in found) == {"nobody": 5, "beta": 5}


class TestSources:
    def test_what_is_read_becomes_jobs_once_and_in_order(self) -> None:
        page = Page("sources.md")
        lines = [f"order {number}" for number in range(250)]
        assert page.of.relay(lines[:120]) == 120
        assert page.of.relay(lines) == 130
        assert page.of.relay([*lines, "", ""]) == 0, "it is passed over, and the position moves"
        assert [cursor.offset for cursor in page.store.cursors("orders-log")] == [252]
        assert page.arguments(page.lease(), "order") == lines

    def test_who_was_replaced_makes_no_more_jobs(self) -> None:
        page = Page("sources.md")
        assert page.of.take_over(["a"], 1) == 1
        assert page.of.take_over(["a", "b"], 2) == 1
        assert page.of.take_over(["a", "b", "c"], 1) == 0
        assert page.arguments(page.lease(), "order") == ["a", "b"]
