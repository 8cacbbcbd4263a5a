"""The machine from start to end: what is handed on, and what a workflow comes to."""

from __future__ import annotations

import pytest

from penstock.model.workflow_plan import Block, Members, OnFailure, Output, Take
from tests.unit.workflow.paper import FAILED, Paper, callback, group, job, jobs, plan


def test_a_chain_hands_each_result_to_the_next():
    done = callback("done")
    steps = [job("a", 1), job("b", 2, takes=[Take(0)]), job("c", takes=[Take(1), Take(0, "first")])]
    paper = Paper().start(plan(*steps, out=2, on_success=[done]))
    assert [one.step for one in paper.live()] == [0]
    paper.end("a", "x")
    assert paper.arguments("b") == [2, "x"]
    paper.end("b", [1, 2])
    assert paper.arguments("c") == [[1, 2]]
    paper.end("c", 7)
    assert (paper.state, paper.value(), paper.over, paper.calls(done)) == ("succeeded", 7, ["succeeded"], [["done", 7]])


def test_a_chord_is_released_by_its_last_member_and_gets_results_in_order():
    paper = Paper().start(plan(group("g", 3), job("c", takes=[Take(0)]), out=1), Members(0, jobs(3)))
    for place in (2, 0):
        paper.end("g", place, place=place)
    assert paper.states == {"g": "running", "c": "waiting"}
    paper.end("g", 1, place=1)
    assert paper.arguments("c") == [[0, 1, 2]]
    paper.end("c", "end")
    assert paper.value() == "end"


def test_an_empty_group_succeeds_at_once():
    paper = Paper().start(plan(group("g", 0), job("c", takes=[Take(0)]), out=0))
    assert paper.arguments("c") == [[]]
    paper.end("c", None)
    assert paper.value() == []


def test_members_that_are_blocks_stand_at_their_places():
    first, second = Block(0, 1, 2, 0), Block(0, 3, 3, 2)
    paper = Paper().start(
        plan(
            group("g", 3),
            job("a", block=first),
            job("b", takes=[Take(1)], block=first, into=True),
            job("c", block=second, into=True),
            out=0,
        ),
        Members(0, jobs(1), first=1),
    )
    assert sorted(one.step for one in paper.live()) == [0, 1, 3]
    paper.end("a", 1)
    paper.end("c", 3)
    paper.end("g", 2, place=1)
    paper.end("b", 1)
    assert paper.value() == [1, 2, 3]


def test_a_failed_step_at_the_top_stops_the_rest():
    told = callback("oh")
    paper = Paper().start(plan(job("a"), job("b"), job("c", after=[0, 1]), on_error=[told]))
    paper.end("a", FAILED)
    assert paper.job("b").state == "asked"
    assert paper.state == "stopping"
    paper.end("b", "cancelled")
    assert paper.states == {"a": "failed", "b": "cancelled", "c": "cancelled"}
    assert paper.state == "failed"
    (error,) = paper.calls(told)[0][:1]
    assert error == {"type": "ValueError", "message": "The step 'a' failed: no good", "traceback": None}


def test_what_does_not_need_the_failed_step_goes_on_when_asked_to_finish():
    paper = Paper().start(
        plan(
            job("a"),
            job("b"),
            job("c", after=[0]),
            job("d", after=[2]),
            job("e", after=[1]),
            on_failure=OnFailure.FINISH,
        )
    )
    paper.end("a", FAILED)
    assert paper.states == {"a": "failed", "b": "running", "c": "cancelled", "d": "cancelled", "e": "waiting"}
    paper.end("b", 1)
    assert paper.state == "running"
    paper.end("e", 1)
    assert paper.state == "failed"


def test_an_asked_job_may_still_succeed_and_is_then_undone():
    undo = callback("undo")
    paper = Paper().start(plan(job("a"), job("b", compensation=undo)))
    paper.end("a", FAILED)
    paper.end("b", "done")
    assert paper.state == "compensating"
    (one,) = paper.live()
    assert (one.kind, one.id) == ("compensation", undo.call.jobs[0].id)
    paper.end(one)
    assert (paper.state, paper.over) == ("failed", ["failed"])


