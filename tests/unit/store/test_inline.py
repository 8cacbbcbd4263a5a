"""A store called on the loop itself. What it promises beyond its store is claimed in the conformance suite."""

import asyncio
import inspect
import threading

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.ports import AsyncStore
from penstock.store.inline import InlineStore
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import group, put
from penstock.testing.memory import MemoryStore


@pytest.fixture
def memory():
    return MemoryStore(VirtualClock())


def test_it_has_every_call_of_the_port(memory):
    names = [name for name, value in vars(AsyncStore).items() if inspect.iscoroutinefunction(value)]
    assert all(vars(InlineStore)[name] is not vars(AsyncStore)[name] for name in names)


def test_a_call_is_that_of_the_store(memory):
    async def tell():
        store = InlineStore(memory)
        assert (await store.enqueue([group()])).accepted == 1
        assert await store.stats() == memory.stats()
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.totals()

    asyncio.run(tell())


def test_a_wait_sees_what_was_changed_past_it(memory):
    async def tell():
        store = InlineStore(memory)
        ids = put(memory)
        waiting = asyncio.ensure_future(store.wait(ids, wait_s=60.0))
        await asyncio.sleep(0)
        memory.cancel(ids)
        (view,) = await waiting
        assert view.state.value == "cancelled"

    asyncio.run(tell())


def test_a_store_that_can_wait_does_so_itself_and_not_on_the_loop(memory):
    threads = []

    def wait(ids, *, wait_s, result):
        threads.append(threading.current_thread())
        return memory.get(ids, result=result)

    memory.wait = wait

    async def tell():
        assert await InlineStore(memory).wait([b"0" * 16], wait_s=60.0) == [None]

    asyncio.run(tell())
    assert threads != [threading.main_thread()]


def test_it_serves_one_loop_after_another(memory):
    store = InlineStore(memory)
    ids = put(memory)

    async def look():
        waiting = asyncio.ensure_future(store.wait(ids, wait_s=0.01))
        await asyncio.sleep(0)
        await store.tick()
        return await waiting

    assert [view.state.value for _ in range(2) for view in asyncio.run(look())] == ["ready", "ready"]
    assert store._looking == set()
