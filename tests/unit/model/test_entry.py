"""A job as it is enqueued, and by what a key compares it."""

from __future__ import annotations

import msgspec
import pytest

from penstock.model.entry import EnqueueAnswer, Enqueued, JobEntry, JobGroup
from penstock.model.states import State


def entry(**parts: object) -> JobEntry:
    return msgspec.structs.replace(JobEntry(b"i" * 16, b"body", 7, "key"), **parts)


def test_a_call_is_told_by_its_body_unless_its_door_knew_better() -> None:
    assert entry().told_by() == (7, 4)
    assert entry(identity=(9, 30)).told_by() == (9, 30)


@pytest.mark.parametrize(
    ("first", "same"),
    [((9, 30), True), ((7, 4), True), ((9, 4), False), ((7, 30), False), ((0, 0), False)],
)
def test_the_same_call_is_known_also_where_only_the_body_was_remembered(first: tuple[int, int], same: bool) -> None:
    assert entry(identity=(9, 30)).is_call(first) is same


@pytest.mark.parametrize(
    "record",
    [
        entry(identity=(1, 2)),
        JobGroup("t", [entry()], "q", 1, 2.0, None, 4.0, {"a": "b"}, ["x"]),
        Enqueued(3, b"i" * 16, State.READY, duplicate=True),
        EnqueueAnswer(1, [Enqueued(0, b"i" * 16, None, conflict=True)]),
    ],
)
def test_what_travels_comes_back_as_it_was(record: msgspec.Struct) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=type(record)) == record


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize("field", ["delay_s", "run_at", "expires_s"])
def test_a_time_that_cannot_be_reckoned_with_is_no_time(field: str, number: float) -> None:
    sent = msgspec.msgpack.encode(msgspec.structs.replace(JobGroup("t", []), **{field: number}))
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(sent, type=JobGroup)


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_a_number_that_no_row_can_hold_is_no_number(number: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(["t", [], "q", number]), type=JobGroup)
