"""One client for threads, one for each event loop; each opened once and closed with what it served."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.store.inline import InlineStore
from penstock.tasks import loop_stores
from penstock.tasks import store_connection as module
from penstock.tasks.store_connection import StoreConnection
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore


@pytest.fixture
def opened(monkeypatch):
    """Stores opened for threads, in order, instead of real ones."""
    found = []

    def connect(url):
        found.append((url, MemoryStore(VirtualClock())))
        return found[-1][1]

    monkeypatch.setattr(module, "_connect", connect)
    return found


class _Client(InlineStore):
    def __init__(self, directory):
        super().__init__(MemoryStore(VirtualClock()))
        self.directory = directory
        self.closed = 0

    async def close(self):
        self.closed += 1


@pytest.fixture
def clients(monkeypatch):
    """Clients opened for event loops, in order, instead of real ones."""
    found = []

    async def lifetime(directory):
        client = _Client(directory)
        found.append(client)
        try:
            yield client
        finally:
            await client.close()

    monkeypatch.setattr(loop_stores, "_lifetime", lifetime)
    return found


def test_threads_share_one_client(opened):
    connection = StoreConnection("here")
    stores = []
    threads = [threading.Thread(target=lambda: stores.append(connection.store())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [url for url, _ in opened] == [os.path.abspath("here")]
    assert {id(store) for store in stores} == {id(opened[0][1])}


def test_a_closed_connection_opens_anew(opened):
    connection = StoreConnection("here")
    first = connection.store()
    connection.close()
    connection.close()
    with pytest.raises(StoreUnavailable):
        first.totals()
    assert connection.store() is not first


def test_what_was_opened_elsewhere_is_closed_when_sent_on(opened):
    connection = StoreConnection("here")
    first = connection.store()
    connection.redirect("there")
    with pytest.raises(StoreUnavailable):
        first.totals()
    connection.store()
    assert [url for url, _ in opened] == [os.path.abspath("here"), os.path.abspath("there")]


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """The process begins in one directory; calling this takes it to another, as a job may."""
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.delenv("PENSTOCK_URL", raising=False)
    return lambda: os.chdir(away)


@pytest.mark.parametrize(
    ("url", "variable", "place"),
    [
        ("jobs", None, "jobs"),
        ("./jobs", None, "jobs"),
        (Path("jobs"), None, "jobs"),
        (None, None, "penstock-data"),
        (None, "of-env", "of-env"),
    ],
)
def test_a_place_is_where_it_was_when_the_application_was_made(
    opened, clients, elsewhere, monkeypatch, tmp_path, url, variable, place
):
    if variable is not None:
        monkeypatch.setenv("PENSTOCK_URL", variable)
    connection = StoreConnection(url)
    elsewhere()
    connection.store()
    connection.close()
    connection.store()
    asyncio.run(connection.async_store())
    asyncio.run(connection.async_store())
    found = {found for found, _ in opened} | {str(client.directory) for client in clients}
    assert found == {str(tmp_path / "home" / place)} == {connection.url}


def test_where_it_was_sent_is_settled_at_that_moment(elsewhere, tmp_path):
    connection = StoreConnection("jobs")
    connection.redirect("other")
    elsewhere()
    assert connection.url == str(tmp_path / "home" / "other")


def test_the_environment_is_asked_once(opened, clients, monkeypatch):
    monkeypatch.setenv("PENSTOCK_URL", "/first")
    connection = StoreConnection(None)
    connection.store()
    monkeypatch.setenv("PENSTOCK_URL", "/second")
    asyncio.run(connection.async_store())
    assert [str(client.directory) for client in clients] == ["/first"]
    assert connection.url == "/first"


def test_without_a_working_directory_only_an_absolute_place_will_do(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.delenv("PENSTOCK_URL", raising=False)
    assert StoreConnection("/somewhere").url == "/somewhere"
    with pytest.raises(InvalidOption, match="working directory"):
        StoreConnection("here")
    later = StoreConnection(None)
    with pytest.raises(InvalidOption, match="working directory"):
        _ = later.url


def test_the_durability_is_known_after_the_first_use(opened):
    connection = StoreConnection("here")
    assert connection.durability == ""
    connection.store()
    assert connection.durability == "memory"


def test_coroutines_of_one_loop_share_one_client_that_ends_with_it(clients):
    connection = StoreConnection("here")

    async def use():
        found = await asyncio.gather(*(connection.async_store() for _ in range(5)))
        assert {id(client) for client in found} == {id(clients[0])}
        assert clients[0].closed == 0

    asyncio.run(use())
    assert [client.closed for client in clients] == [1]
    assert clients[0].directory.is_absolute()
    assert clients[0].directory.name == "here"


def test_each_loop_has_its_own_client(clients):
    connection = StoreConnection("here")
    for _ in range(3):
        asyncio.run(connection.async_store())
    assert [client.closed for client in clients] == [1, 1, 1]


def test_closing_in_a_loop_closes_its_client_at_once(clients):
    connection = StoreConnection("here")

    async def use():
        await connection.async_store()
        await connection.close_async()
        assert clients[0].closed == 1
        await connection.async_store()
        assert len(clients) == 2

    asyncio.run(use())
    assert [client.closed for client in clients] == [1, 1]


def test_closing_from_a_thread_closes_the_clients_of_running_loops(clients):
    connection = StoreConnection("here")

    async def use():
        await connection.async_store()
        await asyncio.to_thread(connection.close)
        for _ in range(1000):
            if clients[0].closed:
                break
            await asyncio.to_thread(lambda: None)
        assert clients[0].closed == 1

    asyncio.run(use())
    assert clients[0].closed == 1


def test_a_client_that_could_not_be_opened_is_tried_again(monkeypatch, clients):
    good = loop_stores._lifetime

    async def refused(directory):
        raise StoreUnavailable("not now")
        yield

    connection = StoreConnection("here")

    async def use():
        monkeypatch.setattr(loop_stores, "_lifetime", refused)
        with pytest.raises(StoreUnavailable, match="not now"):
            await connection.async_store()
        monkeypatch.setattr(loop_stores, "_lifetime", good)
        assert await connection.async_store() is clients[0]

    asyncio.run(use())
