"""Waiting, and calls that are repeated: the in-memory twin, and the engine behind the wire."""

import itertools
from contextlib import asynccontextmanager

import pytest

from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire.client.async_client import AsyncClient
from penstock.testing.conformance import AsyncStoreConformance
from penstock.testing.lossy_line import LossyLine
from penstock.testing.memory_carried import CarriedStore
from tests.owner_thread import OwnerThread, dialled, listening


class TestMemoryStore(AsyncStoreConformance):
    @asynccontextmanager
    async def open_async(self, clock):
        store = CarriedStore.in_memory(clock)
        yield store
        await store.close()

    def lose_answers(self, store, count):
        store.lose_answers(count)


class TestEngineBehindTheWire(AsyncStoreConformance):
    check_requests = True

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        self.paths = (tmp_path / f"store-{number}.db" for number in itertools.count())
        self.lines = {}

    @asynccontextmanager
    async def open_async(self, clock):
        path = next(self.paths)
        address = f"{path}.sock"
        options = {"chores": False, "check_requests": self.check_requests}
        serving = OwnerThread(SqliteStore(path, clock=clock), listening(address), clock, **options)
        line = LossyLine(lambda _: dialled(address))
        client = AsyncClient(line)
        self.lines[client] = line
        try:
            yield client
            assert line.left == 0, "what was to be lost was lost"
        finally:
            await client.close()
            serving.stop()

    def lose_answers(self, store, count):
        self.lines[store].lose_answers(count)


class WithoutTheCheck(TestEngineBehindTheWire):
    __test__ = False
    check_requests = False


@pytest.mark.parametrize("name", ["enqueue", "settle", "delete", "reconcile"])
def test_a_store_that_applies_a_repeat_does_not_pass(name, tmp_path):
    suite = WithoutTheCheck()
    suite.paths = (tmp_path / f"store-{number}.db" for number in itertools.count())
    suite.lines = {}
    with pytest.raises(AssertionError):
        suite.test_a_call_whose_answer_is_lost_is_applied_once(name, 1)
