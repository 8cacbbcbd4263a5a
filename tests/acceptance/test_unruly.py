"""Jobs that fork, take signals, stop the loop and leave things behind: whatever they do, it stays theirs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.model.job import JobView
from penstock.model.states import State
from penstock.store.wire.client.blocking import Client

from .conftest import Place, until
from .test_worker import Site, jobs_of

WAYS = {"return": 0, "raise": 1, "exit": 7, "exit with words": 1}
LANES = ["process", "async", "thread"]


class UnrulySite(Site):
    """With one executor, so that what a job leaves behind meets the next one."""

    def enqueue(self, task: str, *args: Any, count: int = 1, **options: Any) -> list[bytes]:
        return super().enqueue(f"unruly_app.{task}", *args, count=count, **options)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UnrulySite]:
    made = UnrulySite(tmp_path)
    yield made
    made.close()


@pytest.fixture
def worker(site: UnrulySite) -> Any:
    return site.work("unruly_app:app", executors=1).wait_ready()


def of_lane(task: str, lane: str) -> str:
    return task if lane == "process" else f"{task}_{lane}"


class TestForks:
    @pytest.mark.parametrize(
        "task",
        [
            "fork_process", "fork_context", "fork_limited", "fork_thread", "fork_thread_limited", "fork_async",
            "fork_async_limited", "fork_to_thread",
        ],
    )  # fmt: skip
    def test_a_child_that_comes_back_ends_as_a_program_would(self, site: UnrulySite, worker: Any, task: str) -> None:
        for way, status in WAYS.items():
            pid, told = site.result(task, way)
            assert (told, pid in worker.processes["executor"]) == (status, True), way
        assert site.counts().lost_total == 0

    @pytest.mark.parametrize("way", WAYS)
    def test_a_child_of_a_subtask_comes_back_to_the_loop_and_ends(
        self, site: UnrulySite, worker: Any, way: str
    ) -> None:
        pid, status = site.result("fork_subtask", way)
        assert pid in worker.processes["executor"]
        assert status in (1, WAYS[way])

    @pytest.mark.parametrize("lane", LANES)
    def test_neighbours_of_a_job_that_forks_run_once(self, site: UnrulySite, worker: Any, lane: str) -> None:
        fork, neighbour = of_lane("fork_forgotten", lane), of_lane("neighbour", lane)
        for _ in range(5):
            site.enqueue_together((f"unruly_app.{fork}", [], 2), (f"unruly_app.{neighbour}", [], 20))
        until(lambda: site.counts().succeeded_total == 110)
        runs = site.marked("neighbours", 100)
        assert (len(runs), set(runs)) == (100, set(worker.processes["executor"]))
        assert site.counts().lost_total == 0

    @pytest.mark.parametrize("lane", LANES)
    def test_the_parents_time_limit_is_enforced(self, site: UnrulySite, worker: Any, lane: str) -> None:
        view = site.end(of_lane("fork_endless", lane))
        assert (view.state, view.error.type, view.attempt) == (State.DEAD, "TimeLimitExceeded", 1)
        assert len(site.marked("endless")) == 1

    def test_a_child_that_waits_on_the_loop_ends_and_says_why(self, site: UnrulySite, worker: Any) -> None:
        (other,) = site.enqueue("waits", "other")
        site.marked("other")
        assert site.result("fork_and_wait") == 1
        site.go("other")
        assert msgspec.msgpack.decode(site.ended(other).result[1:]) in worker.processes["executor"]
        assert not (site.marks / "a child went on").exists()
        assert "came back to the event loop" in worker.stop()[1]

    def test_a_child_that_does_not_come_back_is_left_alone(self, site: UnrulySite, worker: Any) -> None:
        (job_id,) = site.enqueue("fork_own_affair")
        site.marked("own")
        site.go("own")
        assert msgspec.msgpack.decode(site.ended(job_id).result[1:])[1] == 5

    def test_a_grandchild_ends_too(self, site: UnrulySite, worker: Any) -> None:
        assert site.result("fork_twice") == 9


class TestChildrenAndSignals:
    @pytest.mark.parametrize("lane", LANES)
    def test_children_take_signals_as_new_processes_do(self, site: UnrulySite, worker: Any, lane: str) -> None:
        assert site.result(f"signals_{lane}") == [
            "wakeup -1",
            "SIGINT default_int_handler",
            "SIGTERM SIG_DFL",
            "SIGALRM SIG_DFL",
            "SIGCHLD SIG_DFL",
            "mask []",
        ]

    @pytest.mark.parametrize("lane", LANES)
    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_terminate_works(self, site: UnrulySite, worker: Any, lane: str, method: str) -> None:
        assert site.result(f"terminate_{lane}", method, wait_s=60.0) == -signal.SIGTERM

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_pools_end(self, site: UnrulySite, worker: Any, method: str) -> None:
        ids = site.enqueue("pool", method, count=10 if method == "fork" else 2)
        views = site.client.wait(ids, 60.0, result=True)
        assert {view.state for view in views} == {State.SUCCEEDED}

    @pytest.mark.parametrize("task", ["executor_pool", "executor_pool_async"])
    def test_pools_of_concurrent_futures_end(self, site: UnrulySite, worker: Any, task: str) -> None:
        assert site.result(task, wait_s=60.0) == 285

    def test_a_child_may_have_a_loop_of_its_own(self, site: UnrulySite, worker: Any) -> None:
        assert site.result("child_with_a_loop") == 0

    def test_programs_can_be_terminated(self, site: UnrulySite, worker: Any) -> None:
        assert site.result("subprocess_terminates") == -signal.SIGTERM

    def test_a_jobs_own_handler_is_its_childrens_too(self, site: UnrulySite, worker: Any) -> None:
        assert site.result("own_handler_in_child") == 3


LEFT = ["handlers", "defaults", "ignored", "timer", "alarm", "mask", "wakeup", "tracer", "profiler", "stdout"]


class TestWhatIsLeftBehind:
    @pytest.mark.parametrize("lane", LANES)
    def test_the_next_job_does_not_meet_it(self, site: UnrulySite, worker: Any, lane: str) -> None:
        for what in LEFT:
            if lane != "process" and what not in ("mask", "tracer", "profiler", "stdout"):
                # Python installs handlers in the main thread only, where the process lane is.
                continue
            first = site.result(of_lane("leaves", lane), what)
            site.go("trace")
            assert site.result(of_lane("looks", lane)) == [first, []], what
            (site.marks / "trace.go").unlink()
        assert not (site.marks / "surprise").exists()
        assert site.counts().lost_total == 0

    def test_nor_where_coroutines_have_the_main_thread(self, site: UnrulySite) -> None:
        site.work("unruly_async_app:app", executors=1).wait_ready()
        assert site.result("signals_async")[:2] == ["wakeup -1", "SIGINT default_int_handler"]
        assert site.result("terminate_async", "fork") == -signal.SIGTERM
        for what in LEFT:
            first = site.result("leaves_async", what)
            site.go("trace")
            assert site.result("looks_async") == [first, []], what
            (site.marks / "trace.go").unlink()
        assert not (site.marks / "surprise").exists()

    @pytest.mark.parametrize("what", LEFT)
    def test_soft_limits_go_on_working(self, site: UnrulySite, worker: Any, what: str) -> None:
        site.result("leaves", what)
        assert site.result("soft") == "cleaned up"
        # Leased together, the second runs in the wake of the first.
        site.enqueue_together(("unruly_app.leaves_quickly", [what], 20), ("unruly_app.soft", [], 1))
        until(lambda: site.counts().succeeded_total == 23)
        assert site.result("looks")[1] == []


UNRULY = [
    "subtask_awaited", "subtask_in_group", "subtask_gathered", "thread_of_loop", "subtask_left", "callback_soon",
    "callback_later", "callback_reader", "callback_of_future", "stops_loop",
]  # fmt: skip


class TestTheLoop:
    @pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
    def test_what_stops_a_loop_is_its_own_jobs_affair(
        self, site: UnrulySite, loop: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        if loop == "asyncio":
            without_uvloop(tmp_path, monkeypatch)
        worker = site.work("unruly_app:app", executors=1).wait_ready()
        (neighbour,) = site.enqueue("waits", "neighbour")
        (pid,) = site.marked("neighbour")
        for task in UNRULY:
            for kind in ("exit", "interrupt"):
                view = site.end(task, kind)
                if task.startswith(("subtask_awaited", "subtask_in_group", "subtask_gathered", "thread_of_loop")):
                    name = {"exit": "SystemExit", "interrupt": "KeyboardInterrupt"}[kind]
                    assert (view.state, view.error.type) == (State.DEAD, name), task
                else:
                    assert view.state is State.SUCCEEDED, (task, view)
        site.go("neighbour")
        assert msgspec.msgpack.decode(site.ended(neighbour).result[1:]) == pid
        assert site.counts().lost_total == 0
        errors = worker.stop()[1]
        assert "SystemExit was raised in a task or a callback" in errors
        assert "a job stopped the event loop" in errors


def without_uvloop(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started from now on cannot import it."""
    (path / "sitecustomize.py").write_text("import sys\nsys.modules['uvloop'] = None\n")
    monkeypatch.setenv("PENSTOCK_TEST_PATH", str(path))


