"""An application on the in-memory store, and a worker of one call that runs what was enqueued."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from penstock.tasks.app import Penstock
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(time_s=1_795_000_000.0)


@pytest.fixture
def store(clock: VirtualClock) -> Iterator[MemoryStore]:
    store = MemoryStore(clock)
    yield store
    store.close()


@pytest.fixture
def app(store: MemoryStore) -> Penstock:
    return Penstock(store=store)


@pytest.fixture
def work(app: Penstock, store: MemoryStore, clock: VirtualClock) -> Callable[[], int]:
    """Run everything that is ready. Answers how many jobs ran."""
    return lambda: run_ready(app, store, clock)
