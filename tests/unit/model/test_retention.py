"""How many records a step trims."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.counts import QueueStats
from penstock.model.flow import Retention
from penstock.model.retention import Excess, TrimPace, excess, to_trim

SMALL = limits.TICK_STEP_JOBS
LARGE = 100_000


def test_the_first_step_is_small_however_many_there_are() -> None:
    assert TrimPace().step(LARGE * 100) == SMALL


def test_a_step_that_was_enough_is_followed_by_a_small_one() -> None:
    pace = TrimPace()
    pace.trimmed(SMALL - 1, kept=LARGE)
    assert pace.step(LARGE * 100) == SMALL


def test_a_step_that_was_not_enough_is_followed_by_one_for_what_was_added_and_a_quarter_more() -> None:
    pace = TrimPace()
    pace.trimmed(SMALL, kept=10_000)
    assert pace.step(10_000 - SMALL + 1_000) == 1_250


def test_what_was_undone_was_not_added() -> None:
    pace = TrimPace()
    pace.trimmed(SMALL, kept=10_000)
    pace.forget()
    assert pace.step(10_000) == SMALL


@given(st.integers(0, LARGE), st.integers(0, 1_000_000))
def test_what_is_added_at_any_rate_is_trimmed_in_the_end(added: int, kept: int) -> None:
    pace = TrimPace()
    for _ in range(3 + kept // max(SMALL // 5, added // 4)):
        kept += added
        step = pace.step(kept)
        assert step <= max(SMALL, 5 * added // 4)
        count = min(step, kept)
        pace.trimmed(count, kept=kept)
        kept -= count
    assert kept <= added


COUNTS = QueueStats(succeeded=5, cancelled=2, expired=1, dead=4)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Retention(), Excess()),
        (Retention(records=8, dead=4, size_bytes=100), Excess()),
        (Retention(records=7), Excess(records=1)),
        (Retention(dead=0), Excess(dead=4)),
        (Retention(size_bytes=99), Excess(size_bytes=1)),
        (Retention(records=0, dead=1, size_bytes=0), Excess(8, 3, 100)),
    ],
)
def test_a_queue_has_too_many_of_what_it_has_bounds_for(bounds: Retention, expected: Excess) -> None:
    assert excess(bounds, COUNTS, 100) == expected


@pytest.mark.parametrize(
    ("sizes", "too_many", "too_much", "going"),
    [
        ([10, 10, 10], 0, 0, 0),
        ([10, 10, 10], 2, 0, 2),
        ([10, 10, 10], 0, 10, 1),
        ([10, 10, 10], 0, 11, 2),
        ([10, 10, 10], 1, 25, 3),
        ([10, 10, 10], 2, 5, 2),
        ([10, 10, 10], 9, 900, 3),
        ([], 1, 1, 0),
    ],
)
def test_the_oldest_go_until_both_bounds_hold(sizes: list[int], too_many: int, too_much: int, going: int) -> None:
    assert to_trim(sizes, too_many, too_much) == going
