"""When the owner commits: what is waited for, and what is not."""

import math
import socket

import pytest

from penstock.store.wire import protocol
from penstock.store.wire.calls import CALLS
from penstock.store.wire.owner.client_connection import Connection
from penstock.store.wire.owner.pace import CATCH_UP_S, CROWD_GROUPS, CROWD_MIN, HOLD_S, Pace

HELD_BACK = {"settle", "extend"}
EVERY_CALL = CALLS.values()


@pytest.fixture
def pace():
    return Pace()


@pytest.fixture
def clients():
    pairs = [socket.socketpair() for _ in range(2 * CROWD_MIN)]
    yield [Connection(ours) for ours, _ in pairs]
    for pair in pairs:
        for sock in pair:
            sock.close()


def answered(pace, clients, requests=None, groups=CROWD_GROUPS):
    for _ in range(groups):
        pace.committed(clients, len(clients) if requests is None else requests, 1.0, left_over=False, deferred=False)


# --- a crowd ---------------------------------------------------------------------------------------------------------
def test_of_many_clients_half_are_waited_for(pace, clients):
    answered(pace, clients)
    assert pace.wanted == len(clients) // 2


def test_a_crowd_is_seen_however_small_its_groups_are(pace, clients):
    for start in range(CROWD_GROUPS):
        some = [clients[(start + step) % len(clients)] for step in range(CROWD_MIN // 2)]
        answered(pace, some, groups=1)
    assert pace.wanted == len(clients) // 2


def test_few_clients_are_never_waited_for(pace, clients):
    answered(pace, clients[: CROWD_MIN - 1])
    assert pace.wanted == 0


def test_a_client_that_comes_alone_is_not_made_to_wait_even_where_many_were_before(pace, clients):
    answered(pace, clients)
    answered(pace, clients[:2], requests=1, groups=1)
    assert pace.wanted == 0


def test_a_crowd_that_has_gone_is_forgotten(pace, clients):
    answered(pace, clients)
    answered(pace, clients[:1], requests=CROWD_MIN)
    assert pace.wanted == 0


def test_a_client_that_left_is_not_counted(pace, clients):
    for client in clients:
        answered(pace, [client], groups=1)
        pace.remove(client)
    answered(pace, clients[:CROWD_MIN])
    assert pace.wanted == CROWD_MIN // 2


# --- settlements -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("call", EVERY_CALL, ids=lambda call: call.name)
def test_only_the_calls_of_a_worker_that_goes_on_meanwhile_are_held_back(pace, call):
    pace.note_request(call.kind)
    assert pace.holds(10.0, watched=False) == (call.name in HELD_BACK)


def test_a_settlement_is_held_from_when_it_was_first_looked_at_and_no_longer(pace):
    pace.note_request(protocol.SETTLE.kind)
    assert pace.holds(10.0, watched=False)
    pace.note_request(protocol.SETTLE.kind)
    assert pace.holds(10.0 + 0.9 * HOLD_S, watched=False)
    assert not pace.holds(10.0 + 1.1 * HOLD_S, watched=False)


def test_a_request_that_somebody_waits_for_takes_along_what_was_held(pace):
    pace.note_request(protocol.SETTLE.kind)
    assert pace.holds(10.0, watched=False)
    pace.note_request(protocol.ENQUEUE.kind)
    assert not pace.holds(10.0, watched=False)


def test_nothing_is_held_while_somebody_waits_for_a_job(pace):
    pace.note_request(protocol.SETTLE.kind)
    assert not pace.holds(10.0, watched=True)


def test_after_a_commit_the_next_settlement_is_held_anew_unless_requests_were_left_over(pace):
    pace.note_request(protocol.ENQUEUE.kind)
    pace.committed([], 1, 1.0, left_over=False, deferred=False)
    pace.note_request(protocol.SETTLE.kind)
    assert pace.holds(20.0, watched=False)
    pace.committed([], 1, 1.0, left_over=True, deferred=False)
    assert not pace.holds(20.0, watched=False)


def test_what_waited_for_its_client_to_read_is_not_held_back_as_well(pace):
    pace.note_request(protocol.SETTLE.kind)
    pace.note_overdue()
    assert not pace.holds(10.0, watched=False)


# --- the redo log ----------------------------------------------------------------------------------------------------
def test_rows_are_made_of_deferred_enqueues_a_moment_after_the_last_group(pace):
    assert pace.catch_up_at == math.inf
    pace.committed([], 1, 10.0, left_over=False, deferred=True)
    assert pace.catch_up_at == 10.0 + CATCH_UP_S
    pace.committed([], 1, 10.001, left_over=False, deferred=True)
    assert pace.catch_up_at == 10.001 + CATCH_UP_S
    pace.committed([], 1, 10.002, left_over=False, deferred=False)
    assert pace.catch_up_at == math.inf


def test_at_first_nobody_is_waited_for_and_a_crowd_is_seen_after_so_many_groups_each_time(pace):
    assert pace.wanted == 0
    crowd, wanted = range(CROWD_MIN + 1), []
    for group in range(3 * CROWD_GROUPS):
        who = crowd if group < CROWD_GROUPS else crowd[:CROWD_MIN] if group < 2 * CROWD_GROUPS else crowd[:1]
        pace.committed(who, CROWD_MIN // 2, 1.0, left_over=False, deferred=False)
        wanted.append(pace.wanted)
    half = CROWD_MIN // 2
    assert wanted == [0] * (CROWD_GROUPS - 1) + [half] * 2 * CROWD_GROUPS + [0]
    assert {type(number) for number in wanted} == {int}


def test_a_group_smaller_than_half_a_crowd_is_not_made_to_wait(pace):
    for requests, wanted in ((CROWD_MIN // 2, CROWD_MIN // 2), (CROWD_MIN // 2 - 1, 0)):
        for _ in range(CROWD_GROUPS):
            pace.committed(range(CROWD_MIN), requests, 1.0, left_over=False, deferred=False)
        assert pace.wanted == wanted


def test_a_client_that_has_gone_is_no_part_of_the_crowd(pace):
    for _ in range(CROWD_GROUPS - 1):
        pace.committed(range(CROWD_MIN), CROWD_MIN, 1.0, left_over=False, deferred=False)
    pace.remove(0)
    pace.remove("never there")
    pace.committed([1], CROWD_MIN, 1.0, left_over=False, deferred=False)
    assert pace.wanted == 0


def test_a_settlement_is_held_back_so_long_and_no_longer(pace):
    assert pace.holds(0.0, watched=False)
    assert pace.holds(HOLD_S / 2, watched=False)
    assert not pace.holds(HOLD_S, watched=False)
