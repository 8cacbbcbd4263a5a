"""Whole canvases, run in memory: what they come to, and what becomes of failures."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import traceback
from dataclasses import dataclass

import pytest

from penstock import (
    Canvas,
    Conflict,
    JobCancelled,
    JobFailed,
    Penstock,
    Results,
    ResultTimeout,
    Retry,
    StepState,
    WorkflowNotFound,
    WorkflowState,
    chain,
    chord,
    dag,
    group,
)
from penstock.model import limits

ONCE = Retry(max_attempts=1)


@dataclass
class Point:
    x: int
    day: dt.date


@pytest.fixture
def tasks(node):
    class Tasks:
        """Tasks that note what they did."""

    @node.app.task(name="add")
    def add(*numbers: int) -> int:
        node.log.append(("add", *numbers))
        return sum(numbers)

    @node.app.task(name="double")
    async def double(number: int) -> int:
        node.log.append(("double", number))
        return number * 2

    @node.app.task(name="total")
    def total(numbers: list[int | None]) -> int:
        node.log.append(("total", *numbers))
        return sum(number or 0 for number in numbers)

    @node.app.task(name="fail", retry=ONCE)
    def fail(*values: object) -> int:
        node.log.append(("fail", *values))
        raise ValueError("no")

    @node.app.task(name="told")
    def told(error: dict[str, str | None], *more: object) -> None:
        node.log.append(("told", error["type"], *more))

    @node.app.task(name="undo")
    def undo(value: object) -> None:
        node.log.append(("undo", value))

    @node.app.task(name="note")
    def note(*values: object) -> str:
        node.log.append(("note", *values))
        return "noted"

    @node.app.task(name="stream")
    def stream(numbers: Results[int]) -> int:
        node.log.append(("stream", len(numbers)))
        return sum(number or 0 for number in numbers)

    Tasks.add, Tasks.double, Tasks.total, Tasks.fail = add, double, total, fail
    Tasks.told, Tasks.undo, Tasks.note, Tasks.stream = told, undo, note, stream
    return Tasks


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_chain(node, tasks):
    assert node.result(chain(tasks.add.s(1, 2), tasks.add.s(10), tasks.double.s())) == 26
    assert node.log == [("add", 1, 2), ("add", 10, 3), ("double", 13)]


def test_a_group_and_a_chord(node, tasks):
    assert node.result(group(tasks.double.s(1), tasks.add.s(2, 3))) == [2, 5]
    assert node.result(chord(group(tasks.double.map([1, 2]), tasks.double.s(5)), tasks.note.s())) == "noted"
    assert node.log[-1] == ("note", [[2, 4], 10])


def test_nesting(node, tasks):
    canvas = chain(
        tasks.add.s(1),
        group(tasks.double.s(), chain(tasks.double.s(), group(tasks.add.s(1), tasks.add.s(2)), tasks.total.s())),
        tasks.total.s(),
        group(tasks.double.s(), tasks.add.si(5)),
    )
    assert node.result(canvas) == [18, 5]
    assert ("total", 2, 7) in node.log


def test_a_dag(node, tasks):
    canvas = (
        dag("d")
        .step("b", tasks.add.s(100), takes=["a", "c"])
        .step("a", tasks.add.s(1))
        .step("c", tasks.double.s(), takes="a")
        .step("d", tasks.note.s(), takes="a", after=["b"])
        .returns("b", "d")
    )
    assert node.result(canvas) == {"b": 103, "d": "noted"}


def test_a_dag_within(node, tasks):
    inner = dag("inner").step("twice", tasks.double.s()).step("more", tasks.add.s(1), takes="twice")
    assert node.result(chain(tasks.add.s(3), group(inner, inner), tasks.total.s())) == 14
    both = dag("both").step("x", tasks.double.s(1)).step("y", tasks.double.s(2))
    assert node.result(group(both, tasks.add.s(1))) == [{"x": 2, "y": 4}, 1]


def test_chunks(node, tasks):
    assert node.result(tasks.add.chunks([(1, 2), (3, 4), (5,)], 2)) == [[3, 7], [5]]
    assert node.result(tasks.double.chunks([(1,), (2,), (3,)], 2)) == [[2, 4], [6]]


def test_values_are_of_their_types(node):
    @node.app.task(name="make")
    def make(x: int) -> Point:
        return Point(x, dt.date(2026, 1, x))

    @node.app.task(name="take")
    def take(point: Point) -> dt.date:
        assert isinstance(point, Point)
        return point.day

    @node.app.task(name="latest")
    def latest(days: list[dt.date]) -> dt.date:
        return max(days)

    assert node.result(chain(make.s(2), take.s())) == dt.date(2026, 1, 2)
    assert node.result(make.map([1, 2])) == [Point(1, dt.date(2026, 1, 1)), Point(2, dt.date(2026, 1, 2))]
    assert node.result(chord((make.s(x) | take.s() for x in (3, 1)), latest.s())) == dt.date(2026, 1, 3)
    several = dag("d").step("a", make.s(1)).step("b", take.s(), takes="a").step("c", make.s(3))
    assert node.result(several) == {"b": dt.date(2026, 1, 1), "c": Point(3, dt.date(2026, 1, 3))}


def test_results_that_are_streamed(node, tasks, monkeypatch):
    monkeypatch.setattr(limits, "RESULTS_INLINE_MAX", 40)
    many = 70
    canvas = chord((tasks.add.s(number) for number in range(many)), tasks.stream.s())
    assert node.result(canvas) == sum(range(many))
    large = tasks.add.starmap((number,) for number in range(many)).enqueue()
    node.work()
    found = large.result()
    assert isinstance(found, Results)
    assert (len(found), found[0], found[-1]) == (many, 0, many - 1)


def test_an_empty_group(node, tasks):
    assert node.result(chord([], tasks.total.s()) | tasks.add.s(1)) == 1


def test_groups_stand_in_each_other_as_deep_as_they_may(node, tasks):
    nested = tasks.add.s(1)
    for _ in range(limits.CANVAS_NESTING_MAX):
        nested = group(nested)
    found = node.result(nested)
    depth = 0
    while isinstance(found, list):
        [found] = found
        depth += 1
    assert (found, depth) == (1, limits.CANVAS_NESTING_MAX)


def test_calls_return_calls_deeper_than_a_stack_goes(node, tasks):
    """What values are put together from stands in itself, as deep as tasks like: the owner must not follow it on its
    stack, or it would meet the same end whenever it is told of the last outcome."""

    @node.app.task(name="down")
    def down(left: int) -> object:
        return down.s(left - 1) if left else 7

    @node.app.task(name="nested")
    def nested(left: int) -> object:
        return group([nested.s(left - 1)]) if left else 7

    @node.app.task(name="depth")
    def depth(values: object) -> int:
        reached = 0
        while isinstance(values, list):
            [values] = values
            reached += 1
        return reached

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(sum(1 for _ in traceback.walk_stack(None)) + 250)
    try:
        assert node.result(chain(down.s(200), tasks.add.s(1))) == 8
        assert node.result(chain(nested.s(100), depth.s())) == 100
    finally:
        sys.setrecursionlimit(limit)


def test_a_returned_call_takes_the_place_of_a_value(node, tasks):
    @node.app.task(name="choose")
    def choose(number: int) -> int | Canvas[int]:
        return chain(tasks.add.s(number), tasks.double.s()) if number > 2 else number

    assert node.result(group(choose.s(1), choose.s(3)) | tasks.total.s()) == 7
    lone = choose.enqueue(5)
    node.work()
    assert lone.result() == 10


# --- failures ---------------------------------------------------------------------------------------------------------


def test_what_follows_a_failure_does_not_start(node, tasks):
    workflow = chain(tasks.add.s(1), tasks.fail.s(), tasks.note.s()).enqueue()
    node.work()
    with pytest.raises(JobFailed, match=r"ValueError: .*no") as caught:
        workflow.result()
    assert (caught.value.type, "fail" in caught.value.message) == ("ValueError", True)
    assert [step.state for step in workflow.steps()] == [StepState.SUCCEEDED, StepState.FAILED, StepState.CANCELLED]
    assert workflow.state is WorkflowState.FAILED
    assert not [entry for entry in node.log if entry[0] == "note"]


def test_failures_that_are_allowed(node, tasks):
    members = [tasks.add.s(1), tasks.fail.s(), tasks.add.s(3)]
    assert node.result(chord(group(members, allow_failures=1), tasks.total.s())) == 4
    assert node.log[-1] == ("total", 1, None, 3)


def test_what_stands_in(node, tasks):
    assert node.result(chain(tasks.add.s(7), tasks.fail.s().otherwise(tasks.double.s()), tasks.add.s(1))) == 15
    failing = group(tasks.fail.s(), tasks.add.s(1)).otherwise(tasks.add.si(9))
    assert node.result(chain(failing, tasks.note.s())) == "noted"
    assert node.log[-1] == ("note", 9)
    assert node.result(tasks.fail.s(1).otherwise(tasks.told.s(4), with_error=True)) is None
    assert node.log[-1] == ("told", "ValueError", 4)


def test_what_is_not_needed_goes_on(node, tasks):
    canvas = (
        dag("d")
        .step("bad", tasks.fail.s())
        .step("never", tasks.note.s(), takes="bad")
        .step("good", tasks.add.s(1))
        .step("after", tasks.double.s(), takes="good")
    )
    workflow = canvas.options(on_failure="finish").enqueue()
    node.work()
    assert workflow.state is WorkflowState.FAILED
    assert ("double", 1) in node.log


def test_a_saga(node, tasks):
    workflow = chain(
        tasks.add.s(1).compensate(tasks.undo.s()),
        tasks.double.s().compensate(tasks.undo.s()),
        tasks.fail.s(),
    ).enqueue()
    node.work()
    assert node.log == [("add", 1), ("double", 1), ("fail", 2), ("undo", 2), ("undo", 1)]
    assert workflow.state is WorkflowState.FAILED


def test_callbacks(node, tasks):
    node.result(chain(tasks.add.s(1), tasks.add.s(2)).on_success(tasks.note.s("whole")))
    assert ("note", "whole", 3) in node.log
    workflow = chain(tasks.add.s(1), tasks.fail.s()).on_error(tasks.told.s("whole")).on_error(tasks.note.si()).enqueue()
    node.work()
    assert workflow.state is WorkflowState.FAILED
    assert ("told", "ValueError", "whole") in node.log
    assert ("note",) in node.log
    node.result(chain(tasks.add.s(4).on_success(tasks.note.s("step")), tasks.add.s(1)))
    assert ("note", "step", 4) in node.log


def test_a_deadline(node, tasks):
    workflow = tasks.add.options(delay_s=100).s(1).options(deadline_s=50).enqueue()
    node.later(60)
    with pytest.raises(JobFailed) as caught:
        workflow.result()
    assert caught.value.type == "DeadlineExceeded"


def test_a_producer_that_dies_leaves_a_group_that_says_so(node, tasks):
    def members():
        yield from (tasks.note.s("x" * 50_000) for _ in range(400))
        # As if the process were gone: nobody cancels.
        node.store.cancel_workflow = lambda *_, **__: None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        group(members(), open_s=30).enqueue()
    del node.store.cancel_workflow
    node.work()
    [view] = node.store.workflows().workflows
    assert view.state is WorkflowState.RUNNING
    node.later(31)
    [view] = node.store.workflows().workflows
    assert (view.state, view.error.type) == (WorkflowState.FAILED, "GroupAbandoned")


def test_a_group_that_grows(node):
    @node.app.task(name="visit")
    def visit(ctx, number: int) -> int:
        if number < 3:
            ctx.add_members(visit.s(number + 1), visit.s(number + 2))
        return number

    assert sorted(node.result(group([visit.s(1)], grows=True))) == [1, 2, 3, 3, 4]


# --- the handle -------------------------------------------------------------------------------------------------------


def test_how_it_is(node, tasks):
    workflow = chord(group(tasks.add.s(1), tasks.add.s(2)), tasks.total.s()).options(name="sum").enqueue()
    assert workflow.state is WorkflowState.RUNNING
    with pytest.raises(ResultTimeout, match="not over yet"):
        workflow.result()
    assert [(step.name, step.kind, step.state.value) for step in workflow.steps()] == [
        ("group", "group", "running"),
        ("total", "job", "waiting"),
    ]
    assert workflow.why("total") == "for the step it needs (group)"
    assert workflow.why(0) is None
    node.work()
    status = workflow.status()
    assert (status.name, status.state, status.steps["succeeded"]) == ("sum", WorkflowState.SUCCEEDED, 2)
    assert (status.members.total, status.members.succeeded, status.error) == (2, 2, None)
    assert [moment.what for moment in workflow.timeline()][::5] == ["sum: started", "sum: succeeded"]
    assert list(workflow.results("group", int)) == [1, 2]
    assert list(workflow.results("total")) == [3]
    assert (node.app.workflow(workflow.id), repr(node.app.workflow(workflow.id))) == (workflow, repr(workflow))


def test_why_a_step_that_has_begun_does_not_get_on(node, tasks):
    """It stands with the step's job: the step itself only knows that it has begun."""

    @node.app.task(name="approval")
    def approval(ctx, order: str) -> str:
        ctx.wait_for("approved")
        ctx.sleep(60)
        return order

    @node.app.task(name="stumble", retry=Retry(max_attempts=2, base_s=30.0, jitter=False))
    def stumble() -> None:
        raise ValueError("boom")

    @node.app.task(name="anything")
    def anything():
        return "text"

    @node.app.task(name="number")
    def number(given: int) -> int:
        return given

    graph = (
        dag("orders")
        .step("approval", approval.s("A7"))
        .step("stumble", stumble.s())
        .step("late", tasks.add.options(delay_s=60).s(1))
        .step("anything", anything.s())
        .step("number", number.s(), takes="anything")
        .step("last", tasks.add.s(), after=["approval", "anything"])
    )
    workflow = graph.enqueue()
    assert workflow.why("approval") == "no worker of queue 'default' has started it yet"
    node.work()
    assert workflow.why("approval") == "waits for event 'approved'"
    assert workflow.why("stumble").startswith("it is tried again, until ")
    assert workflow.why("stumble").endswith(" UTC (ValueError: boom)")
    assert workflow.why("late").startswith("it is delayed, until ")
    assert "InvalidArguments: number: argument 'given': Expected `int`" in workflow.why("number")
    assert workflow.why("last") == "for 1 of the 2 steps that it needs (approval)"
    assert workflow.why("anything") is None
    workflow.signal("approved")
    node.work()
    assert workflow.why("approval").startswith("sleeps, until ")
    assert {step.name: step.reason for step in asyncio.run(workflow.steps_async())}["approval"].startswith("sleeps")


