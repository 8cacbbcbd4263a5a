"""Members are added, held, handed out; groups are closed and abandoned."""

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption
from penstock.model.workflow_plan import Block, Members, Take
from penstock.workflow.machine import Machine
from tests.unit.workflow.paper import FAILED, Paper, group, job, jobs, plan


def opened(**options) -> Paper:
    return Paper().start(plan(group("g", **options), job("c", takes=[Take(0)]), out=0))


def test_an_open_group_ends_when_it_has_been_closed():
    paper = opened()
    paper.add(Members(0, jobs(2)))
    paper.end("g", 0, place=0)
    paper.end("g", 1, place=1)
    assert paper.states["g"] == "running"
    paper.add(Members(0, jobs(1)), close=[0])
    assert paper.states["g"] == "running"
    paper.end("g", 2, place=2)
    assert paper.arguments("c") == [[0, 1, 2]]
    assert paper.alarms == {}


def test_closing_is_the_end_if_all_have_ended():
    paper = opened()
    paper.add(Members(0, jobs(1)))
    paper.end("g", 0, place=0)
    paper.add(close=[0])
    paper.add(close=[0])
    assert paper.arguments("c") == [[0]]


def test_a_closed_group_takes_members_from_its_own_members_alone():
    paper = opened()
    paper.add(Members(0, jobs(1)), close=[0])
    with pytest.raises(Conflict, match="'g' is closed"):
        paper.add(Members(0, jobs(1)))
    paper.add(Members(0, jobs(2)), by_member=True)
    for place in range(3):
        paper.end("g", place, place=place)
    assert paper.arguments("c") == [[0, 1, 2]]


def test_members_of_members_come_after_those_that_were_planned():
    paper = Paper().start(plan(group("g", 3), job("c", takes=[Take(0)])), Members(0, jobs(1), first=0))
    paper.add(Members(0, jobs(1)), by_member=True)
    paper.add(Members(0, jobs(2), first=1))
    for place in range(4):
        paper.end("g", place, place=place)
    assert paper.arguments("c") == [[0, 1, 2, 3]]


def test_a_group_that_has_ended_takes_no_more():
    paper = opened()
    paper.add(Members(0, jobs(1)))
    paper.end("g", FAILED, place=0)
    for by_member in (False, True):
        with pytest.raises(Conflict, match="has ended"):
            paper.add(Members(0, jobs(1)), by_member=by_member)


def test_a_group_takes_only_the_members_that_were_planned():
    paper = Paper().start(plan(group("g", 2), job("c")), Members(0, jobs(1)))
    with pytest.raises(InvalidOption, match="has 2 members"):
        paper.add(Members(0, jobs(2)))
    with pytest.raises(Conflict, match="has 1 of 2"):
        paper.add(close=[0])


def test_only_groups_have_members():
    paper = Paper().start(plan(job("a")))
    machine = Machine(paper, 0.0)
    with pytest.raises(InvalidOption):
        machine.place_members(0, 1)
    with pytest.raises(InvalidOption):
        machine.close_group(0)


def test_a_group_has_only_so_many(monkeypatch):
    monkeypatch.setattr(limits, "GROUP_MEMBERS_MAX", 2)
    paper = opened()
    with pytest.raises(InvalidOption):
        paper.add(Members(0, jobs(3)))


def test_members_are_held_until_the_group_starts_and_are_given_what_it_takes():
    paper = Paper(steps_max=2).start(plan(job("a"), group("g", 5, takes=[Take(0)]), out=1), Members(1, jobs(3)))
    paper.add(Members(1, jobs(1)))
    paper.end("a", "x")
    assert paper.live() == []
    paper.tick()
    assert len(paper.live()) == 2, "a bounded number at a time"
    paper.add(Members(1, jobs(1)))
    paper.settle()
    assert [paper.arguments("g", place) for place in range(5)] == [["x"]] * 5
    for place in range(5):
        paper.end("g", place, place=place)
    assert paper.value() == [0, 1, 2, 3, 4]


def test_held_members_of_a_group_that_never_starts_count_as_cancelled():
    paper = Paper().start(plan(job("a"), group("g", 3, after=[0])), Members(1, jobs(3)))
    paper.end("a", FAILED)
    assert (paper.state, paper.workflow().members) == ("failed", (3, 0, 0, 3))


@pytest.mark.parametrize("total", [None, 3])
def test_a_group_that_its_producer_abandoned_fails(total):
    paper = Paper().start(plan(group("g", total, open_s=10.0)), Members(0, jobs(1)))
    paper.now += 9
    paper.add(Members(0, jobs(1)))
    paper.now += 9
    paper.settle()
    assert paper.states["g"] == "running"
    paper.now += 1
    paper.settle()
    assert paper.states["g"] == "failed"
    for place in range(2):
        paper.end("g", "cancelled", place=place)
    assert (paper.state, paper.workflow().error.type) == ("failed", "GroupAbandoned")


def test_a_group_that_was_abandoned_may_close_with_what_it_has():
    paper = Paper().start(plan(group("g", open_s=10.0, closes=True), out=0), Members(0, jobs(1)))
    paper.end("g", 1, place=0)
    paper.now += 10
    paper.settle()
    assert paper.value() == [1]


def test_a_group_that_is_abandoned_before_it_starts_fails_too():
    paper = Paper().start(plan(job("a"), group("g", after=[0], open_s=10.0)))
    paper.now += 10
    paper.settle()
    paper.end("a", "cancelled")
    assert paper.states == {"a": "cancelled", "g": "failed"}


def test_the_group_around_a_step_is_the_innermost():
    inner = Block(1, 2, 2, 0)
    paper = Paper().start(
        plan(group("g", 1), group("h", 1, block=Block(0, 1, 2, 0)), job("x", block=inner), job("top"))
    )
    machine = Machine(paper, 0.0)
    assert [machine.group_around(number) for number in range(4)] == [None, 0, 1, None]


def test_members_that_come_with_the_plan_of_a_group_that_is_skipped_wait_for_ever():
    block = Block(0, 1, 1)
    paper = Paper().start(
        plan(group("g", 0, alternative=block), group("h", 2, block=block, into=True), out=0), Members(1, jobs(2))
    )
    assert (paper.state, paper.states["h"], paper.live()) == ("succeeded", "skipped", [])


def test_the_ends_of_many_members_of_one_batch_are_one_call():
    paper = Paper().start(plan(group("g", 3), out=0), Members(0, jobs(3)))
    for one in paper.live():
        one.state, one.result = "succeeded", b"m\x01"
    machine = Machine(paper, 0.0)
    machine.members_ended(0, succeeded=3, result_bytes=3)
    paper._do(machine)
    assert (paper.state, paper.value()) == ("succeeded", [1, 1, 1])
