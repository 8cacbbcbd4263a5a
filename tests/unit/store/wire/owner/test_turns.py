from penstock.model import limits
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
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


def test_there_are_turns_as_long_as_a_client_has_requests():
    turns = Turns()
    assert (bool(turns), len(turns), turns.next()) == (False, 0, None)
    connection = connection_with(1, turns)
    assert (bool(turns), len(turns)) == (True, 1)
    assert connection.served_s == 0.0
    turns.remove(connection)
    turns.remove(connection)
    assert (bool(turns), turns.next()) == (False, None)


def test_a_client_that_is_passed_over_does_not_end_the_round():
    turns = Turns()
    clogged, other = connection_with(1, turns), connection_with(1, turns)
    clogged.outbox_bytes = limits.OWNER_OUTBOX_BYTES_MAX + 1
    other.served_s = 1.0
    assert turns.next().connection is other


def test_what_the_others_have_had_never_falls():
    turns = Turns()
    first, second = connection_with(1, turns), connection_with(1, turns)
    first.served_s, second.served_s = 5.0, 7.0
    assert [turns.next().connection, turns.next().connection] == [first, second]
    third = connection_with(1, turns)
    assert third.served_s == 7.0
    third.served_s = 1.0
    turns.next()
    assert connection_with(1, turns).served_s == 7.0


def test_a_client_that_waits_already_is_not_put_forward():
    turns = Turns()
    waiting, busy = connection_with(1, turns), connection_with(1, turns)
    waiting.served_s, busy.served_s = 9.0, 5.0
    assert turns.next().connection is busy
    waiting.served_s = 0.0
    turns.add(waiting)
    assert (waiting.served_s, len(turns)) == (0.0, 1)
