"""Stores that earlier versions left behind are opened, upgraded, drained and audited.

``tests/golden/schema_N.tar.xz`` is what the last Penstock with schema N left when its owner was killed, made by
``tools/golden_store.py``. A change of the schema that is missing in its ``upgrade_N.sql``, or is another one there,
fails here.
"""

import json
import random
import re
import shutil
import tarfile
from pathlib import Path

import apsw
import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.model.states import State
from penstock.store.sqlite import database
from penstock.store.sqlite.redo_log import redo_path
from penstock.store.sqlite.schema_upgrades import planned
from penstock.store.sqlite.store import SqliteStore

GOLDEN = sorted((Path(__file__).parents[3] / "golden").glob("schema_*.tar.xz"))
CLIENT = b"golden-client-16"
BODY = b"m\x92\x90\x80"
STATES = {
    "expired": {State.EXPIRED},
    "finished": {State.SUCCEEDED, State.DEAD, State.CANCELLED, State.SCHEDULED},
    "forgotten": {None, State.SUCCEEDED},
    "running": {State.RUNNING},
    "ready": {State.READY},
    "refused": {State.READY},
    "deferred": {State.READY},
    "scheduled": {State.SCHEDULED},
    "limited": {State.READY, State.BLOCKED},
    "member": {State.READY, State.RUNNING, State.SUCCEEDED},
    "planned": {None},
    "durable": {State.SCHEDULED},
}


def version_of(archive):
    return int(re.search(r"schema_(\d+)", archive.name).group(1))


OLDER = [archive for archive in GOLDEN if version_of(archive) < database.SCHEMA_VERSION]
LARGE = [archive for archive in OLDER if planned(version_of(archive), database.SCHEMA_VERSION, 1_000).needed_bytes]
"""Those whose upgrade writes much of the file anew."""


def unpacked(archive_path, path, clock):
    """What lies in the archive; the files are where ``path`` says, and the clock goes on."""
    with tarfile.open(archive_path) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.3 has none
        archive.extractall(path.parent)
    contents = json.loads((path.parent / "contents.json").read_text())
    contents["version"] = version_of(archive_path)
    clock.advance(contents["at"] - clock.time() + 1.0)
    return contents


@pytest.fixture(params=GOLDEN, ids=version_of)
def golden(request, path, clock):
    return unpacked(request.param, path, clock)


@pytest.fixture(params=OLDER, ids=version_of)
def older(request, path, clock):
    """One that has to be upgraded."""
    return unpacked(request.param, path, clock)


@pytest.fixture(params=LARGE, ids=version_of)
def large(request, path, clock):
    """One whose upgrade needs room."""
    return unpacked(request.param, path, clock)


def shapes(connection):
    """The text that made each table and index, less white space, comments and quotes."""
    texts = {}
    for name, text in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"):
        bare = re.sub(r"--[^\n]*", "", text).replace('"', "")
        texts[name] = re.sub(r"\s*([(),])\s*", r"\1", " ".join(bare.split()))
    return texts


def test_there_is_a_store_of_every_schema_there_ever_was():
    versions = [version_of(archive) for archive in GOLDEN]
    assert versions[: database.SCHEMA_VERSION - 1] == list(range(1, database.SCHEMA_VERSION))


def test_an_upgraded_store_has_the_tables_of_a_new_one(golden, path, tmp_path, clock):
    upgraded = SqliteStore(path, clock=clock)
    new = SqliteStore(tmp_path / "new.db", clock=clock)
    assert shapes(upgraded.database.connection) == shapes(new.database.connection)
    assert upgraded.database.connection.pragma("user_version") == database.SCHEMA_VERSION
    upgraded.close()
    new.close()


