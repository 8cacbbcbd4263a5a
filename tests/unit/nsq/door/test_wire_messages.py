"""Messages as clients get them."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.job import JobExtra, LeasedJob
from penstock.model.message_ids import copy_id, message_number, new_message_ids
from penstock.nsq.door.wire_messages import ATTEMPTS_HEADER, TIMESTAMP_HEADER, message_frames, wire_ids
from penstock.nsq.protocol import frames


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=40))
def test_an_id_is_the_number_of_the_message_in_digits(ids):
    assert wire_ids(ids) == [b"%016x" % message_number(one) for one in ids]


def test_all_copies_of_a_message_have_one_id():
    (message,) = new_message_ids(1)
    assert len(set(wire_ids([copy_id(message, slot) for slot in range(128)]))) == 1


def test_a_message_is_sent_with_the_time_of_its_id_and_without_its_format():
    ids = new_message_ids(2)
    jobs = [LeasedJob(one, attempt, "topic:channel", b"r" + body, None) for one, attempt, body in
            zip(ids, (1, 70_000), (b"one", b"two"), strict=True)]  # fmt: skip
    messages, data = message_frames(jobs)
    stamps = [(struct.unpack(">Q", one[:8])[0] >> 16) * 1_000_000 for one in ids]
    assert messages == wire_ids(ids)
    assert data == b"".join(
        frames.message_frame(*sent)
        for sent in zip(stamps, (1, frames.ATTEMPTS_MAX), messages, (b"one", b"two"), strict=True)
    )


@pytest.mark.parametrize(
    ("headers", "timestamp_ns", "attempts"),
    [
        ({TIMESTAMP_HEADER: "12", ATTEMPTS_HEADER: "3"}, 12, 5),
        ({TIMESTAMP_HEADER: "9" * 19, ATTEMPTS_HEADER: "9" * 19}, (1 << 63) - 1, frames.ATTEMPTS_MAX),
        ({TIMESTAMP_HEADER: "soon", ATTEMPTS_HEADER: "-1"}, None, 2),
        ({"key": "other"}, None, 2),
        (None, None, 2),
    ],
)
def test_an_imported_message_has_the_time_and_the_attempts_that_it_had(headers, timestamp_ns, attempts):
    (one,) = new_message_ids(1)
    extra = msgspec.msgpack.encode(JobExtra(headers=headers))
    _, data = message_frames([LeasedJob(one, 2, "topic:channel", b"rbody", extra)])
    own_ns = (struct.unpack(">Q", one[:8])[0] >> 16) * 1_000_000
    assert struct.unpack_from(">qH", data, 8) == (own_ns if timestamp_ns is None else timestamp_ns, attempts)
