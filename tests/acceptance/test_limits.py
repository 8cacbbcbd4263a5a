"""Limits with real processes: what is bounded is never exceeded, and what is not goes on."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from penstock.model.flow import ConcurrencyRule
from penstock.model.job import JobView
from penstock.model.states import State

from .conftest import until
from .test_worker import HERE, HOLDER, Site
from .test_worker import site as site  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
APP = "limits_app:app"
TENANTS = ["beta", "gamma", "delta"]


@pytest.fixture
def tasks(site: Site) -> Any:
    """The tasks of the application, as a producer has them."""
    import limits_app

    limits_app.app.redirect(str(site.store))
    yield limits_app
    limits_app.app.close()


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def hold(site: Site, group: str) -> None:
    (site.marks / f"{group}.hold").touch()


def let_go(site: Site, group: str) -> None:
    (site.marks / f"{group}.hold").unlink()


def run_now(site: Site, group: str) -> int:
    place = site.marks / f"running {group}"
    return len(list(place.iterdir())) if place.is_dir() else 0


def most_at_once(site: Site, group: str) -> int:
    """The most jobs of a group that ran at one time."""
    return max(map(int, (site.marks / f"beside {group}").read_text().split()))


def views(site: Site, jobs: list[Any]) -> list[JobView]:
    return [view for view in site.client.get([job._id for job in jobs]) if view is not None]


@pytest.mark.parametrize("name", ["serve", "serve_plain"])
def test_two_of_a_tenant_run_at_once_and_others_go_on(site: Site, tasks: Any, name: str) -> None:
    task = getattr(tasks, name)
    hold(site, "acme")
    site.work(APP, executors=4).wait_ready()
    held = [task.enqueue("acme", number) for number in range(8)]
    until(lambda: run_now(site, "acme") == 2)
    others = tasks.app.enqueue_many([task.s(tenant, number) for number in range(10) for tenant in TENANTS])
    assert [job.result(timeout_s=60) for job in others] == [number for number in range(10) for _ in TENANTS]
    assert Counter(view.state for view in views(site, held)) == {State.RUNNING: 2, State.BLOCKED: 6}
    told = {view.reason for view in views(site, held) if view.state is State.BLOCKED}
    assert told == {"2 of 2 running for tenant acme"}
    let_go(site, "acme")
    assert [job.result(timeout_s=60) for job in held] == list(range(8))
    assert most_at_once(site, "acme") == 2
    assert max(most_at_once(site, tenant) for tenant in TENANTS) <= 2


def test_a_queue_runs_as_many_as_it_declares(site: Site, tasks: Any) -> None:
    hold(site, "narrow")
    site.work(APP, executors=2).wait_ready()
    held = [tasks.squeeze.enqueue(number) for number in range(10)]
    until(lambda: run_now(site, "narrow") == 3)
    assert tasks.serve.enqueue("beta", 7).result(timeout_s=60) == 7
    states = Counter(view.state for view in views(site, held))
    assert (states[State.RUNNING], sum(states.values())) == (3, 10)
    let_go(site, "narrow")
    assert [job.result(timeout_s=60) for job in held] == list(range(10))
    assert most_at_once(site, "narrow") == 3


def test_a_live_limit_holds_at_once_and_what_is_declared_comes_back(site: Site, tasks: Any) -> None:
    hold(site, "narrow")
    site.work(APP, executors=2).wait_ready()
    jobs = [tasks.squeeze.enqueue(number) for number in range(12)]
    until(lambda: run_now(site, "narrow") == 3)
    site.client.put_limits("queue:narrow", [ConcurrencyRule(5)])
    until(lambda: run_now(site, "narrow") == 5)
    site.client.restore_limits("queue:narrow")
    [limit] = [view for view in site.client.limits() if view.scope == "queue:narrow"]
    assert (limit.rule, limit.source, limit.in_use) == (ConcurrencyRule(3), "declared", 5)
    let_go(site, "narrow")
    assert [job.result(timeout_s=60) for job in jobs] == list(range(12))
    assert most_at_once(site, "narrow") == 5


def test_a_worker_that_is_killed_leaves_no_slot_behind(site: Site, tasks: Any) -> None:
    hold(site, "acme")
    first = site.work(APP, executors=1, holder=HOLDER).wait_ready()
    jobs = [tasks.serve.enqueue("acme", number) for number in range(6)]
    until(lambda: run_now(site, "acme") == 2)
    first.process.kill()
    first.process.wait()
    for left in (site.marks / "running acme").iterdir():
        left.unlink()
    site.work(APP, executors=1, holder=HOLDER).wait_ready()
    until(lambda: run_now(site, "acme") == 2)
    let_go(site, "acme")
    assert [job.result(timeout_s=60) for job in jobs] == list(range(6))
    assert most_at_once(site, "acme") == 2
