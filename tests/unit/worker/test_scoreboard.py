"""The scoreboard: memory that a lane writes and its supervisor reads."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from penstock.worker.messages import Occupied
from penstock.worker.scoreboard import Scoreboard, scoreboard_fd

Sides = tuple[Scoreboard, Scoreboard]


@pytest.fixture
def sides() -> Iterator[Sides]:
    """The same memory as the executor and as the supervisor see it, with three slots."""
    fd = scoreboard_fd(3)
    made = Scoreboard(fd, 3), Scoreboard(fd, 3)
    os.close(fd)
    yield made
    for side in made:
        side.close()


def test_a_new_one_is_empty(sides: Sides) -> None:
    assert (sides[1].occupied(), sides[1].latest) == ([], 0)


def test_a_job_that_starts_is_seen_with_its_slot_attempt_and_time(sides: Sides) -> None:
    executor, supervisor = sides
    assert executor.starter(1)(99, 4, 12.5)
    assert supervisor.occupied() == [Occupied(1, 99, 12.5, 4)]
    assert supervisor.latest == 99


def test_a_slot_is_free_again_when_its_lane_says_so_and_the_latest_stays(sides: Sides) -> None:
    executor, supervisor = sides
    executor.starter(2)(99, 1, 12.5)
    executor.words[executor.slot_base(2)] = 0
    assert (supervisor.occupied(), supervisor.latest) == ([], 99)


@pytest.mark.parametrize(("fence", "may_start"), [(98, False), (99, False), (100, True)])
def test_a_recalled_job_does_not_start_and_the_supervisor_sees_that_it_was_tried(
    sides: Sides, fence: int, may_start: bool
) -> None:
    executor, supervisor = sides
    supervisor.recall_to(99)
    assert executor.starter(0)(fence, 1, 12.5) is may_start
    assert bool(supervisor.occupied()) is may_start
    assert supervisor.latest == fence


def test_starts_in_one_slot_leave_the_others_alone(sides: Sides) -> None:
    executor, supervisor = sides
    for slot in (0, 1, 2):
        executor.starter(slot)(slot + 1, slot + 5, float(slot))
    assert supervisor.occupied() == [Occupied(0, 1, 0.0, 5), Occupied(1, 2, 1.0, 6), Occupied(2, 3, 2.0, 7)]


def test_one_job_is_asked_to_end_and_not_the_next_in_its_slot(sides: Sides) -> None:
    executor, supervisor = sides
    supervisor.ask_to_end(1, 99)
    assert (executor.asked_to_end(1, 99), executor.asked_to_end(1, 100)) == (True, False)
