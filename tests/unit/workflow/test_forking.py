"""A fork: a step and all that needs it run anew, in a copy."""

from __future__ import annotations

import pytest

from penstock.model.errors import Conflict, InvalidOption, WorkflowNotFound
from penstock.model.workflow_plan import Block, Members, Take
from tests.unit.workflow.paper import FAILED, Paper, callback, group, job, jobs, plan


def finished() -> Paper:
    steps = [job("a"), job("b", takes=[Take(0)]), job("c", takes=[Take(0)]), job("d", takes=[Take(1), Take(2)])]
    paper = Paper().start(plan(*steps, out=3, on_success=[callback()]))
    for name in "abcd":
        paper.end(name, name)
    return paper


def test_a_fork_runs_a_step_and_what_needs_it_with_new_jobs():
    paper = finished()
    fork = paper.fork(1)
    assert fork.states == {"a": "succeeded", "b": "running", "c": "succeeded", "d": "waiting"}
    assert fork.workflow().forked_from == paper.id
    assert not fork.jobs.keys() & paper.jobs.keys()
    fork.end("b", "new")
    assert fork.arguments("d") == ["new", "c"]
    fork.end("d", "end")
    assert (fork.value(), paper.value()) == ("end", "d")
    assert not dict(fork.called).keys() & dict(paper.called).keys()


def test_a_fork_of_a_fork_finds_what_stands_in_either():
    fork = finished().fork(1)
    fork.end("b", "new")
    fork.end("d", "end")
    again = fork.fork(3)
    assert again.arguments("d") == ["new", "c"]


def test_what_had_not_succeeded_runs_anew_as_well():
    paper = Paper().start(plan(job("a"), job("b"), job("c", after=[1])))
    paper.end("a", 1)
    paper.end("b", FAILED)
    assert paper.fork(0).states == {"a": "running", "b": "running", "c": "waiting"}


def test_members_are_copied_to_their_places():
    steps = [job("a"), group("g", 2, takes=[Take(0)]), job("x", block=Block(1, 2, 2, 0), into=True)]
    paper = Paper().start(plan(*steps, out=1), Members(1, jobs(1, "m"), first=1))
    paper.end("a", 1)
    paper.settle()
    paper.end("x", "x")
    paper.end("g", "y", place=1)
    fork = paper.fork(0)
    fork.end("a", 2)
    fork.settle()
    assert fork.arguments("g", 1) == ["m", 2]
    fork.end("g", "z", place=1)
    fork.end("x", "w")
    assert fork.value() == ["w", "z"]
    assert fork.fork(1).settle().arguments("g", 1) == ["m", 2]


def test_what_a_job_returned_is_left_out_when_it_runs_anew():
    paper = Paper().start(plan(job("a"), out=0))
    paper.end("a", plan(job("x"), out=0))
    paper.end("x (1)", 1)
    fork = paper.fork(0)
    assert fork.states == {"a": "running", "x (1)": "skipped"}
    fork.end("a", FAILED)
    fork.tell(("retry", ()))
    assert fork.states == {"a": "running", "x (1)": "skipped"}
    fork.end("a", 2)
    assert fork.value() == 2


def test_nothing_that_stands_is_undone():
    paper = Paper().start(plan(job("a", compensation=callback()), job("b", after=[0])))
    paper.end("a", 1)
    paper.end("b", 1)
    fork = paper.fork(1)
    fork.end("b", FAILED)
    assert (fork.state, fork.live()) == ("failed", [])


def test_what_cannot_be_forked_is_refused_by_name():
    paper = Paper().start(plan(job("a"), group("g", 1), job("x", block=Block(1, 2, 2, 0)), job("b", after=[0])))
    with pytest.raises(WorkflowNotFound):
        paper.fork(4)
    with pytest.raises(InvalidOption, match="'x' is inside of 'g'"):
        paper.fork(2)
    with pytest.raises(Conflict, match="'b' needs 'a', which has not succeeded"):
        paper.fork(3)
