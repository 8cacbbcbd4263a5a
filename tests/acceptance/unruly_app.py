"""Tasks that fork, take signals, stop the loop and leave things behind. What they did is read from MARKS."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.model.errors import SoftTimeLimitExceeded
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry

app = Penstock()
FORGET = {"keep_result_s": 0, "keep_record_s": 0}
ONCE = Retry(max_attempts=1)
AGAIN = Retry(max_attempts=2, base_s=0.0)
MARKS = Path(os.environ["MARKS"])


def mark(name: str) -> None:
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


def go(name: str) -> bool:
    return (MARKS / f"{name}.go").exists()


def status_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# --- forks: ways in which a child comes back ------------------------------------------------------------------------


class Plain(Exception):
    """A way to fail."""


def leave_by(way: str) -> None:
    """In a child: go back into Penstock's code, in one of several ways."""
    if way == "raise":
        raise Plain("in a child")
    if way == "exit":
        sys.exit(7)
    if way == "exit with words":
        sys.exit("words of a child")


def fork_and(way: str) -> tuple[int, int]:
    """The parent's answer: its own process, and the child's status. The child comes back."""
    pid = os.fork()
    if pid == 0:
        leave_by(way)
        return 0, 0
    return os.getpid(), status_of(pid)


@app.task(retry=ONCE)
def fork_process(way: str) -> tuple[int, int]:
    return fork_and(way)


@app.task(retry=ONCE)
def fork_context(ctx: Context, way: str) -> tuple[int, int]:
    ctx.progress(1, 2, "before")
    pid = os.fork()
    if pid == 0:
        ctx.progress(2, 2, "from a child")
        assert not ctx.cancelled()
        leave_by(way)
        return 0, 0
    return os.getpid(), status_of(pid)


@app.task(retry=ONCE, soft_timeout_s=60.0)
def fork_limited(way: str) -> tuple[int, int]:
    return fork_and(way)


@app.task(retry=ONCE, executor="thread")
def fork_thread(way: str) -> tuple[int, int]:
    return fork_and(way)


@app.task(retry=ONCE, executor="thread", soft_timeout_s=60.0)
def fork_thread_limited(way: str) -> tuple[int, int]:
    return fork_and(way)


@app.task(retry=ONCE)
async def fork_async(way: str) -> tuple[int, int]:
    return fork_and(way)


@app.task(retry=ONCE, soft_timeout_s=60.0)
async def fork_async_limited(way: str) -> tuple[int, int]:
    return fork_and(way)


@app.task(retry=ONCE)
async def fork_to_thread(way: str) -> tuple[int, int]:
    return await asyncio.to_thread(fork_and, way)


@app.task(retry=ONCE)
async def fork_subtask(way: str) -> tuple[int, int]:
    async def inner() -> tuple[int, int]:
        return fork_and(way)

    # Beside others that are due in the same turn of the loop.
    others = [asyncio.create_task(asyncio.sleep(0)) for _ in range(2)]
    pid, status = await asyncio.create_task(inner())
    await asyncio.gather(*others)
    return pid, status


@app.task(retry=ONCE)
async def fork_and_wait() -> int:
    """The child waits for something, as if it had a loop."""
    soon = asyncio.ensure_future(asyncio.sleep(0.01))
    pid = os.fork()
    if pid == 0:
        await soon
        mark("a child went on")
        return 0
    return status_of(pid)


@app.task(**FORGET)
def fork_forgotten() -> None:
    """The issue's own: nobody waits for the child."""
    if os.fork() == 0:
        return


@app.task(**FORGET)
async def fork_forgotten_async() -> None:
    if os.fork() == 0:
        return


@app.task(**FORGET, executor="thread")
def fork_forgotten_thread() -> None:
    if os.fork() == 0:
        return


@app.task(**FORGET)
def neighbour() -> None:
    mark("neighbours")


@app.task(**FORGET)
async def neighbour_async() -> None:
    await asyncio.sleep(0)
    mark("neighbours")


