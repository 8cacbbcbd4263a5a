"""Who gets what."""

from __future__ import annotations

import itertools

import pytest

from penstock.model import limits
from penstock.worker.supervisor.dispatch import (
    BACKLOG_JOBS_MAX,
    GIVE_BACK_AGAIN_S,
    GIVE_BACK_AGAIN_S_MAX,
    RECALL_S_MAX,
    REQUESTS_MAX,
    Backlog,
    GivingBack,
    appetite,
    is_stuck,
    shares,
    to_recall,
)
from penstock.worker.supervisor.lane_load import LaneLedger, Piece


def lane(job_s: float | None = None, held: int = 0, slots: int = 1, first: int = 1) -> LaneLedger:
    made = LaneLedger("process", slots)
    made.ready = True
    if job_s is not None:
        made.measure(1, job_s)
    if held:
        made.assign(piece(first, held), 10, 0.0)
    return made


def piece(first: int, count: int) -> Piece:
    return Piece(range(first, first + count), ["t"], bytes(count), [None] * count)


class TestBacklog:
    def test_it_gives_back_what_it_got_in_order(self) -> None:
        backlog = Backlog()
        backlog.add("process", piece(1, 4))
        backlog.add("process", piece(5, 2))
        taken = [backlog.take("process", 3) for _ in range(4)]
        assert [[*one.fences] if one else None for one in taken] == [[1, 2, 3], [4], [5, 6], None]
        assert len(backlog) == 0

    def test_kinds_do_not_mix(self) -> None:
        backlog = Backlog()
        backlog.add("async", piece(1, 1))
        assert backlog.take("process", 1) is None
        assert (backlog.count("async"), backlog.fences()) == (1, [1])

    def test_lost_leases_are_dropped_from_the_middle(self) -> None:
        backlog = Backlog()
        backlog.add("process", piece(1, 5))
        assert sorted(backlog.drop({2, 4, 99})) == [2, 4]
        assert (backlog.fences(), backlog.count("process")) == ([1, 3, 5], 3)


class TestShares:
    def test_short_jobs_go_to_one_lane(self) -> None:
        lanes = [lane(1e-6), lane(1e-6)]
        assert [count for _, count in shares(lanes, 500, 0.0)] == [500]

    def test_a_lot_that_takes_long_is_shared_among_idle_lanes(self) -> None:
        lanes = [lane(0.005), lane(0.005)]
        assert [count for _, count in shares(lanes, 8, 0.0)] == [4, 4]

    def test_an_idle_lane_comes_before_a_busy_one(self) -> None:
        busy, idle = lane(0.005, held=1), lane(0.005)
        assert next(shares([busy, idle], 1, 0.0))[0] is idle

    def test_nobody_gets_more_than_its_credit(self) -> None:
        lanes = [lane(), lane()]
        assert [count for _, count in shares(lanes, 50, 0.0)] == [1, 1]


class TestAppetite:
    def test_an_idle_worker_asks_for_what_it_can_run(self) -> None:
        assert appetite([lane(), lane()], 0, 0, 0, 0.0) == 1
        assert appetite([lane(), lane()], 0, 1, 1, 0.0) == 1
        assert appetite([lane(), lane()], 0, 2, 2, 0.0) == 0

    def test_requests_are_pipelined_but_not_without_end(self) -> None:
        lanes, asked, requests = [lane(1e-6)], 0, 0
        while limit := appetite(lanes, 0, asked, requests, 0.0):
            asked, requests = asked + limit, requests + 1
        assert requests <= REQUESTS_MAX
        assert asked > limits.PREFETCH_JOBS_MAX

    def test_crumbs_are_not_asked_for_while_more_is_under_way(self) -> None:
        lanes = [lane(1e-6)]
        wanted = lanes[0].wanted()
        assert appetite(lanes, 0, wanted - 5, 1, 0.0) == 0
        lanes[0].assign(piece(1, wanted - 5), 10, 0.0)
        assert appetite(lanes, 0, 4, 1, 0.0) == 0

    def test_crumbs_are_asked_for_when_nothing_else_is_under_way(self) -> None:
        many = lane(1.0, held=95, slots=100)
        assert appetite([many], 0, 0, 0, 0.0) > 0

    def test_with_a_backlog_no_less_is_asked_for_than_is_soon_done(self) -> None:
        """Beside lanes of another kind that are idle, and of which the worker wants jobs too."""
        lanes = [lane(0.001, held=20), lane(slots=100)]
        wanted = sum(one.wanted() for one in lanes)
        assert wanted // 8 > 10
        assert appetite(lanes, wanted - 20 - 9, 0, 0, 0.0) == 0
        assert appetite(lanes, wanted - 20 - 10, 0, 0, 0.0) > 0

    def test_where_jobs_take_long_each_is_asked_for_though_there_is_a_backlog(self) -> None:
        lanes = [lane(1.0, held=1), lane(slots=100)]
        assert appetite(lanes, sum(one.wanted() for one in lanes) - 2, 0, 0, 0.0) == 1

    def test_a_lane_that_does_not_move_or_runs_little_does_nothing_soon(self) -> None:
        """However fast it was: jobs of another kind must not wait until it goes on."""
        stalled, idle = lane(0.001, held=20), lane(slots=100)
        wanted = len(stalled.held) + idle.wanted()
        assert appetite([stalled, idle], wanted - 20 - 1, 0, 0, 9.0) == 1
        slow, fast = lane(60.0, held=1), lane(0.001, held=1, slots=100)
        wanted = slow.wanted() + fast.wanted()
        assert wanted // 8 > 10
        assert appetite([slow, fast], wanted - 2 - 9, 0, 0, 0.0) == 0
        assert appetite([slow, fast], wanted - 2 - 11, 0, 0, 0.0) > 0

    def test_a_full_backlog_asks_for_nothing(self) -> None:
        assert appetite([lane(1e-6) for _ in range(20)], BACKLOG_JOBS_MAX, 0, 0, 0.0) == 0

    def test_a_lane_that_does_not_move_wants_no_more(self) -> None:
        assert appetite([lane(1e-6, held=1)], 0, 0, 0, 9.0) == 0