def test_everything_is_there_and_can_be_drained(golden, path, clock, audit):
    store = SqliteStore(path, clock=clock)
    audit(store)
    ids = {bytes.fromhex(one): name for one, name in golden["jobs"].items()}
    states = {
        (view and view.state, name.split(",")[0]) for view, name in zip(store.get([*ids]), ids.values(), strict=True)
    }
    assert all(state in STATES[name] for state, name in states), states
    assert {name for _, name in states} >= {"finished", "running", "ready", "scheduled"}
    finished = [view.state for view, name in zip(store.get([*ids]), ids.values(), strict=True) if name == "finished"]
    assert set(finished) == STATES["finished"]
    (key,) = (one for one, name in ids.items() if name == "ready, keyed")
    again = store.enqueue([JobGroup("app.work", [JobEntry(new_id(), BODY, checksum(BODY), "order-1")])])
    assert [(one.id, one.duplicate) for one in again.exceptions] == [(key, True)]
    wanted = {1: b"answer"} if golden["version"] > 1 else {}
    if golden["version"] > 2:
        wanted[2] = b"deferred"
    assert store.answers_of(CLIENT) == wanted
    drain(store, clock, ids)
    audit(store)
    store.close()


def test_power_that_goes_during_an_upgrade_leaves_the_old_store_or_the_new(older, disk, path, tmp_path, clock, audit):
    """At every operation, with any sectors of what was not synced yet."""
    cuts = []

    def cut():
        into = tmp_path / f"cut-{len(cuts)}"
        into.mkdir()
        disk.cut_power(into, random.Random(len(cuts)))
        redo = redo_path(path)
        if redo.exists() and not redo_path(into / path.name).exists():
            shutil.copy(redo, into)  # nobody has opened it yet
        cuts.append(into / path.name)

    ids = [bytes.fromhex(one) for one in older["jobs"]]
    disk.before = cut
    store = SqliteStore(path, clock=clock)
    disk.before = None
    wanted = [view and (view.state, view.queue, view.priority) for view in store.get(ids)]
    store.close()
    assert len(cuts) > 10
    for database_path in cuts:
        again = SqliteStore(database_path, clock=clock)
        assert [view and (view.state, view.queue, view.priority) for view in again.get(ids)] == wanted
        audit(again)
        again.close()


def test_an_upgrade_that_finds_no_room_changes_nothing(large, path, clock, monkeypatch):
    monkeypatch.setattr(database.Database, "free_bytes", lambda _: 1_000)
    with pytest.raises(StoreUnavailable, match=r"needs .* MB of free space"):
        SqliteStore(path, clock=clock)
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == large["version"]
    connection.close()
    monkeypatch.undo()
    store = SqliteStore(path, clock=clock)
    assert len([view for view in store.get([bytes.fromhex(one) for one in large["jobs"]]) if view]) > 10
    store.close()


def drain(store, clock, ids):
    """Run whatever is waiting or becomes due, to its end."""
    store.open_lines(queue="closed")
    store.resume(queue="closed")
    store.create_channel("unread", "first")
    for pass_s in [3_700.0, *[1.0] * 40]:  # the leases that were alive start anew, and end
        clock.advance(pass_s)
        while store.tick().next_s == 0:
            pass
        while (batch := store.lease(LeaseRequest(new_id(), 100))).jobs:
            fences = range(batch.first_fence, batch.first_fence + len(batch.jobs))
            assert store.settle(Outcomes(_holder(store, fences[0]), forgotten=[*fences])).stale == []
    left = store.totals().counts
    assert (left.ready, left.scheduled, left.blocked, left.running) == (0, 0, 0, 0)
    assert all(view is None or view.state in STATES["finished"] | {State.EXPIRED} for view in store.get([*ids]))
    assert left.unaccounted() == 0


def _holder(store, fence):
    return store.books.by_fence[fence].holder


def test_an_older_penstock_refuses_a_newer_store_in_a_sentence(path, clock, monkeypatch):
    SqliteStore(path, clock=clock).close()
    before = path.read_bytes()
    monkeypatch.setattr(database, "SCHEMA_VERSION", database.SCHEMA_VERSION - 1)
    with pytest.raises(
        StoreUnavailable, match=r"has schema version \d+, this Penstock knows up to \d+: upgrade Penstock"
    ):
        SqliteStore(path, clock=clock)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.pragma("user_version") == database.SCHEMA_VERSION + 1
    connection.close()
    assert path.read_bytes() == before
