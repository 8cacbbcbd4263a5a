"""How steps end, and what follows: groups and their policies, blocks, alternatives, sizes."""

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.workflow_plan import Block, Members, OnFailure, Take
from tests.unit.workflow.paper import FAILED, Paper, callback, group, job, jobs, plan

STOP, FINISH = OnFailure.STOP, OnFailure.FINISH


def members(count: int, **options) -> Paper:
    """A group of so many members, and a step that takes it."""
    return Paper().start(plan(group("g", count, **options), job("c", takes=[Take(0)]), out=0), Members(0, jobs(count)))


# --- groups
def test_a_group_fails_at_its_first_failure_too_many_and_cancels_the_others():
    paper = members(4, failures_max=1)
    paper.end("g", FAILED, place=0)
    assert paper.states["g"] == "running"
    paper.end("g", FAILED, place=2)
    assert paper.states == {"g": "failed", "c": "cancelled"}
    paper.settle()
    assert {one.state for one in paper.live()} == {"asked"}
    paper.end("g", "cancelled", place=1)
    assert paper.state == "stopping", "a job of it still runs"
    paper.end("g", 3, place=3)
    assert paper.state == "failed"
    assert paper.workflow().members == (4, 1, 2, 1)
    told = "The step 'g' failed: 2 of its 4 members failed, 2 were told to stop; the first failure: no good"
    assert paper.workflow().error.message == told


def test_a_group_that_finishes_lets_the_others_end_first():
    paper = members(3, on_failure=FINISH)
    paper.end("g", FAILED, place=0)
    paper.end("g", 1, place=1)
    assert paper.states["g"] == "running"
    paper.end("g", 2, place=2)
    assert (paper.states["g"], paper.state) == ("failed", "failed")


@pytest.mark.parametrize(
    ("fates", "told"),
    [
        ([1, FAILED, 3], "1 of its 3 members failed; the first failure: no good"),
        (["cancelled", FAILED, 3], "1 of its 3 members failed, 1 was cancelled; the first failure: no good"),
        (["cancelled", 2, "cancelled"], "Of its 3 members 2 were cancelled."),
    ],
)
def test_a_group_says_how_many_have_failed_and_how_many_were_cancelled(fates, told):
    paper = members(3, on_failure=FINISH)
    for place, fate in enumerate(fates):
        paper.end("g", fate, place=place)
    assert paper.workflow().error.message == f"The step 'g' failed: {told}"


def test_members_that_are_stopped_by_a_failure_do_not_count_as_failed():
    paper = members(5)
    paper.end("g", 1, place=0)
    paper.end("g", FAILED, place=1)
    told = "The step 'g' failed: 1 of its 5 members failed, 3 were told to stop; the first failure: no good"
    assert paper.workflow().error.message == told


def test_a_member_that_was_cancelled_by_hand_is_told_apart_from_those_that_are_stopped():
    paper = members(3, failures_max=1)
    paper.end("g", "cancelled", place=0)
    paper.end("g", FAILED, place=1)
    told = "1 of its 3 members failed, 1 was cancelled, 1 was told to stop; the first failure: no good"
    assert paper.workflow().error.message == f"The step 'g' failed: {told}"


def test_failures_that_are_allowed_are_none_in_the_value():
    paper = members(3, failures_max=1)
    paper.end("g", FAILED, place=1)
    paper.end("g", 0, place=0)
    paper.end("g", 2, place=2)
    assert paper.arguments("c") == [[0, None, 2]]


def test_a_member_that_is_cancelled_by_hand_has_failed():
    paper = members(1)
    paper.end("g", "cancelled", place=0)
    assert paper.state == "failed"
    assert paper.workflow().error.type == "JobCancelled"


def test_a_job_that_is_cancelled_by_hand_fails_its_step():
    paper = Paper().start(plan(job("a")))
    paper.end("a", "cancelled")
    assert (paper.states, paper.state) == ({"a": "failed"}, "failed")


def test_a_block_fails_with_its_first_step_and_the_rest_of_it_is_cancelled():
    block = Block(0, 1, 3, 0)
    inside = [job("x", block=block), job("y", block=block), job("z", block=block, after=[1], into=True)]
    paper = Paper().start(plan(group("g", 2, failures_max=1), *inside, out=0), Members(0, jobs(1), first=1))
    paper.end("x", FAILED)
    assert paper.job("y").state == "asked"
    paper.end("y", "cancelled")
    assert paper.states == {"g": "running", "x": "failed", "y": "cancelled", "z": "cancelled"}
    paper.end("g", 1, place=1)
    assert paper.value() == [None, 1]


