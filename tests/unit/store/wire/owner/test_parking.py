"""What waits at the owner, and who is found when something becomes ready."""

import math

import pytest

from penstock.model.job import LeaseRequest
from penstock.store.wire import protocol
from penstock.store.wire.owner import parking as module
from penstock.store.wire.owner.client_connection import Connection
from penstock.store.wire.owner.parking import ParkedLease, ParkedWait, Parking


def lease(connection, number, deadline, queues=None, tasks=None):
    return ParkedLease(connection, number, deadline, LeaseRequest(b"h" * 16, 1, queues, tasks=tasks))


@pytest.fixture
def parking():
    return Parking(set())


@pytest.fixture
def park(parking):
    connection = Connection(None)
    numbers = iter(range(10**6))

    def park_one(queues=None, tasks=None):
        parked = lease(connection, next(numbers), 9.0, queues, tasks)
        parking.add(parked)
        return parked

    return park_one


def test_leases_that_want_what_became_ready_are_found_oldest_first(parking, park):
    first, second, _ = park(["a"]), park(None), park(["b"])
    assert list(parking.wanting({("a", "t")})) == [first, second]
    parking.remove(first)
    again = park(["a"])
    assert list(parking.wanting({("a", "t")})) == [second, again]
    assert list(parking.wanting({("c", "t")})) == [second]
    assert list(parking.wanting(set())) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("a", "t"), [0, 1, 2, 3]),
        (("b", "t"), [0, 2]),
        (("a", "u"), [0, 1]),
        (("b", "u"), [0]),
    ],
)
def test_a_line_is_wanted_by_leases_that_name_its_queue_and_its_task_or_none(parking, park, line, expected):
    leases = [park(), park(["a"]), park(None, ["t"]), park(["c", "a"], ["s", "t"])]
    assert list(parking.wanting([line])) == [leases[place] for place in expected]
    assert parking.is_wanted(line)
    for parked in leases:
        parking.remove(parked)
    assert not parking.is_wanted(line)
    assert list(parking.wanting([line])) == []


def test_a_line_is_found_for_leases_that_came_after_it_was_first_asked_for(parking, park):
    assert not parking.is_wanted(("a", "t"))
    parked = park(["a"], ["t"])
    assert parking.is_wanted(("a", "t"))
    assert list(parking.wanting([("a", "t"), ("b", "t")])) == [parked]


def test_after_one_found_nothing_those_that_want_no_other_line_are_not_tried(parking, park):
    ready = [("a", "t"), ("b", "t")]
    _, every, only_b, both = park(["a"]), park(), park(["b"]), park(["a", "b"])
    tried = []
    leases = parking.wanting(ready)
    for parked in leases:
        tried.append(parked)
        if parked is every:
            leases.found_nothing(parked)
    assert only_b not in tried
    assert both not in tried


def test_a_line_that_was_found_empty_leaves_the_others_to_those_that_want_them(parking, park):
    only_a, again_a, both, only_b = park(["a"]), park(["a"]), park(["a", "b"]), park(["b"])
    tried = []
    leases = parking.wanting([("a", "t"), ("b", "t")])
    for parked in leases:
        tried.append(parked)
        if parked is only_a:
            leases.found_nothing(parked)
    assert tried == [only_a, both, only_b]
    assert again_a not in tried


def test_trying_all_again_tries_each_wish_until_it_finds_nothing(parking, park):
    first, _, other = park(["a"]), park(["a"]), park(["b"])
    tried = []
    leases = parking.all_leases()
    for parked in leases:
        tried.append(parked)
        leases.found_nothing(parked)
    assert tried == [first, other]


def test_a_client_that_does_not_read_is_not_served(parking, park):
    parked = park()
    parked.connection.outbox_bytes = 1 << 40
    assert list(parking.wanting([("a", "t")])) == []
    assert list(parking.all_leases()) == []


def test_finding_a_lease_among_many_looks_at_few(parking, park, monkeypatch):
    looked = []
    wants = module.LeaseWish.wants
    monkeypatch.setattr(module.LeaseWish, "wants", lambda wish, line: looked.append(wish) or wants(wish, line))
    for number in range(200):
        for _ in range(10):
            park([f"queue_{number}"], [f"task_{number}"])
    for _ in range(100):
        assert len(list(parking.wanting([("queue_7", "task_7")]))) == 10
    assert len(looked) == 200, "once for the line, whatever number of leases"