def test_what_is_done_to_it(node, tasks):
    workflow = chain(tasks.add.s(1), tasks.add.s(2)).enqueue()
    workflow.pause()
    node.work()
    assert workflow.steps()[1].state is StepState.WAITING
    workflow.resume()
    node.work()
    assert workflow.result() == 3
    again = workflow.fork("add-2")
    node.work()
    assert (again.result(), again == workflow, again.status().forked_from) == (3, False, workflow.id)
    cancelled = chain(tasks.add.s(1), tasks.add.s(2)).enqueue()
    cancelled.cancel()
    node.work()
    with pytest.raises(JobCancelled):
        cancelled.result()
    cancelled.retry()
    node.work()
    assert cancelled.result() == 3


def test_what_is_not_there(node, tasks):
    workflow = tasks.add.s(1).enqueue()
    for ask in (workflow.why, workflow.results, workflow.fork):
        with pytest.raises(WorkflowNotFound, match="no step 'ad'; did you mean 'add'"):
            ask("ad")
    unknown = "01890000-0000-7000-8000-000000000000"
    for of in (node.app.workflow, lambda one: asyncio.run(node.app.workflow_async(one))):
        with pytest.raises(WorkflowNotFound):
            of(unknown)
        with pytest.raises(WorkflowNotFound, match="not a workflow's id"):
            of("x")
    Penstock.close(node.app)


