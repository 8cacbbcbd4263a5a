"""A job that succeeded has done its work, whatever kind of thing its function returned; in every lane."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest

from penstock.model.errors import InvalidOption, SoftTimeLimitExceeded
from penstock.model.job import LeasedJob, Outcomes
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.worker.executor.async_lane import AsyncLane
from penstock.worker.executor.process_lane import ProcessLane
from penstock.worker.executor.thread_lane import ThreadLane
from penstock.worker.messages import Lot, MessageReader, frame, report_decoder
from penstock.worker.scoreboard import Scoreboard, scoreboard_fd

pytestmark = pytest.mark.timeout(120, method="thread")
"""The process lane needs SIGALRM, by which tests are timed otherwise."""

FENCE = 7
KEEPING = [
    pytest.param({"keep_result_s": 0, "keep_record_s": 0}, id="nothing is kept"),
    pytest.param({"keep_result_s": 0}, id="no result is kept"),
    pytest.param({}, id="with results"),
    pytest.param({"keep_result_s": 0, "keep_record_s": 0, "soft_timeout_s": 60.0}, id="with a soft limit"),
]
SYNC_LANES = ["process", "thread"]
LANES = [*SYNC_LANES, "async"]
colour: ContextVar[str] = ContextVar("colour", default="none")


def run_one(lane: str, function: Callable[..., Any], **options: Any) -> tuple[Outcomes, Any]:
    """One job of this function in a lane: its outcome, and its result."""
    task = Penstock().task(name="t", executor=lane, **options)(function)
    board_fd = scoreboard_fd(1)
    board = Scoreboard(board_fd, 1)
    os.close(board_fd)
    mine, theirs = socket.socketpair()
    mine.settimeout(20.0)
    tasks = {"t": task}
    jobs = [LeasedJob(bytes(16), 1, "default", b"m\x92\x90\x80", None)]
    mine.sendall(frame(Lot(FENCE, None, ["t"], bytes(1), jobs)))
    if lane == "process":
        run: Callable[[], None] = ProcessLane(theirs, board, tasks).run
    elif lane == "thread":
        run = ThreadLane(theirs, board, tasks, 1).run
    else:
        run = lambda: asyncio.run(AsyncLane(board, tasks, 1).run(theirs))  # noqa: E731 - as the others
    outcomes = Outcomes(b"")

    def read() -> None:
        reader = MessageReader()
        while True:
            for body in reader.feed(mine.recv(65536)):
                report = report_decoder.decode(body)
                if report.forgotten_count:
                    outcomes.forgotten.append(report.forgotten_first)
                for name in ("succeeded", "retried", "buried", "cancelled"):
                    getattr(outcomes, name).extend(getattr(report.outcomes, name, []))
                if outcomes != Outcomes(b""):
                    mine.close()
                    return

    supervisor = threading.Thread(target=read)
    supervisor.start()
    run()  # here: the process lane's soft limit is a signal, which only a main thread hears
    supervisor.join(20.0)
    theirs.close()
    board.close()
    value = None
    if outcomes.succeeded and outcomes.succeeded[0].result is not None:
        value = task.codec.decode_result(outcomes.succeeded[0].result)
    return outcomes, value


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def forgetful(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Awaitable:
    """A wrapper's own class, as libraries return."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __await__(self) -> Any:
        return self._make().__await__()


def work(ran: list[str]) -> Callable[[], Any]:
    async def body() -> int:
        await asyncio.sleep(0)
        ran.append(colour.get())
        return 42

    return body


def sync_shapes(body: Callable[[], Any]) -> dict[str, Callable[..., Any]]:
    def coloured() -> Any:
        colour.set("red")
        return body()

    return {
        "a plain decorator": plain(body),
        "two plain decorators": plain(plain(body)),
        "a lambda": lambda: body(),
        "a partial inside": lambda: functools.partial(body)(),
        "an awaitable of its own class": lambda: Awaitable(body),
        "a coroutine that returns one": plain(forgetful(body)),
        "one that sets a variable first": coloured,
    }


@pytest.mark.parametrize("lane", SYNC_LANES)
@pytest.mark.parametrize("options", KEEPING)
@pytest.mark.parametrize("shape", list(sync_shapes(lambda: None)))
def test_a_coroutine_that_a_plain_function_returns_is_run(lane, options, shape):
    ran: list[str] = []
    outcomes, value = run_one(lane, sync_shapes(work(ran))[shape], **options)
    assert ran == ["red" if shape == "one that sets a variable first" else "none"]
    assert not outcomes.buried
    assert value == (42 if not options else None)


@pytest.mark.parametrize("options", KEEPING)
@pytest.mark.parametrize("shape", ["forgotten await", "a task of its own", "a plain decorator", "a class of its own"])
def test_what_a_coroutine_function_returns_is_awaited(options, shape):
    ran: list[str] = []
    body = work(ran)

    async def starts() -> Any:
        return asyncio.ensure_future(body())

    async def wraps() -> Any:
        return Awaitable(body)

    shapes = {
        "forgotten await": forgetful(body),
        "a task of its own": starts,
        "a plain decorator": plain(body),
        "a class of its own": wraps,
    }
    outcomes, value = run_one("async", shapes[shape], **options)
    assert len(ran) == 1
    assert not outcomes.buried
    assert value == (42 if not options else None)


