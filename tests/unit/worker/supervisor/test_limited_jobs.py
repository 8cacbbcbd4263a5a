"""Jobs whose queue or task has limits: a supervisor leases what it can start, and hands none ahead."""

from __future__ import annotations

import asyncio

import pytest

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.job import LeaseRequest
from penstock.model.states import State
from penstock.worker.messages import ASYNC_LANE, PROCESS_LANE, THREAD_LANE
from penstock.worker.supervisor.dispatch import Asked, Backlog, shares_of_free, to_ask
from penstock.worker.supervisor.flow import LEASE_WAIT_S
from penstock.worker.supervisor.lane_load import LaneLedger, Piece, parted
from penstock.worker.supervisor.supervisor import Supervisor
from tests.unit.worker.supervisor.conftest import ended, play
from tests.unit.worker.supervisor.staged import Act, Stage, sheet


def lane(slots: int = 1, held: int = 0, per_job_s: float | None = None) -> LaneLedger:
    """A lane that is ready, and runs so many jobs since time 0."""
    ledger = LaneLedger("process", slots)
    ledger.ready = True
    if held:
        ledger.assign(piece(*range(1, held + 1)), 1, 0.0)
        ledger.moved(held, 0.0)
    ledger.per_job_s = per_job_s
    return ledger


def piece(*fences: int, limited: bool = False, leased_at: float = 0.0) -> Piece:
    return Piece(list(fences), ["t"], bytes(len(fences)), [b""] * len(fences), leased_at, limited=limited)


# --- what is asked for -----------------------------------------------------------------------------------------------


def test_a_lane_is_leased_the_limited_jobs_that_it_can_start() -> None:
    assert lane(slots=4).startable(0.0) == 4
    assert lane(slots=4, held=3).startable(0.0) == 1
    assert lane(slots=1, held=1).startable(0.0) == 0


def test_one_that_is_busy_with_short_jobs_can_start_another_at_once() -> None:
    assert lane(slots=1, held=1, per_job_s=0.02).startable(0.0) == 1
    assert lane(slots=100, held=100, per_job_s=1.0).startable(0.0) == 5
    assert lane(slots=100, held=100, per_job_s=0.01).startable(0.0) == 100
    assert lane(slots=1, held=1, per_job_s=0.02).startable(10.0) == 0


def test_one_whose_jobs_are_very_short_is_leased_and_handed_as_many_as_it_does_in_a_moment() -> None:
    """To send each by itself would take longer than the job."""
    short = lane(slots=1, held=1, per_job_s=0.001)
    assert (short.startable(0.0), short.free(0.0)) == (51, 5)
    assert (short.startable(10.0), short.free(10.0)) == (0, 0)
    assert lane(slots=1, held=1, per_job_s=0.000_001).startable(0.0) == limits.PREFETCH_JOBS_MAX
    longer = lane(slots=1, held=1, per_job_s=0.006)
    assert (longer.startable(0.0), longer.free(0.0)) == (1, 0)


def test_one_that_is_not_ready_can_start_nothing() -> None:
    ledger = lane(slots=4)
    ledger.recalling = True
    assert (ledger.startable(0.0), ledger.free(0.0)) == (0, 0)
    ledger.recalling, ledger.ready = False, False
    assert (ledger.startable(0.0), ledger.free(0.0)) == (0, 0)


def test_no_limited_jobs_are_asked_for_where_nothing_has_limits() -> None:
    assert to_ask(None, [lane(4)], Backlog(), [], 0.0, limited=False) == Asked(None, 2, 0)


def test_limited_jobs_are_asked_for_once() -> None:
    first = to_ask("process", [lane(4)], Backlog(), [], 0.0, limited=True)
    assert first == Asked("process", 2, 2)
    assert to_ask("process", [lane(4)], Backlog(), [first], 0.0, limited=True) == Asked("process", 2, 2)
    assert to_ask("process", [lane(4)], Backlog(), [Asked("process", 4, 4)], 0.0, limited=True) is None