def test_in_a_block_whose_value_has_parts_the_value_is_a_map():
    block = Block(0, 1, 2, 0)
    inside = [job("x", block=block, into=True, part="one"), job("y", block=block, into=True, part="two")]
    paper = Paper().start(plan(group("g", 1), *inside, out=0))
    paper.end("y", 2)
    paper.end("x", 1)
    assert paper.value() == [{"one": 1, "two": 2}]


def test_a_block_without_a_value_is_none():
    paper = Paper().start(plan(group("g", 1), job("x", block=Block(0, 1, 1, 0)), out=0))
    paper.end("x", 1)
    assert paper.value() == [None]


# --- alternatives
def with_alternative(**options) -> Paper:
    block = Block(0, 1, 2)
    return Paper().start(
        plan(
            job("a", alternative=block),
            job("b", block=block, **options),
            job("c", block=block, takes=[Take(1)], into=True),
            job("d", takes=[Take(0)]),
            out=3,
        )
    )


def test_an_alternative_stands_in_for_a_step_that_failed():
    paper = with_alternative(takes_error=True)
    paper.end("a", FAILED)
    assert paper.states == {"a": "running", "b": "running", "c": "waiting", "d": "waiting"}
    assert paper.arguments("b") == [{"type": "ValueError", "message": "no good", "traceback": None}]
    paper.end("b", 1)
    paper.end("c", 2)
    assert paper.states["a"] == "succeeded"
    assert paper.arguments("d") == [2]
    paper.end("d", 3)
    assert paper.value() == 3


def test_an_alternative_that_is_not_needed_is_skipped():
    paper = with_alternative()
    paper.end("a", 1)
    assert paper.states == {"a": "succeeded", "b": "skipped", "c": "skipped", "d": "running"}


def test_a_step_whose_alternative_fails_too_has_failed_with_the_error_of_that():
    paper = with_alternative()
    paper.end("a", FAILED)
    paper.end("b", FAILED)
    assert paper.states == {"a": "failed", "b": "failed", "c": "cancelled", "d": "cancelled"}
    assert paper.state == "failed"


def test_an_alternative_that_takes_what_is_missing_does_not_start():
    block = Block(1, 2, 2)
    steps = [
        job("x"),
        job("a", alternative=block),
        job("b", block=block, takes=[Take(0)], into=True),
        job("d", after=[1]),
    ]
    paper = Paper().start(plan(*steps, on_failure=FINISH))
    paper.end("x", FAILED)
    paper.end("a", FAILED)
    assert paper.states == {"x": "failed", "a": "failed", "b": "cancelled", "d": "cancelled"}
    assert paper.state == "failed"


def test_in_a_workflow_that_stops_no_alternative_starts():
    block = Block(1, 2, 2)
    steps = [job("x"), job("a", alternative=block), job("b", block=block)]
    paper = Paper().start(plan(*steps))
    paper.end("x", FAILED)
    paper.end("a", FAILED)
    assert paper.states == {"x": "failed", "a": "failed", "b": "cancelled"}


def test_a_group_may_have_an_alternative_and_its_members_are_cancelled_meanwhile():
    block = Block(0, 1, 1)
    paper = Paper().start(
        plan(group("g", 2, alternative=block), job("b", block=block, into=True), job("c", takes=[Take(0)]), out=0),
        Members(0, jobs(2)),
    )
    paper.end("g", FAILED, place=0)
    paper.end("b", "instead")
    assert paper.arguments("c") == ["instead"]
    paper.end("c", 1)
    assert paper.state == "running", "a member of it still runs"
    paper.settle()
    paper.end("g", "cancelled", place=1)
    assert (paper.state, paper.value()) == ("succeeded", "instead")


# --- callbacks
def test_callbacks_of_a_step_are_given_its_value_or_its_error():
    good, bad, bare = callback("g"), callback("b"), callback("n", takes=False)
    paper = Paper().start(
        plan(job("a", on_success=[good, bare], on_error=[bad]), job("b", on_success=[good], on_error=[bad]))
    )
    paper.end("a", 5)
    assert (paper.calls(good), paper.calls(bare), paper.calls(bad)) == ([["g", 5]], [["n"]], [])


def test_the_error_comes_first():
    bad = callback("b")
    paper = Paper().start(plan(job("a", on_error=[bad])))
    paper.end("a", FAILED)
    assert paper.calls(bad) == [[{"type": "ValueError", "message": "no good", "traceback": None}, "b"]]


# --- a job returns a call
def test_a_call_that_a_job_returned_takes_its_place():
    done = callback("d")
    paper = Paper().start(plan(job("a"), job("b", takes=[Take(0)]), out=1))
    paper.end("a", plan(job("x"), job("y", takes=[Take(0)]), out=1, on_success=[done]))
    assert paper.states == {"a": "running", "b": "waiting", "x (2)": "running", "y (3)": "waiting"}
    paper.end("x (2)", 1)
    paper.end("y (3)", 2)
    assert paper.arguments("b") == [2]
    assert [data for _, data in paper.called] == [[["d", 2], {}]]


