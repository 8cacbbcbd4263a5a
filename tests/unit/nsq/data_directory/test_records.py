"""Records, and what of a head can be tested."""

from __future__ import annotations

import pytest

from penstock.nsq.data_directory.records import (
    HEAD_BYTES,
    POSSIBLE_HEAD,
    Agreement,
    Head,
    Record,
    agreement,
    can_be_cut,
    encoded,
    head_of,
)
from tests.unit.nsq.data_directory.made_files import START_NS, record, some_records

HOUR_NS = 3_600_000_000_000


def test_a_record_is_written_as_nsqd_writes_it() -> None:
    one = Record(0x1122334455667788, 3, b"0123456789abcdef", b"body")
    assert encoded(one) == b"\x00\x00\x00\x1e\x11\x22\x33\x44\x55\x66\x77\x88\x00\x030123456789abcdefbody"
    assert head_of(encoded(one)) == Head(30, 0x1122334455667788, 3, b"0123456789abcdef")


def test_a_head_with_the_time_that_is_in_its_id_agrees() -> None:
    assert agreement(head_of(encoded(record(0)))) is Agreement.FULL


@pytest.mark.parametrize("off_ns", [-HOUR_NS, HOUR_NS])
def test_a_head_with_another_time_is_one_of_a_queue_whose_ids_tell_none(off_ns: int) -> None:
    one = record(0)
    assert agreement(head_of(encoded(one._replace(timestamp_ns=one.timestamp_ns + off_ns)))) is Agreement.LOOSE


def test_ids_that_penstock_made_tell_their_time_too() -> None:
    message_id = b"%016x" % ((START_NS // 1_000_000) << 22 | 12345)
    assert agreement(head_of(encoded(Record(START_NS, 0, message_id, b"")))) is Agreement.FULL


@pytest.mark.parametrize("message_id", [b"0123456789abcdeg", b"0123456789ABCDEF", b"\0" * 16, b" 123456789abcdef"])
def test_an_id_is_16_small_hexadecimal_digits(message_id: bytes) -> None:
    assert agreement(Head(26, START_NS, 0, message_id)) is Agreement.NO


@pytest.mark.parametrize("timestamp_ns", [0, -1, (1 << 63) - 1, 946_684_800_000_000_000])
def test_a_time_is_one_of_this_century_unless_the_id_says_the_same(timestamp_ns: int) -> None:
    assert agreement(Head(26, timestamp_ns, 0, b"0123456789abcdef")) is Agreement.NO


def test_a_search_finds_every_head() -> None:
    for one in some_records(50):
        data = b"any" + encoded(one)
        assert POSSIBLE_HEAD.search(data, 3) is not None
        assert any(found.start() == 3 for found in POSSIBLE_HEAD.finditer(data))


def test_whatever_a_record_begins_with_can_be_a_record_that_is_cut() -> None:
    for one in some_records(20):
        data = encoded(one)
        assert all(can_be_cut(data[:end]) for end in range(HEAD_BYTES))


@pytest.mark.parametrize(
    "data", [b"text", b"\x10", b"\0\0\0\x19", b"\0\0\0\x20\0", b"\0\0\0\x20\x40", encoded(record(0))[:14] + b"g"]
)
def test_what_begins_otherwise_cannot(data: bytes) -> None:
    assert not can_be_cut(data)
