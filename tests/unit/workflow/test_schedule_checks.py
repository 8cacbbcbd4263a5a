"""What a schedule may be. What stores refuse is claimed in the conformance suite; here is how one is kept."""

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.entry import JobEntry, JobGroup
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.schedules import Schedule
from penstock.model.workflow_plan import StepPlan, WorkflowPlan
from penstock.workflow.schedule_checks import (
    check_declared,
    check_fires,
    check_schedule_name,
    checked,
)
from penstock.workflow.slot_calls import NO_ID

NOW = 1_800_000_000.0


def call(job_id=b"i" * 16, **options):
    return JobGroup("app.work", [JobEntry(job_id, b"m", 0)], **options)


def test_a_schedule_is_kept_without_ids_so_that_the_same_is_known_again():
    kept = [checked(Schedule("s", call=call(job_id), every_s=60.0), NOW) for job_id in (b"a" * 16, b"b" * 16)]
    assert kept[0] == kept[1]
    assert kept[0].call.jobs[0].id == NO_ID


def test_so_is_one_of_a_workflow():
    plans = [WorkflowPlan(one * 16, "w", [StepPlan("a", call(one * 16))]) for one in (b"a", b"b")]
    kept = [checked(Schedule("s", plan=plan, every_s=60.0), NOW) for plan in plans]
    assert kept[0] == kept[1]
    assert (kept[0].plan.id, kept[0].plan.steps[0].call.jobs[0].id) == (NO_ID, NO_ID)


def test_one_thing_is_started():
    plan = WorkflowPlan(b"a" * 16, "w", [StepPlan("a", call())])
    for options in ({}, {"call": call(), "plan": plan}):
        with pytest.raises(InvalidOption, match="one thing"):
            checked(Schedule("s", every_s=60.0, **options), NOW)
    with pytest.raises(InvalidOption, match="idempotency key"):
        checked(Schedule("s", every_s=60.0, plan=replace(plan, idempotency_key="k")), NOW)


def test_it_is_as_large_as_it_may_be():
    body = bytes(limits.SCHEDULE_BYTES_MAX)
    with pytest.raises(BodyTooLarge, match="SCHEDULE_BYTES_MAX"):
        checked(Schedule("s", every_s=60.0, call=JobGroup("t", [JobEntry(b"i" * 16, body, 0)])), NOW)


@pytest.mark.parametrize(("options", "fires"), [
    ({"at": NOW + 1}, True),
    ({"at": NOW - 1}, True),
    ({"at": NOW - limits.SCHEDULE_LATE_S - 1}, False),
    ({"every_s": 60.0, "end_at": NOW + 59}, False),
    ({"every_s": 60.0, "end_at": NOW + 60}, True),
    ({"cron": "* * * * *", "end_at": NOW - 1}, False),
])  # fmt: skip
def test_one_that_would_never_fire(options, fires):
    schedule = Schedule("s", call=call(), **options)
    if fires:
        check_fires(schedule, NOW)
        return
    with pytest.raises(InvalidOption, match="would never fire"):
        check_fires(schedule, NOW)


def test_declared_ones_have_their_application():
    (kept,) = check_declared([Schedule("s", call=call(), every_s=60.0)], "shop:app", NOW)
    assert kept.declared_by == "shop:app"
    assert check_declared([], "shop:app", NOW) == []
    with pytest.raises(InvalidOption, match="name of an application"):
        check_declared([], "x" * 1_001, NOW)


@pytest.mark.parametrize("name", ["a", "nightly.report", "a:b-c_d", "x" * 200])
def test_names(name):
    check_schedule_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a\n", "x" * 201])
def test_no_names(name):
    with pytest.raises(InvalidOption) as raised:
        check_schedule_name(name)
    assert raised.value.field == "name"