def test_a_handle_is_not_sent():
    import copy

    node_app = Penstock("nowhere")
    from penstock import Workflow

    workflow = Workflow(node_app._connection, bytes(16))
    assert copy.copy(workflow) is copy.deepcopy(workflow) is workflow
    with pytest.raises(TypeError, match="send its id"):
        workflow.__reduce__()


def test_a_coroutine_does_the_same(node, tasks):
    async def run():
        workflow = await chain(tasks.add.s(1), tasks.add.s(2)).enqueue_async()
        assert (await workflow.status_async()).state is WorkflowState.RUNNING
        await workflow.pause_async()
        await workflow.resume_async()
        await asyncio.to_thread(node.work)
        assert [step.state for step in await workflow.steps_async()] == [StepState.SUCCEEDED] * 2
        assert await workflow.published_async("nothing") is None
        assert await workflow.why_async("add-2") is None
        assert await workflow.timeline_async() == workflow.timeline()
        assert [value async for value in await workflow.results_async("add-2", int)] == [3]
        fork = await workflow.fork_async("add-2")
        assert await fork.why_async("add-2") == fork.why("add-2") == "no worker of queue 'default' has started it yet"
        with pytest.raises(WorkflowNotFound, match="did you mean"):
            await workflow.fork_async("add2")
        await asyncio.to_thread(node.work)
        assert (fork.id != workflow.id, await fork) == (True, 3)
        assert await workflow.cancel_async() is WorkflowState.SUCCEEDED
        assert await workflow.retry_async() is WorkflowState.SUCCEEDED
        return await workflow, await workflow.result_async(0)

    assert asyncio.run(run()) == (3, 3)


def test_one_workflow_for_one_key(node, tasks):
    def made(number):
        return chain(tasks.add.s(number)).options(idempotency_key="k")

    first, second = made(1).enqueue(), made(1).enqueue()
    assert (first == second, second.duplicate) == (True, True)
    with pytest.raises(Conflict):
        made(2).enqueue()


def test_a_signal_is_kept(node, tasks):
    workflow = chain(tasks.add.s(1), tasks.add.s(2)).enqueue()
    assert workflow.signal("approved", {"by": ("a", 1)}) is False
    assert asyncio.run(workflow.signal_async("approved")) is False
