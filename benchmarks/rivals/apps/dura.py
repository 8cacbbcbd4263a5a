"""dura: a task a job, with checkpoints for steps."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from dura import ClaimedTask, DurableEngine, run_worker

from benchmarks.rivals import work

THREADS: Final = 50 if os.environ.get(work.KIND) == "wait" else 2
"""Of one process. SQLite lets one of them write at a time."""
IDLE_S: Final = 0.01
_engine = DurableEngine(work.url())

Handler = Callable[[DurableEngine, ClaimedTask], Any]


def _handler(kind: str) -> Handler:
    body = work.PLAIN[kind]
    return lambda _engine, task: body(task.params)


def _steps(engine: DurableEngine, task: ClaimedTask) -> None:
    reached: int = task.params
    for place in range(work.STEPS):
        step = partial(work.step, reached)
        reached = engine.checkpoint(task_id=task.task_id, step_name=f"step {place}", fn=step)
    work.walked(task.params, reached)


HANDLERS: Final[dict[str, Handler]] = {**{kind: _handler(kind) for kind in work.PLAIN}, "steps": _steps}


def enqueue(kind: str, number: int) -> None:
    _engine.spawn_task(name=kind, params=number)


def waiting() -> int:
    return int(_engine.ready_run_count())


def main() -> None:
    """A worker: the loops that ``run_workers`` starts, which lets nobody choose how often they look."""
    never = threading.Event()
    for index in range(THREADS):
        name = f"{os.getpid()}-{index}"
        options: dict[str, Any] = {"worker_id": name, "stop_event": never, "poll_interval": IDLE_S}
        threading.Thread(target=run_worker, args=(_engine,), kwargs={"handlers": HANDLERS, **options}).start()


if __name__ == "__main__":
    main()
