"""Every record whose bytes are whole is found, none that is wrong, and what is lost is named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.nsq.data_directory.records import HEAD_BYTES, Agreement, Record, encoded
from penstock.nsq.data_directory.recovery import Found, Knowledge, Lost, Recovery, Why
from tests.unit.nsq.data_directory.made_files import contents, record, some_records, with_ends

FULL = Knowledge(Agreement.FULL)
LAST = Knowledge(Agreement.FULL, ends_with_record=True)


class InMemory:
    """Bytes that are all there."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked = 0

    def at(self, offset: int, count: int) -> bytes:
        self.asked += 1
        return self.data[offset : offset + count]

    def places(self, pattern: re.Pattern[bytes], first: int, end: int) -> Iterator[int]:
        return (found.start() for found in pattern.finditer(self.data, first, end))


def recovered(data: bytes, known: Knowledge = FULL) -> tuple[dict[int, Record], list[Lost]]:
    """The records by where they begin, and what is lost. All of the file is one or the other."""
    found: dict[int, Record] = {}
    lost: list[Lost] = []
    at = 0
    for one in Recovery(InMemory(data), 0, len(data), known):
        assert one.offset == at
        assert one.end > at
        at = one.end
        if isinstance(one, Lost):
            lost.append(one)
        else:
            head = one.head
            body = data[one.offset + HEAD_BYTES : one.end]
            found[one.offset] = Record(head.timestamp_ns, head.attempts, head.id, body)
    assert at == len(data)
    return found, lost


def placed(records: Sequence[Record]) -> dict[int, Record]:
    """Records by where they begin."""
    return {end - len(encoded(one)): one for one, end in with_ends(list(records))}


def unlike(one: Record, other: Record) -> int:
    """In how many bytes two records differ; those of other lengths in all."""
    first, second = encoded(one), encoded(other)
    if len(first) != len(second):
        return max(len(first), len(second))
    return sum(left != right for left, right in zip(first, second, strict=True))


def check_flipped(records: Sequence[Record], at: int, bit: int, known: Knowledge) -> None:
    """With one bit of a file other than it was, all other records are found, and no other is made up."""
    data = bytearray(contents(list(records)))
    data[at] ^= 1 << bit
    found, lost = recovered(bytes(data), known)
    whole = placed(records)
    damaged = max(offset for offset in whole if offset <= at)
    for offset, one in whole.items():
        if offset != damaged:
            assert found.pop(offset, None) == one, f"byte {at}, bit {bit}: the record at {offset}"
    if damaged in found:
        # Nothing in the format could tell: another body, or a head that could be one.
        assert unlike(found.pop(damaged), whole[damaged]) == 1
        assert at - damaged >= 4
        assert not lost
    else:
        assert [one.offset for one in lost] == [damaged]
        assert lost[0].size == len(encoded(whole[damaged]))
    assert not found


RECORDS = some_records(9)


@pytest.mark.parametrize("at", range(len(contents(RECORDS))))
def test_a_bit_that_is_flipped_costs_at_most_its_own_record(at: int) -> None:
    for bit in range(8):
        check_flipped(RECORDS, at, bit, LAST)


@pytest.mark.parametrize("size", range(0, 70, 3))
def test_so_it_is_where_all_records_are_of_one_size_so_that_a_length_can_lead_over_some_of_them(size: int) -> None:
    records = [record(number, b"x" * size) for number in range(6)]
    for at in range(len(contents(records))):
        for bit in range(8):
            check_flipped(records, at, bit, LAST)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.data())
def test_a_flipped_bit_anywhere_in_any_file(bodies: list[bytes], data: st.DataObject) -> None:
    records = [record(number, body) for number, body in enumerate(bodies)]
    at = data.draw(st.integers(0, len(contents(records)) - 1))
    check_flipped(records, at, data.draw(st.integers(0, 7)), LAST)


@pytest.mark.parametrize("known", [FULL, Knowledge()])
def test_a_file_that_is_cut_anywhere_has_all_records_before_the_cut(known: Knowledge) -> None:
    data = contents(RECORDS)
    for end in range(len(data) + 1):
        found, lost = recovered(data[:end], known)
        whole = {offset: one for offset, one in placed(RECORDS).items() if offset + len(encoded(one)) <= end}
        assert found == whole, f"cut at {end}"
        left = end - sum(len(encoded(one)) for one in whole.values())
        assert [(one.offset, one.size, one.why) for one in lost] == ([(end - left, left, Why.CUT)] if left else [])


