"""DBOS on SQLite: a workflow a job, from a queue."""

from __future__ import annotations

import sys
import threading
from typing import Any, Final

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.rivals import work

QUEUE: Final = "benchmark"
POLLING_S: Final = 0.1
URL: Final = f"sqlite:///{work.url()}"
VERSION: Final = "1"
_client: DBOSClient | None = None


@DBOS.step()
async def _step(number: int) -> int:
    return await work.step_async(number)


async def _steps(number: int) -> None:
    reached = number
    for _ in range(work.STEPS):
        reached = await _step(reached)
    work.walked(number, reached)


def _launch(executor: str) -> None:
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": URL,
        "executor_id": executor,
        "application_version": VERSION,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    for kind, function in work.ASYNC.items():
        DBOS.workflow(name=kind)(function)
    DBOS.workflow(name="steps")(_steps)
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=100, polling_interval_sec=POLLING_S)


def prepare() -> None:
    _launch("prepare")
    DBOS.destroy()


def opened() -> None:
    global _client  # noqa: PLW0603 - one connection a producer
    _client = DBOSClient(system_database_url=URL)


def enqueue(kind: str, number: int) -> None:
    assert _client is not None, "opened() comes first"
    options: Any = {"workflow_name": kind, "queue_name": QUEUE}
    _client.enqueue(options, number)


def waiting() -> int:
    with sqlalchemy.create_engine(URL).connect() as connection:
        asked = sqlalchemy.text("SELECT count(*) FROM workflow_status WHERE status = 'ENQUEUED'")
        return int(connection.execute(asked).scalar_one())


if __name__ == "__main__":
    _launch(sys.argv[1])
    threading.Event().wait()
