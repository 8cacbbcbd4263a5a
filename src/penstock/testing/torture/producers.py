"""The producers: each a process of its own that enqueues until it is told to stop, or killed.

``python -m penstock.testing.torture.producers KIND DIRECTORY GATE LOG SEED LIFE PARENT``; the kinds are in `KINDS`.
A request that was not answered is asked for again when that is safe (it has an idempotency key, or its jobs are
unique), else left in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import msgspec

from penstock.model.errors import PenstockError
from penstock.process.process_tree import leave_with_parent
from penstock.tasks.canvas.composition import Signature
from penstock.tasks.job_handle import Job
from penstock.testing.torture.chords import start_chords
from penstock.testing.torture.load import Load, Wish
from penstock.testing.torture.lossy import produce_with_lost_answers
from penstock.testing.torture.messages import consume_messages, publish_messages
from penstock.testing.torture.stopping import Stopping
from penstock.testing.torture.tasks import app

_PAUSE_S: Final = 0.02
_HARDLY_S: Final = 0.005
_AGAIN_S: Final = 0.1
_HTTP_S: Final = 8.0
_REPEATS_MAX: Final = 600
_JOBS_AT_ONCE: Final = 12
_LONG_AT_ONCE: Final = 8
_LONG_EVERY_S: Final = 0.25
_BURST_JOBS: Final = 300
_BURST_SHARE: Final = 0.1
_BURST_TASKS: Final = ("torture.coroutine", "torture.plain", "torture.forgotten", "torture.flaky")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a producer is told.

    Attributes:
        directory: of the store.
        gate: host and port.
        stopping: set when it is to finish what is in doubt and leave.
        log: directory of all records.
    """

    directory: Path
    gate: tuple[str, int]
    load: Load
    stopping: Stopping
    log: Path

    def pause(self, seconds: float = _PAUSE_S) -> None:
        """Let some time pass, so that the node can keep up."""
        self.stopping.wait(seconds * 2 * self.load.random.random())


def _signature(load: Load, wish: Wish) -> Signature[Any]:
    task = app.get(wish.task)
    options = task.options(delay_s=wish.delay_s, idempotency_key=wish.key)
    signature: Signature[Any] = options.s(**load.arguments(wish))
    return signature


def _hex(job_id: str) -> str:
    return UUID(job_id).hex


def produce_one_by_one(orders: Orders) -> None:
    """One after the other, now and then many in one request; some are cancelled again."""
    load = orders.load
    while not orders.stopping.is_set():
        wishes = [load.wish()]
        if load.random.random() < 0.2:
            count = _BURST_JOBS if load.random.random() < _BURST_SHARE else load.random.randint(2, _JOBS_AT_ONCE)
            wishes = [load.wish(load.random.choice(_BURST_TASKS)) for _ in range(count)]
        load.attempted(*wishes)
        _ask_until_answered(orders, wishes)
        orders.pause()


def produce_late(orders: Orders) -> None:
    """Many single jobs, hardly a moment between them, for the queue that may have to wait."""
    load = orders.load
    while not orders.stopping.is_set():
        wishes = [load.wish("torture.late")]
        load.attempted(*wishes)
        _ask_until_answered(orders, wishes)
        orders.pause(_HARDLY_S)


def _ask_until_answered(orders: Orders, wishes: list[Wish]) -> None:
    load = orders.load
    for _ in range(_REPEATS_MAX if all(wish.may_be_repeated for wish in wishes) else 1):
        try:
            jobs = _enqueue(load, wishes)
        except PenstockError as error:
            _tell(load, error)
            threading.Event().wait(_AGAIN_S)
            continue
        load.acked(*[(wish, _hex(job.id)) for wish, job in zip(wishes, jobs, strict=True)])
        for wish, job in zip(wishes, jobs, strict=True):
            if load.cancelling(wish):
                with contextlib.suppress(PenstockError):
                    job.cancel()
        return


def _enqueue(load: Load, wishes: list[Wish]) -> list[Job[Any]]:
    """By the call for one where there is one and it asks for nothing special, else by the call for many."""
    first = wishes[0]
    if len(wishes) == 1 and first.key is None and first.delay_s is None:
        return [app.get(first.task).enqueue(**load.arguments(first))]
    return app.enqueue_many([_signature(load, wish) for wish in wishes])


def produce_at_once(orders: Orders) -> None:
    """Many callers of `Task.enqueue_async` on one event loop."""
    asyncio.run(_produce_at_once(orders))