def test_those_that_wait_here_count() -> None:
    backlog = Backlog()
    backlog.add("process", piece(1, 2, 3, limited=True))
    assert to_ask("process", [lane(4)], backlog, [], 0.0, limited=True) == Asked("process", 1, 1)


def test_when_more_can_be_started_than_was_asked_for_another_request_is_made() -> None:
    asked = [Asked("process", 4, 0)]
    assert to_ask("process", [lane(4)], Backlog(), asked, 0.0, limited=True) == Asked("process", 4, 4)
    assert to_ask("process", [lane(4)], Backlog(), asked * 9, 0.0, limited=True) is None


# --- what is handed over ---------------------------------------------------------------------------------------------


def test_limited_jobs_go_where_they_start_at_once() -> None:
    full, busy, idle = lane(1, held=1), lane(3, held=1), lane(3)
    assert list(shares_of_free([full, busy, idle], 9, 0.0)) == [(idle, 3), (busy, 2)]
    assert list(shares_of_free([full, busy, idle], 2, 0.0)) == [(idle, 1), (busy, 1)]
    assert list(shares_of_free([full], 2, 0.0)) == []


def test_a_lease_is_parted_by_what_is_limited() -> None:
    parts = parted(piece(10, 11, 12, 13, 14), 10, [1, 2, 4])
    assert [(list(part.fences), part.limited) for part in parts] == [
        ([10], False),
        ([11, 12], True),
        ([13], False),
        ([14], True),
    ]
    whole = piece(10, 11)
    assert parted(whole, 10, [0, 1]) == [whole]
    assert whole.limited


def test_a_backlog_counts_its_limited_jobs() -> None:
    backlog = Backlog()
    backlog.add("a", piece(1, 2, limited=True, leased_at=5.0))
    backlog.add("a", piece(3))
    backlog.add("b", piece(4, 5, limited=True, leased_at=6.0))
    assert (backlog.limited, backlog.limited_of("a"), backlog.limited_of("c"), backlog.limited_of(None)) == (4, 2, 0, 4)
    assert backlog.late(4.9) == []
    assert backlog.late(5.0) == [1, 2]
    assert backlog.drop({1}) == [1]
    taken = backlog.take("a", 5)
    assert taken is not None
    assert (list(taken.fences), taken.limited, backlog.limited) == ([2], True, 2)
    assert backlog.clear("b") == [4, 5]
    assert backlog.limited == 0


# --- a supervisor ----------------------------------------------------------------------------------------------------


def test_limited_jobs_run_one_at_a_time_in_each_executor_and_none_waits_behind_another(stage: Stage) -> None:
    stage.store.twin.put_limits("task:t", [ConcurrencyRule(50)])
    ids = stage.store.enqueue("t", 8)
    held: list[int] = []

    async def story(supervisor: Supervisor) -> None:
        while not ended(stage, ids)():
            held.append(max((len(one.ledger.held) for one in supervisor._staffing.lanes()), default=0))
            await asyncio.sleep(0.05)

    play(stage, story)
    assert max(held) == 1


def test_a_worker_that_waits_follows_the_first_limit_at_once(stage: Stage) -> None:
    """As long as there were none it asked for no limited jobs. It does not wait out its request."""
    first = stage.store.enqueue("t", 4)
    asked: list[LeaseRequest] = []

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, first))
        await asyncio.sleep(1.0)
        asked.extend(one for _, one in stage.store.asked if isinstance(one, LeaseRequest))
        stage.store.twin.put_limits("task:t", [ConcurrencyRule(3)])
        limited = stage.store.enqueue("t", 4)
        await stage.until(ended(stage, limited), within_s=5.0)

    play(stage, story)
    assert asked[-1].limited == 0