def test_wishes_and_lines_that_nobody_has_any_more_are_forgotten(parking, park, monkeypatch):
    monkeypatch.setattr(module, "_WISHES_MAX", 10)
    monkeypatch.setattr(module, "_LINES_MAX", 10)
    kept = park(["kept"])
    for number in range(100):
        parking.remove(park([f"queue_{number}"]))
        parking.is_wanted((f"queue_{number}", "task"))
    assert len(parking._wishes) <= 11
    assert len(parking._wishes_of_line) <= 10
    assert list(parking.wanting([("kept", "task")])) == [kept]


def test_a_wait_is_over_when_the_last_of_its_jobs_ends():
    watched = set()
    parking = Parking(watched)
    wait = ParkedWait(Connection(None), 1, 9.0, protocol.WAIT.shape([b"1", b"2"], 9.0), {b"1", b"2"})
    parking.add(wait)
    assert watched == {b"1", b"2"}
    assert parking.awaiting([b"1"]) == []
    parking.note_ended([b"1"])
    assert watched == {b"2"}
    assert parking.awaiting([b"2"]) == [wait]
    parking.remove(wait)
    assert (watched, parking.waits, parking.next_deadline()) == (set(), 0, math.inf)


def test_what_is_due_leaves_and_the_next_deadline_is_known():
    parking = Parking(set())
    connection = Connection(None)
    early, late = lease(connection, 1, 1.0), lease(connection, 2, 2.0)
    parking.add(late)
    parking.add(early)
    assert parking.next_deadline() == 1.0
    assert parking.due(1.5) == [early]
    assert not early.open
    assert connection.parked == {2: late}
    assert parking.next_deadline() == 2.0


def test_requests_that_left_do_not_pile_up():
    parking = Parking(set())
    connection = Connection(None)
    for number in range(10_000):
        parking.add(parked := lease(connection, number, 1e9))
        parking.remove(parked)
    assert len(parking._deadlines) < 200


class Query:
    def __init__(self, *ids, result=False):
        self.ids = list(ids)
        self.result = result


def wait(connection, number, deadline, *ids, remaining=None):
    return ParkedWait(
        connection, number, deadline, Query(*ids, result=True), set(ids if remaining is None else remaining)
    )


def test_a_parked_wait_is_known_by_its_client_and_carries_what_was_asked(parking):
    connection = Connection(None)
    parked = wait(connection, 7, 5.0, b"1", b"2")
    parking.add(parked)
    assert connection.parked == {7: parked}
    assert (parked.ids, parked.query.result, parked.remaining) == ([b"1", b"2"], True, {b"1", b"2"})
    assert parking.next_deadline() == 5.0
    parking.remove(parked)
    parking.remove(parked)
    assert (connection.parked, parking.watched, parking.waits, parked.open) == ({}, set(), 0, False)
    assert parking.next_deadline() == math.inf


def test_every_job_of_every_wait_is_awaited_also_what_has_ended(parking):
    connection = Connection(None)
    parking.add(wait(connection, 1, 5.0, b"1", b"2"))
    parking.add(wait(connection, 2, 5.0, b"2", b"3", remaining=[b"3"]))
    assert parking.awaited() == {b"1", b"2", b"3"}
    parking.note_ended([b"1", b"none"])
    assert parking.awaited() == {b"1", b"2", b"3"}
    parking.note_ended([b"2"])
    assert parking.awaited() == {b"2", b"3"}
    assert parking.awaiting([b"none"]) == []


def test_a_client_that_went_first_is_no_trouble(parking, park):
    parked = park()
    parked.connection.parked.clear()
    parking.remove(parked)
    assert not parking.leases


def test_what_is_due_now_is_due(parking):
    connection = Connection(None)
    first, second = lease(connection, 1, 5.0), lease(connection, 2, 5.1)
    parking.add(second)
    parking.add(first)
    assert parking.due(4.9) == []
    assert parking.due(5.0) == [first]
    assert parking.due(9.0) == [second]


def test_lines_are_remembered_up_to_their_number(parking, park, monkeypatch):
    monkeypatch.setattr(module, "_LINES_MAX", 2)
    park()
    sizes = []
    for number in range(4):
        parking.is_wanted((f"q{number}", "t"))
        sizes.append(len(parking._wishes_of_line))
    assert sizes == [1, 2, 1, 2]
