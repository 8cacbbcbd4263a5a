import msgspec
import pytest

from penstock.model.entry import JobEntry, JobGroup
from penstock.model.workflow_plan import (
    Block,
    Callback,
    GroupPlan,
    Members,
    OnFailure,
    Output,
    StepPlan,
    Take,
    WorkflowPlan,
)

CALL = JobGroup("task", [JobEntry(b"i" * 16, b"m\x92\x90\x80", 1)])
STEP = StepPlan(
    "step",
    CALL,
    takes=[Take(0), Take(1, "rows", streams=True)],
    after=[1, 2],
    block=Block(3, 4, 5, 6),
    into=True,
    alternative=Block(4, 5, 5),
    compensation=Callback(CALL),
    on_error=[Callback(CALL, takes=False)],
    part="name",
)
PLAN = WorkflowPlan(
    b"w" * 16,
    "name",
    [StepPlan("group", group=GroupPlan(3, 1, OnFailure.FINISH)), STEP],
    [Output(1, "name")],
    on_success=[Callback(CALL)],
    identity=(1, 2),
)


@pytest.mark.parametrize("record", [PLAN, STEP, Members(3, [CALL], 7)])
def test_it_is_its_own_wire_form(record):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=type(record)) == record


def test_a_step_needs_what_it_takes_and_what_it_comes_after():
    assert STEP.needs() == {0, 1, 2}
    assert PLAN.steps[0].needs() == set()
