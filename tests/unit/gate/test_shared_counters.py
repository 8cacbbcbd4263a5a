"""Gates that share an address answer as one: their figures are together, and none goes back."""

from __future__ import annotations

import os
import random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.gate.admission import AdmissionStatistics
from penstock.gate.metrics import SECONDS_BOUNDS, GateCounters, GateStatistics
from penstock.gate.shared_counters import GateScoreboard, together
from tests.unit.gate.conftest import Door

IDLE = AdmissionStatistics(0, 0, 0, 0)
JOB = {"task": "any.call"}
ACCEPTED = {"route": "jobs", "status": "202"}


def done(requests: int) -> GateStatistics:
    counters = GateCounters()
    for _ in range(requests):
        counters.count("jobs", 202, 10, 0.1)
    return counters.statistics()


def accepted_by(door: Door) -> float:
    families = text_string_to_metric_families(door.call("GET", "/metrics").body.decode())
    samples = [sample for family in families for sample in family.samples]
    return sum(sample.value for sample in samples if sample.labels == ACCEPTED)


def test_nothing_is_posted_at_first() -> None:
    seat = GateScoreboard(2).seat(1)
    assert seat.before() is None
    assert seat.postings() == []


def test_what_was_posted_last_is_there_for_all() -> None:
    board = GateScoreboard(2)
    board.seat(0).post(done(1), IDLE)
    board.seat(0).post(done(2), IDLE)
    board.seat(1).post(done(5), AdmissionStatistics(1, 2, 3, 4))
    first, second = board.seat(1).postings()
    assert (first.gate, first.pid) == (done(2), os.getpid())
    assert second.admission == AdmissionStatistics(1, 2, 3, 4)


def test_there_is_no_seat_beyond_the_last() -> None:
    with pytest.raises(IndexError, match="seat 2 of 2"):
        GateScoreboard(2).seat(2)


def test_figures_that_do_not_fit_are_refused_and_what_was_there_stays() -> None:
    seat = GateScoreboard(1).seat(0)
    seat.post(done(1), IDLE)
    many = GateStatistics({(f"route {number}", 200): 1 for number in range(5_000)}, 0, done(0).seconds, 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        seat.post(many, IDLE)
    assert [posting.gate for posting in seat.postings()] == [done(1)]


def test_sums_are_of_all() -> None:
    board = GateScoreboard(2)
    board.seat(0).post(done(2), AdmissionStatistics(1, 2, 3, 4))
    board.seat(1).post(done(3), AdmissionStatistics(10, 20, 30, 40))
    gate, admission = together(board.seat(0).postings())
    assert gate.requests == {("jobs", 202): 5}
    assert gate.body_bytes == 50
    assert sum(gate.seconds) == 5
    assert len(gate.seconds) == len(SECONDS_BOUNDS) + 1
    assert gate.seconds_sum == pytest.approx(0.5)
    assert admission == AdmissionStatistics(11, 22, 33, 44)


def test_a_reader_in_another_process_never_sees_half_of_a_posting() -> None:
    board = GateScoreboard(1)
    board.seat(0).post(done(1), IDLE)
    writer = os.fork()
    if writer == 0:
        chance = random.Random(1)
        for _ in range(2_000):
            board.seat(0).post(done(chance.randrange(1, 40)), IDLE)
        os._exit(0)
    seen = 0
    while os.waitpid(writer, os.WNOHANG)[0] == 0 or not seen:
        [posting] = board.seat(0).postings()
        assert posting.gate == done(posting.gate.requests["jobs", 202])
        seen += 1


@pytest.mark.parametrize("asked", [0, 1])
def test_whichever_gate_is_asked_counts_for_both(asked: int) -> None:
    board = GateScoreboard(2)
    doors = [Door(seat=board.seat(0)), Door(seat=board.seat(1))]
    for door in doors:
        door.post(JOB)
        door.gate.stop()
        assert accepted_by(door) >= 1
    assert accepted_by(doors[asked]) == 2


def test_a_gate_goes_on_from_what_the_one_before_it_had_counted() -> None:
    board = GateScoreboard(2)
    first = Door(seat=board.seat(0))
    first.post(JOB)
    assert accepted_by(first) == 1
    again = Door(seat=board.seat(0))
    assert accepted_by(again) == 1
    again.post(JOB)
    assert accepted_by(again) == 2
    assert accepted_by(Door(seat=board.seat(1))) == 2
