from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.model.errors import InvalidOption
from penstock.model.workflow_plan import Block, StepPlan, Take
from penstock.workflow.layout import appended, check_layout, facts_of
from tests.unit.workflow.paper import group, job, plan
from tests.unit.workflow.random_plans import Drawing


def block(owner: int, first: int, last: int, place: int = 0) -> Block:
    return Block(owner, first, last, place)


ALTERNATIVE = IN_0 = block(0, 1, 1)
TWO_IN_0 = block(0, 1, 2)
SECOND_IN_0 = block(0, 2, 2, 1)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([job("a", after=[1])], "'a' needs step 1, which is not there"),
        ([job("a", after=[-1])], "'a' needs step -1"),
        ([job("a", after=[0])], "'a' needs itself"),
        ([job("a", after=[1]), job("b", after=[0])], "in a circle"),
        (
            [job("a", after=[2]), group("g", 1, after=[0]), job("b", block=block(1, 2, 2)), job("c", after=[1])],
            "inside of another",
        ),
        ([group("g", 1), job("b", block=IN_0, after=[2]), job("c", after=[0])], "in a circle"),
        ([group("g", 1), job("b", block=IN_0, after=[0])], "'b' needs 'g', which it is inside of"),
        ([group("g", 1), job("b", block=IN_0), job("c", after=[1])], "'c' needs 'b', which is inside of another"),
        ([group("g", 2), job("b", block=IN_0), job("c", block=SECOND_IN_0, after=[1])], "'c' needs 'b'"),
        ([group("g", 1), job("b", block=TWO_IN_0)], "'b' begins a block that ends with step 2"),
        ([group("g", 1), job("b", block=TWO_IN_0), job("c")], "'c' is not in the block in which it lies"),
        ([group("g", 1), job("b", block=block(0, 2, 2))], "'b' is not in the block"),
        (
            [group("g", 1), job("a"), job("b", block=block(0, 2, 2))],
            "'b' begins a block of step 0, which it does not follow",
        ),
        ([job("a"), job("b", block=IN_0)], "'b' begins a member of 'a', which is not a group"),
        ([group("g"), job("b", block=IN_0)], "which is open"),
        ([group("g", 1), job("b", block=block(0, 1, 1, 1))], "'b' is at place 1 of 'g', which has 1"),
        ([group("g", 2), job("b", block=block(0, 1, 1, 1)), job("c", block=block(0, 2, 2, 0))], "out of order"),
        ([group("g", 2), job("b", block=block(0, 1, 1, 0)), job("c", block=block(0, 2, 2, 0))], "out of order"),
        (
            [group("g", 1, alternative=ALTERNATIVE), job("b", block=ALTERNATIVE), job("c", block=block(0, 2, 2))],
            "out of order",
        ),
        ([job("a", alternative=ALTERNATIVE)], "'a' has an alternative that does not follow it"),
        ([job("a", alternative=ALTERNATIVE), job("b")], "'a' has an alternative"),
        (
            [
                group("g", 2),
                group("h", 1, block=TWO_IN_0),
                job("b", block=block(1, 2, 3)),
                job("c", block=block(1, 2, 3)),
            ],
            "not inside of the one around it",
        ),
        ([job("a", into=True)], "'a' has a value for its block"),
        ([job("a", takes_error=True)], "'a' takes the error"),
        ([group("g", 1), job("b", block=IN_0, takes_error=True)], "'b' takes the error"),
        ([group("g", 1), job("b", block=TWO_IN_0, into=True), job("c", block=TWO_IN_0, into=True)], "'c' has a value"),
        (
            [group("g", 1), job("b", block=TWO_IN_0, into=True, part="x"), job("c", block=TWO_IN_0, into=True)],
            "'c' has a value",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_names_the_step(steps, says):
    with pytest.raises(InvalidOption, match=says):
        check_layout(steps)


def test_steps_may_need_later_ones_and_those_around_them():
    check_layout([job("a", after=[1]), job("b")])
    check_layout([job("a"), group("g", 1, after=[0]), job("b", block=block(1, 2, 2), takes=[Take(0)])])
    check_layout([group("g", 1), job("b", block=IN_0, takes=[Take(2)]), job("c")])


@given(st.integers(0, 1 << 32))
@settings(max_examples=50, deadline=None)
def test_what_is_sound_passes_and_stays_sound_when_it_is_appended(seed):
    drawn = Drawing(Random(seed), "", 3, 0.1, undo=False).draw(3).plan
    check_layout(drawn.steps)
    whole = [job("first"), *appended(drawn, 1, 0, 0)]
    block = whole[1].block
    whole[0] = StepPlan("first", whole[0].call, alternative=block)
    check_layout(whole)
    assert [one.dependents for one in facts_of(whole[1:], 1)] == [
        [number + 1 for number in one.dependents] for one in facts_of(drawn.steps)
    ]


def test_facts_say_what_is_needed_by_whom_and_where_blocks_end():
    steps = [
        group("g", 2, alternative=block(0, 4, 4)),
        group("h", 1, block=block(0, 1, 3)),
        job("b", block=block(1, 2, 2)),
        job("c", block=block(0, 1, 3), after=[1]),
        job("d", block=block(0, 4, 4)),
        job("e", takes=[Take(0)], after=[0]),
    ]
    check_layout(steps)
    facts = facts_of(steps)
    assert [one.dependents for one in facts] == [[5], [3], [], [], [], []]
    assert [one.last for one in facts] == [3, 2, 2, 3, 4, 5]
    assert [one.end for one in facts] == [4, 2, 2, 3, 4, 5]
    assert [one.steps for one in facts] == [0, 2, 1, 0, 1, 0]
    assert [one.gated for one in facts] == [False, True, True, False, True, False]


def test_the_outputs_of_a_plan_are_the_value_of_the_block_that_it_becomes():
    one = plan(job("a"), job("b"), out=1)
    assert [(step.into, step.part) for step in appended(one, 5, 2, 7)] == [(False, None), (True, None)]
    assert appended(one, 5, 2, 7)[0].block == Block(2, 5, 6, 7)
