"""Upgrades, shown and done."""

import json
import tarfile
from pathlib import Path

import pytest

from penstock.model.errors import CareFailed, StoreUnavailable
from penstock.store.care.checking import check
from penstock.store.care.migrating import migrate, plan
from penstock.store.care.telling import statistics_of
from penstock.store.sqlite import database
from tests.unit.store.care.conftest import content_of, jobs_in

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture
def old(directory):
    """A store of version 4, as a killed owner left it. Answers the ids of jobs that must be there."""
    with tarfile.open(GOLDEN / "schema_4.tar.xz") as archive:
        archive.extractall(directory.path, filter="data")
    contents = directory.path / "contents.json"
    jobs = json.loads(contents.read_text())["jobs"]
    contents.unlink()
    return {bytes.fromhex(one) for one, name in jobs.items() if name != "forgotten"}


def test_a_plan_changes_nothing(directory, old):
    before = content_of(directory)
    found = plan(directory)
    assert (found.version, found.target, found.seconds) == (4, database.SCHEMA_VERSION, 0.0)
    assert found.steps == list(range(5, database.SCHEMA_VERSION + 1))
    assert found.rewrites
    assert 0 < found.needed_bytes < found.free_bytes
    assert content_of(directory) == before


def test_an_upgrade_is_done(directory, old):
    done = migrate(directory)
    assert done.seconds > 0
    assert plan(directory).steps == []
    assert migrate(directory).seconds == 0
    found = check(directory)
    assert (found.findings, found.is_whole) == ([], True)
    assert jobs_in(directory.path) >= old


def test_a_store_that_is_served_has_been_upgraded_by_its_owner(directory, old, serving):
    serving.start(idle_s=None)
    assert plan(directory).steps == []
    assert migrate(directory).seconds == 0
    assert statistics_of(directory).schema_version == database.SCHEMA_VERSION


def test_an_owner_that_stays_is_in_the_way(directory, old, serving, monkeypatch):
    serving.start(idle_s=None)
    monkeypatch.setattr("penstock.store.care.migrating.SCHEMA_VERSION", database.SCHEMA_VERSION + 1)
    assert plan(directory).steps == [database.SCHEMA_VERSION + 1]
    with pytest.raises(CareFailed, match="stop it first"):
        migrate(directory)


def test_a_later_schema_is_refused(directory, old, monkeypatch):
    migrate(directory)
    monkeypatch.setattr(database, "SCHEMA_VERSION", 5)
    monkeypatch.setattr("penstock.store.care.migrating.SCHEMA_VERSION", 5)
    found = plan(directory)
    assert (found.version, found.target, found.steps) == (6, 5, [])
    with pytest.raises(StoreUnavailable, match="upgrade Penstock"):
        migrate(directory)
