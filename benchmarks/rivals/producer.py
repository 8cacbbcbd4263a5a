"""A process that puts jobs in, in a subject's own environment: `python -m benchmarks.rivals.producer APP MODE …`.

Says ``ready``, waits for a line, works, says what it did in JSON. The modes:

* ``prepare``: makes the tables, where there are any; ``waiting``: asks the subject how many jobs it holds
* ``single --duration S``: one job after the other
* ``bulk --duration S --jobs N --batch B``: many jobs a call, until the time or the jobs are up
* ``fill --jobs N --batch B --warm W``: exactly N jobs, many a call where the subject can; W more before it is ready
* ``paced --duration S --gap G --warm W``: one job at a time, with a pause before each
* ``compose --kind K --jobs N --warm W``: one chord of N members, or one chain of N steps; one of W before it is ready;
  stays until it is told another line
* ``kills --jobs N --beside B``: for each line it is told, one job that lingers, with B quick ones before and after it

Only the standard library is imported.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import random
import sys
import time
from collections.abc import Coroutine, Iterator
from importlib import import_module
from typing import Any, Final

WARM_GAP_S: Final = 0.05
BESIDE_FROM: Final = 1_000
"""The quick jobs beside lingering ones are numbered from here."""


class App:
    """A module of `benchmarks.rivals.apps`, whose functions may or may not be coroutine functions."""

    def __init__(self, name: str) -> None:
        self._module = import_module(name)
        self.is_async = inspect.iscoroutinefunction(self._module.enqueue)
        self.has_bulk = hasattr(self._module, "enqueue_many")

    async def optional(self, name: str) -> None:
        """Call a function of the module if there is one."""
        function = getattr(self._module, name, None)
        if function is not None:
            await _settled(function())

    async def waiting(self) -> int:
        """Jobs that the subject says it holds."""
        return int(await _settled(self._module.waiting()))

    async def singles(self, kind: str, numbers: Iterator[int], until: float = float("inf")) -> int:
        """One by one until the numbers or the (monotonic) time are up. Answers how many."""
        enqueue, clock, count = self._module.enqueue, time.monotonic, 0
        if self.is_async:
            for number in numbers:
                await enqueue(kind, number)
                count += 1
                if clock() >= until:
                    break
            return count
        for number in numbers:
            enqueue(kind, number)
            count += 1
            if clock() >= until:
                break
        return count

    async def many(self, kind: str, jobs: int, batch: int, until: float = float("inf")) -> int:
        """Many a call until the jobs or the (monotonic) time are up. Answers how many."""
        count = 0
        while count < jobs and time.monotonic() < until:
            upto = min(count + batch, jobs)
            await _settled(self._module.enqueue_many(kind, list(range(count, upto))))
            count = upto
        return count

    async def compose(self, kind: str, size: int) -> None:
        """Start a canvas: ``chord`` or ``chain``."""
        await _settled(getattr(self._module, kind)(size))

    async def pause(self, duration_s: float) -> None:
        """Pause as this kind of subject must: its own tasks go on."""
        if self.is_async:
            await asyncio.sleep(duration_s)
        else:
            time.sleep(duration_s)  # noqa: ASYNC251 - no loop runs: see _run


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def main() -> int:
    """Do as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app")
    parser.add_argument("mode", choices=sorted(MODES))
    parser.add_argument("--kind", default="noop")
    parser.add_argument("--duration", type=float, default=1.0)
    parser.add_argument("--gap", type=float, default=0.02)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--beside", type=int, default=10)
    parser.add_argument("--warm", type=int, default=0)
    options = parser.parse_args()
    app = App(options.app)
    answer = _run(app, MODES[options.mode](app, options))
    print(json.dumps(answer), flush=True)
    if options.mode == "compose":
        # Some clients have much to clear away when they end, which would be in the figure.
        sys.stdin.readline()
    return 0