@app.task(**FORGET, executor="thread")
def neighbour_thread() -> None:
    mark("neighbours")


@app.task(timeout_s=0.3, retry=ONCE)
def fork_endless() -> None:
    if os.fork() == 0:
        return
    mark("endless")
    while True:
        time.sleep(0.01)


@app.task(timeout_s=0.3, retry=ONCE)
async def fork_endless_async() -> None:
    if os.fork() == 0:
        return
    mark("endless")
    time.sleep(600)


@app.task(timeout_s=0.3, retry=ONCE, executor="thread")
def fork_endless_thread() -> None:
    if os.fork() == 0:
        return
    mark("endless")
    with contextlib.suppress(BaseException):
        time.sleep(600)
    time.sleep(600)


@app.task(retry=ONCE)
def fork_own_affair() -> tuple[int, int]:
    """A child that never comes back ends as it likes, when it likes."""
    pid = os.fork()
    if pid == 0:
        while not go("own"):
            time.sleep(0.01)
        os._exit(5)
    mark("own")
    return os.getpid(), status_of(pid)


@app.task(retry=ONCE)
def fork_twice() -> int:
    """A grandchild comes back, too."""
    pid = os.fork()
    if pid == 0:
        grandchild = os.fork()
        if grandchild:
            os._exit(status_of(grandchild))
        sys.exit(9)
    return status_of(pid)


# --- children and signals -------------------------------------------------------------------------------------------


def square(number: int) -> int:
    return number * number


def nap(_number: int = 0) -> None:
    time.sleep(600)


def signals_here() -> list[str]:
    """How this process takes the signals of which its executor has taken some."""
    found = [f"wakeup {signal.set_wakeup_fd(-1)}"]
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGCHLD"):
        handler: Any = signal.getsignal(getattr(signal, name))
        found.append(f"{name} {getattr(handler, 'name', None) or getattr(handler, '__name__', '')}")
    return [*found, f"mask {sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))}"]


def tell_signals(connection: Any) -> None:
    connection.send(signals_here())


def signals_in_child() -> list[str]:
    there, here = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=tell_signals, args=(here,))
    process.start()
    told = there.recv()
    process.join()
    return told


@app.task(retry=ONCE)
def signals_process() -> list[str]:
    return signals_in_child()


@app.task(retry=ONCE, executor="thread")
def signals_thread() -> list[str]:
    return signals_in_child()


@app.task(retry=ONCE)
async def signals_async() -> list[str]:
    return signals_in_child()


def terminate(method: str) -> int | None:
    process = multiprocessing.get_context(method).Process(target=nap)
    process.start()
    process.terminate()
    process.join(30)
    return process.exitcode


@app.task(retry=ONCE)
def terminate_process(method: str) -> int | None:
    return terminate(method)


@app.task(retry=ONCE, executor="thread")
def terminate_thread(method: str) -> int | None:
    return terminate(method)


@app.task(retry=ONCE)
async def terminate_async(method: str) -> int | None:
    return terminate(method)


@app.task(retry=ONCE)
def pool(method: str) -> int:
    with multiprocessing.get_context(method).Pool(2) as workers:
        return sum(workers.map(square, range(10)))


@app.task(retry=ONCE)
def executor_pool() -> int:
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        return sum(workers.map(square, range(10)))


@app.task(retry=ONCE)
async def executor_pool_async() -> int:
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        loop = asyncio.get_running_loop()
        return sum(await asyncio.gather(*[loop.run_in_executor(workers, square, number) for number in range(10)]))


@app.task(retry=ONCE)
async def child_with_a_loop() -> int:
    """A process that runs a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=lambda: asyncio.run(asyncio.sleep(0)))
    process.start()
    while process.exitcode is None:
        await asyncio.sleep(0.01)
    return process.exitcode


def stop(program: list[str]) -> int:
    with subprocess.Popen(program) as process:
        process.terminate()
        return process.wait(30)


@app.task(retry=ONCE)
def subprocess_terminates() -> int:
    return stop(["sleep", "600"])


@app.task(retry=ONCE)
def own_handler_in_child() -> int:
    """A handler that the job itself has installed is its children's too, as ever."""
    before = signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
    try:
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)
        return status_of(pid)
    finally:
        signal.signal(signal.SIGTERM, before)


