"""The position of a source and the jobs that were made of what was read, when the power goes or the disk fails."""

import random

import pytest

from penstock.model.errors import StaleCursor, StoreFull, StoreUnavailable
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.source_cursors import SourceCursor
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import id_at


def read(store, first, last, fence=0):
    """Enqueue what stands at these offsets of a source, and move its position behind them."""
    bodies = [b"m%d" % offset for offset in range(first, last + 1)]
    jobs = [JobEntry(id_at(1e9 + int(body[1:])), body, checksum(body)) for body in bodies]
    return store.enqueue([JobGroup("app.read", jobs)], cursor=SourceCursor("binlog", "0", last, fence))


def offsets_in(store):
    """The offsets of which there are jobs, in order, and the position; 0: there is none."""
    bodies = [body for (body,) in store.database.connection.execute("SELECT body FROM job ORDER BY seq")]
    positions = store.cursors("binlog")
    return [int(body[1:]) for body in bodies], positions[0].offset if positions else 0


@pytest.mark.parametrize("seed", range(3))
def test_whenever_the_power_goes_the_position_says_which_jobs_there_are(disk, path, tmp_path, clock, seed):
    cuts = []
    acked = 0

    def cut():
        into = tmp_path / f"cut-{len(cuts)}"
        into.mkdir()
        disk.cut_power(into, random.Random(1_000 * seed + len(cuts)))
        cuts.append((into / path.name, acked))

    store = SqliteStore(path, clock=clock)
    disk.before = cut
    for number in range(12):
        last = acked + 1 + number % 4
        read(store, acked + 1, last)
        acked = last
    disk.before = None
    store.close()
    assert len(cuts) > 20
    for place, known in cuts:
        again = SqliteStore(place, clock=clock)
        offsets, position = offsets_in(again)
        assert position >= known
        assert offsets == list(range(1, position + 1))
        read(again, position + 1, position + 1)
        with pytest.raises(StaleCursor):
            read(again, position + 1, position + 1)
        again.close()


@pytest.mark.parametrize("operation", range(1, 8))
def test_an_enqueue_that_fails_moves_nothing(faulty_store, disk, operation):
    read(faulty_store, 1, 3)
    disk.fail_at(operation)
    try:
        read(faulty_store, 4, 9)
    except (StoreUnavailable, StoreFull):
        disk.heal()
        assert offsets_in(faulty_store) == ([1, 2, 3], 3)
        read(faulty_store, 4, 9)
    disk.heal()
    assert offsets_in(faulty_store) == ([*range(1, 10)], 9)


def test_a_group_that_is_undone_takes_the_position_back(store):
    store.begin()
    read(store, 1, 3, fence=2)
    assert store.cursors("binlog")[0].offset == 3
    store.rollback()
    assert offsets_in(store) == ([], 0)
    read(store, 1, 2, fence=1)
    assert offsets_in(store) == ([1, 2], 2)


def test_a_refused_move_in_a_group_harms_none_of_the_others(store):
    read(store, 1, 3)
    store.begin()
    read(store, 4, 4)
    with pytest.raises(StaleCursor):
        read(store, 2, 4)
    read(store, 5, 6)
    store.commit()
    assert offsets_in(store) == ([*range(1, 7)], 6)
