from __future__ import annotations

import msgspec
import pytest

from penstock.model import limits
from penstock.model.entry import JobGroup
from penstock.model.workflow_plan import Block, Callback, Members, StepPlan, Take
from penstock.workflow import values
from tests.unit.workflow.paper import Paper, call, callback, group, job, jobs, plan


def done(**options) -> Paper:
    """A group whose second member is a block, and which is over."""
    paper = Paper().start(
        plan(group("g", 2, **options), job("x", block=Block(0, 1, 1, 1), into=True), out=0),
        Members(0, jobs(1), first=0),
    )
    paper.end("g", [1], place=0)
    paper.end("x", {"two": 2})
    return paper


def test_the_value_of_a_group_is_put_together_from_jobs_and_blocks():
    assert done().value() == [[1], {"two": 2}]


def test_what_it_takes_is_counted_as_it_is(monkeypatch):
    paper = done()
    size_bytes = len(values.workflow_value(paper)) - 1
    row = paper.step(0)[1]
    assert row.group.jobs_bytes + row.group.blocks_bytes >= size_bytes
    assert not values.is_reference(row)
    monkeypatch.setattr(limits, "RESULTS_INLINE_BYTES_MAX", size_bytes - 1)
    assert values.is_reference(row)


def test_a_group_inside_of_a_group_that_is_too_large_is_a_reference_there(monkeypatch):
    monkeypatch.setattr(limits, "RESULTS_INLINE_MAX", 1)
    inner = Block(0, 1, 1, 0)
    paper = (
        Paper().start(plan(group("g", 1), group("h", 2, block=inner, into=True), out=0), Members(1, jobs(2))).settle()
    )
    paper.end("h", 0, place=0)
    paper.end("h", 1, place=1)
    assert paper.value() == [(80, paper.id + b"\0\0\0\x01")]


@pytest.mark.parametrize("each", [False, True])
def test_every_call_of_a_job_is_given_what_its_step_takes(each):
    one = call(1 << 90, [1], [2])
    calls = JobGroup(one.task, one.jobs, each=each)
    paper = Paper().start(plan(job("a"), StepPlan("b", calls, takes=[Take(0)])))
    paper.end("a", "x")
    assert paper.arguments("b") == ([[1, "x"], [2, "x"]] if each else [[1], [2], "x"])


def test_a_member_takes_values_by_name():
    paper = Paper().start(plan(job("a"), group("g", 1, takes=[Take(0, "key")])), Members(1, jobs(1, 5)))
    paper.end("a", "x")
    paper.settle()
    assert msgspec.msgpack.decode(paper.job("g", 0).body[1:]) == [[5], {"key": "x"}]
    assert values.MemberBodies(paper, 1).changes
    assert not values.MemberBodies(paper, 0).changes


def test_a_compensation_that_takes_nothing_gets_the_call_as_it_is():
    bare: Callback = callback("c", takes=False)
    paper = Paper().start(plan(job("a", compensation=bare)))
    assert values.compensation_body(paper, 0) == bare.call.jobs[0].body


def test_a_workflow_without_outputs_has_no_value():
    paper = Paper().start(plan(job("a")))
    paper.end("a", 1)
    assert paper.value() is None
