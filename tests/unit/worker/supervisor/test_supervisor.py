"""The supervisor over the in-memory store, with played executors, in virtual time."""

from __future__ import annotations

import asyncio
import signal

import pytest

from penstock.model import limits
from penstock.model.job import Extension, LeaseRequest
from penstock.model.states import State
from penstock.testing.virtual_loop import run_virtual
from penstock.worker.messages import ASYNC_LANE, THREAD_LANE
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor.supervisor import Supervisor
from tests.unit.worker.supervisor.conftest import OPTIONS, ended, play
from tests.unit.worker.supervisor.staged import Act, Stage, sheet

# --- work ------------------------------------------------------------------------------------------------------------


def test_jobs_run_and_are_settled(stage: Stage) -> None:
    ids = stage.store.enqueue("t", 10)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, ids))

    supervisor = play(stage, story)
    assert sorted(job_id for _, _, job_id in stage.executions) == sorted(ids)
    assert {number for number, _, _ in stage.executions} == {1, 2}
    statistics = supervisor.statistics()
    assert (statistics.flow.leased, statistics.flow.settled) == (10, 10)
    assert supervisor.held_fences() == []


def test_jobs_of_tasks_that_are_not_known_here_are_not_asked_for(stage: Stage) -> None:
    others = stage.store.enqueue("elsewhere", 50)
    ids = stage.store.enqueue("t", 3)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, ids))

    supervisor = play(stage, story)
    assert supervisor.statistics().flow.leased == 3
    assert all(one.tasks == ["t"] for _, one in stage.store.asked if isinstance(one, LeaseRequest))
    for view in stage.store.twin.get(others):
        assert view is not None
        assert (view.state, view.attempt) == (State.READY, 0)