def generators(ran: list[str]) -> dict[str, Callable[..., Any]]:
    def generator() -> Iterator[int]:
        ran.append("generator")
        yield 1

    async def async_generator() -> Any:
        ran.append("async generator")
        yield 1

    return {
        "generator": plain(generator),
        "async generator": plain(async_generator),
        "context manager": plain(contextlib.contextmanager(generator)),
        "async context manager": plain(contextlib.asynccontextmanager(async_generator)),
        "map": lambda: map(ran.append, ["map"]),
        "filter": lambda: filter(ran.append, ["filter"]),
    }


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("options", KEEPING)
@pytest.mark.parametrize("shape", list(generators([])))
def test_a_job_that_returns_a_generator_has_failed(lane, options, shape):
    ran: list[str] = []
    function = generators(ran)[shape]
    outcomes, _ = run_one(lane, forgetful(function) if lane == "async" else function, **options)
    assert outcomes.buried, outcomes
    [buried] = outcomes.buried
    assert buried.error.type == "InvalidResult"
    assert "t: what it returned is a" in buried.error.message
    assert "nothing has run" in buried.error.message
    assert not ran


@pytest.mark.parametrize("lane", LANES)
def test_what_the_body_raises_is_the_jobs_failure(lane):
    async def body() -> None:
        raise KeyError("x")

    outcomes, _ = run_one(lane, plain(body), retry=Retry(max_attempts=1), keep_result_s=0, keep_record_s=0)
    assert outcomes.buried[0].error.type == "KeyError"


@pytest.mark.parametrize("options", KEEPING)
@pytest.mark.parametrize("shape", ["a task", "a future", "the job itself"])
def test_generator_exit_is_a_failure_like_any_other(options, shape):
    async def raises() -> None:
        raise GeneratorExit

    async def awaits() -> None:
        if shape == "a task":
            await asyncio.create_task(raises())
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, GeneratorExit())
        await future

    outcomes, _ = run_one(
        "async", raises if shape == "the job itself" else awaits, retry=Retry(max_attempts=1), **options
    )
    [buried] = outcomes.buried
    assert buried.error.type == "GeneratorExit"


def test_a_context_comes_through_a_plain_decorator():
    async def body(ctx: Context) -> int:
        return ctx.attempt

    assert run_one("process", plain(body))[1] == 1


def test_a_soft_limit_ends_a_coroutine_in_the_process_lane():
    async def body() -> None:
        await asyncio.Event().wait()

    outcomes, _ = run_one("process", plain(body), retry=Retry(max_attempts=1), soft_timeout_s=0.01)
    assert outcomes.buried[0].error.type == SoftTimeLimitExceeded.__name__


@pytest.mark.parametrize("lane", LANES)
def test_the_handle_of_another_job_is_not_waited_for(lane):
    child = Penstock(store=MemoryStore(VirtualClock())).task(name="child")(lambda: None)

    def parent() -> Any:
        return child.enqueue()

    outcomes, _ = run_one(lane, forgetful(parent) if lane == "async" else parent, keep_result_s=0, keep_record_s=0)
    assert outcomes.forgotten == [FENCE]


class Calls:
    def __call__(self) -> None: ...

    async def later(self) -> None: ...


@pytest.mark.parametrize(
    "thing",
    [functools.partial(print), Calls(), Calls().later, print, functools.partial(work([])), Calls, staticmethod(print)],
)
def test_only_functions_are_tasks(thing):
    with pytest.raises(InvalidOption, match="a task is a function"):
        Penstock().task(name="t")(thing)


def test_the_async_lane_is_for_functions_with_a_coroutine_function_behind():
    def function() -> None: ...

    with pytest.raises(InvalidOption, match="plain function"):
        Penstock().task(name="t", executor="async")(function)


@dataclass(frozen=True)
class Rejected(Exception):
    code: int


class Slotted(Exception):
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("soft_timeout_s", [None, 60.0])
@pytest.mark.parametrize("error", [Rejected(3), Slotted("x")], ids=["frozen", "no attributes"])
@pytest.mark.parametrize("within", [True, False], ids=["within Retry.on", "outside of Retry.on"])
def test_an_exception_that_cannot_be_written_to_is_retried_as_it_says(lane, soft_timeout_s, error, within):
    def function() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    retry = Retry(on=(type(error),) if within else (OSError,))
    outcomes, _ = run_one(lane, coroutine if lane == "async" else function, retry=retry, soft_timeout_s=soft_timeout_s)
    [outcome] = outcomes.retried if within else outcomes.buried
    assert outcome.error.type == type(error).__name__
