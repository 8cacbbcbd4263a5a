"""How many executors there are, in virtual time: started, replaced, given up. The executors are played."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from penstock.model import limits
from penstock.testing.virtual_loop import run_virtual
from penstock.worker.messages import Loaded, Report
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.crew import Executor, Lane
from penstock.worker.supervisor.staffing import Staffing, WorkerFailed
from penstock.worker.supervisor.template import ApplicationFailed, TemplateGone
from tests.unit.worker.supervisor.staged import ActorProcess, Stage

OPTIONS = WorkerOptions("app:app", executors=3)


class Employer:
    """Does what the supervisor does with what staffing tells it, and keeps it."""

    def __init__(self, stage: Stage, options: WorkerOptions = OPTIONS) -> None:
        self.stage = stage
        self.staffing = Staffing(self, options)
        self.failures: list[Exception] = []
        self.announced = 0
        self.processes: list[tuple[str, int]] = []
        self.forks: list[tuple[float, int]] = []

    async def loaded(self, loaded: Loaded) -> Catalogue:
        return Catalogue(loaded.sheets)

    def fail(self, error: Exception) -> None:
        self.failures.append(error)

    def on_ready(self) -> None:
        self.announced += 1

    def on_processes(self, processes: list[tuple[str, int]]) -> None:
        self.processes = processes

    def reported(self, lane: Lane, report: Report, size_bytes: int) -> None:
        raise AssertionError("nothing runs here")

    def ready(self, executor: Executor) -> None:
        self.staffing.ready()

    def dying(self, executor: Executor) -> None:
        self.staffing.dying(executor)

    def dead(self, executor: Executor) -> None:
        self.staffing.dead(executor)

    @property
    def failure(self) -> str:
        [error] = self.failures
        assert isinstance(error, WorkerFailed)
        return str(error)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def play(stage: Stage, story: Callable[[Employer], Awaitable[None]], options: WorkerOptions = OPTIONS) -> Employer:
    """Start, let the story happen, close."""

    async def run() -> Employer:
        employer = Employer(stage, options)
        try:
            await employer.staffing.start()
            await story(employer)
        finally:
            await employer.staffing.close()
        return employer

    return run_virtual(run(), stage.clock)


def ready(stage: Stage) -> list[ActorProcess]:
    return [one for one in stage.alive() if one.executor is not None and one.executor.is_ready]


def worked(process: ActorProcess) -> ActorProcess:
    """It has begun a job once."""
    process.lanes[0].board.words[0] = 1
    return process


# --- the usual number ------------------------------------------------------------------------------------------------


def test_there_are_as_many_as_asked_for_and_that_is_told_once(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        assert employer.announced == 1
        assert employer.processes == [("forkserver", 1_000), ("executor", 1), ("executor", 2), ("executor", 3)]
        worked(stage.processes[0]).die(-9)
        await stage.until(lambda: len(ready(stage)) == 3)
        assert employer.announced == 1
        assert employer.processes == [("forkserver", 1_000), ("executor", 2), ("executor", 3), ("executor", 4)]

    play(stage, story)
    assert stage.alive() == []


def test_one_that_worked_is_replaced_at_once_however_often(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        for _ in range(4 * limits.STARTS_WITHOUT_READY_MAX):
            await stage.until(lambda: len(ready(stage)) == 3)
            began = stage.clock.monotonic()
            worked(ready(stage)[0]).die(-9)
            await stage.until(lambda: len(ready(stage)) == 3)
            assert stage.clock.monotonic() - began < 0.1
        assert employer.failures == []

    play(stage, story)


def test_those_that_end_before_they_do_anything_are_replaced_after_longer_and_longer_then_given_up(
    stage: Stage,
) -> None:
    async def story(employer: Employer) -> None:
        pauses = []
        for _ in range(limits.STARTS_WITHOUT_READY_MAX - 1):
            await stage.until(lambda: len(stage.alive()) == 3)
            count, began = len(stage.processes), stage.clock.monotonic()
            stage.alive()[-1].die(1)
            await stage.until(lambda count=count: len(stage.processes) > count)
            pauses.append(stage.clock.monotonic() - began)
        assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8], abs=0.05)
        assert employer.failures == []
        stage.alive()[-1].die(1)
        await stage.until(lambda: employer.failures)
        assert employer.failure == "5 executors in a row ended before they did anything."

    play(stage, story)


def test_one_that_was_ready_for_a_while_or_was_killed_on_purpose_is_no_start_in_vain(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        for count in range(2 * limits.STARTS_WITHOUT_READY_MAX):
            await stage.until(lambda: len(ready(stage)) == 3)
            if count % 2:
                await asyncio.sleep(limits.SETTLED_S + 0.1)
                ready(stage)[0].die(1)
            else:
                executor = ready(stage)[0].executor
                assert executor is not None
                executor.kill()
        await stage.until(lambda: len(ready(stage)) == 3)
        assert employer.failures == []

    play(stage, story)


def test_one_that_never_gets_ready_is_killed_and_replaced(stage: Stage) -> None:
    async def story(_employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        stage.ready_s = None
        worked(stage.processes[0]).die(-9)
        await stage.until(lambda: len(stage.alive()) == 3)
        stuck, began = stage.alive()[-1], stage.clock.monotonic()
        stage.ready_s = 0.01
        await stage.until(lambda: len(ready(stage)) == 3, 2 * limits.START_S_MAX)
        assert stage.clock.monotonic() - began == pytest.approx(limits.START_S_MAX, abs=1.0)
        assert stuck.is_gone

    play(stage, story)


def test_a_forkserver_that_does_not_answer_is_killed_and_everything_starts_over(stage: Stage) -> None:
    async def story(_employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        stage.fork_s = 10 * limits.START_S_MAX
        worked(stage.processes[0]).die(-9)
        await asyncio.sleep(limits.START_S_MAX - 1.0)
        stage.fork_s = 0.0
        await stage.until(lambda: len(ready(stage)) == 3)
        assert len(stage.templates) == 2

    play(stage, story)


def test_without_descriptors_it_is_tried_again_and_told_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        stage.fork_error = OSError(24, "Too many open files")
        for process in ready(stage)[:2]:
            worked(process).die(-9)
        await asyncio.sleep(10 * limits.RESTART_S_MAX)
        assert len(ready(stage)) == 1
        stage.fork_error = None
        await stage.until(lambda: len(ready(stage)) == 3, limits.RESTART_S_MAX + 1.0)
        assert employer.failures == []

    play(stage, story)
    assert [record.getMessage() for record in caplog.records if "Too many open files" in record.getMessage()] == [
        "cannot start an executor: [Errno 24] Too many open files"
    ]


# --- the forkserver --------------------------------------------------------------------------------------------------


def test_when_it_is_gone_its_executors_are_killed_and_as_many_start_anew(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        before = list(stage.processes)
        employer.staffing.template_gone()
        await stage.until(lambda: len(ready(stage)) == 3 and not set(before) & set(ready(stage)))
        assert [number for number, sent in stage.signals if sent == signal.SIGKILL][:3] == [1, 2, 3]
        assert len(stage.processes) == 6
        assert employer.staffing.template_pid == 1_001

    play(stage, story)


def test_one_that_ends_again_and_again_while_it_imports_is_given_up_after_longer_and_longer(stage: Stage) -> None:
    began = stage.clock.monotonic()
    stage.import_error = TemplateGone()

    async def story(_employer: Employer) -> None:
        raise AssertionError("it has not started")

    with pytest.raises(WorkerFailed, match=r"imports app:app ended 5 times in a row .* with status 1"):
        play(stage, story)
    pauses_s = 0.1 + 0.2 + 0.4
    assert stage.clock.monotonic() - began == pytest.approx(pauses_s + 5 * stage.import_s, abs=0.1)
    assert len(stage.templates) == limits.STARTS_WITHOUT_READY_MAX


@pytest.mark.parametrize("in_vain", [3, 1_000])
def test_one_that_cannot_be_started_for_want_of_descriptors_is_tried_again_and_told_of_once(
    stage: Stage, caplog: pytest.LogCaptureFixture, in_vain: int
) -> None:
    stage.import_error = OSError(24, "Too many open files")

    async def story(_employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)

    async def run() -> None:
        employer = Employer(stage)
        start = asyncio.ensure_future(employer.staffing.start())
        await stage.until(lambda: len(stage.templates) == in_vain or start.done())
        stage.import_error = None
        await start
        await story(employer)
        await employer.staffing.close()

    if in_vain > limits.STARTS_WITHOUT_READY_MAX:
        with pytest.raises(WorkerFailed, match=r"cannot start a process that imports app:app: .*Too many open files"):
            run_virtual(run(), stage.clock)
        assert len(stage.templates) == limits.STARTS_WITHOUT_READY_MAX
    else:
        run_virtual(run(), stage.clock)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot start a process that imports the application: [Errno 24] Too many open files"
    ]


def test_an_executor_that_is_ready_makes_up_for_the_starts_in_vain(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        for _ in range(2 * limits.STARTS_WITHOUT_READY_MAX):
            await stage.until(lambda: len(ready(stage)) == 3)
            for process in ready(stage):
                worked(process)
            stage.templates[-1].die()
            await stage.until(lambda: not ready(stage))
        await stage.until(lambda: len(ready(stage)) == 3)
        assert employer.failures == []

    play(stage, story)


def test_an_application_that_cannot_be_imported_is_final(stage: Stage) -> None:
    stage.import_error = ApplicationFailed("no module named app", "traceback")

    async def story(_employer: Employer) -> None:
        raise AssertionError("it has not started")

    with pytest.raises(WorkerFailed, match="no module named app") as raised:
        play(stage, story)
    assert (raised.value.is_final, raised.value.detail) == (True, "traceback")
    assert len(stage.templates) == 1


def test_an_import_that_takes_for_ever_is_not_waited_for(stage: Stage) -> None:
    stage.import_s = 10 * limits.START_S_MAX

    async def story(_employer: Employer) -> None:
        raise AssertionError("it has not started")

    began = stage.clock.monotonic()
    with pytest.raises(WorkerFailed, match="took longer than 120 s"):
        play(stage, story)
    assert stage.clock.monotonic() - began == pytest.approx(limits.START_S_MAX, abs=1.0)


def test_an_application_that_cannot_be_imported_any_more_ends_the_worker(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        stage.import_error = ApplicationFailed("it was edited", "traceback")
        stage.templates[0].die()
        await stage.until(lambda: employer.failures)
        assert employer.failure == "it was edited"

    play(stage, story)


# --- lone executors --------------------------------------------------------------------------------------------------


def test_a_lone_one_is_one_more_and_nobody_takes_its_place(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        employer.staffing.start_lone()
        assert employer.staffing.lone_starting() == 1
        await stage.until(lambda: len(ready(stage)) == 4)
        [lone] = employer.staffing.lone()
        assert (lone.number, employer.staffing.lone_starting()) == (4, 0)
        assert ("lone-executor", 4) in employer.processes
        assert [lane.executor.number for lane in employer.staffing.lanes_by_kind()["process"]] == [1, 2, 3]
        worked(stage.processes[3]).die(-9)
        await asyncio.sleep(10.0)
        assert len(stage.processes) == 4
        assert employer.staffing.lone() == []

    play(stage, story)


def test_without_a_forkserver_no_lone_one_is_started(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        stage.import_s = 5.0
        stage.templates[0].die()
        await stage.until(lambda: len(stage.templates) == 2)
        employer.staffing.start_lone()
        assert employer.staffing.lone_starting() == 0
        await stage.until(lambda: len(ready(stage)) == 3)
        assert len(stage.processes) == 6

    play(stage, story)


def test_a_lone_one_that_cannot_be_forked_is_waited_for(stage: Stage) -> None:
    """Otherwise its suspect would ask for one executor after the other."""

    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        stage.fork_error = OSError(24, "Too many open files")
        employer.staffing.start_lone()
        for _ in range(3):
            await asyncio.sleep(limits.RESTART_S_MAX)
            assert employer.staffing.lone_starting() == 1
        stage.fork_error = None
        await stage.until(lambda: len(employer.staffing.lone()) == 1)
        assert employer.staffing.lone_starting() == 0

    play(stage, story)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_after_the_end_nothing_is_started_any_more(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        await stage.until(lambda: len(ready(stage)) == 3)
        employer.staffing.kill_all()
        await stage.until(lambda: not stage.alive())
        employer.staffing.start_lone()
        employer.staffing.template_gone()
        await asyncio.sleep(60.0)
        assert len(stage.processes) == 3
        assert len(stage.templates) == 1

    play(stage, story)


def test_a_pause_before_the_next_start_does_not_hold_up_the_end(stage: Stage) -> None:
    async def story(employer: Employer) -> None:
        for _ in range(limits.STARTS_WITHOUT_READY_MAX - 1):
            await stage.until(lambda: len(stage.alive()) == 3)
            stage.alive()[-1].die(1)
        await stage.until(lambda: len(stage.alive()) == 2)
        began = stage.clock.monotonic()
        await employer.staffing.close()
        assert stage.clock.monotonic() - began < 0.1

    play(stage, story)
    assert stage.alive() == []
