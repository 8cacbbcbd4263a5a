"""Files that are written are files that are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.nsq.data_directory.directory import looked_into
from penstock.nsq.data_directory.queue_reading import planned, read
from penstock.nsq.data_directory.queue_writing import QueueWriter, sync_directory, write_whole
from tests.unit.nsq.data_directory.made_files import contents, record, some_records

RECORDS = some_records(40)


@pytest.mark.parametrize("file_bytes_max", [1, 200, 1_000, 1_000_000])
def test_what_is_written_is_read_again(tmp_path: Path, file_bytes_max: int) -> None:
    writer = QueueWriter(tmp_path, "orders:mail", file_bytes_max)
    for one in RECORDS:
        writer.add(one)
    writer.finish()
    assert writer.records == len(RECORDS)
    queue = looked_into(tmp_path).queues["orders:mail"]
    assert all(file.size <= max(file_bytes_max, 200) for file in queue.files)
    assert b"".join(file.path.read_bytes() for file in queue.files) == contents(RECORDS)
    plan = planned(queue)
    assert plan.notes == []
    assert [place.record for part in plan.parts for place in read(part, 1_000, pytest.fail)] == RECORDS
    assert all((file.path.stat().st_mode & 0o777) == 0o600 for file in queue.files)


def test_a_queue_without_records_has_no_files(tmp_path: Path) -> None:
    QueueWriter(tmp_path, "orders", 100).finish()
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_fills_a_file_to_the_byte_is_in_it(tmp_path: Path) -> None:
    writer = QueueWriter(tmp_path, "orders", len(contents(RECORDS[:2])))
    for one in RECORDS[:3]:
        writer.add(one)
    writer.finish()
    assert (tmp_path / "orders.diskqueue.000000.dat").read_bytes() == contents(RECORDS[:2])
    size = len(contents(RECORDS[2:3]))
    assert (tmp_path / "orders.diskqueue.meta.dat").read_text() == f"3\n0,0\n1,{size}\n"


def test_a_writer_that_is_abandoned_lets_go_of_its_file(tmp_path: Path) -> None:
    writer = QueueWriter(tmp_path, "orders", 100)
    writer.add(record(0))
    writer.abandon()
    writer.abandon()
    assert not (tmp_path / "orders.diskqueue.meta.dat").exists()


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "nsqd.dat", b"one")
    write_whole(tmp_path / "nsqd.dat", b"two")
    sync_directory(tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("nsqd.dat", b"two")]
