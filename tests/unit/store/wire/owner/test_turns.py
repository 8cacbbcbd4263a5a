from penstock.model import limits
from penstock.model.job import LeaseRequest
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.parking import ParkedLease, ParkedWait, Parking
from penstock.store.wire.owner.turns import Turns


def connection_with(requests, turns=None):
    connection = Connection(None)
    for number in range(requests):
        connection.put(Request(connection, protocol.ENQUEUE, number, b"x"))
    if turns is not None:
        turns.add(connection)
    return connection


def test_each_client_gives_one_request_a_round():
    turns = Turns()
    bulk, one, two = connection_with(5, turns), connection_with(1, turns), connection_with(1, turns)
    order = [turns.next().connection for _ in range(4)]
    assert set(order[:3]) == {bulk, one, two}
    assert order[3] is bulk


def test_who_has_had_least_is_first_and_time_not_used_is_not_saved_up():
    turns = Turns()
    busy = connection_with(10, turns)
    busy.served_s = 5.0
    turns.next()
    newcomer = connection_with(3, turns)
    assert newcomer.served_s == 5.0
    busy.served_s = 6.0
    turns.start_group()
    assert turns.next().connection is newcomer


def test_a_client_that_does_not_read_its_answers_is_passed_over():
    turns = Turns()
    clogged = connection_with(1, turns)
    clogged.outbox_bytes = limits.OWNER_OUTBOX_BYTES_MAX + 1
    assert turns.next() is None
    clogged.outbox_bytes = 0
    turns.add(clogged)
    assert turns.next().connection is clogged
    assert not turns


def lease(connection, number, deadline, queues=None):
    return ParkedLease(connection, number, deadline, LeaseRequest(b"h" * 16, 1, queues))


def test_parked_leases_are_served_oldest_first_and_only_for_queues_they_want():
    parking = Parking(set())
    connection = Connection(None)
    first, second, third = (
        lease(connection, number, 9.0, queues) for number, queues in enumerate((["a"], None, ["b"]))
    )
    for parked in (first, second, third):
        parking.add(parked)
    assert list(parking.wanting({"a"})) == [first, second]
    parking.remove(first)
    parking.add(again := lease(connection, 7, 9.0, ["a"]))
    assert list(parking.wanting({"a"})) == [second, again]


def test_a_wait_is_over_when_the_last_of_its_jobs_ends():
    watched = set()
    parking = Parking(watched)
    wait = ParkedWait(Connection(None), 1, 9.0, protocol.Wait([b"1", b"2"], 9.0), {b"1", b"2"})
    parking.add(wait)
    assert watched == {b"1", b"2"}
    assert parking.awaiting([b"1"]) == []
    parking.note_ended([b"1"])
    assert watched == {b"2"}
    assert parking.awaiting([b"2"]) == [wait]
    parking.remove(wait)
    assert (watched, parking.waits, parking.next_deadline()) == (set(), 0, None)


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
