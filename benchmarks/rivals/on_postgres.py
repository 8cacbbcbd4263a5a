"""The rivals that keep their jobs in PostgreSQL."""

from __future__ import annotations

from benchmarks.record import BROKER_KILL, POWER_CUT
from benchmarks.rivals.environment import Environment
from benchmarks.rivals.rival import PROCESSES, SURVIVES_ALL, Rival, module
from benchmarks.rivals.servers import POSTGRESQL
from benchmarks.rows import RECOVERY, WAIT

APPS = "benchmarks.rivals.apps"
SYNCED = "the commit is synced to disk by PostgreSQL"


def _pgqueuer(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.pgqueuer")] * PROCESSES


PGQUEUER = Rival(
    name="pgqueuer",
    requirements="pgqueuer",
    app=f"{APPS}.pgqueuer",
    server=POSTGRESQL,
    commands=_pgqueuer,
    configuration="two of PgQueuer.run(batch_size=100), asyncpg, uvloop",
    acknowledged=SYNCED,
    survives=SURVIVES_ALL,
    pace=12_000,
    keeps_results=False,
    notes={
        WAIT: "as many at once as it fetches, as shipped; 100 in each of two processes would be 20,000/s",
        RECOVERY: "taken up again once its heartbeat is 30 s old (heartbeat_timeout)",
    },
)


def _procrastinate(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.procrastinate")] * PROCESSES


PROCRASTINATE = Rival(
    name="procrastinate",
    requirements="procrastinate",
    app=f"{APPS}.procrastinate",
    server=POSTGRESQL,
    commands=_procrastinate,
    configuration="two of run_worker_async(concurrency=100, delete_jobs='successful'), psycopg 3, uvloop",
    acknowledged=SYNCED,
    survives=(BROKER_KILL, POWER_CUT),
    pace=500,
    keeps_results=False,
    notes={RECOVERY: "stays 'doing' until a task that its users write themselves retries stalled jobs"},
)


def _awa(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.awa")] * PROCESSES


AWA = Rival(
    name="awa-pg",
    requirements="awa",
    app=f"{APPS}.awa",
    server=POSTGRESQL,
    commands=_awa,
    configuration="two clients with 100 workers on the queue, COPY for bulk, uvloop",
    acknowledged=SYNCED,
    survives=SURVIVES_ALL,
    pace=4_000,
    keeps_results=False,
    notes={RECOVERY: "rescued when its heartbeat is 90 s old, looked at every 30 s"},
)


def _oban(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.oban")] * PROCESSES


OBAN = Rival(
    name="oban",
    requirements="oban",
    app=f"{APPS}.oban",
    server=POSTGRESQL,
    commands=_oban,
    configuration="two of Oban with 100 jobs at once on the queue, psycopg 3, uvloop",
    acknowledged=SYNCED,
    survives=SURVIVES_ALL,
    pace=2_500,
    python=(3, 12),
    notes={RECOVERY: "rescued 300 s after it was taken (rescue_after)"},
)

RIVALS = (PGQUEUER, PROCRASTINATE, AWA, OBAN)
