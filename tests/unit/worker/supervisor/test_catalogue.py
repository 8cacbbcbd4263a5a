"""What a supervisor knows of tasks."""

from __future__ import annotations

from penstock.model import limits
from penstock.worker.messages import LaneOrder, TaskSheet
from penstock.worker.supervisor.catalogue import Catalogue


def sheet(name: str, lane: str, timeout_s: float | None = None) -> TaskSheet:
    return TaskSheet(name, lane, timeout_s, True, 5, "exponential", 1.0, 2.0, 60.0, True, 5.0)


def test_an_executor_has_the_lanes_that_tasks_ask_for() -> None:
    catalogue = Catalogue([sheet("a", "async"), sheet("t", "thread")], 300)
    assert catalogue.orders == [LaneOrder("async", 300), LaneOrder("thread", limits.THREADS_MAX)]


def test_an_application_without_tasks_has_a_lane_all_the_same() -> None:
    assert Catalogue().orders == [LaneOrder("process", 1)]


def test_time_limits_are_known_by_name() -> None:
    catalogue = Catalogue([sheet("a", "async", 2.0)])
    assert (catalogue.limit_of("a"), catalogue.limit_of("b"), catalogue.sheet(None)) == (2.0, None, None)


def test_the_store_is_asked_for_every_task_by_name() -> None:
    assert Catalogue([sheet("a", "async"), sheet("t", "thread")]).names == ["a", "t"]
    assert Catalogue().names == []


def test_a_sheet_is_found_by_name() -> None:
    one = sheet("a", "async", 2.0)
    assert (Catalogue([one]).sheet("a"), Catalogue([one]).sheet("b")) == (one, None)
