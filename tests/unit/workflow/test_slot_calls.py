"""What a schedule starts at a slot."""

from itertools import islice
from uuid import UUID

import pytest

from penstock.model.entry import JobEntry, JobGroup
from penstock.model.ids import id_text
from penstock.model.schedules import Schedule
from penstock.model.workflow_plan import Callback, GroupPlan, Members, StepPlan, WorkflowPlan
from penstock.workflow.schedule_rows import Standing
from penstock.workflow.slot_calls import NO_ID, calls_of, job_of, run_ids, without_ids, workflow_of

NOW = 1_800_000_000.25
STANDING = Standing(7, "nightly", NOW - 60, NOW - 60)


def call(name="app.work", **options):
    return JobGroup(name, [JobEntry(b"i" * 16, b"m", 0)], **options)


PLAN = WorkflowPlan(
    b"p" * 16,
    "w",
    [
        StepPlan("a", call("a"), compensation=Callback(call("undo")), on_success=[Callback(call("told"))]),
        StepPlan("b", group=GroupPlan(2), on_error=[Callback(call("step failed"))]),
    ],
    on_success=[Callback(call("done"))],
    on_error=[Callback(call("failed"))],
    identity=(1, 2),
)
MEMBERS = [Members(1, [JobGroup("member", [JobEntry(b"x" * 16, b"m", 0), JobEntry(b"y" * 16, b"m", 0)])])]
WORKFLOW = Schedule("nightly", plan=PLAN, members=MEMBERS, every_s=60.0)


def test_the_job_of_a_slot():
    schedule = Schedule("nightly", call=call(headers={"slot": "theirs", "a": "b"}), every_s=60.0)
    group = job_of(schedule, NOW, iter([b"j" * 16]))
    assert [entry.id for entry in group.jobs] == [b"j" * 16]
    assert group.headers == {"a": "b", "schedule": "nightly", "slot": "2027-01-15T08:00:00.250000Z"}
    assert job_of(schedule, NOW - 0.25, iter([b"j" * 16])).headers["slot"] == "2027-01-15T08:00:00Z"


def all_ids(plan, members):
    calls = [step.call for step in plan.steps if step.call]
    calls += [step.compensation.call for step in plan.steps if step.compensation]
    calls += [one.call for step in plan.steps for one in [*step.on_success, *step.on_error]]
    calls += [one.call for one in [*plan.on_success, *plan.on_error]]
    calls += [group for added in members for group in added.groups]
    return calls, [plan.id, *(entry.id for group in calls for entry in group.jobs)]


def test_all_of_a_workflow_has_ids_of_its_own_and_is_told_the_slot():
    plan, members = workflow_of(WORKFLOW, NOW, run_ids(STANDING, 1, NOW))
    calls, ids = all_ids(plan, members)
    assert len(ids) == len(set(ids)) == 1 + 6 + 2
    assert all(UUID(bytes=one).version == 7 for one in ids)
    assert {group.headers["schedule"] for group in calls} == {"nightly"}
    assert {group.task for group in calls} == {group.task for group in calls_of(WORKFLOW, NOW)}


def test_as_it_is_kept_it_has_none_and_is_the_same_again():
    other = Schedule("nightly", plan=workflow_of(WORKFLOW, NOW, run_ids(STANDING, 1, NOW))[0], every_s=60.0)
    kept = without_ids(WORKFLOW)
    assert set(all_ids(kept.plan, kept.members)[1]) == {NO_ID}
    assert kept.plan.identity is None
    assert without_ids(other).plan.id == NO_ID
    assert without_ids(kept) == kept
    assert without_ids(Schedule("s")) == Schedule("s")


def test_ids_are_of_this_moment_and_follow_from_the_run():
    first = list(islice(run_ids(STANDING, 1, NOW), 50))
    assert first == list(islice(run_ids(STANDING, 1, NOW), 50))
    assert len(set(first)) == 50
    for one in first:
        made = UUID(id_text(one))
        assert (made.version, made.variant, made.int >> 80) == (7, "specified in RFC 4122", int(NOW * 1_000))


@pytest.mark.parametrize(
    "other",
    [
        (STANDING, 2, NOW),
        (STANDING, 1, NOW + 1e-6),
        (Standing(8, "nightly", NOW - 60, NOW), 1, NOW),
        (Standing(7, "hourly", NOW - 60, NOW), 1, NOW),
        (Standing(7, "nightly", NOW - 61, NOW), 1, NOW),
    ],
)
def test_other_runs_have_other_ids(other):
    assert next(run_ids(*other)) != next(run_ids(STANDING, 1, NOW))
