"""Limits of a whole task and a whole queue, over eight worker processes: never more than they allow, whoever dies."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from penstock.model.flow import ConcurrencyRule

from .conftest import until
from .test_worker import Site
from .test_worker import site as site  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="compares times of processes")
APP = "rates_app:app"
WORKERS = 8


@pytest.fixture(autouse=True)
def _workers(site: Site) -> None:
    (site.marks / "running").mkdir()
    for worker in [site.work(APP, executors=1, concurrency=4) for _ in range(WORKERS)]:
        worker.wait_ready()


def ticks(site: Site) -> list[tuple[float, str]]:
    """When each job began, in order, and in which worker."""
    path = site.marks / "ticks"
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted((float(began), worker) for began, worker in map(str.split, lines))


def within(site: Site, began: float) -> bool:
    """Whether at no time more jobs had begun than the bucket had held and got since it was full at ``began``."""
    return all(number <= 10 + 40 * (at - began) for number, (at, _) in enumerate(ticks(site), 1))


def running(site: Site) -> int:
    return len(list((site.marks / "running").iterdir()))


def test_a_rate_over_eight_workers_admits_no_more_than_the_bucket_allows(site: Site) -> None:
    began = time.monotonic()
    site.enqueue("rates_app.tick", count=150)
    until(lambda: len(ticks(site)) == 150)
    assert within(site, began)
    assert len({worker for _, worker in ticks(site)}) > 1


def test_a_bucket_is_no_fuller_after_its_owner_was_killed(site: Site) -> None:
    began = time.monotonic()
    site.enqueue("rates_app.tick", count=150)
    until(lambda: len(ticks(site)) >= 60)
    os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
    until(lambda: len(ticks(site)) >= 150)
    assert within(site, began)


def test_a_queue_over_eight_workers_runs_as_many_as_it_may_and_follows_a_live_change(site: Site) -> None:
    site.enqueue("rates_app.squeeze", count=30, queue="narrow")
    until(lambda: running(site) == 3)
    (view,) = [view for view in site.client.limits() if view.scope == "queue:narrow"]
    assert (view.in_use, view.waiting) == (3, 27)
    site.client.put_limits("queue:narrow", [ConcurrencyRule(6)])
    until(lambda: running(site) == 6)
    os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
    assert [view.in_use for view in site.client.limits() if view.scope == "queue:narrow"] == [6]
    (site.marks / "go").touch()
    until(lambda: site.client.stats().queues["narrow"].succeeded_total == 30)
    assert max(map(int, (site.marks / "beside").read_text().split())) <= 6
    site.client.restore_limits("queue:narrow")
    assert [view.source for view in site.client.limits() if view.scope == "queue:narrow"] == ["declared"]
