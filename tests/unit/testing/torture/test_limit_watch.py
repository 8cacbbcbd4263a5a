"""The watch over limits sees when more jobs of a key are leased than may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.model.job import LeaseRequest
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.torture import tasks
from penstock.testing.torture.limit_watch import LimitWatch


@pytest.fixture
def store() -> MemoryStore:
    """A store in which jobs of the task with a limit are ready."""
    store = MemoryStore(VirtualClock())
    task = tasks.app.get(tasks.LIMITED)
    calls = [task.s(**tasks.arguments(Path("log"), tasks.LIMITED, f"token {number}")) for number in range(12)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tasks.app._connection, "store", lambda: store)
        tasks.app.enqueue_many(calls)
    return store


def test_it_is_silent_while_the_limit_holds(store: MemoryStore, tmp_path: Path) -> None:
    store.register_tasks([tasks.app.get(tasks.LIMITED).record()])
    watch = LimitWatch(tmp_path)
    assert len(store.lease(LeaseRequest(b"h" * 16, 100)).jobs) == 6
    watch.look(store)  # type: ignore[arg-type]  # it does not wait
    assert (watch.looks, watch.breaches) == (1, set())


def test_it_tells_of_a_limit_that_nobody_keeps(store: MemoryStore, tmp_path: Path) -> None:
    watch = LimitWatch(tmp_path)
    assert len(store.lease(LeaseRequest(b"h" * 16, 100)).jobs) == 12
    watch.look(store)  # type: ignore[arg-type]  # it does not wait
    assert len(watch.breaches) == 3
    assert all(breach.startswith("group ") and breach.endswith(" leases") for breach in watch.breaches)
