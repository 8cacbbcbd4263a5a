"""What concerns many steps is done a bounded part at a time."""

from __future__ import annotations

import pytest

from penstock.model.workflow_plan import Block, Members
from tests.unit.workflow.paper import FAILED, Paper, group, job, jobs, plan


def test_only_so_many_steps_are_released_at_once():
    paper = Paper(steps_max=3).start(plan(job("a"), *(job(f"s{place}", after=[0]) for place in range(8))))
    paper.end("a", 1)
    assert len(paper.live()) == 3
    paper.tick()
    assert len(paper.live()) == 6
    paper.settle()
    assert len(paper.live()) == 8


def test_only_so_many_steps_are_cancelled_at_once():
    paper = Paper(steps_max=3).start(plan(job("a"), *(job(f"s{place}", after=[0]) for place in range(8))))
    paper.tell(("cancel", ()))
    assert list(paper.states.values()).count("cancelled") == 2
    paper.end("a", "cancelled")
    assert paper.state == "stopping"
    paper.settle()
    assert paper.state == "cancelled"


def test_blocks_of_a_group_are_opened_in_parts():
    blocks = [job(f"s{place}", block=Block(0, place + 1, place + 1, place)) for place in range(7)]
    paper = Paper(steps_max=2).start(plan(group("g", 7), *blocks, out=0)).settle()
    assert len(paper.live()) == 7


def test_what_was_released_does_not_start_once_all_is_to_end():
    paper = Paper(steps_max=1).start(plan(job("a"), *(job(f"s{place}", after=[0]) for place in range(5))))
    paper.settle()
    paper.end("a", 1)
    assert len(paper.live()) == 1
    paper.tell(("cancel", ()))
    paper.settle()
    assert [one.state for one in paper.live()] == ["asked"]


@pytest.mark.parametrize("steps_max", [1, 4])
def test_a_chain_of_thousands_of_steps_ends_in_parts(steps_max):
    """No step waits for the stack of another, and none is looked at twice."""
    count = 300
    chain = [job("0"), *(job(str(place), after=[place - 1]) for place in range(1, count))]
    paper = Paper(steps_max=steps_max).start(plan(*chain, on_failure="finish"))
    paper.settle()
    paper.end("0", FAILED)
    paper.settle()
    assert (paper.state, paper.workflow().counts["cancelled"]) == ("failed", count - 1)


def test_what_is_still_to_be_handed_out_after_a_resumption_waits_when_it_is_paused_again():
    groups = [group(f"g{place}", 2) for place in range(3)]
    paper = Paper(steps_max=1).start(plan(*groups)).settle()
    paper.tell(("pause", ()))
    paper.add(*(Members(place, jobs(2)) for place in range(3)))
    paper.tell(("resume", ()))
    paper.tell(("pause", ()))
    paper.settle()
    assert {one.step for one in paper.live()} == {0}
    paper.tell(("resume", ()))
    paper.settle()
    assert len(paper.live()) == 6
