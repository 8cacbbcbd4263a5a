"""What a lane knows of a task, and of some of its jobs in particular."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from penstock import InvalidOption, Penstock, Results
from penstock.model.counts import Capabilities
from penstock.model.job import JobExtra
from penstock.model.workflow_views import ResultsPage
from penstock.worker.executor.returned_values import NothingRan
from penstock.worker.executor.task_plan import TaskPlan, extra_of

STEP = JobExtra(workflow=b"w" * 16, step=3)
BODY = b"m\x92\x91\xc7\x14\x50" + b"w" * 16 + b"\x00\x00\x00\x07\x80"


class Store:
    """A store with one result."""

    def capabilities(self):
        return Capabilities("memory")

    def results(self, workflow, step, *, first=0, limit=1_000):
        assert (workflow, step) == (b"w" * 16, 7)
        return ResultsPage([b"m\xaa2026-01-02"], first, None, 1)


@pytest.fixture
def app():
    return Penstock(store=Store())


def test_results_of_a_step_are_read_through_its_application(app):
    @app.task(name="gather")
    def gather(days: Results[dt.date]) -> None: ...

    plan = TaskPlan(gather)
    [found], _ = plan.suited(STEP).decode(BODY)
    assert list(found) == [dt.date(2026, 1, 2)]
    [unbound], _ = plan.decode(BODY)
    with pytest.raises(InvalidOption, match="no application"):
        len(unbound)


def test_what_takes_anything_is_given_the_results(app):
    gather = app.task(name="gather")(lambda days: None)
    [found], _ = TaskPlan(gather).suited(STEP).decode(BODY)
    assert list(found) == ["2026-01-02"]


def test_what_takes_a_list_is_not(app):
    @app.task(name="gather")
    def gather(days: list[dt.date]) -> None: ...

    with pytest.raises(NothingRan, match="take `Results`"):
        TaskPlan(gather).suited(STEP).decode(BODY)


def test_plans_of_few_jobs_are_made_once(app):
    task = app.task(name="t", keep_result_s=0, keep_record_s=0)(lambda: None)
    plan = TaskPlan(task)
    assert plan.suited(JobExtra(headers={"a": "b"}, expires_in_s=3.0)) is plan
    assert plan.suited(STEP) is plan.suited(JobExtra(workflow=b"v" * 16, step=9, place=4))
    assert plan.suited(STEP) is not plan.suited(JobExtra(each=True))
    assert (plan.is_bare, plan.suited(STEP).is_bare, plan.suited(JobExtra(each=True)).is_bare) == (True, False, True)
    assert (plan.keeps_result, plan.suited(STEP).keeps_result) == (False, True)


def test_what_jobs_have_in_common_is_unpacked_once():
    data = [msgspec.msgpack.encode(JobExtra(tags=[str(number)])) for number in range(200)]
    assert extra_of(data[0]) is extra_of(bytes(data[0]))
    assert [extra_of(one).tags for one in data] == [[str(number)] for number in range(200)]