class TestRecall:
    def test_jobs_behind_a_long_one_are_recalled_when_a_lane_idles(self) -> None:
        stuck = lane(1e-6, held=3)
        stuck.moved(1, 0.0)
        assert to_recall([stuck, lane()], 0.2) == [stuck]

    def test_with_no_lane_idle_they_are_left_for_a_while(self) -> None:
        stuck, busy = lane(1e-6, held=3), lane(held=1, first=50)
        stuck.moved(1, 0.0)
        busy.moved(50, 0.0)
        assert to_recall([stuck, busy], 0.2) == []
        assert to_recall([stuck, busy], 2.0) == [stuck]

    def test_a_long_job_with_nothing_behind_it_is_left_alone(self) -> None:
        busy = lane(held=1)
        busy.moved(1, 0.0)
        assert to_recall([busy, lane()], 60.0) == []

    def test_a_job_in_an_executor_that_does_not_start_it_is_recalled(self) -> None:
        frozen = lane(held=1)
        assert to_recall([frozen, lane()], 0.2) == [frozen]

    def test_nobody_is_asked_twice(self) -> None:
        frozen = lane(held=1)
        frozen.recalling = True
        assert to_recall([frozen, lane()], 0.2) == []


class TestGivingBack:
    def test_what_waits_for_stuck_lanes_goes_back_at_once_then_ever_less_often(self) -> None:
        giving = GivingBack()
        times = [tick * 0.02 for tick in range(5_000) if giving.is_due("process", 50, tick * 0.02, stuck=True)]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert times[0] == 0.0
        assert pauses[0] == pytest.approx(GIVE_BACK_AGAIN_S, abs=0.03)
        assert pauses == sorted(pauses)
        assert pauses[-1] == pytest.approx(GIVE_BACK_AGAIN_S_MAX, abs=0.03)

    def test_as_long_as_nothing_waits_nothing_is_done(self) -> None:
        giving = GivingBack()
        assert not giving.is_due("process", 0, 1.0, stuck=True)
        assert giving.is_due("process", 1, 1.02, stuck=True)

    def test_a_kind_that_moved_is_given_back_at_once_when_it_sticks_again(self) -> None:
        giving = GivingBack()
        assert giving.is_due("process", 1, 1.0, stuck=True)
        assert not giving.is_due("process", 1, 1.02, stuck=True)
        assert not giving.is_due("process", 1, 1.04, stuck=False)
        assert giving.is_due("process", 1, 1.06, stuck=True)

    def test_kinds_do_not_wait_for_each_other(self) -> None:
        giving = GivingBack()
        assert giving.is_due("process", 1, 1.0, stuck=True)
        assert giving.is_due("thread", 1, 1.0, stuck=True)

    def test_lanes_are_stuck_when_none_of_them_has_started_anything_for_long(self) -> None:
        busy, other = lane(1e-6, held=3), lane(1e-6, held=3, first=50)
        busy.moved(1, 0.0)
        other.moved(50, 0.0)
        assert not is_stuck([busy, other], 0.5)
        assert is_stuck([busy, other], 2.0)
        other.moved(51, 1.9)
        assert not is_stuck([busy, other], 2.0)
        assert not is_stuck([], 2.0)


