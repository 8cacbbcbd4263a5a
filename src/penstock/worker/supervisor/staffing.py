"""How many executors there are. Staffing starts the template process (the forkserver) and the executors that are forked
from it, starts another executor for each that dies, starts everything over when the template dies, and forks lone
executors for suspects, which run one job each. It gives up when starts fail too often in a row.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from penstock.model import limits
from penstock.process.ending_in_words import ending
from penstock.worker.messages import Loaded
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.crew import CrewListener, Executor, Lane, start_executor
from penstock.worker.supervisor.lane_load import LaneLedger
from penstock.worker.supervisor.output import Output
from penstock.worker.supervisor.template import ApplicationFailed, Template, TemplateGone

_LAST_WORDS_S = 1.0
"""How long a worker that ends waits for what its executors printed last."""
_log = logging.getLogger("penstock.worker")


class WorkerFailed(Exception):
    """The worker cannot go on; the message says why.

    Attributes:
        detail: a traceback, or empty.
        is_final: another start would not change it.
    """

    def __init__(self, reason: str, detail: str = "", *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.detail = detail
        self.is_final = is_final


class Employer(CrewListener, Protocol):
    """Who is told what happens to executors, and decides what to do about jobs: the supervisor."""

    async def loaded(self, loaded: Loaded) -> Catalogue:
        """The application is imported. Answers its tasks."""
        ...

    def fail(self, error: Exception) -> None:
        """The worker cannot go on, for this reason."""
        ...

    def on_ready(self) -> None:
        """As many executors as there should be are ready. It is called once."""
        ...

    def on_processes(self, processes: list[tuple[str, int]]) -> None:
        """These are the processes from now on."""
        ...


class Staffing:
    """Keeps executors at their number.

    Attributes:
        executors: all that are not dead, starting and dying ones too.
    """

    def __init__(self, employer: Employer, options: WorkerOptions) -> None:
        self._employer = employer
        self._options = options
        self._template: Template | None = None
        self._catalogue = Catalogue()
        self._output: Output | None = None
        self._changes: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._starts_in_vain = 0
        self._templates_in_vain = 0
        self._start_trouble = ""
        self._has_template = False
        self._closed = asyncio.Event()
        self._announced = False
        self.executors: list[Executor] = []
        self._by_kind: dict[str, list[Lane]] = {}
        self._lone_starting = 0

    @property
    def template_pid(self) -> int | None:
        """Of the template process; None: there is none now."""
        return None if self._template is None else self._template.pid

    def lanes_by_kind(self) -> dict[str, list[Lane]]:
        """The lanes of all executors but the lone ones: those that take whatever job comes."""
        return self._by_kind

    def ledgers(self) -> list[LaneLedger]:
        """The ledgers of those lanes."""
        return [lane.ledger for lanes in self._by_kind.values() for lane in lanes]

    def lanes(self) -> list[Lane]:
        """The lanes of all executors."""
        return [lane for executor in self.executors for lane in executor.lanes]

    def holding(self) -> bool:
        """Whether any executor has a job."""
        return any(lane.ledger.held for lane in self.lanes())

    async def start(self) -> None:
        """Import the application and start the executors; ready ones tell the employer.

        Raises:
            WorkerFailed: the application cannot be imported.
        """
        self._output = Output()
        await self._start_over()

    def kill_all(self) -> None:
        """Kill every executor; what they hold goes back."""
        self._closed.set()
        for executor in list(self.executors):
            executor.kill()

    async def close(self) -> None:
        """Let executors leave, end the template. A second close does nothing."""
        self._closed.set()
        for task in list(self._changes):
            task.cancel()
        for executor in self.executors:
            executor.leave()
        if self._template is not None:
            await self._template.close()
        for executor in self.executors:
            # The kernel has ended it with the template; what its jobs have started is left.
            executor.signal(signal.SIGKILL)
        if self._output is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._output.finish, _LAST_WORDS_S)

    # --- executors for suspects -------------------------------------------------------------------------------------

    def lone(self) -> list[Executor]:
        """The executors that were forked for suspects and still have something to do."""
        return [one for one in self.executors if one.lone and not one.is_going and not one.is_leaving]

    def lone_starting(self) -> int:
        """How many more are being forked."""
        return self._lone_starting

    def start_lone(self) -> None:
        """Fork one more lone executor. The employer is told when it is ready. While there is no template, this does
        nothing."""
        if self._has_template and not self._closed.is_set():
            self._lone_starting += 1
            self._change(self._start_one(_pause_s(self._starts_in_vain), lone=True))

    # --- what happens to executors ----------------------------------------------------------------------------------

    def ready(self) -> None:
        """An executor has become ready, so starting works: forget starts that failed before."""
        self._templates_in_vain = 0
        self._start_trouble = ""
        self._tell()
        if (
            not self._announced
            and sum(one.is_ready and not one.lone for one in self.executors) >= self._options.executors
        ):
            self._announced = True
            self._employer.on_ready()

    def dying(self, executor: Executor) -> None:
        """An executor is ending. Start another, after a pause when executors keep ending before they have done
        anything. A lone one is not replaced."""
        if self._closed.is_set():
            return
        worked = executor.killed or any(lane.board.latest for lane in executor.lanes)
        settled = executor.is_ready and time.monotonic() - executor.started_at > limits.SETTLED_S
        self._starts_in_vain = 0 if worked or settled else self._starts_in_vain + 1
        if self._starts_in_vain >= limits.STARTS_WITHOUT_READY_MAX:
            reason = f"{self._starts_in_vain} executors in a row ended before they did anything."
            self._employer.fail(WorkerFailed(reason, executor.tail()))
        elif self._has_template and not executor.lone:
            self._change(self._start_one(_pause_s(self._starts_in_vain)))

    def dead(self, executor: Executor) -> None:
        """An executor is gone: forget it."""
        if executor in self.executors:
            self.executors.remove(executor)
        self._sort()
        self._tell()

    def executor_exited(self, number: int, status: int) -> None:
        """The template tells of an exit."""
        for executor in list(self.executors):
            if executor.number == number:
                executor.exited(status)

    def template_gone(self) -> None:
        """The template is gone, and every executor goes with it. Start over."""
        if self._closed.is_set() or not self._has_template:
            return
        self._has_template = False
        for executor in list(self.executors):
            # On Linux the kernel has killed them already. What they held is dealt with as for any dead executor.
            executor.signal(signal.SIGKILL)
        self._change(self._start_over())

    # --- starting ---------------------------------------------------------------------------------------------------

    async def _pause(self, pause_s: float) -> None:
        """Wait for so long, or until the end of the worker."""
        if pause_s > 0:
            try:
                await asyncio.wait_for(self._closed.wait(), pause_s)
            except TimeoutError:
                pass

    def _change(self, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changed)

    def _changed(self, task: asyncio.Task[None]) -> None:
        self._changes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._employer.fail(error if isinstance(error, WorkerFailed) else WorkerFailed(repr(error)))

    async def _start_template(self) -> None:
        assert self._output is not None, "made at the start"
        self._template = template = Template(self._options, self, self._output)
        try:
            loaded = await asyncio.wait_for(template.start(), limits.START_S_MAX)
        except ApplicationFailed as failed:
            raise WorkerFailed(str(failed), failed.detail, is_final=True) from None
        except TimeoutError:
            raise WorkerFailed(f"importing {self._options.app} took longer than {limits.START_S_MAX:g} s.") from None
        self._has_template = True
        self._catalogue = await self._employer.loaded(loaded)

    async def _start_over(self) -> None:
        """Start a template, as often as it takes, and then as many executors as there should be."""
        while not self._has_template:
            if self._template is not None:
                await self._bury(self._template)
            await self._pause(_pause_s(self._templates_in_vain - 1))
            self._templates_in_vain += 1
            try:
                await self._start_template()
            except TemplateGone:
                continue
            except OSError as error:
                # No process has been started. As with executors, that may pass.
                self._template = None
                if self._templates_in_vain >= limits.STARTS_WITHOUT_READY_MAX:
                    raise WorkerFailed(f"cannot start a process that imports {self._options.app}: {error}") from None
                self._warn_once("a process that imports the application", error)
        alive = sum(not executor.is_going and not executor.lone for executor in self.executors)
        await asyncio.gather(*(self._start_one() for _ in range(self._options.executors - alive)))

    async def _bury(self, template: Template) -> None:
        """Log how a template ended, before the next is started.

        Raises:
            WorkerFailed: that happened too often.
        """
        await template.close()
        assert template.status is not None, "close has waited for it"
        how, times = ending(template.status), self._templates_in_vain
        if times >= limits.STARTS_WITHOUT_READY_MAX:
            raise WorkerFailed(
                f"The process that imports {self._options.app} ended {times} times in a row before an executor was"
                f" ready, at last with {how}. Standard error has what it said."
            )
        _log.warning(
            "the process that imports %s ended with %s, starting another",
            self._options.app, how, extra={"action": "template-gone", "status": template.status},
        )  # fmt: skip

    async def _start_one(self, pause_s: float = 0.0, *, lone: bool = False) -> None:
        try:
            await self._fork_one(pause_s, lone=lone)
        finally:
            self._lone_starting -= lone

    async def _fork_one(self, pause_s: float, *, lone: bool) -> None:
        template, output = self._template, self._output
        assert template is not None, "started before executors are"
        assert output is not None, "started before executors are"
        await self._pause(pause_s)
        if template.gone or self._closed.is_set():
            # A new template starts as many executors as there should be.
            return
        self._numbers += 1
        enlist = self._enlist_lone if lone else self._enlist
        start = start_executor(self._numbers, template, self._catalogue, self._employer, output, enlist)
        try:
            executor = await asyncio.wait_for(start, limits.START_S_MAX)
        except TemplateGone:
            return
        except TimeoutError:
            # It is stopped, or worse. Without it there are no new executors, so there must be another.
            template.kill()
            return
        except OSError as error:
            # This process, the template or the machine has too many processes or open files; that may pass.
            self._warn_once("an executor", error)
            self._lone_starting += lone
            self._change(self._start_one(limits.RESTART_S_MAX, lone=lone))
            return
        asyncio.get_running_loop().call_later(limits.START_S_MAX, _kill_unready, executor)

    def _warn_once(self, what: str, error: OSError) -> None:
        """Say that something cannot be started. The same again is said only when executors were ready in between."""
        trouble = f"cannot start {what}: {error}"
        if self._start_trouble != trouble:
            self._start_trouble = trouble
            _log.warning("%s", trouble, extra={"action": "executor-start-failed"})

    def _enlist(self, executor: Executor) -> None:
        self.executors.append(executor)
        self._sort()
        self._tell()

    def _enlist_lone(self, executor: Executor) -> None:
        executor.lone = True
        self._enlist(executor)

    def _sort(self) -> None:
        self._by_kind = {}
        for executor in self.executors:
            for lane in () if executor.lone else executor.lanes:
                self._by_kind.setdefault(lane.ledger.kind, []).append(lane)

    def _tell(self) -> None:
        processes = [] if self.template_pid is None else [("forkserver", self.template_pid)]
        processes += [
            ("lone-executor" if one.lone else "executor", one.pid)
            for one in self.executors
            if one.is_ready and not one.is_going
        ]
        self._employer.on_processes(processes)


def _pause_s(failures: int) -> float:
    """How long to wait after so many starts in vain."""
    return 0.0 if failures <= 0 else min(limits.RESTART_BASE_S * 2.0 ** (failures - 1), limits.RESTART_S_MAX)


def _kill_unready(executor: Executor) -> None:
    if not executor.is_ready:
        executor.signal(signal.SIGKILL)
