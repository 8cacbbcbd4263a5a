"""The rivals that keep their jobs in SQLite: ``synchronous`` as they ship it, and FULL where they let one choose."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import replace

from benchmarks.record import BROKER_KILL, POWER_CUT, WORKER_KILL
from benchmarks.rivals.environment import Environment
from benchmarks.rivals.rival import PROCESSES, SURVIVES_ALL, Rival, module, program
from benchmarks.rivals.servers import FILE
from benchmarks.rows import BULK, COST, END_TO_END, LATENCY_P50, LATENCY_P99, NOOP, ONE_BY_ONE, RECOVERY, STEPS

APPS = "benchmarks.rivals.apps"


def _huey(environment: Environment, kind: str) -> list[list[str]]:
    shape = ("-k", "thread", "-w", "50") if kind == "wait" else ("-k", "process", "-w", str(PROCESSES))
    polling = ("-d", "0.01", "-m", "0.01")
    command = program(environment, "huey_consumer", "benchmarks.rivals.apps.huey.huey", *shape, *polling, "-q", "-n")
    return [command] * PROCESSES if kind == "wait" else [command]


HUEY_SQLITE = Rival(
    name="huey, SQLite",
    requirements="huey",
    app=f"{APPS}.huey",
    server=FILE,
    commands=_huey,
    configuration=(
        "SqliteHuey as shipped (WAL, SQLite's own synchronous=FULL); huey_consumer -k process -w 2, polling every 10 ms"
        " (as shipped: up to 10 s); for waiting jobs two of -k thread -w 50"
    ),
    acknowledged="the commit is synced to disk; taken off the queue before it runs",
    survives=(BROKER_KILL, POWER_CUT),
    pace=3_000,
    at_once=100,
    notes={RECOVERY: "a job is deleted when it is taken: one whose worker dies is lost"},
)


def _honker(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.honker")] * PROCESSES


HONKER = Rival(
    name="honker",
    requirements="honker",
    app=f"{APPS}.honker",
    server=FILE,
    commands=_honker,
    configuration=(
        "synchronous=NORMAL (WAL), as shipped, and no way to choose; two loops of claim_batch(100), all of it at once,"
        " ack_batch; woken by changes of the database; uvloop"
    ),
    acknowledged="the commit is written, not synced",
    survives=(WORKER_KILL, BROKER_KILL),
    pace=30_000,
    notes={RECOVERY: "claimed again after its visibility timeout of 300 s"},
)


def _litequeue(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.litequeue")] * PROCESSES


LITEQUEUE = Rival(
    name="litequeue",
    requirements="litequeue",
    app=f"{APPS}.litequeue",
    server=FILE,
    commands=_litequeue,
    configuration=(
        "synchronous=NORMAL (WAL), as shipped; two loops of pop() and done(), one message at a time, looking again"
        " after 1 ms"
    ),
    acknowledged="the commit is written, not synced",
    survives=(BROKER_KILL,),
    pace=700,
    at_once=2,
    keeps_results=False,
    notes={RECOVERY: "stays locked until its users find it (list_locked) and retry it themselves"},
)
LITEQUEUE_FULL = replace(
    LITEQUEUE,
    name="litequeue, FULL",
    configuration="as litequeue, with PRAGMA synchronous=FULL on its connection",
    acknowledged="the commit is synced to disk",
    survives=(BROKER_KILL, POWER_CUT),
    rows=frozenset((ONE_BY_ONE, BULK, NOOP, END_TO_END, COST, LATENCY_P50, LATENCY_P99)),
    environment={"PENSTOCK_BENCHMARK_FULL": "1"},
)


def _has_old_sqlite() -> str | None:
    """DBOS takes it that a Python from 3.12 on has an SQLite with ``unixepoch('subsec')``, which an older one answers
    with NULL: its first insert fails.
    """
    if sys.version_info < (3, 12) or sqlite3.sqlite_version_info >= (3, 42):
        return None
    return f"from Python 3.12 on it needs SQLite 3.42, this Python has {sqlite3.sqlite_version}"


def _dbos(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.dbos", f"executor-{index}") for index in range(PROCESSES)]


DBOS = Rival(
    name="DBOS",
    requirements="dbos",
    app=f"{APPS}.dbos",
    server=FILE,
    commands=_dbos,
    configuration=(
        "SQLite as shipped (a rollback journal, SQLite's own synchronous=FULL); two executors, worker_concurrency 100,"
        " polling every 100 ms (as shipped: 1 s)"
    ),
    acknowledged="the commit is synced to disk",
    survives=SURVIVES_ALL,
    pace=300,
    unfit=_has_old_sqlite,
    composes=frozenset((STEPS,)),
    notes={
        RECOVERY: "taken up by the executor of the same name, when that is started again",
        STEPS: "@DBOS.step coroutine functions; the outcome of each is a commit that is synced",
    },
)


def _dura(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.dura")] * PROCESSES


DURA = Rival(
    name="dura",
    requirements="dura",
    app=f"{APPS}.dura",
    server=FILE,
    commands=_dura,
    configuration=(
        "WAL, SQLite's own synchronous=FULL; two processes with two threads of run_worker (50 for waiting jobs), which"
        " look every 10 ms (as shipped: 1 s); Python 3.13, which it needs"
    ),
    acknowledged="the commit is synced to disk",
    survives=SURVIVES_ALL,
    pace=300,
    at_once=100,
    python=(3, 13),
    composes=frozenset((STEPS,)),
    notes={
        RECOVERY: "claimed again when its claim of 120 s has expired (claim_timeout_secs)",
        STEPS: "engine.checkpoint around each; each is a commit that is synced",
    },
)

RIVALS = (HUEY_SQLITE, HONKER, LITEQUEUE, LITEQUEUE_FULL, DBOS, DURA)
