"""Giving space back."""

import os

import pytest

from penstock.model import limits
from penstock.model.errors import CareFailed
from penstock.store.care.compacting import compact
from penstock.store.wire.client.blocking import Client
from tests.unit.store.care.conftest import content_of, jobs_in, owned, put


@pytest.fixture
def emptied(directory):
    """A store with much free space, and the jobs that are left in it."""
    with owned(directory) as engine:
        put(engine, 3_000)
        kept = put(engine, 5)
        ids = [job_id for (job_id,) in engine.database.connection.execute("SELECT id FROM job")]
        engine.delete([one for one in ids if one not in kept])
    return kept


def test_free_pages_are_given_back(directory, emptied):
    done = compact(directory)
    assert done.after_bytes < done.before_bytes / 4
    assert directory.database.stat().st_size == done.after_bytes
    assert not directory.database.stat().st_mode & 0o077
    assert jobs_in(directory.path) == {*emptied}
    assert not [name for name in os.listdir(directory.path) if "compacted" in name]


def test_a_detached_owner_leaves_for_it_and_its_clients_wait(directory, emptied, serving):
    serving.start(idle_s=60.0)
    client = Client.connect(directory.path, start_owner=False)
    assert compact(directory).after_bytes > 0
    serving.thread.join()
    serving.start()
    assert client.stats().queues["default"].ready == len(emptied)
    client.close()


def test_an_owner_that_stays_is_left_alone(directory, emptied, serving):
    serving.start(idle_s=None)
    with pytest.raises(CareFailed, match=r"stopped.*stop it first"):
        compact(directory)
    assert serving.thread.is_alive()


def test_without_room_for_the_new_file_nothing_happens(directory, emptied, monkeypatch):
    before = directory.database.stat().st_size
    monkeypatch.setattr(limits, "COPY_SPARED_BYTES", 1 << 60)
    with pytest.raises(CareFailed, match="as it was"):
        compact(directory)
    assert directory.database.stat().st_size == before
    assert jobs_in(directory.path) == {*emptied}


def test_one_that_is_cut_off_leaves_the_old_file(directory, emptied, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    monkeypatch.setattr("penstock.store.care.compacting._sync", die)
    with pytest.raises(Killed):
        compact(directory)
    assert jobs_in(directory.path) == {*emptied}


def test_a_store_of_another_schema_is_left_as_it_is(directory, emptied, monkeypatch):
    monkeypatch.setattr("penstock.store.care.compacting.SCHEMA_VERSION", 99)
    before = content_of(directory)
    with pytest.raises(CareFailed, match="penstock store migrate"):
        compact(directory)
    assert content_of(directory) == before