def test_a_task_that_is_gone_after_the_application_was_imported_anew_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its lease was asked for before."""
    stage = Stage(monkeypatch, sheet("t"), sheet("gone"))

    async def story(supervisor: Supervisor) -> None:
        await stage.until(lambda: any(isinstance(one, LeaseRequest) for _, one in stage.store.asked))
        del stage.sheets[1]
        stage.templates[0].die()
        await stage.until(lambda: len(stage.templates) == 2 and len(stage.alive()) == 2)
        [job_id] = stage.store.enqueue("gone")
        await stage.until(lambda: supervisor.statistics().flow.turned_away == 1)
        await stage.until(lambda: stage.store.state(job_id) == "ready")
        assert supervisor.held_fences() == []

    play(stage, story)
    assert stage.executions == []


def test_a_job_that_fails_runs_again(stage: Stage) -> None:
    [job_id] = stage.store.enqueue("t")
    stage.act = lambda _task, _process, job: Act(ends="failure" if job.attempt < 3 else "success")

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, [job_id]))

    play(stage, story)
    assert len(stage.executions) == 3


def test_leases_are_held_however_long_a_job_takes(stage: Stage) -> None:
    ids = stage.store.enqueue("t", 3)
    stage.act = lambda *_about: Act(seconds=4 * limits.LEASE_S)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, ids), 3_600.0)

    play(stage, story)
    assert len(stage.executions) == 3
    assert stage.store.twin.stats().queues["default"].lost_total == 0


def test_the_start_of_a_job_is_known_in_time(stage: Stage) -> None:
    stage.act = lambda *_about: Act(seconds=10.0)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(stage.alive)
        [job_id] = stage.store.enqueue("t")
        await stage.until(lambda: stage.executions)
        await asyncio.sleep(limits.STARTED_REPORT_S + 0.005)
        [view] = stage.store.twin.get([job_id])
        assert view is not None
        assert view.started_at == pytest.approx(stage.clock.time(), abs=0.2)

    play(stage, story)


def test_a_start_that_could_not_be_told_is_told_again(stage: Stage) -> None:
    [job_id] = stage.store.enqueue("t")
    stage.act = lambda *_about: Act(seconds=10.0)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(lambda: stage.executions)
        stage.store.away = True
        await stage.until(lambda: any(isinstance(one, Extension) and one.started for _, one in stage.store.asked))
        [view] = stage.store.twin.get([job_id])
        assert view is not None
        assert view.started_at is None
        stage.store.away = False
        await asyncio.sleep(2 * limits.CANCEL_NOTICE_S)
        [view] = stage.store.twin.get([job_id])
        assert view is not None
        assert view.started_at is not None

    play(stage, story)


def test_jobs_that_wait_behind_a_long_one_go_to_an_idle_executor(stage: Stage) -> None:
    """Short jobs have been seen, so several are handed out ahead; then one turns out to be long."""

    def act(_task: str, process: object, job: object) -> Act:
        return Act(seconds=30.0 if len(stage.executions) == 40 else 0.002)

    stage.act = act
    ids = stage.store.enqueue("t", 200)

    async def story(_supervisor: Supervisor) -> None:
        began = stage.clock.monotonic()
        await stage.until(lambda: sum(stage.store.state(job_id) == "succeeded" for job_id in ids) == 199)
        assert stage.clock.monotonic() - began < 5.0
        await stage.until(ended(stage, ids))

    supervisor = play(stage, story)
    assert len(stage.executions) == 200
    assert supervisor.statistics().recalled > 0


# --- ends that somebody else decides ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["process", ASYNC_LANE, THREAD_LANE])
def test_a_job_over_its_time_limit_is_ended_with_its_executor(monkeypatch: pytest.MonkeyPatch, lane: str) -> None:
    stage = Stage(monkeypatch, sheet("t", lane=lane, timeout_s=5.0, attempts=1))
    stage.act = lambda *_about: Act(ends="never")

    async def story(_supervisor: Supervisor) -> None:
        [job_id] = stage.store.enqueue("t")
        await stage.until(lambda: stage.executions)
        began = stage.clock.monotonic()
        await stage.until(ended(stage, [job_id], State.DEAD))
        # What can be asked from inside is asked first.
        grace_s = 0.0 if lane == "process" else limits.END_GRACE_S
        assert stage.clock.monotonic() - began == pytest.approx(5.0 + grace_s, abs=0.3)
        [view] = stage.store.twin.get([job_id])
        assert view is not None
        assert view.error is not None
        assert view.error.type == "TimeLimitExceeded"
        await stage.until(lambda: len(stage.alive()) == 2)

    play(stage, story)
    assert {number for _, number in stage.signals[:1]} == {signal.SIGKILL}
    assert stage.store.twin.stats().queues["default"].lost_total == 0


@pytest.mark.parametrize("deaf", [True, False])
def test_a_job_that_is_cancelled_while_it_runs_is_asked_to_end_then_made_to(stage: Stage, deaf: bool) -> None:
    stage.act = lambda *_about: Act(ends="never", deaf=deaf)

    async def story(_supervisor: Supervisor) -> None:
        [job_id] = stage.store.enqueue("t")
        await stage.until(lambda: stage.executions)
        began = stage.clock.monotonic()
        stage.store.twin.cancel([job_id])
        await stage.until(ended(stage, [job_id], State.CANCELLED))
        assert stage.clock.monotonic() - began <= limits.CANCEL_NOTICE_S + deaf * limits.END_GRACE_S + 0.3

    supervisor = play(stage, story)
    assert supervisor.statistics().deaths == int(deaf)


def test_the_neighbours_of_a_job_that_had_to_be_ended_run_elsewhere_uncharged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, sheet("stuck", timeout_s=5.0, attempts=1), sheet("long", lane=ASYNC_LANE))
    stage.act = lambda task, *_about: Act(ends="never") if task == "stuck" else Act(seconds=8.0)

    async def story(_supervisor: Supervisor) -> None:
        [stuck] = stage.store.enqueue("stuck")
        neighbours = stage.store.enqueue("long", 1)
        await stage.until(ended(stage, [stuck], State.DEAD))
        await stage.until(ended(stage, neighbours))
        [view] = stage.store.twin.get(neighbours)
        assert view is not None
        assert (view.attempt, view.losses, view.strays) == (1, 0, 0)

    play(stage, story, WorkerOptions("app:app", executors=1))


# --- deaths ----------------------------------------------------------------------------------------------------------


def test_what_is_lost_with_an_executor_runs_again_at_once_and_another_executor_takes_its_place(stage: Stage) -> None:
    deaths = iter([True])
    stage.act = lambda *_about: Act(seconds=0.5, ends="death" if next(deaths, False) else "success")

    async def story(_supervisor: Supervisor) -> None:
        ids = stage.store.enqueue("t", 6)
        await stage.until(ended(stage, ids), 20.0)
        await stage.until(lambda: len(stage.alive()) == 2)

    supervisor = play(stage, story)
    assert len(stage.executions) == 7
    assert supervisor.statistics().deaths == 1
    assert stage.store.twin.stats().queues["default"].lost_total == 1


def test_a_job_that_kills_its_executors_is_dead_after_three_alone_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, sheet("t"), sheet("poison"))
    stage.act = lambda task, *_about: Act(seconds=0.3, ends="death" if task == "poison" else "success")

    async def story(_supervisor: Supervisor) -> None:
        [poison] = stage.store.enqueue("poison")
        ids = stage.store.enqueue("t", 20)
        await stage.until(ended(stage, [poison], State.DEAD))
        await stage.until(ended(stage, ids))
        [view] = stage.store.twin.get([poison])
        assert view is not None
        assert view.error is not None
        assert view.error.type == "WorkerLost"

    play(stage, story)
    assert sum(task == "poison" for _, task, _ in stage.executions) <= limits.LOSSES_MAX + 1


def test_when_the_forkserver_dies_everything_starts_over(stage: Stage) -> None:
    ids = stage.store.enqueue("t", 8)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) >= 2)
        stage.templates[0].die()
        await stage.until(ended(stage, ids))

    play(stage, story)
    assert len(stage.templates) == 2


# --- the store -------------------------------------------------------------------------------------------------------


def test_outcomes_outlast_a_store_that_cannot_be_reached(stage: Stage) -> None:
    ids = stage.store.enqueue("t", 4)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) == 2)
        stage.store.away = True
        await asyncio.sleep(15.0)
        assert len(stage.executions) <= 4
        stage.store.away = False
        await stage.until(ended(stage, ids))

    play(stage, story)
    assert len(stage.executions) == 4


def test_a_job_whose_lease_was_lost_is_not_settled_and_its_neighbours_are(stage: Stage) -> None:
    """Another worker took the lease away: what this one says of it later is late."""
    ids = stage.store.enqueue("t", 2)
    stage.act = lambda *_about: Act(seconds=25.0)

    async def story(supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) == 2)
        lost, kept = sorted(supervisor.held_fences())
        stage.store.twin.reconcile(supervisor.holder, [kept])
        await stage.until(lambda: supervisor.held_fences().count(lost) == 0)
        await stage.until(ended(stage, ids))

    play(stage, story)
    assert len(stage.executions) == 3
    assert stage.store.twin.stats().queues["default"].succeeded_total == 2


def test_a_worker_with_a_name_of_its_own_takes_over_what_its_predecessor_held(stage: Stage) -> None:
    """At once, not when those leases end."""
    holder = b"n" * 16
    ids = stage.store.enqueue("t", 3)
    stage.act = lambda *_about: Act(seconds=0.1)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(ended(stage, ids), 5.0)

    stage.store.twin.lease(LeaseRequest(holder, 3))
    play(stage, story, WorkerOptions("app:app", executors=2, holder=holder))


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_drain_lets_running_jobs_finish_and_gives_back_the_rest(stage: Stage) -> None:
    ids = stage.store.enqueue("t", 10)
    stage.act = lambda *_about: Act(seconds=5.0)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) == 2)

    play(stage, story)
    assert len(stage.executions) == 2
    states = [stage.store.state(job_id) for job_id in ids]
    assert (states.count("succeeded"), states.count("ready")) == (2, 8)
    assert stage.store.twin.stats().queues["default"].lost_total == 0


@pytest.mark.parametrize("ends", ["success", "never"])
def test_after_the_grace_what_still_runs_goes_back_uncharged(stage: Stage, ends: str) -> None:
    ids = stage.store.enqueue("t", 2)
    stage.act = lambda *_about: Act(seconds=100.0, ends=ends)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) == 2)

    began = stage.clock.monotonic()
    play(stage, story, WorkerOptions("app:app", executors=2, grace_s=30.0))
    assert stage.clock.monotonic() - began == pytest.approx(30.0, abs=1.5)
    for view in stage.store.twin.get(ids):
        assert view is not None
        assert (view.state, view.attempt, view.losses, view.strays) == (State.READY, 0, 0, 0)


def test_a_second_stop_waits_for_nothing(stage: Stage) -> None:
    stage.store.enqueue("t", 2)
    stage.act = lambda *_about: Act(ends="never")

    async def story(supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) == 2)
        supervisor.stop()
        await asyncio.sleep(1.0)

    began = stage.clock.monotonic()
    play(stage, story)
    assert stage.clock.monotonic() - began < 5.0
    assert stage.store.twin.stats().queues["default"].ready == 2


def test_a_stop_before_the_first_executor_is_ready_ends_at_once(stage: Stage) -> None:
    stage.import_s = 60.0

    async def story(_supervisor: Supervisor) -> None:
        await asyncio.sleep(0.1)

    began = stage.clock.monotonic()
    play(stage, story)
    assert stage.clock.monotonic() - began < 1.0
    assert stage.processes == []


def test_a_store_that_is_away_at_the_end_does_not_hold_the_end_up(stage: Stage) -> None:
    stage.store.enqueue("t", 2)
    stage.act = lambda *_about: Act(seconds=1.0)

    async def story(_supervisor: Supervisor) -> None:
        await stage.until(lambda: len(stage.executions) == 2)
        stage.store.away = True

    began = stage.clock.monotonic()
    play(stage, story, WorkerOptions("app:app", executors=2, grace_s=5.0))
    assert stage.clock.monotonic() - began < 5.0 + 2 * limits.STOP_S + 2.0


def test_without_a_heartbeat_a_worker_does_not_go_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_about: object) -> None:
        await asyncio.sleep(1.0)
        raise RuntimeError("no pulse")

    async def run() -> None:
        supervisor = Supervisor(OPTIONS)
        monkeypatch.setattr(supervisor._heartbeat, "run", broken)
        with pytest.raises(Exception, match="no pulse"):
            await supervisor.run(stage.store)

    run_virtual(run(), stage.clock)
