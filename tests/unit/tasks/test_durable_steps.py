"""Durable steps as a job's function sees them, run in this process over the in-memory store."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pytest

from penstock import (
    Concurrency,
    Context,
    EventTimeout,
    InvalidOption,
    InvalidResult,
    JobFailed,
    Penstock,
    Retry,
    Snooze,
    StepFailed,
    WorkflowNotFound,
)
from penstock.model.states import State
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import elapse
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready

LANES = ["plain", "coroutine"]


@dataclass
class Receipt:
    id: int
    at: datetime


class Desk:
    """An application, and how its jobs are run and time passes."""

    def __init__(self):
        self.clock = VirtualClock()
        self.store = MemoryStore(self.clock)
        self.app = Penstock(store=self.store)
        self.calls = []

    def run(self, times=1):
        return [run_ready(self.app, self.store, self.clock) for _ in range(times)]

    def wait(self, seconds):
        elapse(self.store, self.clock, seconds)

    def call(self, name, value=None):
        """A step that notes that it was called."""
        self.calls.append(name)
        return value

    def view(self, job):
        [view] = self.store.get([job._id])
        return view

    def task(self, lane, function, **options):
        """A task of this function, which is a generator of calls: ``(method, args, kwargs)``, answered by ``send``."""
        if lane == "plain":

            def plain(ctx: Context):
                return drive(function(ctx), lambda call: call())

            return self.app.task(name=f"app.{function.__name__}", **options)(plain)

        async def coroutine(ctx: Context):
            steps, answer, error = function(ctx), None, None
            while True:
                try:
                    call = steps.send(answer) if error is None else steps.throw(error)
                except StopIteration as stop:
                    return stop.value
                answer = error = None
                try:
                    answer = await call()
                except Exception as raised:
                    error = raised

        return self.app.task(name=f"app.{function.__name__}", **options)(coroutine)


def drive(steps, do):
    answer, error = None, None
    while True:
        try:
            call = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value
        answer = error = None
        try:
            answer = do(call)
        except Exception as raised:
            error = raised


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture(params=LANES)
def lane(request):
    return request.param


def test_a_recorded_step_is_not_called_again(desk, lane):
    def work(ctx):
        first = yield lambda: ctx.step("first", desk.call, "first", 1)
        second = yield lambda: ctx.step("second", desk.call, "second", value=2)
        desk.calls.append("end")
        if desk.calls.count("end") < 3:
            raise ValueError("not yet")
        return [first, second]

    job = desk.task(lane, work, retry=Retry(base_s=0.0)).enqueue()
    assert desk.run(4) == [1, 1, 1, 0]
    assert job.result() == [1, 2]
    assert desk.calls == ["first", "second", "end", "end", "end"]


def test_a_coroutine_function_is_a_step(desk, lane):
    async def fetch(name):
        await asyncio.sleep(0)
        return desk.call(name, name)

    def work(ctx):
        return (yield lambda: ctx.step("fetch", fetch, "page"))

    job = desk.task(lane, work).enqueue()
    desk.run()
    assert job.result() == "page"


def test_the_time_limit_of_a_job_that_was_suspended_begins_anew(desk, lane):
    left = []

    def work(ctx):
        left.append(ctx.deadline - desk.clock.time())
        yield lambda: ctx.sleep(3_600)
        left.append(ctx.deadline - desk.clock.time())
        yield lambda: ctx.wait_for("go on")
        left.append(ctx.deadline - desk.clock.time())

    job = desk.task(lane, work, timeout_s=10.0).enqueue()
    desk.run()
    desk.wait(3_600)
    desk.run()
    desk.wait(100_000)
    desk.app.signal(job.id, "go on")
    desk.run()
    assert job.status().state is State.SUCCEEDED
    assert left == pytest.approx([10.0] * 6)


def test_a_job_sleeps_without_an_attempt(desk, lane):
    def work(ctx):
        yield lambda: ctx.step("before", desk.call, "before")
        yield lambda: ctx.sleep(3_600)
        yield lambda: ctx.step("after", desk.call, "after")
        return ctx.attempt

    job = desk.task(lane, work).enqueue()
    assert desk.run(2) == [1, 0]
    assert (job.status().state, job.status().attempt, job.status().reason) == (State.SCHEDULED, 0, "sleeps")
    desk.wait(3_599)
    assert desk.run() == [0]
    desk.wait(1)
    desk.run()
    assert (job.result(), desk.calls) == (1, ["before", "after"])


def test_a_job_waits_for_an_event(desk, lane):
    def work(ctx):
        return (yield lambda: ctx.wait_for("approved"))

    job = desk.task(lane, work).enqueue()
    desk.run()
    assert job.status().reason == "waits for event 'approved'"
    assert desk.app.signal(job.id, "approved", {"by": "ann", "at": datetime(2026, 1, 1, tzinfo=UTC)})
    desk.run()
    assert job.result() == {"by": "ann", "at": datetime(2026, 1, 1, tzinfo=UTC)}
    with pytest.raises(WorkflowNotFound):
        desk.app.signal(job.id, "approved")


def test_an_event_that_came_before_it_was_waited_for(desk, lane):
    def work(ctx):
        first = yield lambda: ctx.wait_for("line", 0)
        second = yield lambda: ctx.wait_for("line", 0)
        return first + second

    job = desk.task(lane, work).enqueue()
    assert not desk.app.signal(job.id, "line", "a")
    assert asyncio.run(desk.app.signal_async(job.id, "line", "b")) is False
    desk.run(3)
    assert job.result() == "ab"


def test_an_event_that_does_not_come(desk, lane):
    def work(ctx):
        try:
            yield lambda: ctx.wait_for("approved", 60)
        except EventTimeout as error:
            return str(error)

    job = desk.task(lane, work).enqueue()
    desk.run()
    desk.wait(60)
    desk.run()
    assert job.result() == "The event 'approved' has not come in time."


# --- steps that fail ------------------------------------------------------------------------------------------------


class OutOfStock(Exception):
    """What a step raises."""


def test_a_failure_that_is_caught_is_recorded_and_raised_again(desk, lane):
    def fail():
        desk.call("fail")
        raise OutOfStock("none left")

    told = []

    def work(ctx):
        try:
            yield lambda: ctx.step("take", fail)
        except StepFailed as error:
            told.append((error.type, error.message, "OutOfStock" in error.traceback, type(error.__cause__)))
        yield lambda: ctx.sleep(5)
        return "refunded"

    job = desk.task(lane, work).enqueue()
    desk.run()
    desk.wait(5)
    desk.run()
    assert (job.result(), desk.calls) == ("refunded", ["fail"])
    assert told == [("OutOfStock", "none left", True, OutOfStock), ("OutOfStock", "none left", True, type(None))]


def test_a_failure_that_is_not_caught_fails_the_attempt_and_the_step_is_called_again(desk, lane):
    def fail():
        desk.call("fail")
        raise OutOfStock("none left")

    def work(ctx):
        yield lambda: ctx.step("before", desk.call, "before")
        yield lambda: ctx.step("take", fail)

    job = desk.task(lane, work, retry=Retry(max_attempts=3, base_s=0.0)).enqueue()
    desk.run(4)
    with pytest.raises(JobFailed) as dead:
        job.result()
    assert (dead.value.type, dead.value.message) == ("OutOfStock", "none left")
    assert desk.calls == ["before", "fail", "fail", "fail"]


def test_the_tasks_retry_looks_at_what_the_step_raised(desk, lane):
    def fail():
        raise OutOfStock("none left")

    def work(ctx):
        yield lambda: ctx.step("take", fail)

    job = desk.task(lane, work, retry=Retry(max_attempts=3, on=(ValueError,))).enqueue()
    desk.run()
    assert job.status().state is State.DEAD


def test_a_step_with_a_retry_of_its_own_charges_no_attempt(desk, lane):
    def flaky():
        desk.call("flaky")
        if len(desk.calls) < 3:
            raise OutOfStock("not yet")
        return "got it"

    def work(ctx):
        got = yield lambda: ctx.step("take", flaky, retry=Retry(max_attempts=5, base_s=10.0, jitter=False))
        return [got, ctx.attempt]

    job = desk.task(lane, work, retry=Retry(max_attempts=1)).enqueue()
    desk.run()
    assert job.status().reason == "tries step 'take' again"
    desk.wait(9)
    assert desk.run() == [0]
    desk.wait(1)
    desk.run()
    desk.wait(20)
    desk.run()
    assert (job.result(), desk.calls) == (["got it", 1], ["flaky"] * 3)


def test_a_step_that_has_been_tried_often_enough_has_failed(desk, lane):
    def fail():
        desk.call("fail")
        raise OutOfStock("none left")

    def work(ctx):
        try:
            yield lambda: ctx.step("take", fail, retry=Retry(max_attempts=2, base_s=0.0))
        except StepFailed as error:
            return error.type

    job = desk.task(lane, work).enqueue()
    desk.run(2)
    assert (job.result(), desk.calls) == ("OutOfStock", ["fail", "fail"])


def test_a_snooze_in_a_step_is_one_of_the_job(desk, lane):
    def later():
        if not desk.calls:
            desk.call("snoozed")
            raise Snooze(5.0)
        return "now"

    def work(ctx):
        return (yield lambda: ctx.step("take", later))

    job = desk.task(lane, work).enqueue()
    desk.run()
    assert desk.view(job).state is State.SCHEDULED
    desk.wait(5)
    desk.run()
    assert job.result() == "now"


# --- values ---------------------------------------------------------------------------------------------------------
def receipt(number) -> Receipt:
    return Receipt(number, datetime(2026, 5, 1, tzinfo=UTC))


def bare_receipt(number):
    return receipt(number)


def wrong() -> int:
    return "seven"


@pytest.mark.parametrize("value", [None, 7, "x", b"\x00", [1, {"a": None}], (1, (2, 3)), {1, 2}, {(1, 2): 3}])
def test_a_later_run_gets_what_the_first_got(desk, lane, value):
    seen = []

    def work(ctx):
        seen.append((yield lambda: ctx.step("value", lambda: value)))
        yield lambda: ctx.sleep(0)

    job = desk.task(lane, work).enqueue()
    desk.run(2)
    assert job.status().state is State.SUCCEEDED
    assert seen == [value, value]
    assert type(seen[0]) is type(seen[1]) is type(value)


def test_what_is_annotated_is_read_as_that(desk, lane):
    seen = []

    def work(ctx):
        seen.append((yield lambda: ctx.step("receipt", receipt, 7)))
        yield lambda: ctx.sleep(0)

    desk.task(lane, work).enqueue()
    desk.run(2)
    assert seen == [receipt(7), receipt(7)]


@pytest.mark.parametrize(
    "function, told",
    [(bare_receipt, "annotate"), (wrong, "int"), (lambda: object(), "object"), (lambda: iter([]), "iter")],
)
def test_what_would_come_back_as_something_else_is_refused(desk, lane, function, told):
    def work(ctx):
        try:
            yield lambda: ctx.step("value", function, *([7] if function is bare_receipt else []))
        except InvalidResult:
            pass
        return "went on"

    job = desk.task(lane, work).enqueue()
    desk.run()
    with pytest.raises(JobFailed, match=told) as dead:
        job.result()
    assert dead.value.type == "InvalidResult"


def test_a_generator_is_no_value(desk, lane):
    def generator():
        yield 1

    def work(ctx):
        yield lambda: ctx.step("value", generator)

    job = desk.task(lane, work).enqueue()
    desk.run()
    with pytest.raises(JobFailed, match="a generator"):
        job.result()


# --- code that has changed ------------------------------------------------------------------------------------------
def renamed(ctx):
    yield lambda: ctx.step("b", int)


def gone(ctx):
    return
    yield


def moved(ctx):
    yield lambda: ctx.sleep(1)


def another_event(ctx):
    yield lambda: ctx.step("a", int)
    yield lambda: ctx.wait_for("paid")


def twice(ctx):
    yield lambda: ctx.step("a", int)
    yield lambda: ctx.step("a", int)


def swallowed(ctx):
    try:
        yield lambda: ctx.step("b", int)
    except Exception:
        pass
    return "fine"


@pytest.mark.parametrize("function", [renamed, gone, moved, another_event, twice, swallowed])
def test_steps_that_have_changed_bury_the_job(desk, lane, function):
    versions = []

    def work(ctx):
        if versions:
            return (yield from function(ctx))
        versions.append(1)
        yield lambda: ctx.step("a", int)
        yield lambda: ctx.sleep(5)

    job = desk.task(lane, work).enqueue()
    desk.run()
    desk.wait(5)
    desk.run()
    with pytest.raises(JobFailed) as dead:
        job.result()
    assert dead.value.type == "StepChanged"


def test_a_job_whose_code_is_right_again_goes_on(desk, lane):
    version = ["a"]

    def work(ctx):
        yield lambda: ctx.step(version[0], desk.call, "a")
        yield lambda: ctx.sleep(5)
        return "done"

    job = desk.task(lane, work).enqueue()
    desk.run()
    desk.wait(5)
    version[0] = "b"
    desk.run()
    assert job.status().state is State.DEAD
    version[0] = "a"
    desk.store.revive([job._id])
    desk.run()
    assert (job.result(), desk.calls) == ("done", ["a"])


# --- what is caught -------------------------------------------------------------------------------------------------
def test_who_catches_the_suspension_is_told(desk):
    @desk.app.task
    def work(ctx: Context):
        try:
            ctx.sleep(5)
        except BaseException:
            pass

    @desk.app.task
    def returns(ctx: Context):
        try:
            ctx.sleep(5)
        finally:
            return 1  # noqa: B012 - what nobody should do

    @desk.app.task
    async def raises(ctx: Context):
        try:
            await ctx.sleep(5)
        except BaseException as error:
            raise ValueError("mine") from error

    jobs = [task.enqueue() for task in (work, returns, raises)]
    desk.run()
    for job in jobs:
        with pytest.raises(JobFailed, match="caught what suspends it") as dead:
            job.result()
        assert dead.value.type == "SuspensionCaught"


def test_a_task_group_hands_the_suspension_on(desk):
    @desk.app.task
    async def work(ctx: Context):
        async def part():
            await ctx.sleep(5)

        await asyncio.gather(part())
        return "slept"

    job = work.enqueue()
    desk.run()
    assert job.status().reason == "sleeps"
    desk.wait(5)
    desk.run()
    assert job.result() == "slept"


def test_calls_at_the_same_time_are_refused(desk):
    @desk.app.task
    async def work(ctx: Context):
        async def slow():
            await asyncio.sleep(0)
            return 1

        first = asyncio.ensure_future(ctx.step("a", slow))
        with pytest.raises(InvalidOption):
            await ctx.step("b", slow)
        return await first

    job = work.enqueue()
    desk.run()
    with pytest.raises(JobFailed, match="one durable call at a time"):
        job.result()


def test_a_call_that_is_not_awaited_is_told(desk):
    @desk.app.task
    async def work(ctx: Context):
        ctx.step("a", int)

    job = work.enqueue()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        desk.run()
    with pytest.raises(JobFailed, match="await every durable call"):
        job.result()


def test_a_step_has_no_steps(desk, lane):
    def work(ctx):
        yield lambda: ctx.step("outer", lambda: ctx.step("inner", int))

    job = desk.task(lane, work).enqueue()
    desk.run()
    with pytest.raises(JobFailed, match="'inner' is asked for while 'outer' has not ended"):
        job.result()


# --- checkpoints and published values -------------------------------------------------------------------------------
def test_a_checkpoint_is_restored(desk, lane):
    seen = []

    def work(ctx):
        start = ctx.restored or 0
        seen.append(start)
        for number in range(start, 10):
            if number in (4, 7) and number != start:
                raise ValueError("stumbled")
            yield partial(ctx.checkpoint, number + 1)
            assert ctx.restored == number + 1
        return "through"

    job = desk.task(lane, work, retry=Retry(base_s=0.0)).enqueue()
    desk.run(3)
    assert (job.result(), seen) == ("through", [0, 4, 7])


def test_published_values_are_seen_from_outside(desk, lane):
    def work(ctx):
        ctx.publish_value("progress", {"done": 1})
        ctx.publish_value("progress", {"done": 2})
        ctx.publish_value("note", "half")
        yield lambda: ctx.sleep(5)

    job = desk.task(lane, work).enqueue()
    assert job.published("progress") is None
    desk.run()
    assert (job.published("progress"), job.published("note")) == ({"done": 2}, "half")
    assert asyncio.run(job.published_async("note")) == "half"


def test_what_a_failing_attempt_has_published_is_seen_too(desk, lane):
    def work(ctx):
        ctx.publish_value("note", "so far")
        yield lambda: ctx.step("a", int)
        raise ValueError("no")

    job = desk.task(lane, work).enqueue()
    desk.run()
    assert job.published("note") == "so far"


@pytest.mark.parametrize("call", [lambda ctx: ctx.publish_value("x", object()), lambda ctx: ctx.publish_value("", 1)])
def test_what_cannot_be_published_is_refused_where_it_is_asked_for(desk, call):
    @desk.app.task
    def work(ctx: Context):
        with pytest.raises((InvalidOption, InvalidResult)):
            call(ctx)

    job = work.enqueue()
    desk.run()
    assert job.status().state is State.SUCCEEDED


# --- limits, unique keys --------------------------------------------------------------------------------------------
def test_a_suspended_job_holds_no_slot(desk):
    @desk.app.task(limits=[Concurrency(1), Concurrency(1, per="tenant")])
    def work(ctx: Context, tenant: str):
        desk.call("began")
        ctx.wait_for("go")

    jobs = [work.enqueue("a") for _ in range(3)]
    desk.run(3)
    assert desk.calls == ["began"] * 3
    assert {job.status().reason for job in jobs} == {"waits for event 'go'"}


# --- misuse ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "call, field",
    [
        (lambda ctx: ctx.step(1, int), "name"),
        (lambda ctx: ctx.step("a", 7), "function"),
        (lambda ctx: ctx.step("a", int, retry=3), "retry"),
        (lambda ctx: ctx.sleep(-1), "delay_s"),
        (lambda ctx: ctx.sleep("5"), "delay_s"),
        (lambda ctx: ctx.wait_for(None), "event"),
        (lambda ctx: ctx.wait_for("e", float("nan")), "timeout_s"),
        (lambda ctx: ctx.publish_value(1, 1), "name"),
    ],
)
def test_what_is_none_is_refused_at_the_call(call, field):
    with pytest.raises(InvalidOption) as refused:
        call(Context.local())
    assert refused.value.field == field


@pytest.mark.parametrize("event", ["", "x" * 201])
def test_an_event_that_is_signalled_has_a_name(desk, event):
    with pytest.raises(InvalidOption, match="an event"):
        desk.app.signal("0198f5a2-7bb1-7cc3-8000-000000000000", event)


def test_an_id_that_is_none_is_not_found(desk):
    with pytest.raises(WorkflowNotFound, match="'nobody'"):
        desk.app.signal("nobody", "e")
    with pytest.raises(InvalidResult, match="the event 'e'"):
        desk.app.signal("0198f5a2-7bb1-7cc3-8000-000000000000", "e", object())


# --- by hand --------------------------------------------------------------------------------------------------------
def test_a_plain_function_can_be_called_by_hand():
    slept, published = [], []
    ctx = Context.local(
        events={"approved": 7}, restored="x", on_sleep=slept.append, on_publish=lambda *one: published.append(one)
    )
    assert ctx.step("a", max, 1, 2) == 2
    ctx.sleep(5)
    assert ctx.wait_for("approved") == 7
    assert ctx.restored == "x"
    ctx.checkpoint((1, 2))
    assert ctx.restored == (1, 2)
    ctx.publish_value("p", 1)
    assert (slept, published) == ([5.0], [("p", 1)])
    with pytest.raises(EventTimeout):
        ctx.wait_for("paid", 5)
    with pytest.raises(InvalidOption, match="events="):
        ctx.wait_for("paid")
    with pytest.raises(InvalidResult):
        ctx.step("b", object)


def test_a_coroutine_function_can_be_called_by_hand():
    async def fetch():
        return "page"

    async def work(ctx):
        await ctx.sleep(5)
        await ctx.checkpoint(3)
        with pytest.raises(StepFailed) as failed:
            await ctx.step("c", int, "x")
        assert (failed.value.type, type(failed.value.__cause__)) == ("ValueError", ValueError)
        return [await ctx.step("a", fetch), await ctx.step("b", len, "xy"), await ctx.wait_for("e"), ctx.restored]

    assert asyncio.run(work(Context.local(events={"e": None}))) == ["page", 2, None, 3]
