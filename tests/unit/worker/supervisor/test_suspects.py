"""Jobs that may have killed an executor, and how many executors are forked for them."""

from __future__ import annotations

import msgspec
import pytest

from penstock.model import limits
from penstock.model.losses import Loss
from penstock.worker.supervisor.lane_load import Piece
from penstock.worker.supervisor.suspects import Suspects, executors_to_start, verdict


def piece(first: int, count: int, row: bytes = b"") -> Piece:
    rows = [msgspec.Raw(msgspec.msgpack.encode(row)) for _ in range(count)]
    return Piece(range(first, first + count), ["t", "u"], bytes(at % 2 for at in range(count)), rows)


@pytest.mark.parametrize(
    ("status", "begun", "ended", "loss"),
    [
        (1, 1, 0, Loss.BLAMED),
        (-9, 1, 0, Loss.BLAMED),
        (0, 1, 0, Loss.BLAMED),
        (1, 2, 0, Loss.SHARED),
        (1, 1, 1, Loss.SHARED),
        (None, 1, 0, Loss.STRAY),
        (None, 20, 3, Loss.STRAY),
    ],
)
def test_only_a_job_that_was_alone_all_the_time_is_blamed(
    status: int | None, begun: int, ended: int, loss: Loss
) -> None:
    assert verdict(status, begun, ended) is loss


class TestSuspects:
    def test_they_are_set_apart_and_the_others_go_the_usual_way(self) -> None:
        suspects = Suspects()
        usual = suspects.set_apart("async", piece(10, 5), {11, 14, 99})
        assert (list(usual.fences), usual.task_of) == ([10, 12, 13], bytes([0, 0, 1]))
        assert (len(suspects), suspects.fences()) == (2, [11, 14])
        taken = [suspects.take() for _ in range(3)]
        assert [one and (one[0], list(one[1].fences), one[1].task_of) for one in taken] == [
            ("async", [11], bytes([1])),
            ("async", [14], bytes([0])),
            None,
        ]

    def test_a_piece_without_any_is_left_as_it_is(self) -> None:
        suspects, whole = Suspects(), piece(10, 5)
        assert suspects.set_apart("async", whole, {9, 15}) is whole
        assert not suspects

    def test_those_whose_leases_are_gone_are_dropped(self) -> None:
        suspects = Suspects()
        suspects.set_apart("async", piece(1, 4), {1, 2, 3, 4})
        assert suspects.drop({2, 4, 77}) == [2, 4]
        assert suspects.fences() == [1, 3]

    def test_too_many_are_too_many(self) -> None:
        suspects = Suspects()
        suspects.set_apart("async", piece(1, limits.SUSPECTS_WAITING_MAX - 1), set(range(limits.SUSPECTS_WAITING_MAX)))
        assert not suspects.full()
        suspects.set_apart("async", piece(20_000, 1), {20_000})
        assert suspects.full()
        suspects.take()
        assert not suspects.full()

    def test_so_are_too_large_ones(self) -> None:
        suspects = Suspects()
        large = piece(1, 3, bytes(limits.SUSPECTS_BYTES_MAX // 2))
        suspects.set_apart("async", large, {1})
        assert not suspects.full()
        suspects.set_apart("async", large, {2, 3})
        assert suspects.full()
        suspects.drop({1})
        assert suspects.full()
        suspects.take()
        assert not suspects.full()


class TestExecutors:
    def test_one_each_as_long_as_they_are_few(self) -> None:
        assert executors_to_start(3, 0, [], 0.0) == (3, None)
        assert executors_to_start(3, 2, [], 0.0) == (1, None)
        assert executors_to_start(3, 3, [], 0.0) == (0, None)
        assert executors_to_start(0, 2, [1.0], 2.0) == (0, None)

    def test_of_a_crowd_only_a_few_begin_at_once(self) -> None:
        assert executors_to_start(100, 0, [], 0.0) == (limits.LONE_NEW_MAX, None)
        assert executors_to_start(100, limits.LONE_NEW_MAX, [], 0.0) == (0, None)

    def test_those_that_have_run_for_a_while_hold_up_no_others(self) -> None:
        """Only the newest count; when the first of them is no longer new is when to ask again."""
        began = [0.0] * 3 + [10.0] * (limits.LONE_NEW_MAX - 1) + [9.5]
        assert executors_to_start(100, 0, began, 10.5) == (0, pytest.approx(9.5 + limits.LONE_NEW_S - 10.5))
        assert executors_to_start(100, 0, began, 9.5 + limits.LONE_NEW_S)[0] == 1
        assert executors_to_start(100, 0, began, 10.0 + limits.LONE_NEW_S) == (limits.LONE_NEW_MAX, None)

    def test_there_is_an_end_to_them(self) -> None:
        long = [0.0] * (limits.LONE_EXECUTORS_MAX - 1)
        assert executors_to_start(100, 0, long, 1_000.0) == (1, None)
        assert executors_to_start(100, 1, long, 1_000.0) == (0, None)
        assert executors_to_start(100, 0, [*long, 0.0], 1_000.0) == (0, None)

    def test_only_those_that_have_room_wait_for_nothing(self) -> None:
        began = [10.0] * (limits.LONE_NEW_MAX - 2)
        assert executors_to_start(2, 0, began, 10.5) == (2, None)
        assert executors_to_start(3, 0, began, 10.5) == (2, pytest.approx(10.0 + limits.LONE_NEW_S - 10.5))
        assert executors_to_start(1, 2, began, 10.5) == (0, None)


class TestBytes:
    def test_the_bytes_of_all_that_wait_count_and_those_of_no_others(self) -> None:
        suspects, half = Suspects(), bytes(limits.SUSPECTS_BYTES_MAX // 2)
        overhead = len(msgspec.msgpack.encode(half)) - len(half)
        exact = [half[overhead:], half[overhead:]]
        for fence, row in enumerate(exact):
            assert not suspects.full()
            suspects.set_apart("async", piece(fence, 1, row), {fence})
        assert suspects.full()
        suspects.take()
        assert not suspects.full()
        suspects.set_apart("async", piece(7, 1, exact[0]), {7})
        assert suspects.full()

    def test_one_byte_less_is_not_too_much(self) -> None:
        suspects = Suspects()
        row = bytes(limits.SUSPECTS_BYTES_MAX)
        overhead = len(msgspec.msgpack.encode(row)) - len(row)
        suspects.set_apart("async", piece(1, 1, row[overhead + 1 :]), {1})
        assert not suspects.full()
