"""The redo log as a file: what counts after a crash, and what it refuses."""

import apsw
import pytest

from penstock.model.errors import StoreUnavailable
from penstock.store.sqlite import redo_log
from penstock.store.sqlite.redo_log import RECORD_BYTES_MAX, SIZE_BYTES, RedoLog, redo_path
from penstock.store.sqlite.store import SqliteStore

TOKEN = bytes(range(16))
BEFORE = 7


@pytest.fixture
def log_path(path):
    return redo_path(path)


def reread(log_path, before=BEFORE, token=TOKEN):
    log = RedoLog(log_path, token)
    try:
        return log.read(before)[0]
    finally:
        log.close()


def written(log_path, *payloads, before=BEFORE):
    log = RedoLog(log_path, TOKEN)
    for payload in payloads:
        assert log.write(payload, before)
    log.close()
    return log_path


def test_it_lies_beside_the_database_and_has_its_size_from_the_beginning(path, log_path):
    RedoLog(log_path, TOKEN).close()
    assert log_path.name == "penstock.db-redo"
    assert log_path.stat().st_size == SIZE_BYTES


def test_what_was_written_is_read_in_order(log_path):
    assert reread(written(log_path, b"one", b"", b"three" * 100)) == [b"one", b"", b"three" * 100]


def test_a_new_log_says_nothing(log_path):
    assert reread(log_path) == []


@pytest.mark.parametrize("before", [BEFORE - 1, BEFORE + 1, 0])
def test_a_transaction_makes_void_what_was_written_before_it(log_path, before):
    assert reread(written(log_path, b"one"), before=before) == []


def test_records_of_another_store_mean_nothing(log_path):
    assert reread(written(log_path, b"one"), token=bytes(16)) == []


def test_after_a_transaction_it_begins_anew_and_older_records_do_not_come_back(log_path):
    log = RedoLog(log_path, TOKEN)
    for payload in (b"first", b"second", b"third"):
        assert log.write(payload, BEFORE)
    assert log.write(b"later", BEFORE + 1)
    log.close()
    assert reread(log_path, BEFORE + 1) == [b"later"]
    assert reread(log_path, BEFORE) == []


def damaged(log_path, before=BEFORE):
    log = RedoLog(log_path, TOKEN)
    try:
        return log.read(before)[1]
    finally:
        log.close()


@pytest.mark.parametrize("cut", range(1, 20 + 3))
def test_a_torn_record_at_the_end_does_not_count_and_is_nothing_to_tell(log_path, cut):
    written(log_path, b"one", b"two")
    content = bytearray(log_path.read_bytes())
    record = 20 + 3
    content[2 * record - cut : 2 * record] = bytes(cut)
    log_path.write_bytes(content)
    assert reread(log_path) == [b"one"]
    assert damaged(log_path) == []


@pytest.mark.parametrize("cut", range(1, 20 + 3))
def test_a_damaged_record_in_the_middle_hides_none_behind_it_and_is_kept(log_path, cut):
    written(log_path, b"one", b"two", b"six")
    content = bytearray(log_path.read_bytes())
    record = 20 + 3
    content[2 * record - cut : 2 * record] = bytes(cut)
    log_path.write_bytes(content)
    assert reread(log_path) == [b"one", b"six"]
    assert damaged(log_path) == [bytes(content[record : 2 * record])]


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("place", range(20 + 3))
def test_a_flipped_bit_anywhere_in_a_record_is_found(log_path, place, bit):
    written(log_path, b"one", b"two")
    content = bytearray(log_path.read_bytes())
    content[place] ^= 1 << bit
    log_path.write_bytes(content)
    assert reread(log_path) == [b"two"]
    assert damaged(log_path) == [bytes(content[:23])]


def test_what_an_earlier_run_left_behind_a_damaged_record_does_not_come_back(log_path):
    log = RedoLog(log_path, TOKEN)
    for payload in (b"one", b"two", b"six"):
        assert log.write(payload, BEFORE)
    assert log.write(b"new", BEFORE + 1)
    log.close()
    content = bytearray(log_path.read_bytes())
    content[21] ^= 1
    log_path.write_bytes(content)
    assert reread(log_path, BEFORE + 1) == []
    assert damaged(log_path, BEFORE + 1) == []


def test_a_full_log_refuses_until_a_transaction_makes_room(log_path):
    log = RedoLog(log_path, TOKEN)
    payload = bytes(RECORD_BYTES_MAX)
    count = 0
    while log.write(payload, BEFORE):
        count += 1
    assert count == SIZE_BYTES // (RECORD_BYTES_MAX + 20)
    assert log.write(b"small, and there is room for it", BEFORE)
    assert log.write(payload, BEFORE + 1)
    log.close()
    assert log_path.stat().st_size == SIZE_BYTES


def test_a_log_whose_disk_failed_takes_no_more_and_keeps_what_it_has(disk, log_path):
    for operation in (1, 2):
        log = RedoLog(log_path, TOKEN)
        assert log.write(b"before", BEFORE)
        disk.fail_at(operation)
        assert not log.write(b"in it", BEFORE)
        disk.heal()
        assert not log.write(b"after", BEFORE)
        log.close()
        assert reread(log_path)[:1] == [b"before"]


def test_what_it_wrote_is_synced(disk, log_path, tmp_path):
    log = RedoLog(log_path, TOKEN)
    cuts = []
    for number in range(5):
        assert log.write(b"%d" % number, BEFORE)
        cuts.append(tmp_path / f"after-{number}")
        cuts[-1].mkdir()
        disk.cut_power(cuts[-1])
    log.close()
    for number, cut in enumerate(cuts):
        assert reread(cut / log_path.name) == [b"%d" % before for before in range(number + 1)]


@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError, apsw.CantOpenError])
def test_where_there_is_no_room_for_it_nothing_is_taken(disk, log_path, error):
    disk.fail_at(2, error)
    log = RedoLog(log_path, TOKEN)
    disk.heal()
    assert log.read(BEFORE) == ([], [])
    assert not log.write(b"one", BEFORE)
    log.close()
    log.close()
    assert reread(log_path) == [], "the next one makes it whole"


def test_a_log_that_is_there_and_cannot_be_opened_is_not_passed_over(path, log_path, clock):
    log_path.mkdir()
    with pytest.raises(apsw.CantOpenError):
        RedoLog(log_path, TOKEN)
    with pytest.raises(StoreUnavailable, match=r"penstock\.db-redo"):
        SqliteStore(path, clock=clock)


def test_a_short_log_is_made_whole_and_keeps_what_it_has(log_path):
    content = written(log_path, b"one").read_bytes()
    log_path.write_bytes(content[:100])
    assert reread(log_path) == [b"one"]
    assert log_path.stat().st_size == SIZE_BYTES


def test_its_name_is_synced_whoever_made_it(log_path, monkeypatch):
    """Whoever made it may have been killed before that."""
    synced = []
    monkeypatch.setattr(redo_log, "_sync_entry", synced.append)
    for _ in range(2):
        RedoLog(log_path, TOKEN).close()
    assert synced == [log_path, log_path]
