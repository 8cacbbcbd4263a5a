"""Upgrades, shown and done."""

import json
import tarfile
from pathlib import Path

import pytest

from penstock.model.errors import CareFailed
from penstock.store.care.checking import check
from penstock.store.care.migrating import migrate, plan
from penstock.store.care.reaching import EarlierOwner
from penstock.store.care.telling import statistics_of
from penstock.store.sqlite import database
from penstock.store.sqlite.schema_upgrades import Upgrade
from tests.unit.store.care.conftest import content_of, jobs_in

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture
def old(directory):
    """A store of version 4, as a killed owner left it. Answers the ids of jobs that must be there."""
    with tarfile.open(GOLDEN / "schema_4.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.3 has none
        archive.extractall(directory.path)
    contents = directory.path / "contents.json"
    jobs = json.loads(contents.read_text())["jobs"]
    contents.unlink()
    return {bytes.fromhex(one) for one, name in jobs.items() if name != "forgotten"}


def test_a_plan_changes_nothing(directory, old):
    before = content_of(directory)
    found = plan(directory)
    assert (found.version, found.target, found.is_done) == (4, database.SCHEMA_VERSION, False)
    assert found.can_be_done
    assert found.steps == list(range(5, database.SCHEMA_VERSION + 1))
    assert found.rewrites
    assert 0 < found.needed_bytes < found.free_bytes
    assert content_of(directory) == before


def test_an_upgrade_is_done(directory, old):
    done = migrate(directory)
    assert done.is_done
    assert plan(directory).steps == []
    assert not migrate(directory).is_done
    found = check(directory)
    assert (found.findings, found.is_whole) == ([], True)
    assert jobs_in(directory.path) >= old


def test_a_store_that_is_served_has_been_upgraded_by_its_owner(directory, old, serving):
    serving.start(idle_s=None)
    assert plan(directory).steps == []
    assert not migrate(directory).is_done
    assert statistics_of(directory).schema_version == database.SCHEMA_VERSION


def test_an_owner_that_stays_is_in_the_way(directory, old, serving, monkeypatch):
    serving.start(idle_s=None)
    monkeypatch.setattr("penstock.store.care.migrating.SCHEMA_VERSION", database.SCHEMA_VERSION + 1)
    assert plan(directory).steps == [database.SCHEMA_VERSION + 1]
    with pytest.raises(CareFailed, match="stop it first"):
        migrate(directory)


def test_a_later_schema_is_refused(directory, old, monkeypatch):
    newest = migrate(directory).target
    monkeypatch.setattr(database, "SCHEMA_VERSION", newest - 1)
    monkeypatch.setattr("penstock.store.care.migrating.SCHEMA_VERSION", newest - 1)
    found = plan(directory)
    assert (found.version, found.target, found.steps) == (newest, newest - 1, [])
    assert not found.can_be_done
    assert not migrate(directory).is_done


def test_without_room_nothing_is_done(directory, old, monkeypatch):
    monkeypatch.setattr("penstock.store.care.migrating.planned", lambda *_: Upgrade([5], 1 << 60))
    before = content_of(directory)
    done = migrate(directory)
    assert (done.can_be_done, done.is_done) == (False, False)
    assert content_of(directory) == before


@pytest.mark.parametrize("idle_s", [None, 60.0])
def test_an_owner_of_an_earlier_version_has_to_leave_first(directory, old, serving, monkeypatch, idle_s):
    """It is told from its statistics, which say nothing of a schema."""
    serving.start(idle_s)
    monkeypatch.setattr(serving.engine, "schema_version", 0)
    with pytest.raises(EarlierOwner, match=r"earlier Penstock.*stop it first"):
        plan(directory)
    if idle_s is None:
        with pytest.raises(CareFailed, match="stop it first"):
            migrate(directory)
    else:
        assert migrate(directory).steps == []
