"""A node without processes: an application on the in-memory store, and what a worker does, when it is asked to."""

from __future__ import annotations

import pytest

from penstock import Penstock
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready


class Node:
    """Attributes:
    app: whose tasks run.
    log: for tasks to note what they did.
    """

    def __init__(self):
        self.clock = VirtualClock()
        self.store = MemoryStore(self.clock)
        self.app = Penstock(store=self.store)
        self.log = []

    def work(self, rounds=10_000):
        """Run what is ready until nothing is. Answers how many jobs ran."""
        ran = 0
        for _ in range(rounds):
            self.store.tick()
            now = run_ready(self.app, self.store, self.clock, limit=1_000)
            if not now:
                break
            ran += now
        return ran

    def later(self, seconds):
        """Let time go by, and run what is ready then."""
        self.clock.advance(seconds)
        self.store.tick()
        return self.work()

    def result(self, canvas):
        """What a canvas comes to."""
        workflow = canvas.enqueue()
        self.work()
        return workflow.result()


@pytest.fixture
def node():
    return Node()
