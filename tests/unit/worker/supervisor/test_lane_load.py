"""What one lane holds, and how much more it should."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import limits
from penstock.model.job import LeaseBatch, LeasedJob
from penstock.worker.supervisor.lane_load import (
    AHEAD_JOBS_MAX,
    ONE_AHEAD_S,
    STALL_S,
    Assigned,
    LaneLedger,
    Piece,
    pieces_by_lane,
)


def piece(first: int, count: int) -> Piece:
    return Piece(range(first, first + count), ["t"], bytes(count), [None] * count)


def batch(tasks: list[str], task_of: list[int], first: int = 100) -> LeaseBatch:
    jobs = [LeasedJob(b"%d" % at, 1, "default", b"", None) for at in range(len(task_of))]
    return LeaseBatch(first, tasks, bytes(task_of), jobs)


@pytest.fixture
def lane() -> LaneLedger:
    made = LaneLedger("process", 1)
    made.ready = True
    return made


class TestPieces:
    def test_a_batch_of_one_lane_stays_whole(self) -> None:
        leased = batch(["a", "b"], [0, 1, 0])
        ((kind, whole),) = pieces_by_lane(leased, {"a": "process", "b": "process"}, "process")
        assert (kind, whole.fences, whole.rows) == ("process", range(100, 103), leased.jobs)

    def test_a_mixed_batch_is_parted_with_its_fences(self) -> None:
        parted = dict(pieces_by_lane(batch(["a", "b"], [0, 1, 0]), {"a": "process", "b": "async"}, "process"))
        assert (parted["process"].fences, parted["async"].fences) == ([100, 102], [101])
        assert [row.id for row in parted["process"].rows] == [b"0", b"2"]

    def test_unknown_tasks_go_to_the_lane_that_refuses_them(self) -> None:
        ((kind, _),) = pieces_by_lane(batch(["who"], [0]), {}, "async")
        assert kind == "async"

    def test_a_split_loses_nothing(self) -> None:
        head, rest = piece(1, 10).split(3)
        assert ([*head.fences], [*rest.fences]) == ([1, 2, 3], [4, 5, 6, 7, 8, 9, 10])
        assert (len(head.rows), len(rest.task_of)) == (3, 7)


class TestCredit:
    def test_a_lane_that_is_not_ready_gets_nothing(self) -> None:
        assert LaneLedger("process", 1).credit(0.0) == 0

    def test_nothing_waits_behind_a_job_of_unknown_length(self, lane: LaneLedger) -> None:
        assert lane.credit(0.0) == 1
        lane.assign(piece(1, 1), 10, 0.0)
        assert lane.credit(0.0) == 0

    @pytest.mark.parametrize(("job_s", "ahead"), [(1e-6, limits.PREFETCH_JOBS_MAX), (0.01, 5), (0.2, 1), (2.0, 0)])
    def test_as_much_waits_as_its_rate_allows(self, lane: LaneLedger, job_s: float, ahead: int) -> None:
        lane.measure(10, 10 * job_s)
        assert lane.ahead() == ahead

    def test_one_long_job_among_short_ones_is_believed_at_once(self, lane: LaneLedger) -> None:
        lane.measure(1_000, 0.001)
        lane.measure(1, 5.0)
        assert lane.ahead() == 0

    def test_a_lane_full_of_bytes_gets_no_more(self, lane: LaneLedger) -> None:
        lane.measure(1_000, 0.001)
        lane.assign(piece(1, 1), limits.LANE_BYTES_MAX, 0.0)
        assert lane.credit(0.0) == 0
        lane.finish([1])
        assert lane.credit(0.0) > 0

    def test_a_lane_in_which_nothing_moves_gets_nothing_behind_its_running_jobs(self, lane: LaneLedger) -> None:
        lane.measure(1_000, 0.001)
        lane.assign(piece(1, 1), 10, 0.0)
        lane.moved(1, 0.0)
        assert lane.credit(STALL_S) > 0
        assert lane.credit(STALL_S * 2) == 0

    def test_a_lane_that_was_recalled_gets_nothing_until_it_answers(self, lane: LaneLedger) -> None:
        lane.recalling = True
        assert lane.credit(0.0) == 0


class TestHolding:
    def test_an_outcome_counts_once_and_only_for_what_is_held(self, lane: LaneLedger) -> None:
        lane.assign(piece(1, 3), 30, 0.0)
        assert lane.finish([1, 2, 9]) == [1, 2]
        assert lane.finish([1]) == []
        assert list(lane.held) == [3]

    def test_the_latest_start_parts_started_from_waiting(self, lane: LaneLedger) -> None:
        lane.assign(piece(1, 5), 50, 0.0)
        lane.moved(2, 0.0)
        assert lane.unstarted(5) == [3, 4, 5]
        lane.moved(1, 0.0)
        assert lane.unstarted(5) == [3, 4, 5]

    def test_it_is_stalled_only_while_a_job_waits(self, lane: LaneLedger) -> None:
        lane.assign(piece(1, 2), 50, 0.0)
        lane.moved(1, 0.0)
        assert lane.stalled_s(STALL_S) == 0.0
        assert lane.stalled_s(1.0) == 1.0
        lane.moved(2, 1.0)
        assert lane.stalled_s(9.0) == 0.0

    def test_a_job_handed_to_an_idle_lane_has_waited_since_then_only(self, lane: LaneLedger) -> None:
        lane.assign(piece(1, 1), 10, 100.0)
        assert lane.stalled_s(100.05) == 0.0
        assert lane.stalled_s(101.0) == 1.0

    def test_the_task_of_a_job_is_known_also_in_a_mixed_lot(self, lane: LaneLedger) -> None:
        mixed: Any = Piece([5, 9], ["a", "b"], bytes([1, 0]), [None, None])
        lane.assign(mixed, 10, 0.0)
        assert (lane.held[5].task(5), lane.held[9].task(9)) == ("b", "a")

    def test_a_dead_lane_tells_jobs_that_had_begun_from_the_others(self, lane: LaneLedger) -> None:
        """Those that ended without a word have begun; so has one that another thread started out of turn."""
        lane.assign(piece(1, 6), 10, 0.0)
        lane.moved(2, 0.0)
        unfinished = lane.close({3, 5, 77}, 3)
        assert (unfinished.begun, unfinished.others) == ([1, 2, 3, 5], [4, 6])
        assert (lane.held, lane.credit(0.0)) == ({}, 0)


class TestClosing:
    @pytest.mark.parametrize("known_before", [0, 2])
    def test_the_job_that_started_last_has_begun_though_no_slot_shows_it(
        self, lane: LaneLedger, known_before: int
    ) -> None:
        lane.assign(piece(1, 3), 10, 0.0)
        lane.moved(known_before, 0.0)
        unfinished = lane.close((), 2)
        assert (unfinished.begun, unfinished.others) == ([1, 2], [3])


class TestWholePieces:
    """Whatever is cut keeps its tasks, its rows and when it was leased."""

    MIXED = [0, 1, 0, 1]

    def mixed(self) -> Piece:
        ((_, whole),) = pieces_by_lane(batch(["a", "b"], self.MIXED), {}, "process", leased_at=7.5)
        return whole

    @staticmethod
    def told(one: Piece) -> list[tuple[int, str, bytes]]:
        assert one.leased_at == 7.5
        assert len(one.fences) == len(one.task_of) == len(one.rows) == len(one)
        return [
            (fence, one.tasks[index], row.id)
            for fence, index, row in zip(one.fences, one.task_of, one.rows, strict=True)
        ]

    def test_a_split_keeps_it_in_both_parts(self) -> None:
        whole = self.told(self.mixed())
        assert whole == [(100, "a", b"0"), (101, "b", b"1"), (102, "a", b"2"), (103, "b", b"3")]
        for count in range(5):
            head, rest = self.mixed().split(count)
            assert (self.told(head), self.told(rest)) == (whole[:count], whole[count:])

    def test_a_selection_keeps_it(self) -> None:
        whole = self.told(self.mixed())
        assert self.told(self.mixed().select([3, 0])) == [whole[3], whole[0]]

    def test_a_batch_that_is_parted_keeps_it(self) -> None:
        parted = dict(pieces_by_lane(batch(["a", "b"], self.MIXED), {"a": "async"}, "process", leased_at=7.5))
        assert [task for _, task, _ in self.told(parted["async"])] == ["a", "a"]
        assert [task for _, task, _ in self.told(parted["process"])] == ["b", "b"]

    def test_when_it_was_leased_need_not_be_known(self) -> None:
        ((_, whole),) = pieces_by_lane(batch(["a"], [0]), {}, "process")
        assert whole.leased_at == piece(1, 1).leased_at == 0.0

    def test_a_lot_of_one_task_keeps_no_names(self) -> None:
        one = Assigned(piece(1, 2), 10)
        assert one.piece_of_task is None
        assert (one.task(1), one.task(2)) == ("t", "t")

    def test_a_lot_has_a_task_for_each_job(self) -> None:
        wrong: Any = Piece([1, 2], ["a", "b"], bytes([0]), [None, None])
        with pytest.raises(ValueError, match="shorter"):
            Assigned(wrong, 10)


class TestMeasures:
    def test_a_new_lane_has_done_nothing(self) -> None:
        new = LaneLedger("process", 1)
        assert (new.ready, new.recalling, new.assigned_to, new.ended, new.wanted()) == (False, False, 0, 0, 0)
        assert new.stalled_s(STALL_S * 2) == 0.0

    def test_recent_jobs_weigh_more(self, lane: LaneLedger) -> None:
        lane.measure(2, 2.0)
        assert lane.per_job_s == 1.0
        lane.measure(1, 2.0)
        assert lane.per_job_s == pytest.approx(1.3)
        lane.measure(1, 0.3)
        assert lane.per_job_s == pytest.approx(1.0)
        assert lane.ended == 4

    def test_nothing_measured_changes_nothing(self, lane: LaneLedger) -> None:
        lane.measure(0, 1.0)
        assert (lane.per_job_s, lane.ended) == (None, 0)

    def test_what_is_abruptly_long_is_believed_at_once(self, lane: LaneLedger) -> None:
        lane.measure(1, 1.0)
        lane.measure(1, 4.0)
        assert lane.per_job_s == pytest.approx(1.9)
        lane.measure(1, 1.9 * 4.1)
        assert lane.per_job_s == pytest.approx(1.9 * 4.1)

    @pytest.mark.parametrize("slots", [1, 4])
    def test_all_slots_count_for_what_is_wanted_ahead(self, slots: int) -> None:
        many = LaneLedger("async", slots)
        many.ready = True
        many.measure(1, 0.01)
        assert many.ahead() == 5 * slots
        assert many.wanted() == slots + 5 * slots + 2 * slots

    def test_a_lane_of_very_short_jobs_wants_no_more_than_so_many_ahead(self, lane: LaneLedger) -> None:
        lane.measure(1, 0.0)
        assert lane.wanted() == 1 + limits.PREFETCH_JOBS_MAX + AHEAD_JOBS_MAX

    @pytest.mark.parametrize(("job_s", "ahead"), [(ONE_AHEAD_S, 0), (ONE_AHEAD_S * 0.99, 1)])
    def test_one_waits_behind_a_job_that_is_not_too_long(self, lane: LaneLedger, job_s: float, ahead: int) -> None:
        lane.measure(1, job_s)
        assert lane.ahead() == ahead

    def test_bytes_of_all_lots_count_until_the_last_of_each_has_ended(self, lane: LaneLedger) -> None:
        lane.measure(1_000, 0.001)
        half = limits.LANE_BYTES_MAX // 2
        lane.assign(piece(1, 2), half, 0.0)
        assert lane.credit(0.0) > 0
        lane.assign(piece(3, 1), limits.LANE_BYTES_MAX - half, 0.0)
        assert lane.credit(0.0) == 0
        lane.finish([1])
        assert lane.credit(0.0) == 0
        lane.finish([2])
        assert lane.credit(0.0) > 0

    def test_a_lane_that_was_closed_holds_no_bytes(self, lane: LaneLedger) -> None:
        lane.assign(piece(1, 1), limits.LANE_BYTES_MAX, 0.0)
        lane.close((), 0)
        assert lane.ready is False
        lane.ready = True
        lane.assign(piece(2, 1), limits.LANE_BYTES_MAX - 1, 0.0)
        lane.measure(1_000, 0.001)
        assert lane.credit(0.0) > 0

    def test_a_start_that_was_known_is_no_move(self, lane: LaneLedger) -> None:
        lane.assign(piece(1, 2), 10, 0.0)
        lane.moved(1, 0.0)
        lane.moved(1, 5.0)
        assert lane.stalled_s(6.0) == 6.0
