"""The text of a position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.nsq.data_directory.queue_position import QueuePosition, as_text, parsed

numbers = st.integers(0, 10**17)


def test_a_position_is_written_as_nsqd_writes_it() -> None:
    assert as_text(QueuePosition(3, 1, 40, 2, 80)) == b"3\n1,40\n2,80\n"


@given(st.integers(-(10**17), 10**17), numbers, numbers, numbers, numbers)
def test_what_is_written_is_read_again(depth: int, read: int, read_at: int, write: int, write_at: int) -> None:
    position = QueuePosition(depth, read, read_at, write, write_at)
    assert parsed(as_text(position)) == position


@pytest.mark.parametrize(
    "text", [b"", b"3", b"3\n1,40\n2,8", b"3\n1,40\n2,80\n4", b"a\n1,40\n2,80\n", b"3\n-1,40\n2,80\n"]
)
def test_anything_else_is_none(text: bytes) -> None:
    assert parsed(text) is None
