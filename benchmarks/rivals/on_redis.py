"""The rivals that keep their jobs in Redis."""

from __future__ import annotations

from benchmarks.record import WORKER_KILL
from benchmarks.rivals.environment import Environment
from benchmarks.rivals.rival import PROCESSES, URL_HERE, Rival, module, program
from benchmarks.rivals.servers import REDIS
from benchmarks.rows import CHAIN, CHORD, COST, END_TO_END, NOOP, RECOVERY, TWICE, UNFINISHED

APPS = "benchmarks.rivals.apps"
IN_MEMORY = "Redis has it in memory"
THREADS = "50"
"""For jobs that wait, where jobs run in threads; two processes of them."""


SOLO = ("-P", "solo")


def _rq(environment: Environment, _kind: str) -> list[list[str]]:
    pool = ("worker-pool", "-n", str(PROCESSES), "-w", "rq.worker.SimpleWorker", "-u", URL_HERE, "--quiet", "default")
    return [program(environment, "rq", *pool)]


RQ = Rival(
    name="rq",
    requirements="rq",
    app=f"{APPS}.rq",
    server=REDIS,
    commands=_rq,
    configuration="rq worker-pool -n 2 with SimpleWorker: no fork for each job, several times as fast as the default",
    acknowledged=IN_MEMORY,
    survives=(),
    pace=500,
    at_once=2,
    notes={RECOVERY: "a job whose worker died goes to the registry of failed jobs, and is not run again by itself"},
)


def _celery(environment: Environment, kind: str) -> list[list[str]]:
    pool = {"wait": ("-P", "threads", "-c", THREADS), "lingering": ("-P", "prefork", "-c", str(PROCESSES))}
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR")
    command = program(environment, "celery", "-A", f"{APPS}.celery:app", "worker", *pool.get(kind, SOLO), *quiet)
    return [[*command, "-n", f"worker{index}@%h"] for index in range(1 if kind == "lingering" else PROCESSES)]


CELERY = Rival(
    name="celery",
    requirements="celery",
    app=f"{APPS}.celery",
    server=REDIS,
    commands=_celery,
    configuration=(
        "two of worker -P solo (several times as fast as -P prefork), for waiting jobs -P threads -c 50, prefetch"
        " multiplier 128, no gossip, mingle or heartbeat; where jobs are killed one of -P prefork -c 2 with multiplier"
        " 4, as shipped; acknowledges before the job runs, as shipped"
    ),
    acknowledged=IN_MEMORY,
    survives=(),
    pace=1_800,
    at_once=100,
    composes=frozenset((CHORD, CHAIN)),
    notes={
        RECOVERY: "acknowledged before it runs, as shipped: one whose process dies is lost",
        CHORD: "results in Redis; its members, its count and its callback are lost with what Redis has in memory",
        CHAIN: "results in Redis; each message carries the rest of the chain",
    },
)
CELERY_LATE = Rival(
    name="celery, acks late",
    requirements="celery",
    app=f"{APPS}.celery",
    server=REDIS,
    commands=_celery,
    configuration="as celery, with task_acks_late and task_reject_on_worker_lost",
    acknowledged=IN_MEMORY,
    survives=(WORKER_KILL,),
    pace=1_800,
    at_once=100,
    rows=frozenset((NOOP, END_TO_END, COST, RECOVERY, UNFINISHED, TWICE)),
    environment={"PENSTOCK_BENCHMARK_LATE": "1"},
)


def _dramatiq(environment: Environment, kind: str) -> list[list[str]]:
    threads = THREADS if kind == "wait" else "8"
    shape = ("--processes", str(PROCESSES), "--threads", threads, "--skip-logging")
    command = program(environment, "dramatiq", f"{APPS}.dramatiq", *shape)
    return [command if kind == "lingering" else ["env", "dramatiq_queue_prefetch=500", *command]]


