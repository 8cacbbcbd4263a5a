"""The power goes at any moment: whatever was acknowledged is there when the store is opened again, and nothing half."""

import itertools
import random

import pytest

from penstock.model import limits
from penstock.store.sqlite import database
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import put, take
from tests.unit.store.sqlite.power_cuts import Cuts, Recovery, copied, cut_at_every_commit, live
from tests.unit.store.sqlite.scripted_lives import JobLife, OperatorLife, TopicLife
from tests.unit.store.sqlite.scripted_workflows import WorkflowLife
from tests.unit.store.sqlite.whole_life import WholeLife

WAL_HEADER_BYTES = 32
FRAME_BYTES = 24 + 4096
LIVES = [JobLife, TopicLife, OperatorLife, WorkflowLife, WholeLife]


@pytest.fixture
def short_log(monkeypatch):
    """It is brought into the database often."""
    monkeypatch.setattr(database, "WAL_PAGES", 20)


@pytest.fixture(params=LIVES, ids=lambda kind: kind.__name__)
def life(request, disk, path, clock):
    return request.param(SqliteStore(path, clock=clock), clock)


@pytest.mark.usefixtures("short_log")
def test_a_copy_after_every_call_has_what_was_acknowledged(life, path, tmp_path, audit):
    assert cut_at_every_commit(life, path, tmp_path, audit) >= life.length


@pytest.mark.usefixtures("short_log")
def test_what_was_acknowledged_is_synced_before_it_is(disk, life, tmp_path, audit):
    """At every sync the power goes before it is done: what was written since the last one is lost."""
    cuts = Cuts(disk, life, tmp_path)
    disk.before_sync = cuts.cut
    live(life)
    disk.heal()
    assert cuts.check(audit) > life.length // life.every


@pytest.mark.usefixtures("short_log")
def test_whenever_the_power_goes_nothing_is_half(disk, life, tmp_path, audit):
    """At any operation of the disk: of what was written since the last sync each sector is there or lost."""
    chance = random.Random(2)
    cuts = Cuts(disk, life, tmp_path, chance)
    disk.before = lambda: chance.random() < 2.4 * life.every / life.length and cuts.cut()
    live(life)
    disk.heal()
    assert cuts.check(audit) > 20


@pytest.mark.usefixtures("disk")
def test_a_log_cut_off_at_every_frame_has_the_commits_before_it(path, clock, tmp_path, audit):
    store = SqliteStore(path, clock=clock)
    log = path.with_name("penstock.db-wal")
    life = JobLife(store, clock)
    store.database.connection.wal_checkpoint(mode=3)  # truncate: the log starts anew
    commits = [(0, life.told)]
    life.after = lambda: commits.append((log.stat().st_size, life.told))
    for _ in range(16):
        life.step()
    copied(path, tmp_path / "whole")
    store.close()
    recovery = Recovery(life, audit)
    torn = itertools.cycle((0, 24, FRAME_BYTES // 2))
    sizes = [size + next(torn) for size in range(WAL_HEADER_BYTES, commits[-1][0], FRAME_BYTES)]
    for size in [*sizes, commits[-1][0]]:
        directory = copied(tmp_path / "whole" / "penstock.db", tmp_path / f"cut-{size}")
        with (directory / log.name).open("r+b") as file:
            file.truncate(size)
        _, told = max((commit for commit in commits if commit[0] <= size), key=lambda commit: commit[0])
        recovery.check(directory, told)


def test_a_disk_that_never_syncs_is_caught(disk, path, clock, tmp_path, audit):
    """The tests above can fail: a store that does not wait for the disk loses what it acknowledged."""
    store = SqliteStore(path, clock=clock)
    store.database.connection.pragma("synchronous", 0)
    life = JobLife(store, clock)
    for _ in range(4):
        life.step()
    disk.cut_power(tmp_path)
    store.close()
    with pytest.raises(AssertionError):
        Recovery(life, audit).check(tmp_path, life.told)


def test_no_fence_is_given_out_twice_after_a_power_cut(disk, path, clock, tmp_path):
    store = SqliteStore(path, clock=clock)
    put(store, 10)
    fences = {one.fence for one in take(store, 5)}
    disk.cut_power(tmp_path)
    fences |= {one.fence for one in take(store, 5)}
    store.close()
    again = SqliteStore(tmp_path / "penstock.db", clock=clock)
    clock.advance(limits.LEASE_S)
    new = {one.fence for one in take(again, 10)}
    assert min(new) > max(fences)
    again.close()