# --- what a job leaves behind ---------------------------------------------------------------------------------------


def surprise(*_about: object) -> None:
    mark("surprise")
    raise RuntimeError("a handler that a job left behind")


def leave_behind(what: str) -> None:
    if what == "handlers":
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, surprise)
    elif what == "defaults":
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    elif what == "ignored":
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    elif what == "timer":
        signal.signal(signal.SIGALRM, surprise)
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    elif what == "alarm":
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    elif what == "mask":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM, signal.SIGINT})
    elif what == "wakeup":
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing)
        os.close(reading)
        os.close(writing)
    elif what == "tracer":
        sys.settrace(raising_tracer)
    elif what == "profiler":
        sys.setprofile(raising_tracer)
    elif what == "stdout":
        sys.stdout = None


def raising_tracer(_frame: object, event: str, _about: object) -> None:
    # The very return of what has set it is not the matter.
    if event == "call" and go("trace"):
        mark("surprise")
        raise RuntimeError("a tracer that a job left behind")


@app.task
def leaves(what: str) -> int:
    leave_behind(what)
    return os.getpid()


@app.task
async def leaves_async(what: str) -> int:
    leave_behind(what)
    return os.getpid()


@app.task(executor="thread")
def leaves_thread(what: str) -> int:
    leave_behind(what)
    return os.getpid()


@app.task(**FORGET)
def leaves_quickly(what: str) -> None:
    leave_behind(what)


def is_clean() -> list[str]:
    """What is left of what a job left behind. Signals come in: they must do nothing."""
    found = []
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        found.append("timer")
    if sys.gettrace() is not None or sys.getprofile() is not None:
        found.append("tracer")
    if signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        found.append("mask")
    not_ours = (surprise, signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
    taken = (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)
    found += [signal.Signals(number).name for number in taken if signal.getsignal(number) in not_ours]
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        time.sleep(0.01)
    return found


@app.task(retry=ONCE)
def looks() -> tuple[int, list[str]]:
    return os.getpid(), is_clean()


@app.task(retry=ONCE)
async def looks_async() -> tuple[int, list[str]]:
    return os.getpid(), is_clean()


@app.task(retry=ONCE, executor="thread")
def looks_thread() -> tuple[int, list[str]]:
    return os.getpid(), is_clean()


@app.task(soft_timeout_s=0.2, retry=ONCE)
def soft() -> str:
    try:
        time.sleep(5)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


# --- what a job does to the loop ------------------------------------------------------------------------------------


def how(kind: str) -> BaseException:
    return {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "cancelled": asyncio.CancelledError()}[kind]


async def raises(kind: str) -> None:
    raise how(kind)


def raises_now(kind: str) -> None:
    raise how(kind)


@app.task(retry=ONCE)
async def subtask_awaited(kind: str) -> None:
    await asyncio.create_task(raises(kind))


@app.task(retry=ONCE)
async def subtask_in_group(kind: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raises(kind))
        group.create_task(asyncio.sleep(600))


@app.task(retry=ONCE)
async def subtask_gathered(kind: str) -> None:
    await asyncio.gather(asyncio.sleep(0), raises(kind))


@app.task(retry=ONCE)
async def thread_of_loop(kind: str) -> None:
    await asyncio.to_thread(raises_now, kind)


left: list[object] = []


@app.task(retry=ONCE)
async def subtask_left(kind: str) -> str:
    left.append(asyncio.create_task(raises(kind)))
    await asyncio.sleep(0.01)
    return "done"


@app.task(retry=ONCE)
async def callback_soon(kind: str) -> str:
    asyncio.get_running_loop().call_soon(raises_now, kind)
    await asyncio.sleep(0.01)
    return "done"


@app.task(retry=ONCE)
async def callback_later(kind: str) -> str:
    asyncio.get_running_loop().call_later(0.001, raises_now, kind)
    await asyncio.sleep(0.02)
    return "done"


@app.task(retry=ONCE)
async def callback_reader(kind: str) -> str:
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()

    def read() -> None:
        loop.remove_reader(reading)
        raise how(kind)

    loop.add_reader(reading, read)
    os.write(writing, b".")
    await asyncio.sleep(0.02)
    os.close(reading)
    os.close(writing)
    return "done"


@app.task(retry=ONCE)
async def callback_of_future(kind: str) -> str:
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: raises_now(kind))
    future.set_result(None)
    await asyncio.sleep(0.01)
    return "done"


