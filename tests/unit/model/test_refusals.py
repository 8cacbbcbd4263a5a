import pytest

from penstock.model import limits
from penstock.model.job import UNKNOWN_TASK, JobError, LeaseRequest
from penstock.model.refusals import Holders, aside_until, is_hopeless

A, B = b"a" * 16, b"b" * 16
LONG = limits.REFUSED_S


@pytest.mark.parametrize(
    ("waited_s", "aside_s"),
    [(-5.0, 10.0), (0.0, 10.0), (10.0, 10.0), (25.0, 25.0), (700.0, limits.REFUSED_AGAIN_S_MAX), (1e9, 600.0)],
)
def test_a_worker_is_asked_again_after_as_long_as_the_job_has_been_refused(waited_s, aside_s):
    assert aside_until(1_000.0 - waited_s, None, 1_000.0) == 1_000.0 + aside_s


def test_what_may_be_given_up_is_looked_at_when_it_may():
    assert aside_until(0.0, 0.0, LONG - 1.0) == LONG
    assert aside_until(0.0, 0.0, LONG) == LONG + limits.REFUSED_AGAIN_S_MAX


@pytest.mark.parametrize(
    ("refused_by", "live", "hopeless"),
    [
        ({A: True}, {A}, True),
        ({A: True, B: True}, {A}, True),
        ({A: True}, {A, B}, False),
        ({A: True, B: False}, {A, B}, True),
        ({A: True, B: False}, {B}, False),
        ({A: False}, {A}, False),
        ({A: True}, set(), False),
        ({}, set(), False),
    ],
)
def test_all_who_live_must_have_refused_and_one_of_them_for_the_arguments(refused_by, live, hopeless):
    assert is_hopeless(refused_by, live, 0.0, LONG) is hopeless
    assert not is_hopeless(refused_by, live, 0.0, LONG - 1.0)
    assert not is_hopeless(refused_by, live, None, LONG)


def test_who_has_not_been_heard_of_for_long_is_not_alive():
    holders = Holders(0.0)
    holders.leases(LeaseRequest(A, 1), 0.0)
    holders.leases(LeaseRequest(B, 1, ["other"]), 0.0)
    assert holders.live(1.0) == {A, B}
    assert (holders.live(1.0, "default"), holders.live(1.0, "other")) == ({A}, {A, B})
    holders.extends(B, 50.0)
    assert holders.live(limits.HOLDER_ALIVE_S) == {B}
    assert holders.live(limits.HOLDER_ALIVE_S, "default") == set()


def test_who_names_other_tasks_does_not_count_for_this_one():
    holders = Holders(0.0)
    holders.leases(LeaseRequest(A, 1, tasks=["app.work"]), 0.0)
    holders.leases(LeaseRequest(B, 1, ["other"]), 0.0)
    assert holders.live(1.0, "other", "app.work") == {A, B}
    assert holders.live(1.0, "other", "app.else") == {B}
    assert holders.live(1.0, "default", "app.else") == set()
    assert holders.live(1.0, None, "app.else") == {B}


def test_who_only_extends_may_lease_from_any_queue():
    holders = Holders(0.0)
    holders.extends(A, 1.0)
    assert holders.live(1.0, "default") == {A}


def test_a_store_that_just_began_does_not_know_who_there_is():
    holders = Holders(5.0)
    assert not holders.knows_all(5.0 + limits.HOLDER_ALIVE_S - 1.0)
    assert holders.knows_all(5.0 + limits.HOLDER_ALIVE_S)


def test_what_a_holder_asked_for_last_is_what_counts():
    holders = Holders(0.0)
    holders.leases(LeaseRequest(A, 1, ["q"], tasks=["app.work"]), 0.0)
    holders.leases(LeaseRequest(A, 1, ["r"], tasks=["app.else"]), limits.HOLDER_ALIVE_S - 1.0)
    at = limits.HOLDER_ALIVE_S
    assert holders.live(at, "r", "app.else") == {A}
    assert holders.live(at, "q") == holders.live(at, "r", "app.work") == set()