def test_a_call_that_a_member_returned_takes_its_place_in_the_group():
    paper = members(2)
    paper.end("g", plan(group("h", 1), out=0), Members(0, jobs(1)), place=0)
    paper.end("g", "one", place=1)
    paper.settle()
    paper.end("h (2)", "zero", place=0)
    assert paper.arguments("c") == [[["zero"], "one"]]


def test_what_fails_inside_of_a_returned_call_fails_the_step():
    told = callback("e")
    paper = Paper().start(plan(job("a"), job("b", after=[0])))
    paper.end("a", plan(job("x"), on_error=[told]))
    paper.end("x (2)", FAILED)
    assert (paper.states["a"], paper.state) == ("failed", "failed")
    assert len(paper.called) == 1


def test_a_call_that_is_not_sound_fails_the_step_that_returned_it(monkeypatch):
    monkeypatch.setattr(limits, "WORKFLOW_STEPS_MAX", 2)
    paper = Paper().start(plan(job("a")))
    paper.end("a", plan(job("x"), job("y")))
    assert (paper.states, paper.state) == ({"a": "failed"}, "failed")
    assert paper.workflow().error.type == "InvalidOption"
    assert paper.job("a").state == "failed"


def test_a_call_that_is_returned_when_all_is_about_to_end_does_not_start():
    paper = Paper().start(plan(job("a")))
    paper.tell(("cancel", ()))
    paper.end("a", plan(job("x")))
    assert (paper.states, paper.state, paper.job("a").state) == ({"a": "cancelled"}, "cancelled", "cancelled")


# --- sizes
@pytest.mark.parametrize("streams", [False, True])
def test_a_group_with_many_members_is_handed_over_as_a_reference(monkeypatch, streams):
    monkeypatch.setattr(limits, "RESULTS_INLINE_MAX", 3 if streams else 1)
    paper = Paper().start(plan(group("g", 2), job("c", takes=[Take(0, streams=streams)])), Members(0, jobs(2)))
    paper.end("g", 0, place=0)
    paper.end("g", 1, place=1)
    (taken,) = paper.arguments("c")
    assert (taken.code, bytes(taken.data)) == (80, paper.id + bytes(4))


def test_a_group_with_large_results_is_handed_over_as_a_reference(monkeypatch):
    monkeypatch.setattr(limits, "RESULTS_INLINE_BYTES_MAX", 10)
    paper = members(2)
    paper.end("g", "12345678", place=0)
    paper.end("g", "12345678", place=1)
    assert paper.arguments("c")[0].code == 80


def test_a_step_that_would_be_handed_too_much_fails(monkeypatch):
    monkeypatch.setattr(limits, "HANDED_BODY_BYTES_MAX", 20)
    paper = Paper().start(plan(job("a"), job("b"), job("c", takes=[Take(0), Take(1)])))
    paper.end("a", "12345678")
    paper.end("b", "12345678")
    assert (paper.states["c"], paper.state) == ("failed", "failed")
    assert paper.workflow().error.type == "ResultTooLarge"


def test_what_members_are_handed_is_counted_for_all_of_them(monkeypatch):
    monkeypatch.setattr(limits, "WORKFLOW_RESULT_BYTES_MAX", 25)
    paper = Paper().start(plan(job("a"), group("g", 3, takes=[Take(0)])), Members(1, jobs(3)))
    paper.end("a", "12345678")
    assert paper.states["g"] == "failed"
    assert paper.workflow().error.type == "ResultTooLarge"


def test_a_workflow_keeps_only_so_much(monkeypatch):
    monkeypatch.setattr(limits, "WORKFLOW_RESULT_BYTES_MAX", 10)
    paper = members(2)
    paper.end("g", "12345678", place=0)
    paper.end("g", "12345678", place=1)
    paper.settle()
    assert (paper.state, paper.workflow().error.type) == ("failed", "ResultTooLarge")


def test_a_result_that_is_put_together_is_not_too_large(monkeypatch):
    from penstock.model.workflow_plan import Output

    monkeypatch.setattr(limits, "HANDED_BODY_BYTES_MAX", 20)
    paper = Paper().start(plan(job("a"), job("b"), outputs=[Output(0, "a"), Output(1, "b")]))
    paper.end("a", "12345678")
    paper.end("b", "12345678")
    assert (paper.state, paper.workflow().error.type) == ("failed", "ResultTooLarge")
