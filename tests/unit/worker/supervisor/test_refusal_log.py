"""What a worker says of jobs that it cannot run."""

from __future__ import annotations

import logging

import pytest

from penstock.worker.outcomes import unfit, unknown
from penstock.worker.supervisor import refusal_log as module
from penstock.worker.supervisor.lane_load import Piece
from penstock.worker.supervisor.refusal_log import RefusalLog

SAID = "this worker cannot run jobs of %s, and leaves them to others"


def test_a_task_and_a_reason_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    refusals = RefusalLog()
    with caplog.at_level(logging.WARNING):
        for fence in range(100):
            refusals.note("a.one", unknown("a.one", fence))
            refusals.note("a.two", unfit(fence, ValueError("a.two: argument 'x' is missing.")))
            refusals.note("a.two", unfit(fence, ValueError("a.two: takes no argument 'y'.")))
    assert refusals.count == 300
    assert [record.message for record in caplog.records] == [
        f"{SAID % 'a.one'}: No task named 'a.one' is known to this worker.",
        f"{SAID % 'a.two'}: a.two: argument 'x' is missing.",
        f"{SAID % 'a.two'}: a.two: takes no argument 'y'.",
    ]


def test_reasons_without_end_are_only_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_MAX", 3)
    refusals = RefusalLog()
    with caplog.at_level(logging.WARNING):
        for fence in range(10):
            refusals.note("t", unfit(fence, ValueError(f"value {fence}")))
    assert (refusals.count, len(caplog.records)) == (10, 3)


def test_a_leased_piece_of_unknown_tasks_is_refused_whole() -> None:
    refusals = RefusalLog()
    refused = refusals.of_unknown(Piece([4, 7, 9], ["a", "b", "c"], bytes([2, 0, 2]), [None] * 3))
    assert [(one.fence, one.is_unfit) for one in refused] == [(4, False), (7, False), (9, False)]
    assert ["'c'" in refused[0].error.message, "'a'" in refused[1].error.message] == [True, True]
    assert refusals.count == 3
