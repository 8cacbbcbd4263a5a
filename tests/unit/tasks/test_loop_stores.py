"""Event loops that come and go leave no connection behind."""

import asyncio
import gc
import os
import subprocess
import sys
import weakref

import pytest
import uvloop

from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.process.clock import SystemClock
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.client.reach import Reach
from penstock.tasks.store_connection import StoreConnection
from tests.owner_thread import OwnerThread

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
quietly = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def place(tmp_path):
    """A directory with an owner, in a thread."""
    directory = StoreDirectory(tmp_path / "store")
    directory.prepare()
    clock = SystemClock()
    serving = OwnerThread(SqliteStore(directory.database, clock=clock), directory.listen(), clock)
    yield directory.path
    serving.stop()


@pytest.fixture
def connections(place):
    """Counts the clients at the owner, itself not among them."""
    client = Client(Reach(StoreDirectory(place), start_owner=False))
    yield lambda: client.owner_statistics().connections - 1
    client.close()


def one():
    return [JobGroup("task", [JobEntry(new_id(), b"m", checksum(b"m"))])]


async def enqueue(connection):
    store = await connection.async_store()
    answer = await store.enqueue(one())
    assert answer.accepted == 1


def eventually(condition):
    return any(condition() for _ in range(20_000))


@quietly
@LOOPS
@pytest.mark.parametrize("keeps", [False, True], ids=["dropped", "kept"])
def test_a_loop_that_is_closed_and_nothing_else_lets_go_of_its_connection(place, connections, new_loop, keeps):
    connection = StoreConnection(str(place))
    kept = []
    gc.disable()
    try:
        for _ in range(5):
            loop = new_loop()
            loop.run_until_complete(enqueue(connection))
            loop.close()
            if keeps:
                kept.append(loop)
        del loop
        assert eventually(lambda: connections() == 0)
    finally:
        gc.enable()
    connection.close()


@quietly
def test_a_loop_that_is_dropped_without_being_closed_is_collected_with_its_connection(place, connections):
    connection = StoreConnection(str(place))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(enqueue(connection))
    told = weakref.ref(loop)
    del loop
    gc.collect()
    assert told() is None
    assert eventually(lambda: connections() == 0)
    connection.close()


@LOOPS
def test_an_application_that_is_dropped_closes_the_connections_of_loops_that_go_on(place, connections, new_loop):
    async def use():
        for _ in range(5):
            await enqueue(StoreConnection(str(place)))
        gc.collect()
        for _ in range(10_000):
            if await asyncio.to_thread(connections) == 0:
                return True
        return False

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(use())


@LOOPS
def test_a_loop_keeps_its_client_between_uses(place, connections, new_loop):
    connection = StoreConnection(str(place))

    async def use():
        await enqueue(connection)
        first = await connection.async_store()
        gc.collect()
        assert await connection.async_store() is first
        assert connections() == 1
        await connection.close_async()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(use())
    assert eventually(lambda: connections() == 0)


AT_EXIT = """
import asyncio, atexit, sys
from penstock import Penstock
from penstock.store.wire.client import async_client
app = Penstock(sys.argv[1])

@app.task(name="task")
def task(number: int) -> None: ...

def last():
    for number in range(2):
        assert asyncio.run(task.enqueue_async(number)).id
        assert task.enqueue(number).id
    print("done", flush=True)

atexit.register(last)
if "before" in sys.argv:
    asyncio.run(task.enqueue_async(0))
"""


@pytest.mark.parametrize("before", [(), ("before",)], ids=["never", "before"])
def test_jobs_are_accepted_while_the_program_ends(place, connections, before):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-c", AT_EXIT, str(place), *before]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("done\n", "", 0)
