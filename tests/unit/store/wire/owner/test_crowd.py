import socket

import pytest

from penstock.store.wire.owner.client_connection import Connection
from penstock.store.wire.owner.crowd import CROWD_MIN, GROUPS, Crowd


@pytest.fixture
def clients():
    pairs = [socket.socketpair() for _ in range(2 * CROWD_MIN)]
    yield [Connection(ours) for ours, _ in pairs]
    for pair in pairs:
        for sock in pair:
            sock.close()


def busy(crowd, clients, requests=None):
    for _ in range(GROUPS):
        crowd.note(clients, len(clients) if requests is None else requests)


def test_of_many_clients_half_are_waited_for(clients):
    crowd = Crowd()
    busy(crowd, clients)
    assert crowd.wanted == len(clients) // 2


def test_a_crowd_is_seen_however_small_its_groups_are(clients):
    crowd = Crowd()
    for start in range(GROUPS):
        crowd.note([clients[(start + step) % len(clients)] for step in range(CROWD_MIN // 2)], CROWD_MIN // 2)
    assert crowd.wanted == len(clients) // 2


def test_few_clients_are_never_waited_for(clients):
    crowd = Crowd()
    busy(crowd, clients[: CROWD_MIN - 1])
    assert crowd.wanted == 0


def test_who_comes_alone_is_not_made_to_wait_even_where_many_were_before(clients):
    crowd = Crowd()
    busy(crowd, clients)
    crowd.note(clients[:2], 1)
    assert crowd.wanted == 0


def test_a_crowd_that_has_gone_is_forgotten(clients):
    crowd = Crowd()
    busy(crowd, clients)
    busy(crowd, clients[:1], requests=CROWD_MIN)
    assert crowd.wanted == 0


def test_a_client_that_left_is_not_counted(clients):
    crowd = Crowd()
    for client in clients:
        crowd.note([client], 1)
        crowd.remove(client)
    busy(crowd, clients[:CROWD_MIN])
    assert crowd.wanted == CROWD_MIN // 2
