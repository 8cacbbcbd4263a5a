"""Producers that are killed half-way through a large group: it says that it is open, and is closed, failed or cancelled
when its time has come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from penstock import JobCancelled, JobFailed
from penstock.model.ids import id_text
from penstock.model.workflow_views import StepState
from penstock.tasks.app import Penstock

from .conftest import SOURCES, until
from .test_worker import HERE, Site
from .test_worker import site as site  # noqa: PLC0414 - a fixture

WAIT_S = 90.0
OPEN_S = 5.0
DEADLINE_S = 10.0
HOUR_S = 3_600.0
MADE = 500
PRODUCER = """
import sys
from penstock import chord, group
from group_app import total, weigh

way, open_s, deadline_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])

def members():
    # What they weigh fills the first call and some more.
    for number in range(MADE):
        yield weigh.options(queue=way).s(number, bytes(36_000))
    print("half-way", flush=True)
    sys.stdin.readline()

header = group(members(), open_s=open_s, on_abandoned="close" if way == "close" else "fail")
chord(header, total.options(queue=way).s()).options(name=way, deadline_s=deadline_s).enqueue()
"""


class Abandoned:
    """The workflow of a producer that was killed when it had sent some of its members."""

    def __init__(self, site: Site, app: Penstock, way: str, open_s: float, deadline_s: float) -> None:
        source = PRODUCER.replace("MADE", str(MADE))
        producer = subprocess.Popen(
            [sys.executable, "-c", source, way, str(open_s), str(deadline_s)],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([str(SOURCES), str(HERE)]), "PENSTOCK_URL": str(site.store)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with producer:
            assert producer.stdout.readline() == "half-way\n"
            producer.kill()
        [view] = site.client.workflows(name=way).workflows
        self.workflow = app.workflow(id_text(view.id))

    def group(self) -> Any:
        return self.workflow.steps()[0]

    def sent(self) -> int:
        """How many members it has, which is open: more than fit into the first call, and not all."""
        group = self.group()
        assert (group.kind, group.state, group.total) == ("group", StepState.RUNNING, None)
        assert 0 < group.members.total < MADE
        return group.members.total


@pytest.fixture
def app(site: Site) -> Any:
    app = Penstock(str(site.store))
    yield app
    app.close()


def counts(site: Site, queue: str) -> Any:
    return site.client.queues(names=[queue]).queues[0].counts


def test_a_group_that_was_abandoned_fails_at_its_time_or_at_that_of_its_workflow(site: Site, app: Penstock) -> None:
    """No worker is there: none of the members runs, and none will."""
    late = Abandoned(site, app, "deadline", HOUR_S, DEADLINE_S)
    abandoned = Abandoned(site, app, "fail", OPEN_S, HOUR_S)
    sent = abandoned.sent()
    with pytest.raises(JobFailed, match=f"Nothing was added to the group for 5 s.* it has {sent} members") as caught:
        abandoned.workflow.result(WAIT_S)
    assert caught.value.type == "GroupAbandoned"
    assert [step.state for step in abandoned.workflow.steps()] == [StepState.FAILED, StepState.CANCELLED]
    found = until(lambda: (now := counts(site, "fail")).cancelled_total == sent and now)
    assert (found.accepted_total, found.ready, found.unaccounted()) == (sent, 0, 0)

    with pytest.raises(JobFailed, match="not over within 10 s") as caught:
        late.workflow.result(WAIT_S)
    assert caught.value.type == "DeadlineExceeded"
    assert {step.state for step in late.workflow.steps()} == {StepState.CANCELLED}
    found = until(lambda: (now := counts(site, "deadline")).ready == 0 and now)
    assert found.cancelled_total == found.accepted_total == late.group().members.total > 0


def test_one_that_is_to_be_closed_goes_on_with_the_members_that_it_has(site: Site, app: Penstock) -> None:
    site.work("group_app:app", executors=1).wait_ready()
    abandoned = Abandoned(site, app, "close", OPEN_S, HOUR_S)
    sent = abandoned.sent()
    # An owner that dies meanwhile forgets neither the members nor the time.
    os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
    assert abandoned.workflow.result(WAIT_S) == [sent, sum(range(sent))]
    found = until(lambda: (now := counts(site, "close")).running == 0 and now)
    assert (found.accepted_total, found.succeeded_total) == (sent + 1, sent + 1)

    waiting = Abandoned(site, app, "cancel", HOUR_S, HOUR_S)
    until(lambda: waiting.workflow.why(0) == "it is open: its producer may add members")
    assert waiting.group().members.succeeded == waiting.sent()
    waiting.workflow.cancel()
    with pytest.raises(JobCancelled):
        waiting.workflow.result(WAIT_S)
    assert counts(site, "cancel").accepted_total == waiting.group().members.total