def dead_after(view: JobView, attempts: int, error: str) -> bool:
    return (view.state, view.attempt, view.error.type) == (State.DEAD, attempts, error)


class TestExceptions:
    @pytest.mark.parametrize("lane", LANES)
    @pytest.mark.parametrize("kind", ["Frozen", "Slotted"])
    def test_exceptions_that_take_no_attributes_are_retried(
        self, site: UnrulySite, worker: Any, lane: str, kind: str
    ) -> None:
        assert dead_after(site.end(f"odd_{lane}", kind), 2, kind)

    @pytest.mark.parametrize(
        "task",
        [
            "cancelled_subtask", "cancelled_by_hand", "cancelled_itself", "cancelled_limited", "cancelled_plain",
            "cancelled_thread",
        ],
    )  # fmt: skip
    def test_a_jobs_own_cancelled_error_is_a_failure(self, site: UnrulySite, worker: Any, task: str) -> None:
        assert dead_after(site.end(task), 2, "CancelledError")

    def test_it_is_retried_only_where_failures_are(self, site: UnrulySite, worker: Any) -> None:
        assert dead_after(site.end("cancelled_not_covered"), 1, "CancelledError")

    @pytest.mark.parametrize("task", ["cancelled_itself", "swallows_own_cancel", "leaves_own_cancel"])
    def test_no_cancellation_is_left_to_the_next_job(self, site: UnrulySite, task: str) -> None:
        site.work("unruly_app:app", executors=1, concurrency=1).wait_ready()
        ids = site.enqueue(task, count=2)
        (last,) = site.enqueue("group_and_soft")
        view = site.ended(last)
        assert view.state is State.SUCCEEDED, view
        assert msgspec.msgpack.decode(view.result[1:]) == ["cancelling 0", "in a group", "soft"]
        site.client.wait(ids, 60.0)