def test_the_beginning_of_a_file_may_be_gone() -> None:
    data = contents(RECORDS)
    for start in range(len(data)):
        found, _ = recovered(data[start:])
        whole = {offset - start: one for offset, one in placed(RECORDS).items() if offset >= start}
        assert found == whole


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_a_file_that_is_whole_is_all_found(bodies: list[bytes]) -> None:
    records = [record(number, body) for number, body in enumerate(bodies)]
    for known in (FULL, LAST, Knowledge(Agreement.FULL, is_counted=True)):
        assert recovered(contents(records), known) == (placed(records), [])


@given(st.binary(max_size=400))
@example(b"\0" * 400)
@example(b"0" * 400)
def test_whatever_is_no_queue_has_nothing(data: bytes) -> None:
    found, lost = recovered(data)
    assert found == {}
    assert sum(one.size for one in lost) == len(data)


@given(st.integers(0, len(contents(RECORDS))), st.binary(min_size=1, max_size=200))
def test_bytes_that_are_written_over_cost_the_records_there(at: int, over: bytes) -> None:
    whole = contents(RECORDS)
    data = (whole[:at] + over + whole[at + len(over) :])[: len(whole)]
    found, _ = recovered(data, LAST)
    for offset, one in placed(RECORDS).items():
        end = offset + len(encoded(one))
        if end < at or offset >= at + len(over) or (offset in found and end <= at):
            assert found[offset] == one


def test_zeros_behind_the_last_record_are_lost_and_nothing_else() -> None:
    """So a file looks whose last blocks were never written."""
    data = contents(RECORDS)
    for count in range(1, 200):
        found, lost = recovered(data + b"\0" * count)
        assert found == placed(RECORDS)
        assert [(one.offset, one.size) for one in lost] == [(len(data), count)]


def test_a_record_in_the_body_of_another_is_that_body_when_the_records_are_counted() -> None:
    outer = record(0, b"kept: " + contents(RECORDS[:2]))
    records = [outer, record(1)]
    counted = Knowledge(Agreement.FULL, is_counted=True)
    assert recovered(contents(records), counted) == (placed(records), [])


def test_a_body_that_is_made_to_be_looked_at_for_long_is_not() -> None:
    """Records without end in a body, none of which ends where that does."""
    count = 2_000
    inner = contents([record(number, b"") for number in range(count)])
    data = InMemory(encoded(record(0, inner + b"and more")))
    (found,) = Recovery(data, 0, len(data.data), FULL)
    assert isinstance(found, Found)
    assert data.asked < 5 * count


def test_a_length_that_leads_over_other_records_to_the_end_of_one_is_seen_through() -> None:
    records = [record(number, b"x" * 30) for number in range(4)]
    size = len(encoded(records[0]))
    data = bytearray(contents(records))
    data[0:4] = (2 * size - 4).to_bytes(4, "big")
    found, lost = recovered(bytes(data))
    assert found == {offset: one for offset, one in placed(records).items() if offset}
    assert lost == [Lost(0, size, Why.LENGTH)]


def test_a_place_where_a_record_begins_for_sure_shows_a_length_that_leads_past_it() -> None:
    first = record(0, b"x" * 40)
    data = bytearray(encoded(first) + b"not a record")
    data[3] += len(b"not a record")
    known = Knowledge(Agreement.FULL, boundaries=(len(encoded(first)),))
    assert recovered(bytes(data))[1] == []
    found, lost = recovered(bytes(data), known)
    assert (found, [one.why for one in lost]) == ({}, [Why.LENGTH])


def test_ids_that_tell_no_time_do_where_none_does() -> None:
    records = [one._replace(id=b"%016x" % number) for number, one in enumerate(RECORDS)]
    data = contents(records)
    assert recovered(data, Knowledge(Agreement.LOOSE))[0] == placed(records)
    assert recovered(data, FULL)[0] == {}


def test_a_found_record_and_lost_bytes_tell_where_they_end() -> None:
    found = next(iter(Recovery(InMemory(contents(RECORDS)), 0, len(contents(RECORDS)), FULL)))
    assert isinstance(found, Found)
    assert found.end == len(encoded(RECORDS[0]))
