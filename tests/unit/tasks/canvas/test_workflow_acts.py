"""When a workflow can be cancelled, paused, resumed, retried or deleted."""

from __future__ import annotations

import pytest

from penstock.model.errors import Conflict
from penstock.model.ids import new_id
from penstock.model.workflow_views import WorkflowState, WorkflowView
from penstock.tasks.canvas.workflow_acts import check_act

S = WorkflowState
MAY = {
    "cancel": {S.RUNNING, S.STOPPING, S.COMPENSATING, S.CANCELLED},
    "pause": {S.RUNNING, S.STOPPING, S.COMPENSATING},
    "resume": {S.RUNNING, S.STOPPING, S.COMPENSATING},
    "retry": {S.FAILED, S.CANCELLED},
    "delete": {S.SUCCEEDED, S.FAILED, S.CANCELLED},
}


@pytest.mark.parametrize("verb", MAY)
@pytest.mark.parametrize("state", S)
def test_what_can_be_done_in_which_state(verb, state):
    view = WorkflowView(new_id(), "report", state, 0.0)
    if state in MAY[verb]:
        check_act(verb, view)
    else:
        with pytest.raises(Conflict, match=state.value):
            check_act(verb, view)