def test_cancelling_ends_what_runs_and_what_waits_and_calls_nobody():
    told = callback()
    paper = Paper().start(plan(job("a"), group("g", 2, after=[0]), on_error=[told]), Members(1, jobs(2)))
    paper.tell(("cancel", ()))
    assert [one.state for one in paper.live()] == ["asked"]
    paper.end("a", "cancelled")
    assert (paper.state, paper.called) == ("cancelled", [])
    assert paper.workflow().members == (2, 0, 0, 2)


def test_a_deadline_fails_the_workflow_and_cancels_all_of_it():
    paper = Paper().start(plan(job("a"), job("b", after=[0]), deadline_s=10))
    paper.now += 9.5
    paper.settle()
    assert paper.state == "running"
    paper.now += 0.5
    paper.settle()
    assert (paper.state, paper.workflow().error.type) == ("stopping", "DeadlineExceeded")
    paper.end("a", "cancelled")
    assert paper.state == "failed"


def test_a_workflow_that_is_over_in_time_has_no_alarm_any_more():
    paper = Paper().start(plan(job("a"), deadline_s=10))
    paper.end("a", 1)
    assert paper.alarms == {}


def test_pausing_holds_back_what_is_released_until_it_is_resumed():
    paper = Paper().start(plan(job("a"), job("b", after=[0]), group("g", 2, after=[0])), Members(2, jobs(2)))
    paper.tell(("pause", ()))
    paper.end("a", 1)
    assert paper.live() == []
    paper.tell(("resume", ()))
    paper.settle()
    assert sorted((one.step, one.place) for one in paper.live() if one.place is not None) == [(2, 0), (2, 1)]
    assert paper.job("b").is_live


def test_members_added_while_paused_are_held():
    paper = Paper().start(plan(group("g")))
    paper.tell(("pause", ()))
    paper.add(Members(0, jobs(2)), close=[0])
    assert paper.live() == []
    paper.tell(("resume", ()))
    paper.settle()
    assert len(paper.live()) == 2


def test_compensations_run_one_by_one_the_latest_success_first():
    undo = [callback(name) for name in "abc"]
    paper = Paper().start(
        plan(
            *(
                job(name, compensation=undo[place], after=[place - 1] if place else [])
                for place, name in enumerate("abc")
            ),
            job("d", after=[2]),
        )
    )
    for name in "abc":
        paper.end(name, name.upper())
    paper.end("d", FAILED)
    order = []
    while paper.live():
        (one,) = paper.live()
        order.append(one.body)
        paper.end(one)
    from tests.unit.workflow.paper import body

    assert order == [body("c", "C"), body("b", "B"), body("a", "A")]
    assert paper.state == "failed"


def test_a_compensation_that_fails_is_named_and_the_others_still_run():
    undo = [callback(), callback()]
    paper = Paper().start(plan(job("a", compensation=undo[0]), job("b", compensation=undo[1], after=[0])))
    for name in "ab":
        paper.end(name, 1) if name == "a" else paper.tell(("cancel", ()))
    paper.end("b", 1)
    paper.end(paper.live()[0], FAILED)
    paper.end(paper.live()[0])
    assert paper.state == "failed"
    assert paper.workflow().error.message == "The compensation of the step 'b' failed: no good"


def test_a_workflow_that_succeeds_undoes_nothing():
    paper = Paper().start(plan(job("a", compensation=callback())))
    paper.end("a", 1)
    assert (paper.state, paper.live()) == ("succeeded", [])


def test_named_outputs_make_a_map():
    paper = Paper().start(
        plan(job("a"), group("g", 1), outputs=[Output(0, "one"), Output(1, "two")]), Members(1, jobs(1))
    )
    paper.end("a", 1)
    paper.end("g", 2, place=0)
    assert paper.value() == {"one": 1, "two": [2]}


@pytest.mark.parametrize("ends", [("a", "b"), ("b", "a")])
def test_several_ends_of_one_settlement_are_told_together(ends):
    paper = Paper().start(plan(job("a"), job("b"), job("c", after=[0, 1])))
    events = []
    for name in ends:
        one = paper.job(name)
        one.state, one.result = "succeeded", b"m\x01"
        events.append(("job_succeeded", (one.step, 1)))
    paper.tell(*events)
    assert paper.job("c").is_live