def test_who_extends_still_asks_for_what_it_asked_for():
    holders = Holders(0.0)
    holders.leases(LeaseRequest(A, 1, ["q"], tasks=["app.work"]), 0.0)
    holders.extends(A, 1.0)
    assert holders.live(1.0, "q", "app.work") == {A}
    assert holders.live(1.0, "q", "app.else") == holders.live(1.0, "r") == set()


def test_a_task_is_unknown_when_all_who_ask_for_its_queue_name_others():
    holders = Holders(0.0)
    assert holders.unknown_task("q", "app.work", 1.0) is None
    holders.leases(LeaseRequest(A, 1, ["q"], tasks=["app.else"]), 1.0)
    holders.leases(LeaseRequest(B, 1, ["r"]), 1.0)
    message = "No worker that asks for the queue 'q' knows the task 'app.work'."
    assert holders.unknown_task("q", "app.work", 1.0) == JobError(UNKNOWN_TASK, message)
    assert holders.unknown_task("q", "app.else", 1.0) is None
    assert holders.unknown_task("r", "app.work", 1.0) is None
    assert holders.unknown_task("none", "app.work", 1.0) is None
    assert holders.unknown_task("q", "app.work", 1.0 + limits.HOLDER_ALIVE_S) is None


def test_a_job_is_given_up_so_long_after_it_was_refused_and_not_after_the_beginning_of_time():
    assert not is_hopeless({A: True}, {A}, 1_000.0, 1_000.0 + LONG - 1.0)
    assert is_hopeless({A: True}, {A}, 1_000.0, 1_000.0 + LONG)


def test_what_a_holder_can_run_is_what_its_lanes_ask_for_together():
    holders = Holders(0.0)
    holders.leases(LeaseRequest(A, 1, tasks=["app.work", "app.else"], channels=["t:a", "t:b"]), 0.0)
    holders.leases(LeaseRequest(A, 1, tasks=["app.work"], channels=["t:a"], lane="async"), 1.0)
    holders.leases(LeaseRequest(A, 1, tasks=["app.new"], channels=["t:b"], lane="process"), 2.0)
    for task in ("app.work", "app.else", "app.new"):
        assert holders.unknown_task("q", task, 2.0) is None
    assert holders.unknown_task("q", "app.none", 2.0) is not None
    assert holders.consumers(2.0) == {"t:a": 1, "t:b": 1}
    holders.leases(LeaseRequest(A, 1, tasks=["app.work"]), 3.0)
    assert holders.unknown_task("q", "app.new", 3.0) is not None, "as a whole it asks for something else by now"


def test_of_many_lanes_the_first_is_forgotten():
    holders = Holders(0.0)
    for lane in range(limits.LANES_OF_HOLDER_MAX + 1):
        holders.leases(LeaseRequest(A, 1, tasks=[f"app.{lane}"], lane=str(lane)), 0.0)
    assert holders.unknown_task("q", "app.0", 1.0) is not None
    assert holders.unknown_task("q", "app.1", 1.0) is None


def test_connections_that_come_and_go_for_ever_are_not_all_remembered():
    holders = Holders(0.0)
    for number in range(20_000):
        holders.leases(LeaseRequest(number.to_bytes(16, "big"), 1, channels=["a:b"]), number / 10)
    alive = round(limits.HOLDER_ALIVE_S * 10)
    assert holders.consumers(1_999.9)["a:b"] == alive
    assert len(holders._seen) <= max(1_000, 2 * alive)


def test_what_a_holder_asked_for_before_it_was_away_for_long_does_not_count():
    holders = Holders(0.0)
    holders.leases(LeaseRequest(A, 1, channels=["a:b"], lane="first"), 0.0)
    holders.leases(LeaseRequest(A, 1, channels=["c:d"], lane="second"), limits.HOLDER_ALIVE_S)
    assert holders.consumers(limits.HOLDER_ALIVE_S) == {"c:d": 1}