@app.task(retry=ONCE)
async def stops_loop(_kind: str) -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "done"


@app.task(retry=ONCE)
async def waits(name: str) -> int:
    mark(name)
    while not go(name):
        await asyncio.sleep(0.01)
    return os.getpid()


# --- exceptions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frozen(Exception):
    """Takes no attributes, the traceback among them."""

    number: int


class Slotted(Exception):
    """Takes no attributes of its own."""

    __slots__ = ("number",)

    def __init__(self, number: int, *, unit: str) -> None:
        self.number = number

    def __setattr__(self, name: str, value: object) -> None:
        if name != "number":
            raise AttributeError(name)
        super().__setattr__(name, value)


ODD = Retry(max_attempts=2, base_s=0.0, on=(Frozen, Slotted))


def odd(kind: str) -> Exception:
    return Frozen(1) if kind == "Frozen" else Slotted(1, unit="s")


@app.task(retry=ODD, soft_timeout_s=30.0)
def odd_process(kind: str) -> None:
    raise odd(kind)


@app.task(retry=ODD, soft_timeout_s=30.0, executor="thread")
def odd_thread(kind: str) -> None:
    raise odd(kind)


@app.task(retry=ODD, soft_timeout_s=30.0)
async def odd_async(kind: str) -> None:
    raise odd(kind)


@app.task(retry=AGAIN)
async def cancelled_subtask() -> None:
    task = asyncio.create_task(asyncio.sleep(600))
    await asyncio.sleep(0)
    task.cancel()
    await task


@app.task(retry=AGAIN)
async def cancelled_by_hand() -> None:
    raise asyncio.CancelledError


@app.task(retry=AGAIN)
async def cancelled_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(600)


@app.task(retry=AGAIN, soft_timeout_s=60.0)
async def cancelled_limited() -> None:
    await cancelled_by_hand.function()


@app.task(retry=AGAIN)
def cancelled_plain() -> None:
    asyncio.run(cancelled_by_hand.function())


@app.task(retry=AGAIN, executor="thread")
def cancelled_thread() -> None:
    raise asyncio.CancelledError


@app.task(retry=Retry(max_attempts=5, base_s=0.0, on=(ValueError,)))
async def cancelled_not_covered() -> None:
    raise asyncio.CancelledError


@app.task(retry=ONCE)
async def swallows_own_cancel() -> str:
    """Leaves its task with a cancellation that it has counted and nobody has taken back."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(600)
    return "done"


@app.task(retry=ONCE)
async def leaves_own_cancel() -> str:
    """Leaves its task with a cancellation that has not struck yet."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return "done"


@app.task(retry=ONCE, soft_timeout_s=0.2)
async def group_and_soft() -> list[str]:
    """What a count of cancellations that is not 0 breaks."""
    heard = []
    task = asyncio.current_task()
    assert task is not None
    heard.append(f"cancelling {task.cancelling()}")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(raises_value())
    except ExceptionGroup as errors:
        heard.append(str(errors.exceptions[0]))
    try:
        await asyncio.sleep(30)
    except SoftTimeLimitExceeded:
        heard.append("soft")
    return heard


async def raises_value() -> None:
    raise ValueError("in a group")
