"""What stores answer about workflows, and why a step waits."""

import pytest

from penstock.model.errors import InvalidOption
from penstock.model.workflow_plan import Block, Members, Take
from penstock.model.workflow_views import StepState, WorkflowState
from penstock.workflow.views import (
    cursor_after_step,
    cursor_before_workflow,
    step_after,
    step_view,
    workflow_before,
    workflow_view,
)
from tests.unit.workflow.paper import FAILED, Paper, group, job, jobs, plan


def views(paper):
    return [step_view(number, *paper.step(number), paper.workflow()) for number in range(len(paper.facts))]


def reasons(paper):
    return [view.reason for view in views(paper)]


def test_a_workflow_shows_counts_and_when_its_record_goes():
    paper = Paper().start(plan(group("g", 3), job("c", takes=[Take(0)]), keep_s=50.0), Members(0, jobs(3)))
    view = workflow_view(paper.id, paper.plan, paper.workflow())
    assert (view.id, view.state, view.steps) == (paper.id, WorkflowState.RUNNING, {"running": 1, "waiting": 1})
    assert (view.members, view.finished_at, view.keep_until) == ((3, 0, 0, 0), None, None)
    for place in range(3):
        paper.end("g", 1, place=place)
    paper.end("c", 1)
    view = workflow_view(paper.id, paper.plan, paper.workflow())
    assert (view.state, view.members) == (WorkflowState.SUCCEEDED, (3, 3, 0, 0))
    assert view.keep_until == view.finished_at + 50.0


def test_a_step_shows_its_job_once_there_is_one_and_a_group_its_members():
    paper = Paper().start(plan(job("a"), job("b", after=[0]), group("g")))
    first, second, third = views(paper)
    assert first.job == paper.job("a").id
    assert (second.job, second.needs, second.kind, second.task) == (None, [0], "job", "t")
    assert (third.kind, third.task, third.total, third.members) == ("group", None, None, (0, 0, 0, 0))
    paper.end("a", FAILED)
    assert views(paper)[0].error == FAILED


def test_why_a_step_waits():
    block = Block(1, 2, 2)
    paper = Paper().start(
        plan(
            job("a"),
            job("b", alternative=block),
            job("c", block=block),
            job("d", after=[0]),
            job("e", after=[0, 1]),
            group("f"),
        )
    )
    assert reasons(paper) == [
        None,
        None,
        "it stands by, or what it is inside of has not started",
        "for the step it needs",
        "for 2 of the 2 steps that it needs",
        "it is open: its producer may add members",
    ]
    paper.tell(("pause", ()))
    paper.end("a", 1)
    paper.add(Members(5, jobs(1)))
    assert reasons(paper)[3:] == [
        "the workflow is paused",
        "for 1 of the 2 steps that it needs",
        "the workflow is paused",
    ]


def test_what_is_about_to_end_says_so():
    paper = Paper(steps_max=1).start(plan(job("a"), job("b"), *(job(f"c{at}", after=[1]) for at in range(5))))
    paper.tell(("cancel", ()))
    waiting = [view for view in views(paper) if view.state is StepState.WAITING]
    assert waiting
    assert {view.reason for view in waiting} == {"the workflow is going to be cancelled"}


def test_cursors_go_on_where_a_page_has_ended():
    assert workflow_before(cursor_before_workflow(7)) == 7
    assert workflow_before(None) > 1 << 60
    assert step_after(cursor_after_step(7)) == 8
    assert step_after(None) == 0


@pytest.mark.parametrize("cursor", ["", "w", "s1", "w-1", "w1x", "w" + "9" * 30])
def test_a_cursor_of_another_call_is_refused(cursor):
    with pytest.raises(InvalidOption, match="is no cursor of this call"):
        workflow_before(cursor)
