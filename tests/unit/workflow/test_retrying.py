"""A retry: what failed, was cancelled or was undone runs again, what succeeded stands."""

from __future__ import annotations

from penstock.model.workflow_plan import Block, Members, Take
from tests.unit.workflow.paper import FAILED, Paper, callback, group, job, jobs, plan


def test_a_retry_goes_on_from_the_failed_step():
    told = callback()
    paper = Paper().start(plan(job("a"), job("b", takes=[Take(0)]), job("c", takes=[Take(1)]), out=2, on_error=[told]))
    paper.end("a", 1)
    paper.end("b", FAILED)
    paper.tell(("retry", ()))
    assert paper.states == {"a": "succeeded", "b": "running", "c": "waiting"}
    assert (paper.job("a").runs, paper.job("b").runs, paper.arguments("b")) == (1, 2, [1])
    paper.end("b", FAILED)
    assert len(paper.called) == 2, "it failed twice, and that was told twice"
    paper.tell(("retry", ()))
    paper.end("b", 2)
    paper.end("c", 3)
    assert (paper.state, paper.value(), paper.over) == ("succeeded", 3, ["failed", "failed", "succeeded"])


def test_only_a_workflow_that_has_failed_or_was_cancelled_is_retried():
    from penstock.workflow.machine import Machine

    paper = Paper().start(plan(job("a")))
    assert Machine(paper, 0.0).retry() is False
    paper.end("a", 1)
    assert Machine(paper, 0.0).retry() is False


def test_members_that_failed_or_were_held_run_again():
    paper = Paper(steps_max=2).start(plan(group("g", 4), out=0), Members(0, jobs(3)))
    paper.end("g", 0, place=0)
    paper.end("g", FAILED, place=1)
    paper.settle()
    paper.end("g", "cancelled", place=2)
    assert paper.state == "failed"
    paper.tell(("retry", ()))
    paper.settle()
    assert sorted(one.place for one in paper.live()) == [1, 2]
    paper.add(Members(0, jobs(1)))
    for place in (1, 2, 3):
        paper.end("g", place, place=place)
    assert paper.value() == [0, 1, 2, 3]


def test_what_was_undone_runs_again_and_what_takes_it_gets_the_new_value():
    undo = callback()
    steps = [job("a", compensation=undo), group("g", 2, takes=[Take(0)])]
    paper = Paper().start(plan(*steps, out=1), Members(1, jobs(2)))
    paper.end("a", "first")
    paper.settle()
    paper.end("g", 0, place=0)
    paper.end("g", FAILED, place=1)
    paper.end(next(one for one in paper.live() if one.kind == "compensation"))
    paper.tell(("retry", ()))
    assert paper.job("a").runs == 2
    paper.end("a", "second")
    paper.settle()
    assert paper.arguments("g", 1) == ["second"]
    paper.end("g", 1, place=1)
    assert paper.value() == [0, 1]


def test_a_group_that_was_undone_runs_whole_again():
    paper = Paper().start(
        plan(group("g", 2, compensation=callback()), job("x", block=Block(0, 1, 1, 1), into=True), job("b", after=[0])),
        Members(0, jobs(1), first=0),
    )
    paper.end("g", 0, place=0)
    paper.end("x", 1)
    paper.end("b", FAILED)
    paper.end(paper.live()[0])
    paper.tell(("retry", ()))
    paper.settle()
    assert paper.states == {"g": "running", "x": "running", "b": "waiting"}
    assert (paper.job("g", 0).runs, paper.job("x").runs) == (2, 2)


def test_what_a_job_returned_goes_on_where_it_failed():
    paper = Paper().start(plan(job("a"), out=0))
    paper.end("a", plan(job("x"), job("y", takes=[Take(0)]), out=1))
    paper.end("x (1)", 1)
    paper.end("y (2)", FAILED)
    paper.tell(("retry", ()))
    paper.settle()
    assert (paper.job("a").runs, paper.job("x (1)").runs, paper.job("y (2)").runs) == (1, 1, 2)
    paper.end("y (2)", 2)
    assert paper.value() == 2


def test_a_retry_has_its_deadline_anew():
    paper = Paper().start(plan(job("a"), deadline_s=10))
    paper.now += 8
    paper.end("a", FAILED)
    assert paper.alarms == {}
    paper.tell(("retry", ()))
    assert paper.alarms == {None: paper.now + 10}


def test_an_alternative_that_failed_stands_by_again():
    block = Block(0, 1, 1)
    paper = Paper().start(plan(job("a", alternative=block), job("b", block=block, into=True), out=0))
    paper.end("a", FAILED)
    paper.end("b", FAILED)
    paper.tell(("retry", ()))
    assert paper.states == {"a": "running", "b": "waiting"}
    paper.end("a", 1)
    assert (paper.states["b"], paper.value()) == ("skipped", 1)