def test_what_it_cannot_start_is_left_to_others(stage: Stage) -> None:
    """Its executors are busy for long: it holds what they run, and nothing besides."""
    stage.store.twin.put_limits("queue:default", [ConcurrencyRule(50)])
    stage.act = lambda _task, _process, _job: Act(seconds=30.0)
    stage.store.enqueue("t", 8)

    async def story(supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) == 2)
        await asyncio.sleep(5.0)
        assert len(supervisor.held_fences()) == 2
        assert len(stage.executions) == 2

    play(stage, story)


def test_short_unlimited_jobs_keep_no_limited_ones_out(stage: Stage) -> None:
    stage.store.twin.put_limits("queue:slow", [RateRule(10, per_s=1.0)])
    stage.act = lambda _task, _process, _job: Act(seconds=0.002)
    stage.store.enqueue("t", 3_000)
    limited = stage.store.enqueue("t", 5, queue="slow", priority=1)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, limited), within_s=5.0)

    play(stage, story)


def test_jobs_of_each_lane_are_handed_over_in_the_order_of_their_fences(stage: Stage) -> None:
    stage.store.twin.put_limits("queue:limited", [ConcurrencyRule(50)])
    stage.act = lambda _task, _process, _job: Act(seconds=0.01)
    ids = [job for number in range(60) for job in stage.store.enqueue("t", 1, queue=("free", "limited")[number % 2])]

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, ids))

    supervisor = play(stage, story)
    assert len(stage.executions) == 60
    assert supervisor.statistics().flow.refused == 0


def test_each_kind_of_lane_asks_for_itself_where_there_are_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, sheet("t"), sheet("io", lane=ASYNC_LANE))
    stage.store.twin.put_limits("task:t", [ConcurrencyRule(50)])
    stage.store.twin.put_limits("task:io", [ConcurrencyRule(50)])
    stage.act = lambda _task, _process, _job: Act(seconds=60.0)
    stage.store.enqueue("t", 9)
    ids = stage.store.enqueue("io", 4)

    async def story(supervisor: Supervisor) -> None:
        await stage.until(lambda: all(stage.store.state(job_id) == State.RUNNING.value for job_id in ids))
        await asyncio.sleep(1.0)
        assert len(supervisor.held_fences()) == 2 + len(ids)

    play(stage, story)
    asked = [one for _, one in stage.store.asked if isinstance(one, LeaseRequest) and one.limited]
    assert {(one.lane, *one.tasks) for one in asked} == {(ASYNC_LANE, "io"), (PROCESS_LANE, "t")}


def test_when_nothing_has_limits_requests_for_one_kind_of_lane_hold_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At first each kind asks for itself, since limits may be in force. Those for which there is nothing wait long."""
    stage = Stage(monkeypatch, sheet("t"), sheet("io", lane=ASYNC_LANE), sheet("old", lane=THREAD_LANE))

    async def story(_supervisor: Supervisor) -> None:
        await asyncio.sleep(0.5)
        for _ in range(20):
            ids = stage.store.enqueue("io", 2)
            await stage.until(ended(stage, ids), within_s=LEASE_WAIT_S / 2)
        ids = [*stage.store.enqueue("t", 2), *stage.store.enqueue("old", 2)]
        await stage.until(ended(stage, ids), within_s=LEASE_WAIT_S / 2)

    stage.act = lambda _task, _process, _job: Act(seconds=0.01)
    play(stage, story)


def test_limited_jobs_that_no_lane_can_start_any_more_go_back(stage: Stage) -> None:
    """They were leased for a lane of short jobs, which then got a long one."""
    stage.store.twin.put_limits("queue:limited", [ConcurrencyRule(50)])
    seconds = iter([0.001] * 200)
    stage.act = lambda _task, _process, _job: Act(seconds=next(seconds, 100.0))
    stage.store.enqueue("t", 202)

    async def story(supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) >= 150)
        limited = stage.store.enqueue("t", 4, queue="limited", priority=1)
        await stage.until(lambda: len(stage.executions) >= 202)
        await asyncio.sleep(2.0)
        assert len(supervisor.held_fences()) <= 2
        assert all(stage.store.state(job_id) in ("ready", "succeeded", "running") for job_id in limited)

    play(stage, story)
