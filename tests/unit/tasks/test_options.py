"""Options of a job are checked where they are given."""

from __future__ import annotations

import datetime as dt

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.tasks.app import Penstock


@pytest.fixture
def task(app: Penstock):
    @app.task(name="shop.pay", queue="money", priority=5, expires_s=60, tags=["own"])
    def pay(amount: int) -> int:
        return amount

    return pay


def _sent(app, job):
    [view] = app.client.get([job._id], body=True)
    return view


@pytest.mark.parametrize(
    "field, value",
    [
        ("delay_s", -1),
        ("delay_s", "1"),
        ("delay_s", limits.DELAY_S_MAX * 2),
        ("run_at", "2026-01-01"),
        ("run_at", dt.datetime(2030, 1, 1)),  # noqa: DTZ001 - naive on purpose
        ("run_at", float("nan")),
        ("run_at", 1e12),
        ("run_at", True),
        ("priority", 101),
        ("priority", 1.5),
        ("queue", "a b"),
        ("expires_s", 0),
        ("idempotency_key", ""),
        ("headers", {"a": 1}),
        ("tags", "word"),
        ("tags", ["a b"]),
    ],
)
def test_a_wrong_option_is_named(task, field, value):
    with pytest.raises(InvalidOption) as caught:
        task.options(**{field: value})
    assert caught.value.field == field


def test_delay_and_time_together_are_refused(task):
    with pytest.raises(InvalidOption) as caught:
        task.options(delay_s=1, run_at=2_000_000_000)
    assert caught.value.field == "run_at"


def test_without_options_the_task_decides(app, task, clock):
    view = _sent(app, task.enqueue(1))
    assert (view.queue, view.priority, view.tags) == ("money", 5, ["own"])
    assert view.expires_at == clock.time() + 60


def test_an_option_that_is_given_decides(app, task, clock):
    job = task.options(queue="other", priority=0, expires_s=5, headers={"a": "b"}, tags=["more"]).enqueue(1)
    view = _sent(app, job)
    assert (view.queue, view.priority, view.headers, view.tags) == ("other", 0, {"a": "b"}, ["own", "more"])
    assert view.expires_at == clock.time() + 5


def test_a_delayed_job_is_scheduled(task):
    assert task.options(delay_s=5).enqueue(1).state == "scheduled"


def test_a_moment_may_be_aware_or_unix(app, task, clock):
    moment = clock.time() + 100
    aware = dt.datetime.fromtimestamp(moment, dt.timezone(dt.timedelta(hours=5)))
    jobs = [task.options(run_at=moment).enqueue(1), task.options(run_at=aware).enqueue(1)]
    assert [_sent(app, job).run_at for job in jobs] == [moment, moment]


def test_a_delay_of_nothing_is_no_delay(task):
    assert task.options(delay_s=0).enqueue(1).state == "ready"
