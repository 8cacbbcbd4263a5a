import msgspec
import pytest

from penstock.model.job import JobError
from penstock.model.workflow_views import (
    MembersAdded,
    ResultsPage,
    StepsPage,
    StepState,
    StepView,
    WorkflowsPage,
    WorkflowStarted,
    WorkflowState,
    WorkflowView,
)

STEP = StepView(3, "step", "group", None, StepState.RUNNING, needs=[1], members=(3, 1, 1, 0), error=JobError("E", "m"))
VIEW = WorkflowView(b"w" * 16, "name", WorkflowState.STOPPING, 1.5, steps={"running": 2}, members=(3, 2, 1, 0))


@pytest.mark.parametrize(
    "record",
    [
        VIEW,
        STEP,
        WorkflowsPage([VIEW], "cursor"),
        StepsPage([STEP]),
        ResultsPage([b"m\x01", None], 5, 7, 9),
        WorkflowStarted(b"w" * 16, conflict=True),
        MembersAdded(1, 2),
    ],
)
def test_it_is_its_own_wire_form(record):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=type(record)) == record
