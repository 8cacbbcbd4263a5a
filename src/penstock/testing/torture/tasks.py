"""The jobs of the node under test. Each writes down that it runs, and returns the name of that one execution.

Every task takes ``log``, the directory of execution records, and ``token``, which names what was asked for.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID
from zlib import crc32

from penstock.model.states import State
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.flow_rules import Concurrency, Unique
from penstock.tasks.retry import Retry
from penstock.testing.torture import chord_shapes
from penstock.testing.torture.chord_shapes import nonce_of
from penstock.testing.torture.executions import NotYetError, begin, journal, span_s
from penstock.testing.torture.records import ChildAsked
from penstock.testing.torture.steps import walk, walk_async

APP: Final = "penstock.testing.torture.tasks:app"
DOOMED_ATTEMPTS: Final = 2
FLAKY_FAILURES: Final = 2
LOST: Final = "WorkerLost"
"""What any job may die of here: three executors, or leases, were lost under it."""
LONG_S: Final = (0.2, 2.4)
SHORT_S: Final = (0.02, 0.15)
STUCK_LIMIT_S: Final = 0.3
CHILD_DELAY_S: Final = 0.2
LIMITED: Final = "torture.limited"
"""The task of whose jobs a few of each group run at a time."""
LIMIT: Final = 2
_GROUPS: Final = 3
LATE_QUEUE: Final = "late"
"""In every second run nobody serves it before the strikes are over: an enqueue that no worker waits for goes another
way in the owner than one that is leased in the transaction that accepts it."""

app = Penstock()
_QUICKLY = Retry(max_attempts=10, base_s=0.05, max_s=0.2)


class NeverError(Exception):
    """What a task raises that will not."""


@dataclass(frozen=True, slots=True)
class ExpectedEnd:
    """How a job ends when nobody interferes.

    Attributes:
        attempt: at which attempt. Killing its executor is none.
        error: class name of what it dies of. None: it succeeds.
    """

    attempt: int = 1
    error: str | None = None


@app.task(name="torture.coroutine", queue="light")
async def coroutine(ctx: Context, log: str, token: str) -> str:
    """An async job that is over at once."""
    return begin(ctx, log, token)


@app.task(name="torture.plain", queue="light")
def plain(ctx: Context, log: str, token: str) -> str:
    """A plain function that is over at once."""
    return begin(ctx, log, token)


@app.task(name="torture.threaded", queue="light", executor="thread")
def threaded(ctx: Context, log: str, token: str) -> str:
    """A plain function on a thread."""
    return begin(ctx, log, token)


@app.task(name="torture.forgotten", queue="forgotten", keep_record_s=0, keep_result_s=0)
def forgotten(ctx: Context, log: str, token: str) -> None:
    """Of this job nothing is kept when it succeeds."""
    begin(ctx, log, token)


@app.task(name="torture.forgotten_coroutine", queue="forgotten", keep_record_s=0, keep_result_s=0)
async def forgotten_coroutine(ctx: Context, log: str, token: str) -> None:
    """As `forgotten`."""
    begin(ctx, log, token)


_ONCE: Final = Unique("token", period_s=86_400.0, states=list(State))
"""Whatever becomes of a job, there is no second one with its token while this lasts."""


@app.task(name="torture.unique", queue="unique", unique=_ONCE)
async def unique(ctx: Context, log: str, token: str) -> str:
    """A job that is asked for again and again, by several producers, and of which there is one."""
    return begin(ctx, log, token)


@app.task(name="torture.forgotten_unique", queue="unique", keep_record_s=0, keep_result_s=0, unique=_ONCE)
def forgotten_unique(ctx: Context, log: str, token: str) -> None:
    """As `unique`; when it succeeds it leaves nothing but its key."""
    begin(ctx, log, token)


@app.task(name=LIMITED, queue="limited", limits=[Concurrency(LIMIT, per="group")])
async def limited(ctx: Context, log: str, token: str, *, group: str) -> str:  # noqa: ARG001 - what is limited by
    """A job that takes a while; of each group a few run at a time."""
    nonce = begin(ctx, log, token)
    await asyncio.sleep(span_s(token, SHORT_S))
    return nonce


@app.task(name="torture.long", queue="heavy")
async def long(ctx: Context, log: str, token: str) -> str:
    """An async job that may outlast a lease."""
    nonce = begin(ctx, log, token)
    await asyncio.sleep(span_s(token, LONG_S))
    return nonce


@app.task(name="torture.short", queue="heavy")
def short(ctx: Context, log: str, token: str) -> str:
    """A plain function that takes a while."""
    nonce = begin(ctx, log, token)
    threading.Event().wait(span_s(token, SHORT_S))
    return nonce


@app.task(name="torture.flaky", queue="retried", retry=_QUICKLY)
def flaky(ctx: Context, log: str, token: str) -> str:
    """Fails first, succeeds later."""
    nonce = begin(ctx, log, token)
    if ctx.attempt <= FLAKY_FAILURES:
        raise NotYetError(token)
    return nonce


@app.task(name="torture.doomed", queue="retried", retry=Retry(max_attempts=DOOMED_ATTEMPTS, base_s=0.05))
async def doomed(ctx: Context, log: str, token: str) -> str:
    """Never succeeds."""
    begin(ctx, log, token)
    raise NeverError(token)


@app.task(name="torture.stuck", queue="retried", timeout_s=STUCK_LIMIT_S, retry=Retry(max_attempts=1))
def stuck(ctx: Context, log: str, token: str) -> str:
    """Runs until its executor is killed for it."""
    nonce = begin(ctx, log, token)
    threading.Event().wait()
    return nonce


@app.task(name="torture.poison", queue="retried")
async def poison(ctx: Context, log: str, token: str) -> str:
    """Takes its executor along."""
    begin(ctx, log, token)
    # Long enough to be known as started: what is lost before that may be lost as often as you like.
    await asyncio.sleep(0.2)
    os._exit(3)


@app.task(name="torture.late", queue=LATE_QUEUE)
async def late(ctx: Context, log: str, token: str) -> str:
    """As `coroutine`, in a queue of its own."""
    return begin(ctx, log, token)


@app.task(name="torture.child", queue="children")
async def child(ctx: Context, log: str, token: str) -> str:
    """A job that another one enqueued with its outcome."""
    return begin(ctx, log, token)


@app.task(name="torture.forgotten_child", queue="children", keep_record_s=0, keep_result_s=0)
def forgotten_child(ctx: Context, log: str, token: str) -> None:
    """As `child`; it leaves nothing when it succeeds."""
    begin(ctx, log, token)


_CHILDREN: Final = (child.options(), forgotten_child.options(), child.options(delay_s=CHILD_DELAY_S))


def _bear(ctx: Context, log: str, nonce: str) -> None:
    """Enqueue from one job to three with the outcome of this execution, and write down that they were asked for."""
    records, parent = journal(log, os.getpid()), UUID(ctx.job_id).hex
    for number, task in enumerate(_CHILDREN[: 1 + int(nonce, 16) % len(_CHILDREN)]):
        token = f"{nonce}-{number}"
        call = task.s(log, token)
        records.write(ChildAsked(UUID(ctx.enqueue(call)).hex, token, call.task.name, parent, nonce))


@app.task(name="torture.parent", queue="parents")
async def parent(ctx: Context, log: str, token: str) -> str:
    """Enqueues others with its outcome."""
    nonce = begin(ctx, log, token)
    _bear(ctx, log, nonce)
    return nonce


@app.task(name="torture.slow_parent", queue="parents")
def slow_parent(ctx: Context, log: str, token: str) -> str:
    """As `parent`, and takes a while after it has asked."""
    nonce = begin(ctx, log, token)
    _bear(ctx, log, nonce)
    threading.Event().wait(span_s(token, SHORT_S))
    return nonce


@app.task(name="torture.forgotten_parent", queue="parents", keep_record_s=0, keep_result_s=0)
def forgotten_parent(ctx: Context, log: str, token: str) -> None:
    """As `parent`; it leaves nothing but its children."""
    _bear(ctx, log, begin(ctx, log, token))


@app.task(name="torture.flaky_parent", queue="parents", retry=_QUICKLY)
def flaky_parent(ctx: Context, log: str, token: str) -> str:
    """Asks at every attempt, and succeeds at the last."""
    nonce = begin(ctx, log, token)
    _bear(ctx, log, nonce)
    if ctx.attempt <= FLAKY_FAILURES:
        raise NotYetError(token)
    return nonce


@app.task(name="torture.steps", queue="steps")
async def steps(ctx: Context, log: str, token: str) -> str:
    """Makes durable steps, and sleeps between them. Returns what each came to after the name of the execution."""
    nonce = begin(ctx, log, token)
    return " ".join([nonce, *await walk_async(ctx, log, token)])


@app.task(name="torture.plain_steps", queue="steps")
def plain_steps(ctx: Context, log: str, token: str) -> str:
    """As `steps`, a plain function."""
    nonce = begin(ctx, log, token)
    return " ".join([nonce, *walk(ctx, log, token)])


@app.task(name="torture.threaded_steps", queue="steps", executor="thread")
def threaded_steps(ctx: Context, log: str, token: str) -> str:
    """As `steps`, on a thread."""
    nonce = begin(ctx, log, token)
    return " ".join([nonce, *walk(ctx, log, token)])


@app.task(name=chord_shapes.CALLBACK, queue="chords")
async def released(ctx: Context, results: list[str | None], log: str, token: str) -> str:
    """Follows the members of a chord. Returns which executions they were after the name of this one."""
    nonce = begin(ctx, log, token)
    return " ".join([nonce, *map(nonce_of, results)])


@app.task(name=chord_shapes.ON_ERROR, queue="chords")
def told(ctx: Context, error: dict[str, str | None], log: str, token: str) -> str:  # noqa: ARG001 - what it is given
    """Is told that a chord has failed."""
    return begin(ctx, log, token)


_WEIGHTS: Final = MappingProxyType({
    "torture.coroutine": 120,
    "torture.plain": 80,
    "torture.threaded": 24,
    "torture.forgotten": 56,
    "torture.forgotten_coroutine": 32,
    "torture.unique": 40,
    "torture.forgotten_unique": 24,
    "torture.limited": 24,
    "torture.long": 24,
    "torture.short": 12,
    "torture.flaky": 20,
    "torture.doomed": 8,
    "torture.stuck": 1,
    "torture.poison": 1,
    "torture.late": 12,
    "torture.parent": 24,
    "torture.slow_parent": 8,
    "torture.forgotten_parent": 16,
    "torture.flaky_parent": 8,
    "torture.steps": 16,
    "torture.plain_steps": 8,
    "torture.threaded_steps": 8,
})  # fmt: skip
MIX: Final = tuple(name for name, weight in _WEIGHTS.items() for _ in range(weight))
"""Names of tasks, each as often as it is to be enqueued."""

FORGETS: Final = frozenset(name for name, task in app.tasks.items() if not task.keep_record_s)
"""Tasks whose jobs leave nothing when they succeed."""
UNIQUE: Final = frozenset(name for name, task in app.tasks.items() if task.unique is not None)
"""Tasks of whose jobs there is one for each token."""
STEPPED: Final = frozenset({"torture.steps", "torture.plain_steps", "torture.threaded_steps"})
"""Tasks that make durable steps."""
ENDINGS: Final = MappingProxyType({
    "torture.flaky": ExpectedEnd(FLAKY_FAILURES + 1, None),
    "torture.flaky_parent": ExpectedEnd(FLAKY_FAILURES + 1, None),
    "torture.doomed": ExpectedEnd(DOOMED_ATTEMPTS, "NeverError"),
    "torture.stuck": ExpectedEnd(1, "TimeLimitExceeded"),
    "torture.poison": ExpectedEnd(1, LOST),
})  # fmt: skip
"""How jobs of a task end; those that are not listed succeed at the first attempt."""
QUEUES: Final[Mapping[str, str]] = MappingProxyType({name: task.queue for name, task in app.tasks.items()})
"""The queue of each task."""
SERVED: Final = tuple(sorted({*QUEUES.values()} - {LATE_QUEUE}))
"""The queues that are served from the beginning in those runs."""


def arguments(log: Path, task: str, token: str) -> dict[str, Any]:
    """What a job of one of these tasks is enqueued with. The same for the same token."""
    given = {"log": str(log), "token": token}
    return {**given, "group": f"group {crc32(token.encode()) % _GROUPS}"} if task == LIMITED else given