async def _produce_at_once(orders: Orders) -> None:
    load = orders.load
    while not orders.stopping.is_set():
        wishes = [load.wish() for _ in range(load.random.randint(1, _JOBS_AT_ONCE))]
        # Two callers with one key at the same moment are a case of their own, and wanted.
        load.attempted(*wishes)
        await asyncio.gather(*[_ask_one(load, wish) for wish in wishes])
        await asyncio.to_thread(orders.pause, _PAUSE_S * 4)
    await app.close_async()


async def _ask_one(load: Load, wish: Wish) -> None:
    for _ in range(_REPEATS_MAX if wish.may_be_repeated else 1):
        try:
            options = app.get(wish.task).options(delay_s=wish.delay_s, idempotency_key=wish.key)
            job = await options.enqueue_async(**load.arguments(wish))
        except PenstockError as error:
            _tell(load, error)
            await asyncio.to_thread(threading.Event().wait, _AGAIN_S)
            continue
        load.acked((wish, _hex(job.id)))
        return


def produce_over_http(orders: Orders) -> None:
    """``POST /v1/jobs`` to the gate, single objects and arrays."""
    load = orders.load
    while not orders.stopping.is_set():
        wishes = [load.wish()]
        if load.random.random() < 0.3:
            wishes = [load.wish("torture.plain") for _ in range(load.random.randint(2, _JOBS_AT_ONCE))]
        load.attempted(*wishes)
        for _ in range(_REPEATS_MAX if all(wish.may_be_repeated for wish in wishes) else 1):
            ids = _post(orders, wishes)
            if ids is not None:
                load.acked(*[(wish, _hex(job_id)) for wish, job_id in zip(wishes, ids, strict=True)])
                break
            threading.Event().wait(_AGAIN_S)
        orders.pause()


def _post(orders: Orders, wishes: list[Wish]) -> list[str] | None:
    """Ids of the accepted jobs. None: not accepted, or nobody knows."""
    jobs = [_as_json(orders.load, wish) for wish in wishes]
    body = msgspec.json.encode(jobs[0] if len(jobs) == 1 else jobs)
    connection = http.client.HTTPConnection(*orders.gate, timeout=_HTTP_S)
    try:
        connection.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = msgspec.json.decode(response.read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()
    if response.status != 202:
        if response.status < 500 and response.status != 429:
            raise SystemExit(f"The gate refused what is right: {response.status} {answer}")
        return None
    return [answer["id"]] if len(jobs) == 1 else [job["id"] for job in answer["jobs"]]


def _as_json(load: Load, wish: Wish) -> dict[str, Any]:
    options = {"idempotency_key": wish.key, "delay_s": wish.delay_s}
    given = {name: value for name, value in options.items() if value is not None}
    return {"task": wish.task, "kwargs": load.arguments(wish), **given}


def produce_long(orders: Orders) -> None:
    """A steady flow of jobs that take long, so that whoever is stopped holds many of them."""
    load = orders.load
    while not orders.stopping.is_set():
        wishes = [load.wish("torture.long") for _ in range(_LONG_AT_ONCE)]
        load.attempted(*wishes)
        _ask_until_answered(orders, wishes)
        orders.stopping.wait(_LONG_EVERY_S)


def produce_lossy(orders: Orders) -> None:
    """Requests whose answers are lost on the way; each is repeated on another connection."""
    produce_with_lost_answers(orders.directory, orders.load, orders.stopping)


def produce_chords(orders: Orders) -> None:
    """Chords."""
    start_chords(orders.load, orders.stopping)


def produce_messages(orders: Orders) -> None:
    """Messages to a topic."""
    publish_messages(orders.directory, orders.load, orders.stopping)


def consume(orders: Orders) -> None:
    """Takes them from its channels."""
    consume_messages(orders.directory, orders.log, orders.load.name, orders.stopping)


KINDS: Final = MappingProxyType({
    "one-by-one": produce_one_by_one,
    "at-once": produce_at_once,
    "late": produce_late,
    "http": produce_over_http,
    "lossy": produce_lossy,
    "long": produce_long,
    "chords": produce_chords,
    "messages": produce_messages,
    "consumers": consume,
})  # fmt: skip
"""What there is, by the name it goes by."""


def _tell(load: Load, error: PenstockError) -> None:
    sys.stderr.write(f"{load.name}: {type(error).__name__}: {error}\n")


def main(argv: Sequence[str]) -> int:
    """Be a producer."""
    kind, directory, gate, log, seed, life, parent = argv
    leave_with_parent(int(parent))
    produce: Callable[[Orders], None] = KINDS[kind]
    host, _, port = gate.rpartition(":")
    stopping = Stopping()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    app.redirect(directory)
    load = Load(Path(log), f"{kind}-{life}", int(seed), "http" if kind == "http" else "python")
    produce(Orders(Path(directory), (host, int(port)), load, stopping, Path(log)))
    app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
