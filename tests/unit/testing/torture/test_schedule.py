from itertools import pairwise

from penstock.testing.torture.schedule import KINDS, Strike, fence_plan, owner_plan, random_plan


def test_a_seed_gives_the_same_plan_again():
    assert random_plan(7, 60.0, 2.0) == random_plan(7, 60.0, 2.0)


def test_two_seeds_give_two_plans():
    assert random_plan(7, 60.0, 2.0) != random_plan(8, 60.0, 2.0)


def test_there_is_about_one_strike_a_second_and_none_after_the_end():
    plan = random_plan(1, 300.0, 2.0)

    assert 270 < len(plan) < 420
    assert all(0 < strike.at_s < 300.0 for strike in plan)


def test_every_kind_of_process_is_both_killed_and_stopped():
    plan = random_plan(1, 300.0, 2.0)

    assert {(strike.kind, strike.stop_s is None) for strike in plan} == {
        (kind, killed) for kind in KINDS for killed in (True, False)
    }


def test_some_stops_outlast_a_lease_and_most_do_not():
    stops = [strike.stop_s for strike in random_plan(1, 600.0, 2.0) if strike.stop_s is not None]
    outlasting = [stop_s for stop_s in stops if stop_s > 2.0]

    assert 0.1 < len(outlasting) / len(stops) < 0.5


def test_the_fence_plan_stops_each_supervisor_in_turn_past_its_lease_and_never_both():
    plan = fence_plan(60.0, 2.0)

    assert [strike.chosen(2) for strike in plan[:4]] == [0, 1, 0, 1]
    assert all(strike.stop_s is not None and strike.stop_s > 2.0 for strike in plan)
    assert all(earlier.at_s + (earlier.stop_s or 0) <= later.at_s for earlier, later in pairwise(plan))


def test_the_owner_plan_kills_the_owner_again_and_again():
    plan = owner_plan(8.0)

    assert len(plan) >= 5
    assert {(strike.kind, strike.stop_s) for strike in plan} == {("owner", None)}
    assert all(0 < earlier.at_s < later.at_s <= 8.0 for earlier, later in pairwise(plan))


def test_a_pick_falls_on_one_of_the_processes_there_are():
    assert [Strike(0, "owner", pick).chosen(3) for pick in (0.0, 0.34, 0.99, 1.0)] == [0, 1, 2, 2]