class TestBounds:
    """The numbers at which each rule begins to hold."""

    @pytest.mark.parametrize("count", [-1, 0])
    def test_nothing_is_taken_where_nothing_is_asked_for(self, count: int) -> None:
        backlog = Backlog()
        backlog.add("process", piece(1, 2))
        assert backlog.take("process", count) is None
        assert len(backlog) == 2

    def test_one_is_taken_where_one_is_asked_for(self) -> None:
        backlog = Backlog()
        backlog.add("process", piece(1, 2))
        assert [[*one.fences] for _ in range(2) if (one := backlog.take("process", 1))] == [[1], [2]]

    def test_a_piece_that_is_wanted_whole_is_not_copied(self) -> None:
        backlog, whole = Backlog(), piece(1, 2)
        backlog.add("process", whole)
        assert backlog.take("process", 2) is whole

    def test_what_waits_for_one_kind_is_forgotten(self) -> None:
        backlog = Backlog()
        backlog.add("process", piece(1, 2))
        backlog.add("async", piece(3, 1))
        assert backlog.clear("process") == [1, 2]
        assert backlog.clear("process") == backlog.clear("thread") == []
        assert (len(backlog), backlog.fences()) == (1, [3])

    def test_those_with_most_room_come_first(self) -> None:
        small, large = lane(1e-6, slots=1), lane(1e-6, slots=9)
        assert next(shares([small, large], 1, 0.0))[0] is large

    def test_a_lane_with_a_free_slot_comes_before_a_full_one_with_more_room(self) -> None:
        full, free = lane(0.001, held=1), lane(1.0)
        assert full.credit(0.0) > free.credit(0.0)
        assert next(shares([full, free], 1, 0.0))[0] is free

    def test_a_lone_idle_lane_gets_it_all_however_long_it_takes(self) -> None:
        assert [count for _, count in shares([lane(0.01)], 6, 0.0)] == [6]
        assert [count for _, count in shares([lane(0.01), lane(0.01, held=1)], 6, 0.0)] == [6]

    def test_all_slots_of_a_lane_work_on_its_lot(self) -> None:
        wide = [lane(0.001, slots=8), lane(0.001, slots=8)]
        assert [count for _, count in shares(wide, 16, 0.0)] == [16]
        assert [count for _, count in shares(wide, 17, 0.0)] == [9, 8]

    def test_three_idle_lanes_share_evenly_and_rounded_up(self) -> None:
        lanes = [lane(0.01) for _ in range(3)]
        assert [count for _, count in shares(lanes, 7, 0.0)] == [3, 2, 2]
        assert all(isinstance(count, int) for _, count in shares(lanes, 7, 0.0))

    def test_no_more_requests_are_made_than_may_be_under_way(self) -> None:
        idle = [lane(slots=100)]
        assert appetite(idle, 0, 10, REQUESTS_MAX - 1, 0.0) > 0
        assert appetite(idle, 0, 10, REQUESTS_MAX, 0.0) == 0

    def test_an_eighth_of_all_wanted_is_no_crumb(self) -> None:
        idle = [lane(slots=80)]
        assert appetite(idle, 0, 70, 1, 0.0) == 10
        assert appetite(idle, 0, 71, 1, 0.0) == 0

    def test_a_request_is_a_third_of_what_is_wanted_rounded_up(self) -> None:
        assert appetite([lane(slots=100)], 0, 0, 0, 0.0) == 34
        assert isinstance(appetite([lane(slots=100)], 0, 0, 0, 0.0), int)

    def test_a_request_is_no_larger_than_the_store_allows(self) -> None:
        assert appetite([lane(slots=100 * limits.LEASE_JOBS_MAX)], 0, 0, 0, 0.0) == min(
            limits.LEASE_JOBS_MAX, BACKLOG_JOBS_MAX
        )

    def test_rates_of_all_lanes_add_up(self) -> None:
        lanes = [lane(0.001, held=20), lane(0.001, held=20, first=50), lane(slots=300)]
        wanted = sum(one.wanted() for one in lanes)
        assert wanted // 8 > 20
        assert appetite(lanes, wanted - 40 - 19, 0, 0, 0.0) == 0
        assert appetite(lanes, wanted - 40 - 20, 0, 0, 0.0) > 0

    @pytest.mark.parametrize(("job_s", "patience_s"), [(None, RECALL_S_MAX), (0.25, 1.0), (2.0, 8.0)])
    def test_patience_is_four_jobs_long_and_no_less_than_a_second(self, job_s: float | None, patience_s: float) -> None:
        stuck = lane(job_s, held=3)
        stuck.moved(1, 0.0)
        assert (is_stuck([stuck], patience_s), to_recall([stuck], patience_s)) == (False, [])
        assert (is_stuck([stuck], patience_s + 0.01), to_recall([stuck], patience_s + 0.01)) == (True, [stuck])

    def test_pauses_double(self) -> None:
        giving = GivingBack()
        ticks = [tick * 0.25 for tick in range(40)]
        times = [now for now in ticks if giving.is_due("process", 1, now, stuck=True)]
        assert times[:5] == [0.0, 0.5, 1.5, 3.5, 5.5]

    def test_a_kind_that_was_never_stuck_may_move(self) -> None:
        assert not GivingBack().is_due("process", 1, 0.0, stuck=False)
