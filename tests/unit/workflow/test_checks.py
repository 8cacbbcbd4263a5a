from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.entry import JobEntry, JobGroup
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.workflow_plan import Block, Callback, Members, Output, StepPlan, Take
from penstock.workflow.checks import check_first_members, check_members, check_plan
from tests.unit.workflow.paper import call, callback, group, job, jobs, plan


def refused(*steps: StepPlan, says: str, **options: Any) -> None:
    with pytest.raises(InvalidOption, match=says):
        check_plan(plan(*steps, **options), 0.0)


def with_key() -> JobGroup:
    one = call(1)
    return replace(one, jobs=[replace(one.jobs[0], idempotency_key="k")])


def as_json() -> JobGroup:
    return JobGroup("t", [JobEntry(b"1" * 16, b"j[[],{}]", 0)])


def test_a_sound_plan_passes():
    check_plan(plan(job("a"), group("g", 2, takes=[Take(0)]), out=1, deadline_s=1, identity=(1, 2)), 0.0)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "has no step"),
        ([job("a"), job("a")], "'a' has the name of another"),
        ([job("")], "name of a step has 1 to 200"),
        ([StepPlan("a")], "'a' is either a job or a group"),
        ([replace(job("a"), group=group("g").group)], "'a' is either a job or a group"),
        ([StepPlan("a", JobGroup("t", []))], "'a' has 0 jobs"),
        ([StepPlan("a", JobGroup("t", [*call(1).jobs, *call(2).jobs]))], "'a' has 2 jobs"),
        ([StepPlan("a", with_key())], "'a' has a job with an idempotency key"),
        ([job("a"), StepPlan("b", as_json(), takes=[Take(0)])], "'b' takes values"),
        ([group("g", -1)], "'g' has -1 members"),
        ([group("g", limits.GROUP_MEMBERS_MAX + 1)], "GROUP_MEMBERS_MAX"),
        ([group("g", 1, failures_max=-1)], "'g' allows -1 failures"),
        ([group("g", open_s=0.0)], "'g' is abandoned after 0"),
        ([job("a"), job("b", takes=[Take(0, "x"), Take(0, "x")])], "'b' takes two values by the same name"),
        ([job("a", part="x")], "'a' names a part"),
        ([job("a", on_error=[Callback(JobGroup("t", []))])], "'a': a callback is one job"),
        ([job("a", compensation=Callback(with_key()))], "'a': a callback is one job"),
        ([job("a", on_success=[Callback(as_json())])], "'a': a callback that is given"),
    ],
)
def test_what_is_not_sound_is_refused_and_names_the_step(steps, says):
    refused(*steps, says=says)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"outputs": [Output(1)]}, "step 1, which is not there"),
        ({"outputs": [Output(0), Output(0, "x")]}, "the value of one step, or several"),
        ({"outputs": [Output(0, "x"), Output(0, "x")]}, "the value of one step, or several"),
        ({"deadline_s": 0.0}, "deadline"),
        ({"keep_s": -1.0}, "kept for"),
        ({"idempotency_key": "k" * 257}, "at most 256 bytes"),
        ({"identity": (-1, 0)}, "CRC-32"),
        ({"on_success": [Callback(as_json())]}, "msgpack"),
    ],
)
def test_what_is_said_of_the_whole_is_checked_too(options, says):
    refused(job("a"), says=says, **options)


def test_an_id_has_16_bytes():
    with pytest.raises(InvalidOption, match="16 bytes"):
        check_plan(replace(plan(job("a")), id=b"x"), 0.0)


def test_a_workflow_has_only_so_many_steps_those_that_are_there_included():
    one = plan(job("a"), job("b"))
    check_plan(one, 0.0, there=limits.WORKFLOW_STEPS_MAX - 2)
    with pytest.raises(InvalidOption, match="WORKFLOW_STEPS_MAX"):
        check_plan(one, 0.0, there=limits.WORKFLOW_STEPS_MAX - 1)


def test_a_callback_that_is_given_nothing_may_have_any_arguments():
    check_plan(plan(job("a", on_success=[Callback(as_json(), takes=False)])), 0.0)


def test_bodies_are_checked():
    big = JobGroup("t", [JobEntry(b"1" * 16, b"m" * (limits.JOB_BODY_BYTES_MAX + 1), 0)])
    with pytest.raises(BodyTooLarge):
        check_plan(plan(StepPlan("a", big)), 0.0)
    with pytest.raises(BodyTooLarge):
        check_plan(plan(job("a", compensation=replace(callback(), call=big))), 0.0)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        (Members(2, jobs(1)), "no step 2"),
        (Members(0, jobs(1)), "'a' is a job"),
        (Members(1, jobs(2), first=2), "no places 2 to 3"),
        (Members(1, jobs(1), first=-1), "no places"),
        (Members(3, jobs(1), first=0), "'o' has no places"),
        (Members(1, [with_key()]), "idempotency key"),
        (Members(1, [as_json()]), "'g' takes values"),
    ],
)
def test_members_are_checked(members, says):
    steps = dict(enumerate([job("a"), group("g", 3, takes=[Take(0)]), job("b"), group("o")]))
    del steps[2]
    with pytest.raises(InvalidOption, match=says):
        check_members(steps.get, [members], 0.0)
    check_members(steps.get, [Members(1, jobs(2), first=1), Members(3, [as_json()])], 0.0)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([Members(0, jobs(2), first=0)], "'g' has several members at one place"),
        ([Members(0, jobs(1), first=2), Members(0, jobs(1), first=2)], "'g' has several"),
        ([Members(0, jobs(1), first=2), Members(0, jobs(1))], "'g' has 3 members and no more"),
        ([Members(0, jobs(1)), Members(0, jobs(1))], "'g' has several"),
        ([Members(0, jobs(4))], "'g' has 3 members"),
        ([Members(3, jobs(2), first=1)], None),
        ([Members(0, jobs(1), first=0), Members(0, jobs(1), first=2), Members(4, jobs(9)), Members(4, jobs(9))], None),
    ],
)
def test_members_that_come_with_a_plan_have_places_of_their_own(members, says):
    """A block that stands in for a group is at no place of it."""
    first, instead = Block(0, 1, 1, 1), Block(0, 2, 2)
    whole = plan(
        group("g", 3, alternative=instead),
        job("b", block=first, into=True),
        job("c", block=instead, into=True),
        group("h", 3),
        group("o"),
    )
    check_plan(whole, 0.0)
    if says is None:
        check_first_members(whole, members)
        return
    with pytest.raises(InvalidOption, match=says):
        check_first_members(whole, members)
