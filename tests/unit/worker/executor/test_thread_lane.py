"""An exception that is raised in a thread from outside, at any moment around the end of its job."""

from __future__ import annotations

import os
import socket
from typing import Any, cast

import pytest

from penstock.model.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from penstock.model.job import LeasedJob
from penstock.tasks.app import Penstock
from penstock.worker.executor.thread_lane import ThreadLane, _Thread
from penstock.worker.scoreboard import Scoreboard, scoreboard_fd

FENCE = 7


class Struck:
    """A thread in which exceptions are raised while it ends its job, one each time it tries."""

    slot = 0

    def __init__(self, *strikes: type[BaseException]) -> None:
        self.strikes = list(strikes)

    def begin(self, _fence: int) -> None:
        """As that of `_Thread`."""

    def end(self) -> None:
        """As that of `_Thread`, interrupted."""
        if self.strikes:
            raise self.strikes.pop(0)("late")


@pytest.fixture
def lane() -> Any:
    fd = scoreboard_fd(1)
    board = Scoreboard(fd, 1)
    os.close(fd)
    mine, theirs = socket.socketpair()
    app = Penstock()
    kept = app.task(name="kept", executor="thread")(lambda: None)
    forgetting = app.task(name="forgetting", executor="thread", keep_result_s=0, keep_record_s=0)(lambda: None)
    yield ThreadLane(theirs, board, {"kept": kept, "forgetting": forgetting}, 1)
    mine.close()
    theirs.close()
    board.close()


@pytest.mark.parametrize("task", ["kept", "forgetting"])
@pytest.mark.parametrize(
    "strikes",
    [[TimeLimitExceeded], [SoftTimeLimitExceeded], [SoftTimeLimitExceeded, TimeLimitExceeded], []],
)
def test_a_job_has_one_outcome_whenever_its_limit_strikes(lane: Any, task: str, strikes: list[type[Exception]]) -> None:
    (plan,) = lane._attempts.plans([task])
    job = LeasedJob(bytes(16), 1, "default", b"m\x92\x90\x80", None)
    thread = Struck(*strikes)
    lane._run_started(cast(_Thread, thread), FENCE, plan, task, job)
    assert thread.strikes == []
    outbox = lane._outbox
    fences = [*outbox.forgotten, *(outcome.fence for outcome in outbox.outcomes)]
    assert fences == [FENCE]
    if strikes:
        assert [outcome.error.type for outcome in outbox.outcomes] == [strikes[-1].__name__]


def test_what_was_to_be_raised_in_a_job_is_not_raised_after_it(lane: Any) -> None:
    reached = list[str]()

    def work() -> None:
        thread.begin(FENCE)
        try:
            thread.raise_in(FENCE, TimeLimitExceeded)
            reached.append("too far")
        except TimeLimitExceeded:
            reached.append("raised")
        thread.end()
        thread.raise_in(FENCE, TimeLimitExceeded)
        reached.append("goes on")

    thread = _Thread(0, lane)
    thread.run = work
    thread.start()
    thread.join(20.0)
    assert not thread.is_alive()
    assert reached == ["raised", "goes on"]