DRAMATIQ = Rival(
    name="dramatiq",
    requirements="dramatiq",
    app=f"{APPS}.dramatiq",
    server=REDIS,
    commands=_dramatiq,
    configuration=(
        "--processes 2 --threads 8 (50 for waiting jobs), dramatiq_queue_prefetch 500 (as shipped, twice the threads,"
        " where jobs are killed), hiredis"
    ),
    acknowledged=IN_MEMORY,
    survives=(WORKER_KILL,),
    pace=4_000,
    at_once=100,
    notes={RECOVERY: "requeued once its worker's heartbeat is 60 s old, by maintenance that one command in 1,000 does"},
)


def _arq(environment: Environment, _kind: str) -> list[list[str]]:
    return [program(environment, "arq", f"{APPS}.arq.WorkerSettings")] * PROCESSES


ARQ = Rival(
    name="arq",
    requirements="arq",
    app=f"{APPS}.arq",
    server=REDIS,
    commands=_arq,
    configuration="two of arq, max_jobs 100, poll_delay 10 ms (as shipped: 500 ms), uvloop",
    acknowledged=IN_MEMORY,
    survives=(WORKER_KILL,),
    pace=700,
    notes={RECOVERY: "taken up again when its in-progress key expires, 10 s after the job's time limit of 300 s"},
)


def _taskiq(environment: Environment, _kind: str) -> list[list[str]]:
    shape = ("--workers", str(PROCESSES), "--max-async-tasks", "100", "--max-prefetch", "100", "--log-level", "ERROR")
    return [program(environment, "taskiq", "worker", f"{APPS}.taskiq:broker", *shape)]


TASKIQ = Rival(
    name="taskiq",
    requirements="taskiq",
    app=f"{APPS}.taskiq",
    server=REDIS,
    commands=_taskiq,
    configuration="taskiq worker --workers 2 --max-async-tasks 100 --max-prefetch 100, RedisStreamBroker, uvloop",
    acknowledged=IN_MEMORY,
    survives=(WORKER_KILL,),
    pace=4_000,
    notes={RECOVERY: "claimed by another when it is unacknowledged for 10 minutes (idle_timeout)"},
)


def _huey(environment: Environment, kind: str) -> list[list[str]]:
    shape = ("-k", "thread", "-w", THREADS) if kind == "wait" else ("-k", "process", "-w", str(PROCESSES))
    command = program(environment, "huey_consumer", f"{APPS}.huey.huey", *shape, "-q", "-n")
    return [command] * PROCESSES if kind == "wait" else [command]


HUEY_REDIS = Rival(
    name="huey, Redis",
    requirements="huey",
    app=f"{APPS}.huey",
    server=REDIS,
    commands=_huey,
    configuration="huey_consumer -k process -w 2 (for waiting jobs two of -k thread -w 50); RedisHuey, which blocks",
    acknowledged=f"{IN_MEMORY}; taken off the queue before it runs",
    survives=(),
    pace=4_000,
    at_once=100,
    notes={RECOVERY: "a job leaves the queue when it is taken: one whose worker dies is lost"},
)


def _docket(environment: Environment, _kind: str) -> list[list[str]]:
    return [module(environment, f"{APPS}.docket")] * PROCESSES


DOCKET = Rival(
    name="docket",
    requirements="docket",
    app=f"{APPS}.docket",
    server=REDIS,
    commands=_docket,
    configuration=(
        "two workers, concurrency 50 (its pool of connections bears no 100), minimum_check_interval 10 ms (as shipped:"
        " 250 ms), results and records not kept (execution_ttl=0), uvloop"
    ),
    acknowledged=IN_MEMORY,
    survives=(WORKER_KILL,),
    pace=1_800,
    at_once=100,
    notes={RECOVERY: "redelivered when its lease of 5 minutes (redelivery_timeout) is not renewed"},
)

RIVALS = (RQ, CELERY, CELERY_LATE, DRAMATIQ, ARQ, TASKIQ, HUEY_REDIS, DOCKET)
