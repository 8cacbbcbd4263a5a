"""Finding a step by its name or its number, in pages."""

from __future__ import annotations

import pytest

from penstock.model.errors import WorkflowNotFound
from penstock.model.ids import new_id
from penstock.model.workflow_views import StepState, StepView
from penstock.tasks.canvas.step_search import StepSearch, step_of
from penstock.workflow.views import cursor_after_step, step_after

STEPS = [StepView(number, f"step {number}", "job", "t.do", StepState.WAITING) for number in range(7)]


def found(step, page=3):
    """The step, and how many pages were asked for."""
    search, asked = StepSearch(new_id(), step), 0
    while search.is_open:
        first = step_after(search.cursor)
        steps = STEPS[first : first + min(search.limit, page)]
        behind = first + len(steps)
        search.look(steps, cursor_after_step(behind - 1) if behind < len(STEPS) else None)
        asked += 1
    return search.found(), asked


@pytest.mark.parametrize(("text", "step"), [("0", 0), ("12", 12), ("a1", "a1"), ("", ""), ("-1", "-1"), ("٣", "٣")])
def test_digits_alone_are_a_number(text, step):
    assert step_of(text) == step


def test_more_digits_than_any_number_has_are_a_name():
    assert step_of("9" * 30) == "9" * 30


def test_a_name_is_looked_for_until_it_is_found():
    assert found("step 1") == (STEPS[1], 1)
    assert found("step 6") == (STEPS[6], 3)


@pytest.mark.parametrize("number", range(7))
def test_a_number_is_asked_for_at_once(number):
    assert found(number) == (STEPS[number], 1)


@pytest.mark.parametrize("step", [7, -1, 10**12, "none"])
def test_what_is_not_there_is_not_found(step):
    with pytest.raises(WorkflowNotFound, match="has no step"):
        found(step)


def test_the_name_that_was_meant_is_told():
    with pytest.raises(WorkflowNotFound, match="did you mean 'step 4'"):
        found("stepp 4")