TOKEN = "a-token-for-the-test"
SPY = f"""
import os, subprocess
from pathlib import Path
from penstock import Penstock

app = Penstock()
at_import = [name for name in os.environ if "TOKEN" in name]


def shown(pid):
    try:
        return b"{TOKEN}" in Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return False


def found():
    printed = subprocess.run(["env"], capture_output=True, text=True).stdout
    names = [name for name in os.environ if "TOKEN" in name]
    return at_import + names + ["a program"] * ("{TOKEN}" in printed) + [
        Path("/proc", pid, "cmdline").read_text() for pid in os.listdir("/proc") if pid.isdigit() and shown(pid)
    ]


@app.task
def look() -> list[str]:
    return found()


@app.task
async def look_async() -> list[str]:
    return found()


@app.task
def enqueue() -> str:
    return look.enqueue().id
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("command", ["up", "worker"])
def test_a_job_cannot_read_the_token(place: Place, command: str) -> None:
    (place.path / "shop.py").write_text(SPY)
    gate = ["--gate", "127.0.0.1:0"] if command == "up" else []
    process = place.start(command, "shop:app", *gate, PENSTOCK_TOKEN=TOKEN)
    client = Client.connect(place.store)
    try:
        for task in ("look", "look_async", "enqueue"):
            group = jobs_of(f"shop.{task}", [], 1)
            client.enqueue([group])
            (view,) = client.wait([group.jobs[0].id], 60.0, result=True)
            assert view is not None
            assert view.state is State.SUCCEEDED, view
            if task != "enqueue":
                assert msgspec.msgpack.decode(view.result[1:]) == []
    finally:
        client.close()
        process.terminate()
        process.communicate(timeout=60)
