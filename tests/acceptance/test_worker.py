"""The worker with real processes: executors that are killed, stopped, timed out, cancelled, drained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.model import limits
from penstock.model.ids import new_ids
from penstock.model.job import FENCE_COUNTER_BITS, JobEntry, JobGroup, JobView, Outcomes, checksum
from penstock.model.states import State
from penstock.store.wire.client.blocking import Client

from .conftest import SOURCES, until

HERE = Path(__file__).resolve().parent
HOLDER = bytes(range(16))
"""The name of the worker that most tests have, as the store knows it."""
MAIN = """
import sys
from penstock.store.wire.client.async_client import AsyncClient
from penstock.worker.run import run_worker

def tell(processes):
    print(*[f"{role}:{pid}" for role, pid in processes], flush=True)

sys.exit(run_worker(
    lambda held: AsyncClient.connect(sys.argv[1], held=held), sys.argv[2], executors=int(sys.argv[3]),
    concurrency=int(sys.argv[4]), grace_s=float(sys.argv[5]), holder=bytes.fromhex(sys.argv[6]) or None,
    on_ready=lambda: print("ready", flush=True), on_processes=tell,
))
"""


def jobs_of(task: str, args: Sequence[Any], count: int, **options: Any) -> JobGroup:
    body = b"m" + msgspec.msgpack.encode([list(args), {}])
    jobs = [JobEntry(job_id, body, checksum(body)) for job_id in new_ids(count)]
    return JobGroup(task if "." in task else f"worker_app.{task}", jobs, **options)


class Site:
    """A store, a directory of marks, and workers on them."""

    def __init__(self, path: Path) -> None:
        self.store = path / "jobs"
        self.marks = path / "marks"
        self.marks.mkdir()
        self.client = Client.connect(self.store)
        self.workers: list[Worker] = []

    def enqueue(self, task: str, *args: Any, count: int = 1, **options: Any) -> list[bytes]:
        group = jobs_of(task, args, count, **options)
        self.client.enqueue([group])
        return [job.id for job in group.jobs]

    def enqueue_together(self, *tasks: tuple[str, list[Any], int]) -> None:
        """Enqueue jobs of several tasks, each with its arguments and a count, so that they are leased together."""
        self.client.enqueue([jobs_of(*task) for task in tasks])

    def end(self, task: str, *args: Any, wait_s: float = 60.0, **options: Any) -> JobView:
        """Enqueue a job and wait for its end."""
        return self.ended(self.enqueue(task, *args, **options)[0], wait_s)

    def ended(self, job_id: bytes, wait_s: float = 60.0) -> JobView:
        (view,) = self.client.wait([job_id], wait_s, result=True)
        assert view is not None
        return view

    def result(self, task: str, *args: Any, **options: Any) -> Any:
        view = self.end(task, *args, **options)
        assert view.state is State.SUCCEEDED, view
        assert view.result is not None
        return msgspec.msgpack.decode(view.result[1:])

    def marked(self, name: str, times: int = 1) -> list[int]:
        """The processes that have made a mark, once there are so many."""
        path = self.marks / name

        def pids() -> list[int]:
            found = [int(line) for line in path.read_text().split()] if path.exists() else []
            return found if len(found) >= times else []

        return until(pids)

    def go(self, name: str) -> None:
        (self.marks / f"{name}.go").touch()

    def counts(self) -> Any:
        return self.client.stats().queues["default"]

    def work(
        self,
        app: str = "worker_app:app",
        *,
        executors: int = 2,
        concurrency: int = 20,
        grace_s: float = 5.0,
        holder: bytes = b"",
    ) -> Worker:
        """Start a worker. With a ``holder`` it takes over at once what a dead one of that name left behind."""
        worker = Worker(self, app, str(executors), str(concurrency), str(grace_s), holder.hex())
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.communicate()
        owner = self.client.owner_statistics().pid
        self.client.close()
        os.kill(owner, signal.SIGTERM)


class Worker:
    """One worker process."""

    def __init__(self, site: Site, *arguments: str) -> None:
        path = os.pathsep.join([str(SOURCES), str(HERE), os.environ.get("PENSTOCK_TEST_PATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, str(site.store), *arguments],
            env=os.environ | {"PYTHONPATH": path, "MARKS": str(site.marks), "PENSTOCK_URL": str(site.store)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes: dict[str, list[int]] = {}

    def wait_ready(self) -> Worker:
        while (line := self.process.stdout.readline()) != "ready\n":
            assert line, self.process.stderr.read()
            self.note(line)
        return self

    def note_all(self) -> None:
        """Read on until its processes are told anew."""
        self.note(self.process.stdout.readline())

    def note(self, line: str) -> None:
        self.processes = {}
        for entry in line.split():
            role, pid = entry.split(":")
            self.processes.setdefault(role, []).append(int(pid))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def worker(site: Site) -> Worker:
    return site.work(holder=HOLDER).wait_ready()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class TestJobs:
    @pytest.mark.parametrize("task", ["noop", "noop_async"])
    def test_thousands_of_short_jobs_all_run_and_leave_only_counts(self, site: Site, worker: Worker, task: str) -> None:
        for _ in range(4):
            site.enqueue(task, count=5_000)
        counts = until(lambda: (now := site.counts()).succeeded_total == 20_000 and now)
        assert (counts.ready, counts.running, counts.succeeded) == (0, 0, 0)
        assert counts.unaccounted() == 0

    def test_results_arrive(self, site: Site, worker: Worker) -> None:
        ids = [site.enqueue("add", number, 1)[0] for number in range(50)]
        assert [msgspec.msgpack.decode(site.ended(job_id).result[1:]) for job_id in ids] == list(range(1, 51))

    def test_a_job_that_fails_runs_again_until_it_does_not(self, site: Site, worker: Worker) -> None:
        assert site.result("flaky") == 3

    def test_a_snooze_is_no_attempt(self, site: Site, worker: Worker) -> None:
        assert site.result("snoozer") == 1

    def test_the_context_tells_of_the_job(self, site: Site, worker: Worker) -> None:
        assert site.result("context", headers={"who": "me"}) == ["worker_app.context", "default", "1", "me"]

    @pytest.mark.parametrize(
        ("task", "args", "error"),
        [
            ("exits", (), "SystemExit"),
            ("weird", (), "Weird"),
            ("odd", (), "InvalidResult"),
        ],
    )
    def test_what_cannot_succeed_is_dead_with_its_reason(
        self, site: Site, worker: Worker, task: str, args: tuple[Any, ...], error: str
    ) -> None:
        view = site.end(task, *args)
        assert (view.state, view.error.type) == (State.DEAD, error)

    @pytest.mark.parametrize(
        ("task", "args", "error"), [("nobody.knows", (), "UnknownTask"), ("add", ("one", 2), "InvalidArguments")]
    )
    def test_what_cannot_be_run_here_waits_uncharged_for_who_can(
        self, site: Site, worker: Worker, task: str, args: tuple[Any, ...], error: str
    ) -> None:
        (job_id,) = site.enqueue(task, *args)
        view = until(lambda: (now := site.client.get([job_id])[0]).error and now)
        assert (view.state, view.attempt, view.error.type) == (State.READY, 0, error)

    @pytest.mark.parametrize("task", ["set_variable", "set_variable_plain"])
    def test_a_context_variable_set_by_a_job_is_not_seen_by_the_next(self, site: Site, task: str) -> None:
        site.work(executors=1, concurrency=1).wait_ready()
        assert [site.result(task) for _ in range(4)] == ["clean"] * 4

    def test_a_job_that_cancels_its_own_task_leaves_its_runner_usable(self, site: Site) -> None:
        site.work(executors=1, concurrency=1).wait_ready()
        site.end("cancels_itself")
        assert site.result("set_variable") == "clean"

    def test_no_note_on_progress_is_too_odd(self, site: Site, worker: Worker) -> None:
        assert site.result("noted") == "done"

    @pytest.mark.parametrize("task", ["half_done", "half_done_thread"])
    def test_progress_is_seen_while_the_job_runs(self, site: Site, task: str) -> None:
        site.work(executors=1).wait_ready()
        (job_id,) = site.enqueue(task, "long")

        def half() -> bool:
            (view,) = site.client.get([job_id])
            return view is not None and view.progress is not None and view.progress.note == "half"

        until(half)
        site.go("long")

    def test_the_largest_results_may_all_come_at_once(self, site: Site) -> None:
        site.work(executors=1).wait_ready()
        count = limits.FRAME_BYTES_MAX // limits.RESULT_BYTES_MAX + 2
        ids = site.enqueue("large", count, count=count)
        views = site.client.wait(ids, 60.0)
        assert [(view.state, view.attempt) for view in views] == [(State.SUCCEEDED, 1)] * count
        assert site.counts().lost_total == 0

    def test_many_async_jobs_are_under_way_at_once(self, site: Site) -> None:
        site.work(executors=1, concurrency=20).wait_ready()
        site.enqueue("held_async", "crowd", count=20)
        site.marked("crowd", 20)
        site.go("crowd")
        until(lambda: site.counts().succeeded_total == 20)

    def test_a_lane_does_not_hold_up_another(self, site: Site) -> None:
        site.work(executors=1).wait_ready()
        site.enqueue("held", "first")
        site.enqueue("held_thread", "second")
        site.marked("first")
        site.marked("second")
        assert site.result("set_variable") == "clean"
        site.go("first")
        site.go("second")
        until(lambda: site.counts().succeeded_total == 3)


class TestLongJobs:
    def test_jobs_behind_a_long_one_run_elsewhere(self, site: Site, worker: Worker) -> None:
        site.enqueue("noop", count=5_000)
        until(lambda: site.counts().succeeded_total == 5_000)
        site.enqueue("held", "long")
        site.enqueue("noop", count=500)
        until(lambda: site.counts().succeeded_total == 5_500)
        site.go("long")
        until(lambda: site.counts().succeeded_total == 5_501)
        assert site.counts().lost_total == 0

    def test_a_started_job_is_known_as_such(self, site: Site, worker: Worker) -> None:
        (job_id,) = site.enqueue("held", "started")
        site.marked("started")
        until(lambda: site.client.get([job_id])[0].started_at is not None)
        site.go("started")

    @pytest.mark.parametrize("task", ["endless", "endless_async", "blocking_async", "endless_thread"])
    def test_a_time_limit_ends_the_job(self, site: Site, worker: Worker, task: str) -> None:
        view = site.end(task)
        assert (view.state, view.error.type, view.attempt) == (State.DEAD, "TimeLimitExceeded", 1)

    def test_a_time_limit_lets_a_coroutine_clean_up_in_its_executor(self, site: Site, worker: Worker) -> None:
        site.end("endless_async")
        assert site.marked("cleaned up")[0] in worker.processes["executor"]

    def test_a_time_limit_is_an_attempt(self, site: Site, worker: Worker) -> None:
        view = site.end("endless_twice")
        assert (view.state, view.attempt) == (State.DEAD, 2)

    def test_neighbours_of_a_job_over_its_time_limit_run_again_uncharged(self, site: Site) -> None:
        site.work(executors=1).wait_ready()
        (neighbour,) = site.enqueue("held_async", "neighbour")
        site.marked("neighbour")
        site.end("endless")
        site.marked("neighbour", 2)
        site.go("neighbour")
        view = site.ended(neighbour)
        assert (view.state, view.attempt) == (State.SUCCEEDED, 1)
        assert site.counts().lost_total == 0

    @pytest.mark.parametrize("task", ["soft", "soft_async", "soft_thread"])
    def test_a_soft_limit_is_raised_inside_the_job(self, site: Site, worker: Worker, task: str) -> None:
        assert site.result(task) == "cleaned up"

    @pytest.mark.parametrize(("task", "mark"), [("attentive", "attentive"), ("deaf", "deaf"), ("held_async", "x")])
    def test_a_running_job_can_be_cancelled(self, site: Site, worker: Worker, task: str, mark: str) -> None:
        (job_id,) = site.enqueue(task, *(["x"] if mark == "x" else []))
        site.marked(mark)
        assert site.client.cancel([job_id]) == [State.RUNNING]
        assert site.ended(job_id).state is State.CANCELLED
        assert site.result("add", 1, 1) == 2


class TestDeath:
    def test_a_killed_executors_job_runs_again_elsewhere(self, site: Site, worker: Worker) -> None:
        (job_id,) = site.enqueue("held", "victim")
        (first,) = site.marked("victim")
        os.kill(first, signal.SIGKILL)
        second = site.marked("victim", 2)[1]
        assert second != first
        site.go("victim")
        view = site.ended(job_id)
        assert view.state is State.SUCCEEDED
        assert site.counts().lost_total == 1

    def test_a_job_that_kills_its_executor_three_times_is_dead(self, site: Site, worker: Worker) -> None:
        view = site.end("killer", "kills")
        assert (view.state, view.error.type) == (State.DEAD, "WorkerLost")
        assert "SIGKILL" in view.error.message
        assert len(site.marked("kills")) == 3
        assert view.started_at is not None, "though it died before that was reported"
        assert view.created_at <= view.started_at <= view.finished_at

    def test_a_job_whose_progress_cannot_be_sent_fails_alone(self, site: Site, worker: Worker) -> None:
        view = site.end("unreportable")
        assert (view.state, view.error.type) == (State.DEAD, "UnicodeEncodeError")
        assert site.result("noted") == "done"

    def test_a_crash_is_told_with_the_last_output(self, site: Site, worker: Worker) -> None:
        view = site.end("segfault")
        assert "SIGSEGV" in view.error.message
        assert "last words" in view.error.message

    def test_jobs_waiting_behind_a_killer_are_not_charged(self, site: Site, worker: Worker) -> None:
        site.enqueue("killer", "kills")
        ids = site.enqueue("add", 1, 2, count=200)
        views = site.client.wait(ids, 60.0)
        assert {view.state for view in views} == {State.SUCCEEDED}
        assert {view.attempt for view in views} == {1}

    def test_a_killed_forkserver_is_replaced_and_jobs_run_again(self, site: Site, worker: Worker) -> None:
        (job_id,) = site.enqueue("held", "orphan")
        site.marked("orphan")
        old = worker.processes
        os.kill(old["forkserver"][0], signal.SIGKILL)
        site.marked("orphan", 2)
        assert all(is_gone(pid) for pid in old["executor"])
        site.go("orphan")
        assert site.ended(job_id).state is State.SUCCEEDED

    def test_executors_that_cannot_live_stop_the_worker_with_a_reason(self, site: Site) -> None:
        status, errors = site.work("mortal_app:app").end()
        assert status == 1
        assert "executors in a row ended" in errors

    @pytest.mark.parametrize(("way", "told"), [("exit", "status 3"), ("crash", "SIGSEGV")])
    def test_an_application_that_ends_its_process_stops_the_worker_with_how_it_ended(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, way: str, told: str
    ) -> None:
        monkeypatch.setenv("WAY", way)
        status, errors = site.work("stillborn_app:app").end()
        assert status == 1
        assert (
            f"imports stillborn_app:app ended 5 times in a row before an executor was ready, at last with {told}"
            in errors
        )
        assert ("stillborn_app.py" in errors) == (way == "crash"), "a crash shows where"

    def test_nothing_outlives_a_killed_supervisor(self, site: Site, worker: Worker) -> None:
        site.enqueue("held", "left")
        (pid,) = site.marked("left")
        worker.process.kill()
        until(lambda: all(is_gone(one) for one in [pid, *sum(worker.processes.values(), [])]))

    def test_a_killed_owner_costs_nothing(self, site: Site, worker: Worker) -> None:
        (job_id,) = site.enqueue("held", "through")
        site.marked("through")
        site.enqueue("noop", count=3_000)
        os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
        site.go("through")
        assert site.ended(job_id).state is State.SUCCEEDED
        until(lambda: site.counts().succeeded_total == 3_001)
        assert len(site.marked("through")) == 1
        assert site.counts().lost_total == 0

    def test_a_stopped_executors_late_outcome_is_refused(self, site: Site, worker: Worker) -> None:
        (job_id,) = site.enqueue("held", "late")
        (pid,) = site.marked("late")
        os.kill(pid, signal.SIGSTOP)
        take_leases_away(site)
        second = site.marked("late", 2)[1]
        site.go("late")
        assert site.ended(job_id).state is State.SUCCEEDED
        os.kill(pid, signal.SIGCONT)
        assert second != pid
        assert site.result("add", 2, 2) == 4
        assert site.counts().succeeded_total == 2


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_forkserver_and_executors_have_names_for_ps(worker: Worker) -> None:
    names = {role: Path(f"/proc/{pids[0]}/comm").read_text().strip() for role, pids in worker.processes.items()}
    assert names == {"forkserver": "penstock forkse", "executor": "penstock execut"}


class TestShutdown:
    def test_a_drained_worker_finishes_what_runs_and_gives_back_the_rest(self, site: Site) -> None:
        worker = site.work(executors=1).wait_ready()
        site.enqueue("held", "running")
        site.marked("running")
        site.enqueue("held", "waiting", count=5)
        worker.process.send_signal(signal.SIGTERM)
        until(lambda: (now := site.counts()).ready == 5 and now.running == 1)
        site.go("running")
        status, errors = worker.end()
        counts = site.counts()
        assert (status, counts.succeeded_total, counts.ready, counts.running) == (0, 1, 5, 0), errors
        assert counts.lost_total == 0

    def test_jobs_behind_a_long_one_go_back_at_once(self, site: Site) -> None:
        worker = site.work(executors=1, grace_s=600.0).wait_ready()
        site.enqueue("noop", count=2_000)
        until(lambda: site.counts().succeeded_total == 2_000)
        site.enqueue_together(("held", ["long"], 1), ("noop", [], 100))
        site.marked("long")
        worker.process.send_signal(signal.SIGTERM)
        until(lambda: (now := site.counts()).ready == 100 and now.running == 1)
        site.go("long")
        assert worker.end()[0] == 0
        counts = site.counts()
        assert (counts.succeeded_total, counts.ready, counts.lost_total) == (2_001, 100, 0)

    def test_what_does_not_finish_in_time_goes_back_uncharged(self, site: Site) -> None:
        worker = site.work(grace_s=0.3).wait_ready()
        (job_id,) = site.enqueue("held", "slow")
        site.marked("slow")
        assert worker.stop()[0] == 0
        (view,) = site.client.get([job_id])
        assert (view.state, view.attempt, site.counts().lost_total) == (State.READY, 0, 0)

    def test_a_second_signal_does_not_wait(self, site: Site) -> None:
        worker = site.work(grace_s=600.0).wait_ready()
        site.enqueue("held", "slow")
        site.marked("slow")

        until(lambda: site.client.owner_statistics().parked_leases > 0)
        worker.process.send_signal(signal.SIGTERM)
        # The first one has been heard when no request for jobs waits any more.
        until(lambda: site.client.owner_statistics().parked_leases == 0)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.end()[0] == 0
        assert site.counts().ready == 1

    def test_a_drain_under_load_loses_nothing(self, site: Site, worker: Worker) -> None:
        for _ in range(4):
            site.enqueue("noop", count=10_000)
        until(lambda: site.counts().succeeded_total > 1_000)
        assert worker.stop()[0] == 0
        counts = site.counts()
        assert counts.running == 0
        assert counts.succeeded_total + counts.ready == 40_000
        assert counts.unaccounted() == 0

    @pytest.mark.parametrize(
        ("app", "reason"),
        [("no_such_module:app", "no_such_module"), ("worker_app:nothing", "nothing"), ("worker_app", "worker_app")],
    )
    def test_an_application_that_cannot_be_loaded_ends_the_worker(self, site: Site, app: str, reason: str) -> None:
        status, errors = site.work(app).end()
        assert status == 2
        assert reason in errors


def take_leases_away(site: Site) -> None:
    """What the store does when a lease ends: fences are handed out one after another, from the epoch's first."""
    first = site.client.owner_statistics().epoch << FENCE_COUNTER_BITS
    settled = site.client.settle(Outcomes(HOLDER, released=list(range(first, first + 20))))
    assert len(settled.stale) == 19, "exactly one job ran"
