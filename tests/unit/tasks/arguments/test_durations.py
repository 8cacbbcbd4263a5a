"""Every option that takes seconds refuses what is no duration with an InvalidOption that names it."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest

from penstock.model.errors import InvalidOption
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry, Snooze

NO_DURATIONS = {
    "huge": 10**400,
    "hugest": 10**5_000,
    "negative and huge": -(10**400),
    "nan": float("nan"),
    "inf": float("inf"),
    "negative": -1,
    "bool": True,
    "str": "1",
    "Decimal": Decimal(1),
    "Fraction": Fraction(1),
    "timedelta": dt.timedelta(seconds=1),
    "list": [1],
}


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError("not to be shown")


def refused(field: str, act) -> None:
    with pytest.raises(InvalidOption) as caught:
        act()
    assert caught.value.field == field
    assert len(caught.value.message) < 300


@pytest.fixture(params=[*NO_DURATIONS.values(), Unshowable()], ids=[*NO_DURATIONS, "unshowable"])
def value(request):
    return request.param


@pytest.mark.parametrize("field", ["timeout_s", "soft_timeout_s", "expires_s", "keep_result_s", "keep_record_s"])
def test_of_a_task(app: Penstock, field, value):
    refused(field, lambda: app.task(**{field: value})(lambda: None))


@pytest.mark.parametrize("field", ["delay_s", "expires_s"])
def test_of_a_job(app: Penstock, field, value):
    task = app.task(name="pay")(lambda: None)
    refused(field, lambda: task.options(**{field: value}))


@pytest.mark.parametrize("field", ["base_s", "max_s", "factor"])
def test_of_a_retry(field, value):
    refused(field, lambda: Retry(**{field: value}))


def test_of_a_snooze(value):
    refused("delay_s", lambda: Snooze(value))


def test_of_waiting_for_a_result(app: Penstock, value):
    job = app.task(name="pay")(lambda: None).enqueue()
    refused("timeout_s", lambda: job.result(timeout_s=value))
    refused("timeout_s", lambda: asyncio.run(job.result_async(timeout_s=value)))


@pytest.mark.parametrize(
    "name", ["huge", "hugest", "negative and huge", "nan", "inf", "bool", "str", "Decimal", "list"]
)
def test_a_moment_that_is_none_is_refused_too(app: Penstock, name):
    task = app.task(name="pay")(lambda: None)
    refused("run_at", lambda: task.options(run_at=NO_DURATIONS[name]))


@pytest.mark.parametrize(
    ("field", "act"),
    [
        ("priority", lambda app, value: app.task(priority=value)(lambda: None)),
        ("max_attempts", lambda _app, value: Retry(max_attempts=value)),
        ("backoff", lambda _app, value: Retry(backoff=value)),
        ("jitter", lambda _app, value: Retry(jitter=value)),
        ("on", lambda _app, value: Retry(on=value)),
        ("queue", lambda app, value: app.task(queue=value)(lambda: None)),
        ("executor", lambda app, value: app.task(executor=value)(lambda: None)),
        ("retry", lambda app, value: app.task(retry=value)(lambda: None)),
        ("tags", lambda app, value: app.task(tags=[value])(lambda: None)),
        ("done", lambda _app, value: Context.local().progress(value)),
    ],
)
@pytest.mark.parametrize("number", [10**400, 10**5_000], ids=["huge", "hugest"])
def test_other_options_take_no_such_number_either(app: Penstock, field, act, number):
    refused(field, lambda: act(app, number))
