"""A supervisor on a stage, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from penstock.model.states import State
from penstock.testing.virtual_loop import run_virtual
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor.supervisor import Supervisor
from tests.unit.worker.supervisor.staged import Stage

OPTIONS = WorkerOptions("app:app", executors=2)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def play(stage: Stage, story: Callable[[Supervisor], Awaitable[None]], options: WorkerOptions = OPTIONS) -> Supervisor:
    """Run a supervisor, let the story happen, then stop it and wait for its end."""

    async def run() -> Supervisor:
        supervisor = Supervisor(options)
        running = asyncio.create_task(supervisor.run(stage.store))
        try:
            await story(supervisor)
        finally:
            supervisor.stop()
            await running
        return supervisor

    return run_virtual(run(), stage.clock)


def ended(stage: Stage, ids: list[bytes], state: State = State.SUCCEEDED) -> Callable[[], bool]:
    """Whether all of these jobs are in this state."""
    return lambda: all(stage.store.state(job_id) == state.value for job_id in ids)
