"""Bytes of a file, a few at a time."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from penstock.nsq.data_directory.file_bytes import FileBytes
from penstock.nsq.data_directory.records import HEAD_BYTES, POSSIBLE_HEAD, encoded
from tests.unit.nsq.data_directory.made_files import contents, record, some_records, with_ends


@pytest.mark.parametrize("chunk", [1, 100, 5_000])
def test_they_are_those_of_the_file_wherever_they_are_asked_for(tmp_path: Path, chunk: int) -> None:
    data = random.Random(1).randbytes(3_000)
    path = tmp_path / "file"
    path.write_bytes(data)
    with FileBytes(path, chunk) as file:
        assert file.size == len(data)
        for _ in range(300):
            offset, count = random.randrange(3_100), random.randrange(200)
            assert file.at(offset, count) == data[offset : offset + count]


@pytest.mark.parametrize("chunk", [2 * HEAD_BYTES, 101, 5_000])
def test_a_pattern_is_found_at_all_its_places_also_across_two_reads(tmp_path: Path, chunk: int) -> None:
    records = some_records(60)
    path = tmp_path / "file"
    path.write_bytes(contents(records))
    begins = [end - len(encoded(one)) for one, end in with_ends(records)]
    with FileBytes(path, chunk) as file:
        found = list(file.places(POSSIBLE_HEAD, 0, file.size))
        assert set(begins) <= set(found)
        assert found == sorted(set(found))
        assert list(file.places(POSSIBLE_HEAD, begins[3], begins[4])) == [at for at in found if at == begins[3]]


def test_a_long_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as into:
        for number in range(20):
            into.write(encoded(record(number, bytes(1_000_000))))
    tracemalloc.start()
    with FileBytes(path, 100_000) as file:
        assert len(list(file.places(POSSIBLE_HEAD, 0, file.size))) == 20
        _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000
