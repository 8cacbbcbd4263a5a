"""A task is a function with options, checked when it is decorated."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.model.job import TaskRecord
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry


async def thumbnail(ctx: Context, path: str, *, width: int = 200) -> str:
    """Make a small picture."""
    return f"{path} {width} {ctx.attempt}"


def publish(paths: list[str]) -> int:
    return len(paths)


def test_what_a_task_is_by_default(app):
    task = app.task(publish)
    assert task.name == f"{__name__}.publish"
    assert (task.queue, task.priority, task.retry, task.tags) == ("default", 0, Retry(), ())
    assert (task.timeout_s, task.soft_timeout_s, task.expires_s) == (None, None, None)
    assert (task.keep_result_s, task.keep_record_s) == (limits.KEEP_RESULT_S, limits.KEEP_RECORD_S)


@pytest.mark.parametrize(
    ("asked", "kept_s"),
    [
        ({}, (limits.KEEP_RESULT_S, limits.KEEP_RECORD_S)),
        ({"keep_record_s": 0}, (0, 0)),
        ({"keep_record_s": 10}, (limits.KEEP_RESULT_S, 10)),
        ({"keep_record_s": 0, "keep_result_s": 60}, (60, 0)),
        ({"keep_record_s": 0, "keep_result_s": None}, (0, 0)),
        ({"keep_result_s": 0}, (0, limits.KEEP_RECORD_S)),
    ],
)
def test_without_a_history_a_result_is_kept_only_when_asked_for(app, asked, kept_s):
    task = app.task(**asked)(publish)
    record = task.record()
    assert (task.keep_result_s, task.keep_record_s) == kept_s
    assert (record.keep_result_s, record.keep_record_s) == kept_s


def test_what_a_task_is_told_to_be(app):
    retry = Retry(max_attempts=2)
    task = app.task(
        name="shop.thumbnail",
        queue="images",
        priority=3,
        retry=retry,
        timeout_s=30,
        soft_timeout_s=20,
        expires_s=60,
        keep_result_s=0,
        keep_record_s=10,
        executor="async",
        tags=["a", "b"],
    )(thumbnail)
    assert task.retry is retry
    assert (task.timeout_s, task.soft_timeout_s) == (30, 20)
    assert task.record() == TaskRecord(
        name="shop.thumbnail",
        queue="images",
        priority=3,
        max_attempts=2,
        expires_s=60,
        keep_result_s=0,
        keep_record_s=10,
        tags=("a", "b"),
        schema=task.codec.schema(),
    )
    assert [row["name"] for row in json.loads(task.record().schema)["parameters"]] == ["path", "width"]


def test_a_decorated_function_stays_callable(app):
    assert app.task(publish)(["a", "b"]) == 2
    assert asyncio.run(app.task(thumbnail)(Context.local(attempt=4), "cat.png", width=3)) == "cat.png 3 4"


def test_a_task_keeps_its_functions_documentation(app):
    assert app.task(thumbnail).__doc__ == "Make a small picture."


@pytest.mark.parametrize(
    "function, executor, lane",
    [
        (publish, None, "process"),
        (publish, "process", "process"),
        (publish, "thread", "thread"),
        (thumbnail, None, "async"),
        (thumbnail, "async", "async"),
    ],
)
def test_the_lane_follows_from_the_function(app, function, executor, lane):
    task = app.task(executor=executor)(function)
    assert task.lane == lane
    assert task.is_async == (lane == "async")


@pytest.mark.parametrize(
    "function, executor", [(publish, "async"), (thumbnail, "thread"), (thumbnail, "process"), (publish, "fast")]
)
def test_a_lane_that_does_not_fit_is_refused(app, function, executor):
    with pytest.raises(InvalidOption) as caught:
        app.task(executor=executor)(function)
    assert caught.value.field == "executor"


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", "a b"),
        ("queue", "a b"),
        ("priority", 101),
        ("retry", 3),
        ("timeout_s", 0),
        ("timeout_s", "1"),
        ("soft_timeout_s", -1),
        ("expires_s", 0),
        ("keep_result_s", -1),
        ("keep_record_s", float("nan")),
        ("executor", "fast"),
        ("tags", "word"),
    ],
)
def test_a_wrong_option_is_named_at_decoration(app, field, value):
    with pytest.raises(InvalidOption) as caught:
        app.task(**{field: value})(publish)
    assert caught.value.field == field
    assert not app.tasks


def test_an_unknown_option_is_a_mistake_in_the_program(app):
    with pytest.raises(TypeError, match="colour"):
        app.task(colour="red")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("timeout", "timeout_s"), ("retries", "retry"), ("tag", "tags"), ("keep_result", "keep_result_s")],
)
def test_an_option_that_is_nearly_right_is_told_what_it_is_called(app, given, meant):
    with pytest.raises(TypeError, match=rf"app\.task\(\) has no option '{given}'; did you mean {meant}\?"):
        app.task(**{given: 3})


def test_an_option_called_self_is_one_that_there_is_not(app):
    with pytest.raises(TypeError, match=r"app\.task\(\) has no option 'self'"):
        app.task(self=3)


def test_a_parameter_may_be_called_self(app, work):
    @app.task
    def whose(self: int) -> int:
        return self

    async def send():
        return [await whose.enqueue_async(self=4), await whose.options(priority=1).enqueue_async(self=5)]

    jobs = [
        whose.enqueue(self=1),
        whose.options(priority=1).enqueue(self=2),
        *app.enqueue_many([whose.s(self=3), whose.options(priority=1).s(self=6)]),
        *asyncio.run(send()),
    ]
    work()
    assert [job.result(0) for job in jobs] == [1, 2, 3, 6, 4, 5]
    assert whose(self=7) == 7


def test_a_warning_later_than_the_end_is_refused(app):
    with pytest.raises(InvalidOption) as caught:
        app.task(timeout_s=5, soft_timeout_s=5)
    assert caught.value.field == "soft_timeout_s"


@pytest.mark.parametrize("thing", [print, type("Callable", (), {"__call__": lambda self: 1})(), 3, int])
def test_only_functions_become_tasks(app, thing):
    with pytest.raises(InvalidOption) as caught:
        app.task(thing)
    assert caught.value.field == "function"


def test_a_generator_is_no_task(app):
    def numbers():
        yield 1

    async def more_numbers():
        yield 1

    for function in (numbers, more_numbers):
        with pytest.raises(InvalidOption, match="generator"):
            app.task(function)


def test_two_tasks_of_one_name_are_refused(app):
    app.task(publish)
    with pytest.raises(InvalidOption, match="publish") as caught:
        app.task(name=f"{__name__}.publish")(thumbnail)
    assert caught.value.field == "name"


def test_decorating_opens_nothing(tmp_path):
    app = Penstock(str(tmp_path / "data"))
    app.task(publish).record()
    assert not (tmp_path / "data").exists()


def test_a_store_that_is_gone_is_reported(app, store):
    task = app.task(publish)
    store.close()
    with pytest.raises(StoreUnavailable):
        task.enqueue(["a"])