def _run(app: App, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    if app.is_async:
        try:
            import uvloop
        except ImportError:
            return asyncio.run(work)
        answer: dict[str, Any] = uvloop.run(work)
        return answer
    # A subject that is not asynchronous must not find a loop around it; its coroutine never really waits.
    try:
        work.send(None)
    except StopIteration as end:
        found: dict[str, Any] = end.value
        return found
    raise AssertionError("a plain subject awaited something")


def _wait_for_start() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


async def _prepare(app: App, _options: argparse.Namespace) -> dict[str, Any]:
    await app.optional("prepare")
    return {}


async def _waiting(app: App, _options: argparse.Namespace) -> dict[str, Any]:
    await app.optional("opened")
    return {"waiting": await app.waiting()}


async def _single(app: App, options: argparse.Namespace) -> dict[str, Any]:
    await app.optional("opened")
    await app.singles(options.kind, iter([0]))  # connects
    _wait_for_start()
    began, spent = time.monotonic(), time.process_time()
    count = await app.singles(options.kind, iter(range(1, sys.maxsize)), began + options.duration)
    return _told(count, began, spent)


async def _bulk(app: App, options: argparse.Namespace) -> dict[str, Any]:
    if not app.has_bulk:
        return {"none": True}
    await app.optional("opened")
    await app.many(options.kind, 1, 1)  # connects
    _wait_for_start()
    began, spent = time.monotonic(), time.process_time()
    count = await app.many(options.kind, options.jobs, options.batch, began + options.duration)
    return _told(count, began, spent)


async def _fill(app: App, options: argparse.Namespace) -> dict[str, Any]:
    await app.optional("opened")
    await app.singles(options.kind, iter(range(options.warm)))
    _wait_for_start()
    began, spent = time.monotonic(), time.process_time()
    if app.has_bulk:
        count = await app.many(options.kind, options.jobs, options.batch)
    else:
        count = await app.singles(options.kind, iter(range(options.jobs)))
    return _told(count, began, spent)


async def _paced(app: App, options: argparse.Namespace) -> dict[str, Any]:
    await app.optional("opened")
    for _ in range(options.warm):
        await app.singles("noted", iter([time.monotonic_ns()]))
        await app.pause(WARM_GAP_S)
    _wait_for_start()
    began, spent, count = time.monotonic(), time.process_time(), 0
    pause = random.Random(7)
    while time.monotonic() < began + options.duration:
        await app.pause(options.gap * pause.uniform(0.5, 1.5))
        count += await app.singles("noted", iter([time.monotonic_ns()]))
    return _told(count, began, spent)


async def _compose(app: App, options: argparse.Namespace) -> dict[str, Any]:
    await app.optional("opened")
    await app.compose(options.kind, options.warm)
    _wait_for_start()
    began, spent = time.monotonic(), time.process_time()
    await app.compose(options.kind, options.jobs)
    return _told(options.jobs, began, spent)


async def _kills(app: App, options: argparse.Namespace) -> dict[str, Any]:
    await app.optional("opened")
    print("ready", flush=True)
    beside = BESIDE_FROM
    told = 0
    while told < options.jobs and sys.stdin.readline():
        await app.singles("counted", iter(range(beside, beside + options.beside)))
        await app.singles("lingering", iter([told]))
        await app.singles("counted", iter(range(beside + options.beside, beside + 2 * options.beside)))
        beside += 2 * options.beside
        told += 1
    return {"count": told}


def _told(count: int, began: float, spent: float) -> dict[str, Any]:
    return {"count": count, "began_at": began, "ended_at": time.monotonic(), "cpu_s": time.process_time() - spent}


MODES = {
    "prepare": _prepare,
    "waiting": _waiting,
    "single": _single,
    "bulk": _bulk,
    "fill": _fill,
    "paced": _paced,
    "compose": _compose,
    "kills": _kills,
}

if __name__ == "__main__":
    sys.exit(main())
