"""How many records a step trims."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.retention import TrimPace

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
