"""Workflows on a real node: the list of Machinery's integration tests one for one, and what it lacks."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Iterator

import pytest

from penstock import JobCancelled, JobFailed, ResultTimeout, WorkflowState, chain, chord, dag, group

from .conftest import until
from .test_worker import HERE, Site

WAIT_S = 30.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One node for all tests: a workflow leaves nothing behind that another one would meet."""
    made = Site(tmp_path_factory.mktemp("node"))
    try:
        made.work("workflows_app:app").wait_ready()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def tasks(site):
    """The tasks, as a producer imports them: under the name that they have in the worker."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(HERE))
        module = importlib.import_module("workflows_app")
    module.app.redirect(str(site.store))
    yield module
    module.app.close()
    del sys.modules["workflows_app"]


# --- Machinery's list -------------------------------------------------------------------------------------------------


def test_send_task(tasks):
    assert tasks.add.enqueue(1, 1).result(WAIT_S) == 2
    assert tasks.add.s(1, 1).enqueue().result(WAIT_S) == 2


def test_send_group(tasks):
    members = group(tasks.add.s(1, 1), tasks.add.s(2, 2), tasks.add.s(5, 6))
    assert members.enqueue().result(WAIT_S) == [2, 4, 11]


def test_send_chain(tasks):
    canvas = chain(tasks.add.s(2, 2), tasks.add.s(5, 6), tasks.multiply.s(4))
    assert canvas.enqueue().result(WAIT_S) == (2 + 2 + 5 + 6) * 4


def test_send_chord(tasks, site):
    canvas = chord(group(tasks.add.s(1, 1), tasks.add.s(2, 2), tasks.add.s(5, 6)), tasks.product.s())
    workflow = canvas.enqueue()
    assert workflow.result(WAIT_S) == 2 * 4 * 11
    assert len(site.marked("product")) == 1


def test_return_just_an_error(tasks):
    with pytest.raises(JobFailed, match=r"ValueError: .*that is why") as caught:
        tasks.fail.s("that is why").enqueue().result(WAIT_S)
    assert (caught.value.type, "that is why" in (caught.value.traceback or "")) == ("ValueError", True)
    assert tasks.nothing.s().enqueue().result(WAIT_S) is None


def test_return_multiple_values(tasks):
    assert tasks.swap.s("a", 3).enqueue().result(WAIT_S) == (3, "a")
    assert chain(tasks.swap.s("a", 3), tasks.unpack.s()).enqueue().result(WAIT_S) == "3 a"


def test_panic(tasks):
    with pytest.raises(JobFailed) as caught:
        tasks.panic.s().enqueue().result(WAIT_S)
    assert caught.value.type == "WorkerLost"
    assert tasks.add.s(1, 1).enqueue().result(WAIT_S) == 2


def test_delay(tasks):
    began = tasks.when.s().enqueue().result(WAIT_S)
    assert tasks.when.options(delay_s=1.0).s().enqueue().result(WAIT_S) >= began + 1.0


# --- callbacks --------------------------------------------------------------------------------------------------------


def test_callbacks_are_given_what_happened(tasks, site):
    tasks.add.s(2, 3).on_success(tasks.noted.partial(name="sum")).enqueue().result(WAIT_S)
    site.marked("sum: 5")
    failing = chain(tasks.add.s(1), tasks.fail.si("oh")).on_error(tasks.told.partial(name="chain"))
    with pytest.raises(JobFailed):
        failing.enqueue().result(WAIT_S)
    [mark] = until(lambda: [path.name for path in site.marks.iterdir() if path.name.startswith("chain: ")])
    assert (mark.startswith("chain: ValueError: "), mark.endswith("oh")) == (True, True)


# --- what a node adds to the tests in memory --------------------------------------------------------------------------


def test_a_large_chord_is_counted_once_and_streamed(tasks, site):
    workflow = chord((tasks.quick.s(number) for number in range(12_500)), tasks.count.s()).enqueue()
    assert workflow.result(WAIT_S * 4) == (12_500, sum(range(12_500)))
    assert len(site.marked("count")) == 1
    status = workflow.status()
    assert (status.members.total, status.members.succeeded) == (12_500, 12_500)
    results = workflow.results("group", int)
    assert (len(results), results[12_345], results[-1]) == (12_500, 12_345, 12_499)


def test_chunks(tasks):
    assert tasks.add.chunks([(1, 2), (3, 4), (5, 6)], 2).enqueue().result(WAIT_S) == [[3, 7], [11]]
    assert tasks.multiply.chunks([(1, 2), (3, 4), (5, 6)], 2).enqueue().result(WAIT_S) == [[2, 12], [30]]


def test_what_a_task_returns_or_adds_is_part_of_the_workflow(tasks):
    assert chain(tasks.spread.s(10), tasks.product.s()).enqueue().result(WAIT_S) == 10 * 11 * 12
    assert tasks.spread.enqueue(10).result(WAIT_S) == [10, 11, 12]
    grown = group([tasks.deeper.s(3)], grows=True).enqueue().result(WAIT_S)
    assert sorted(grown) == sorted([3, *[2] * 2, *[1] * 4, *[0] * 8])
    started = tasks.fork_off.enqueue(4).result(WAIT_S)
    assert tasks.app.workflow(started).result(WAIT_S) == 40


def test_a_dag(tasks):
    canvas = (
        dag("d")
        .step("sum", tasks.add.s(100), takes=["a", "b"])
        .step("a", tasks.add.s(1))
        .step("b", tasks.multiply.s(10), takes="a")
    )
    workflow = canvas.enqueue()
    assert workflow.result(WAIT_S) == 111
    assert [step.name for step in workflow.steps()] == ["a", "b", "sum"]
    assert workflow.timeline()[0].what == "d: started"


def test_a_coroutine_starts_and_awaits_them(tasks):
    async def run():
        workflow = await chain(tasks.add.s(1), tasks.multiply.partial(5)).enqueue_async()
        value = await workflow
        state = (await workflow.status_async()).state
        found = await tasks.app.workflow_async(workflow.id)
        await tasks.app.close_async()
        return value, state, found == workflow

    assert asyncio.run(run()) == (5, WorkflowState.SUCCEEDED, True)


def test_cancel_pause_resume_and_retry(tasks, site):
    workflow = chain(tasks.hold.s("held"), tasks.nothing.si(), tasks.add.si(7)).enqueue()
    assert workflow.pause() is WorkflowState.RUNNING
    site.go("held")
    until(lambda: workflow.steps()[0].state.value == "succeeded")
    with pytest.raises(ResultTimeout):
        workflow.result(0.2)
    assert "paused" in (workflow.why("nothing") or "")
    workflow.resume()
    assert workflow.result(WAIT_S) == 7

    held = chain(tasks.hold.s("never"), tasks.add.si(7)).enqueue()
    until(lambda: held.steps()[0].state.value == "running")
    held.cancel()
    with pytest.raises(JobCancelled):
        held.result(WAIT_S)
    site.go("never")
    held.retry()
    assert held.result(WAIT_S) == 7
    assert held.fork("add").result(WAIT_S) == 7


def test_one_workflow_for_one_key(tasks):
    canvas = chain(tasks.add.s(1), tasks.add.s(2)).options(idempotency_key=f"key {os.getpid()}")
    first, second = canvas.enqueue(), canvas.enqueue()
    assert (first.id, first.duplicate, second.duplicate) == (second.id, False, True)
    assert second.result(WAIT_S) == 3
