"""The process that runs a job is killed, again and again: when its body begins anew, and what became of the rest.

Around each job that is interrupted, quick ones are put in: they may be lost with the process, or run twice.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from functools import partial

from benchmarks.bodies import Stage
from benchmarks.processes import START_S, BenchmarkFailed, until
from benchmarks.rivals.catalogue import Contender
from benchmarks.rivals.producer import BESIDE_FROM
from benchmarks.rivals.rival import Crew
from benchmarks.workspace import Workspace

BESIDE = 10
STEADY_S = 0.3
REVIVALS_MAX = 8
"""A worker that ends again and again is broken, and says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the jobs.

    Attributes:
        times_s: from each kill to the next body of its job; the time-out where it did not come.
        unfinished: jobs, interrupted ones and those beside them, that had not run to their end by the time-out.
        twice: jobs that ran again although they had run, or once more than their interruption asked for.
        told: of how many jobs and kills.
        said: anything else.
    """

    times_s: list[float]
    unfinished: int
    twice: int
    told: str
    said: str = ""


def recovery(subject: Contender, workspace: Workspace, kills: int, timeout_s: float) -> Found:
    """Kill so many times, then wait until everything has run or the time-out of the last kill is up."""
    stage = Stage(workspace.bodies)
    try:
        site = subject.site(workspace)
        site.start("lingering")
        crew = site.crew("lingering")
        producer = site.producer("kills", "--jobs", str(kills), "--beside", str(BESIDE))
        producer.line()
        killed_at, said = [], ""
        for number in range(kills):
            producer.say("one more")
            try:
                killed_at.append(_kill(stage, crew, number))
            except BenchmarkFailed:
                if not killed_at:
                    raise
                said = f"after {number} kills it took no more jobs for {START_S:.0f} s"
                break
        _wait_for_all(stage, crew, killed_at, timeout_s)
        crew.kill()
        return _found(stage, killed_at, kills if not said else len(killed_at), timeout_s, said)
    finally:
        stage.close()


def beside(number: int) -> range:
    """The numbers of the quick jobs that were put in around an interrupted one."""
    first = BESIDE_FROM + number * 2 * BESIDE
    return range(first, first + 2 * BESIDE)


def _kill(stage: Stage, crew: Crew, number: int) -> float:
    """Kill whoever runs this job. Answers when."""

    revived = 0

    def begun() -> bool:
        nonlocal revived
        if revived > REVIVALS_MAX:
            crew.check()
        revived += crew.revive()
        return stage.has_begun(number, runs=1)

    until(begun, "a job starts", START_S, step_s=0.002)
    time.sleep(STEADY_S)  # what was put in behind it arrives too
    _, pid = stage.run(number, 0)
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def _wait_for_all(stage: Stage, crew: Crew, killed_at: list[float], timeout_s: float) -> None:
    deadline = killed_at[-1] + timeout_s

    def done() -> bool:
        crew.revive()
        return time.monotonic() > deadline or all(map(partial(_is_over, stage), range(len(killed_at))))

    until(done, "the jobs run again", timeout_s + 1, step_s=0.05)
    time.sleep(STEADY_S)  # one that runs once more may still come


def _is_over(stage: Stage, number: int) -> bool:
    return stage.has_begun(number, runs=2) and all(stage.has_begun(other, runs=1) for other in beside(number))


def _found(stage: Stage, killed_at: list[float], kills: int, timeout_s: float, said: str) -> Found:
    times_s, unfinished, twice = [], 0, 0
    for number, at in enumerate(killed_at):
        back = stage.has_begun(number, runs=2)
        times_s.append(min(timeout_s, stage.run(number, 1)[0] - at) if back else timeout_s)
        unfinished += not back
        twice += stage.has_begun(number, runs=3)
        unfinished += sum(not stage.has_begun(other, runs=1) for other in beside(number))
        twice += sum(stage.has_begun(other, runs=2) for other in beside(number))
    jobs = len(killed_at) * (1 + 2 * BESIDE)
    return Found(times_s, unfinished, twice, f"of {jobs} jobs, {kills} of them interrupted", said)
