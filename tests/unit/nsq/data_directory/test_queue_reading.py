"""What of a queue is to be delivered: by its position and, where that is damaged, without."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.nsq.data_directory.directory import looked_into
from penstock.nsq.data_directory.queue_reading import BadFiles, LostBytes, Plan, planned, read
from penstock.nsq.data_directory.records import Record, encoded
from penstock.nsq.data_directory.recovery import Why
from tests.unit.nsq.data_directory.made_files import contents, record, some_records, with_ends, written

QUEUE = "orders:mail"
RECORDS = some_records(12)
FILES = [RECORDS[:4], RECORDS[4:8], RECORDS[8:]]
SECOND = with_ends(RECORDS)[0][1]
"""Where the second record begins."""


def name(number: int) -> str:
    return f"{QUEUE}.diskqueue.{number:06d}.dat"


def position(directory: Path, text: str) -> None:
    (directory / f"{QUEUE}.diskqueue.meta.dat").write_text(text)


def delivered(
    directory: Path, *, body_bytes_max: int = 1 << 20, bad_files: BadFiles = BadFiles.DAMAGED
) -> tuple[list[Record], list[LostBytes], Plan]:
    plan = planned(looked_into(directory).queues[QUEUE], bad_files)
    lost = list(plan.lost)
    records = [place.record for part in plan.parts for place in read(part, body_bytes_max, lost.append)]
    return records, lost, plan


def test_a_queue_is_all_that_is_behind_its_position(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES, first=5, read_at=SECOND)
    records, lost, plan = delivered(tmp_path)
    assert (records, lost, plan.notes) == (RECORDS[1:], [], [])


def test_a_queue_that_was_read_to_its_end_has_nothing(tmp_path: Path) -> None:
    size = len(contents(RECORDS))
    written(tmp_path, QUEUE, [RECORDS], read_at=size)
    assert delivered(tmp_path)[:2] == ([], [])
    position(tmp_path, "0\n7,0\n7,0\n")
    assert delivered(tmp_path)[:2] == ([], [])


def test_files_before_the_one_that_is_read_were_delivered(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES)
    position(tmp_path, f"8\n1,0\n2,{len(contents(FILES[2]))}\n")
    records, lost, plan = delivered(tmp_path)
    assert (records, lost, plan.delivered) == (RECORDS[4:], [], 1)


def test_what_was_written_after_the_position_is_delivered_too(tmp_path: Path) -> None:
    """nsqd does not write its position with every record; after a crash it is old."""
    written(tmp_path, QUEUE, [RECORDS])
    position(tmp_path, f"2\n0,{SECOND}\n0,{with_ends(RECORDS)[2][1]}\n")
    assert delivered(tmp_path)[:2] == (RECORDS[1:], [])


@pytest.mark.parametrize("text", [None, "", "12\n0,0\n"])
def test_without_a_position_all_records_are_taken_and_it_is_said(tmp_path: Path, text: str | None) -> None:
    written(tmp_path, QUEUE, FILES, read_at=SECOND)
    if text is None:
        (tmp_path / f"{QUEUE}.diskqueue.meta.dat").unlink()
    else:
        position(tmp_path, text)
    records, lost, plan = delivered(tmp_path)
    assert (records, lost) == (RECORDS, [])
    assert len(plan.notes) == 1


def test_a_position_within_a_record_takes_that_record(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES)
    for read_at in range(SECOND + 1, with_ends(RECORDS)[1][1]):
        position(tmp_path, f"11\n0,{read_at}\n2,{len(contents(FILES[2]))}\n")
        records, lost, plan = delivered(tmp_path)
        assert (records, lost) == (RECORDS[1:], [])
        assert f"byte {read_at}" in plan.notes[0]


def test_whatever_is_flipped_in_a_position_costs_no_message(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES, read_at=SECOND)
    path = tmp_path / f"{QUEUE}.diskqueue.meta.dat"
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            path.write_bytes(data)
            assert set(RECORDS[1:]) <= set(delivered(tmp_path)[0]), bytes(data)
        path.write_bytes(whole[:at])
        assert delivered(tmp_path)[0] == RECORDS


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_flipped_bit_in_any_file_costs_one_record_at_most(tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    written(tmp_path, QUEUE, FILES)
    path = tmp_path / name(number)
    whole = path.read_bytes()
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        (damaged,) = [one for one, end in with_ends(FILES[number]) if end - len(encoded(one)) <= at < end]
        records, lost, _ = delivered(tmp_path)
        others = [one for one in records if one in RECORDS]
        assert others == [one for one in RECORDS if one != damaged]
        assert len(records) - len(others) + len(lost) == 1
        assert all(one.file == path.name for one in lost)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_file_that_is_cut_anywhere_costs_what_was_behind_and_says_so(tmp_path: Path, number: int) -> None:
    written(tmp_path, QUEUE, FILES)
    path = tmp_path / name(number)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        records, lost, _ = delivered(tmp_path)
        gone = [one for one, place in with_ends(FILES[number]) if place > end]
        assert records == [one for one in RECORDS if one not in gone]
        is_cut_between = end in [0, *(place for _, place in with_ends(FILES[number]))]
        if number == 2:
            assert sum(one.size for one in lost) == len(whole) - max(
                [0, *(place for _, place in with_ends(FILES[number]) if place <= end)]
            )
        else:
            # How long a file before the last was is written down nowhere; the number of records tells that some miss.
            assert bool(lost) is not is_cut_between


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES)
    for number in (1, 2):
        path = tmp_path / name(number)
        whole = path.read_bytes()
        path.unlink()
        records, lost, _ = delivered(tmp_path)
        assert records == [one for one in RECORDS if one not in FILES[number]]
        assert [(one.file, one.why) for one in lost] == [(name(number), Why.NO_FILE)]
        path.write_bytes(whole)


def test_a_position_that_tells_of_far_more_files_than_there_are_names_a_few(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES)
    position(tmp_path, "12\n0,0\n90000000000,7\n")
    records, lost, plan = delivered(tmp_path)
    assert (records, len(lost)) == (RECORDS, 10)
    assert "90000000000" in plan.notes[0]


@given(st.binary(max_size=60), st.lists(st.binary(max_size=400), max_size=3), st.integers(0, 3))
@settings(deadline=None)
def test_whatever_lies_there_is_read_without_a_fault(meta: bytes, files: list[bytes], first: int) -> None:
    with tempfile.TemporaryDirectory() as path:
        directory = Path(path)
        (directory / f"{QUEUE}.diskqueue.meta.dat").write_bytes(meta)
        for number, data in enumerate(files, first):
            (directory / name(number)).write_bytes(data)
        assert delivered(directory)[0] == []


@given(st.tuples(*[st.integers(-1, 15)] * 5), st.sets(st.integers(0, 2)))
@settings(deadline=None)
def test_whatever_the_position_says_all_that_is_taken_is_in_the_files(numbers: tuple[int, ...], gone: set[int]) -> None:
    with tempfile.TemporaryDirectory() as path:
        directory = Path(path)
        written(directory, QUEUE, FILES)
        depth, read_file, read_at, write_file, write_at = numbers
        position(directory, f"{depth}\n{read_file % 4},{read_at * 20}\n{write_file % 4},{write_at * 20}\n")
        for number in gone:
            (directory / name(number)).unlink()
        records, lost, _ = delivered(directory)
        assert set(records) <= set(RECORDS)
        assert len(records) == len(set(records))
        assert all(one.file.startswith(QUEUE) for one in lost)


def test_of_a_file_that_nsqd_has_put_aside_what_is_behind_the_damage_is_taken(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES)
    data = bytearray(contents(FILES[0]))
    second, third = (end for _, end in with_ends(FILES[0])[:2])
    data[second : second + 4] = b"\xff\xff\xff\xff"
    (tmp_path / name(0)).unlink()
    (tmp_path / f"{name(0)}.bad").write_bytes(data)
    position(tmp_path, f"11\n1,0\n2,{len(contents(FILES[2]))}\n")
    records, lost, plan = delivered(tmp_path)
    assert records == RECORDS[2:]
    assert lost == [LostBytes(f"{name(0)}.bad", second, third - second, Why.LENGTH)]
    assert "aside" in plan.notes[0]


def test_a_file_put_aside_in_which_nothing_is_wrong_was_delivered_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    """nsqd 1.3.0 puts a file aside also when it has read all of it."""
    written(tmp_path, QUEUE, FILES)
    (tmp_path / name(0)).rename(tmp_path / f"{name(0)}.bad")
    position(tmp_path, f"8\n1,0\n2,{len(contents(FILES[2]))}\n")
    records, lost, plan = delivered(tmp_path)
    assert (records, lost) == (RECORDS[4:], [])
    assert "nothing is wrong" in plan.notes[0]
    records, lost, plan = delivered(tmp_path, bad_files=BadFiles.ALL)
    assert (records, lost, plan.notes) == (RECORDS, [], [])
    assert delivered(tmp_path, bad_files=BadFiles.NONE)[0] == RECORDS[4:]


def test_a_depth_that_tells_of_more_than_is_there_brings_back_what_was_delivered(tmp_path: Path) -> None:
    written(tmp_path, QUEUE, FILES, read_at=SECOND)
    position(tmp_path, f"12\n0,{SECOND}\n2,{len(contents(FILES[2]))}\n")
    records, _, plan = delivered(tmp_path)
    assert records == RECORDS
    assert "12" in plan.notes[0]


def test_a_record_within_the_body_of_another_is_none_of_the_queue(tmp_path: Path) -> None:
    """Also not where the number of records is unknown and the file goes on."""
    outer = record(0, b"copied: " + contents(RECORDS[:2]) + b" end")
    written(tmp_path, QUEUE, [[outer, *RECORDS[3:]]])
    assert delivered(tmp_path)[:2] == ([outer, *RECORDS[3:]], [])
    (tmp_path / f"{QUEUE}.diskqueue.meta.dat").unlink()
    assert delivered(tmp_path)[:2] == ([outer, *RECORDS[3:]], [])


def test_a_body_that_is_too_long_is_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    records = [record(0, b"short"), record(1, b"x" * 500), record(2, b"short")]
    written(tmp_path, QUEUE, [records])
    taken, lost, _ = delivered(tmp_path, body_bytes_max=100)
    assert taken == [records[0], records[2]]
    assert [(one.offset, one.why) for one in lost] == [(len(encoded(records[0])), Why.TOO_LARGE)]
