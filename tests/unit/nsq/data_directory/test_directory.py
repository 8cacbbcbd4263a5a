"""What is in a data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from penstock.model.errors import InvalidOption
from penstock.nsq.data_directory.catalogue import Catalogue, Channel, Topic, as_text
from penstock.nsq.data_directory.directory import locked, looked_into
from tests.unit.nsq.data_directory.made_files import some_records, written


def catalogue(directory: Path, *topics: Topic) -> None:
    (directory / "nsqd.dat").write_bytes(as_text(Catalogue(list(topics))))


def test_topics_are_those_of_the_list_with_their_queues(tmp_path: Path) -> None:
    catalogue(tmp_path, Topic("orders", True, [Channel("mail", True), Channel("bill")]), Topic("none"))
    written(tmp_path, "orders", [some_records(2), some_records(3)], first=8)
    written(tmp_path, "orders:mail", [some_records(2)])
    found = looked_into(tmp_path)
    assert found.topics == [Topic("orders", True, [Channel("mail", True), Channel("bill")]), Topic("none", False, [])]
    assert {name: [file.number for file in queue.files] for name, queue in found.queues.items()} == {
        "orders": [8, 9],
        "orders:mail": [0],
    }
    assert found.notes == []


@pytest.mark.parametrize("damage", [b"", b'{"topics":[{"na', None])
def test_without_a_list_they_are_those_that_have_a_queue(tmp_path: Path, damage: bytes | None) -> None:
    if damage is not None:
        (tmp_path / "nsqd.dat").write_bytes(damage)
    written(tmp_path, "orders:mail", [some_records(1)])
    found = looked_into(tmp_path)
    assert found.topics == [Topic("orders", False, [Channel("mail")])]
    assert "nsqd.dat" in found.notes[0]


def test_a_queue_that_is_not_in_the_list_is_taken_along_unless_it_is_empty(tmp_path: Path) -> None:
    catalogue(tmp_path, Topic("orders", False, []))
    written(tmp_path, "orders:mail", [some_records(1)])
    written(tmp_path, "gone:away", [[]])
    found = looked_into(tmp_path)
    assert found.topics == [Topic("orders", False, [Channel("mail")])]
    assert ["orders:mail" in note for note in found.notes] == [True]


def test_whatever_is_flipped_in_the_list_no_queue_is_overlooked(tmp_path: Path) -> None:
    catalogue(tmp_path, Topic("orders", True, [Channel("mail"), Channel("bill")]))
    for queue in ("orders", "orders:mail", "orders:bill"):
        written(tmp_path, queue, [some_records(1)])
    path = tmp_path / "nsqd.dat"
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            path.write_bytes(data)
            found = {topic.name: {one.name for one in topic.channels or []} for topic in looked_into(tmp_path).topics}
            assert found["orders"] >= {"mail", "bill"}, bytes(data)
        path.write_bytes(whole[:at])
        assert [topic.name for topic in looked_into(tmp_path).topics] == ["orders"]


def test_what_has_no_name_for_a_topic_is_left_out_and_named(tmp_path: Path) -> None:
    catalogue(tmp_path, Topic("a b", False, []), Topic("orders", False, [Channel("c d")]))
    (tmp_path / "a:b:c.diskqueue.000000.dat").write_bytes(b"x")
    (tmp_path / "orders.diskqueue.000000.dat").symlink_to("elsewhere")
    found = looked_into(tmp_path)
    assert (found.topics, found.queues) == ([Topic("orders", False, [])], {})
    assert len(found.notes) == 4


def test_another_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "penstock.db").touch()
    with pytest.raises(InvalidOption, match="no data directory"):
        looked_into(tmp_path)
    with pytest.raises(InvalidOption, match="No such file"), locked(tmp_path / "none"):
        pass
    with pytest.raises(InvalidOption, match="Not a directory"), locked(tmp_path / "penstock.db"):
        pass


def test_a_directory_is_nobody_elses_while_it_is_locked(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with locked(tmp_path), pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(InvalidOption, match="runs on"), locked(tmp_path):
            pass
    finally:
        os.close(descriptor)
