"""Checks of a store that is served, and of one that is not."""

import apsw
import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.store.care.checking import COPY_NAME, check
from penstock.store.care.telling import statistics_of
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite import database, file_copy
from penstock.store.sqlite.redo_quarantine import RedoQuarantine
from tests.unit.store.care.conftest import content_of, owned


def test_a_store_that_nobody_serves_is_checked_and_left_as_it_is(directory, filled):
    before = content_of(directory)
    found = check(directory)
    assert (found.findings, found.jobs, found.is_whole, found.is_copy) == ([], len(filled), True, False)
    assert content_of(directory) == before


def test_a_store_that_is_served_is_checked_in_a_copy(directory, filled, serving, tmp_path, monkeypatch):
    monkeypatch.setattr(file_copy, "_PAGES_AT_ONCE", 1)
    monkeypatch.setattr(limits, "SLICE_S", 1e-9)
    serving.start()
    (directory.path / COPY_NAME).write_text("left by one that was killed")
    found = check(directory)
    assert (found.findings, found.jobs, found.is_copy) == ([], len(filled), True)
    assert not [one.name for one in directory.path.iterdir() if one.name.startswith(COPY_NAME)]
    steps = []
    assert check(directory, tmp_path, steps.append).jobs == len(filled)
    assert len(steps) > 5
    assert not (tmp_path / COPY_NAME).exists()


@pytest.mark.parametrize(
    ("version", "instead"),
    [
        (database.SCHEMA_VERSION - 1, "penstock store migrate"),
        (database.SCHEMA_VERSION + 1, "the Penstock that wrote it"),
    ],
)
def test_a_store_of_another_schema_is_checked_in_part_and_it_is_told_what_to_do(directory, filled, version, instead):
    assert check(directory).instead == ""
    connection = apsw.Connection(str(directory.database))
    connection.pragma("user_version", version)
    connection.close()
    found = check(directory)
    assert (found.findings, found.jobs, found.is_whole, found.schema_version) == ([], 0, False, version)
    assert instead in found.instead


def break_body(path):
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE job SET checksum = 1 WHERE seq = (SELECT min(seq) FROM job)")
    connection.close()


@pytest.mark.parametrize("is_served", [True, False])
def test_what_is_wrong_is_found_either_way(directory, filled, serving, is_served):
    break_body(directory.database)
    if is_served:
        serving.start()
    assert [one.name for one in check(directory).findings] == ["body-damaged"]


def test_records_that_were_set_aside_are_told(directory, filled):
    RedoQuarantine(directory.database).add("it was no good", b"record")
    (finding,) = check(directory).findings
    assert (finding.name, finding.count) == ("redo-set-aside", 1)


def test_an_older_store_is_not_upgraded_by_a_look(directory, filled, monkeypatch):
    monkeypatch.setattr(database, "SCHEMA_VERSION", database.SCHEMA_VERSION + 1)
    monkeypatch.setattr("penstock.store.care.checking.SCHEMA_VERSION", database.SCHEMA_VERSION)
    monkeypatch.setattr("penstock.store.sqlite.file_check.SCHEMA_VERSION", database.SCHEMA_VERSION)
    before = content_of(directory)
    found = check(directory)
    assert (found.is_whole, found.jobs) == (False, 0)
    assert statistics_of(directory).schema_version == database.SCHEMA_VERSION - 1
    assert content_of(directory) == before


def test_what_is_no_database_is_told(directory):
    directory.database.write_bytes(b"what is this" * 1_000)
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        check(directory)


@pytest.mark.parametrize("is_served", [True, False])
def test_sizes_and_rows_are_told_either_way(directory, filled, serving, is_served):
    if is_served:
        serving.start()
    told = statistics_of(directory)
    assert told.rows["job"] == told.rows["ready"] == len(filled)
    assert told.cursor is None
    assert told.size_bytes == directory.database.stat().st_size


def test_a_lock_that_is_held_by_nobody_who_serves_is_waited_for_and_told(directory, filled, monkeypatch):
    monkeypatch.setattr(limits, "RECONNECT_S_MAX", 0.0)
    lock = directory.open_lock()
    assert lock.take()
    with pytest.raises(StoreUnavailable, match="lock"):
        check(StoreDirectory(directory.path))
    lock.release()
    with owned(directory):
        pass
