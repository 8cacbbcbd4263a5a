"""The work that every subject is given. The kinds:

* ``noop``, ``result``: nothing; the second answers its number
* ``compute``: one millisecond of processor time
* ``wait``: ten milliseconds of waiting
* ``noted``: notes how long ago it was sent
* ``lingering``: the first run stays until it is killed, the next one ends at once
* ``counted``: counts how often this very job ran
* ``steps``: a function of ten durable steps, each of which adds one; written in each application, with its own steps
* ``chord``, ``chain``: canvases of ``result`` and `gathered`, and of `link`

Only the standard library is imported, so that this works inside any environment.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from benchmarks import bodies

URL: Final = "PENSTOCK_BENCHMARK_URL"
"""The environment variable that names the server, or the path of the file, that keeps the jobs."""
KIND: Final = "PENSTOCK_BENCHMARK_KIND"
"""The environment variable that names the kind of work at hand, for those who configure results globally."""
STEPS: Final = 10
"""Durable steps of one function."""
WITH_RESULTS: Final = ("result", "chord", "chain")
"""Kinds of work of which results are kept."""
COMPUTE_NS: Final = 1_000_000
WAIT_S: Final = 0.010
LINGER_S: Final = 3_600.0

_stage: bodies.Stage | None = None


def url() -> str:
    """Where the jobs are kept."""
    return os.environ[URL]


def keeps_results() -> bool:
    """Whether the work at hand keeps results."""
    return os.environ.get(KIND) in WITH_RESULTS


def noop(number: int) -> None:  # noqa: ARG001 - a payload
    bodies.ran()


def result(number: int) -> int:
    bodies.ran()
    return number


def compute(number: int) -> None:  # noqa: ARG001 - a payload
    until_ns = time.thread_time_ns() + COMPUTE_NS
    while time.thread_time_ns() < until_ns:
        pass
    bodies.ran()


def wait(number: int) -> None:  # noqa: ARG001 - a payload
    time.sleep(WAIT_S)
    bodies.ran()


def noted(number: int) -> None:
    bodies.note(time.monotonic_ns() - number)


def lingering(number: int) -> None:
    if _entered(number) == 0:
        time.sleep(LINGER_S)
    bodies.ran()


def counted(number: int) -> None:
    _entered(number)
    bodies.ran()


async def noop_async(number: int) -> None:  # noqa: ARG001 - a payload
    bodies.ran()


async def result_async(number: int) -> int:
    bodies.ran()
    return number


async def compute_async(number: int) -> None:
    compute(number)


async def wait_async(number: int) -> None:  # noqa: ARG001 - a payload
    await asyncio.sleep(WAIT_S)
    bodies.ran()


async def noted_async(number: int) -> None:
    bodies.note(time.monotonic_ns() - number)


async def lingering_async(number: int) -> None:
    if _entered(number) == 0:
        await asyncio.sleep(LINGER_S)
    bodies.ran()


async def counted_async(number: int) -> None:
    counted(number)


def step(number: int) -> int:
    """One durable step."""
    return number + 1


async def step_async(number: int) -> int:
    """The same for those whose steps are coroutine functions."""
    return number + 1


def walked(number: int, reached: int) -> None:
    """A function of durable steps has come to its end.

    Raises:
        ValueError: not by way of all of them.
    """
    if reached != number + STEPS:
        raise ValueError(f"{number} became {reached}.")
    bodies.ran()


def gathered(numbers: list[int]) -> int:
    """The callback of a chord, whose members are ``result`` with the numbers from 0 on.

    Raises:
        ValueError: these are not their results.
    """
    total = sum(numbers)
    if total != len(numbers) * (len(numbers) - 1) // 2:
        raise ValueError(f"{len(numbers)} members have come to {total}.")
    bodies.ran()
    return total


def link(number: int) -> int:
    """A step of a chain."""
    bodies.ran()
    return number + 1


async def gathered_async(numbers: list[int]) -> int:
    return gathered(numbers)


async def link_async(number: int) -> int:
    return link(number)


PLAIN: Final[dict[str, Callable[[int], int | None]]] = {
    "noop": noop,
    "result": result,
    "compute": compute,
    "wait": wait,
    "noted": noted,
    "lingering": lingering,
    "counted": counted,
}
ASYNC: Final[dict[str, Callable[[int], Awaitable[int | None]]]] = {
    "noop": noop_async,
    "result": result_async,
    "compute": compute_async,
    "wait": wait_async,
    "noted": noted_async,
    "lingering": lingering_async,
    "counted": counted_async,
}


def _entered(number: int) -> int:
    """How many runs of this job there were before."""
    global _stage  # noqa: PLW0603 - one file a process
    if _stage is None:
        _stage = bodies.Stage(Path(os.environ[bodies.VARIABLE]))
    return _stage.enter(number)
