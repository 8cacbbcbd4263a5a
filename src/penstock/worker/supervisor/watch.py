"""Which jobs of a lane run, since when, and which must end. Pure: the caller hands in what the scoreboard shows, and
``now``.

Times are on the monotonic clock. A job that is over its time limit, or was cancelled, is first asked to end where it
can hear that: as a coroutine, on a thread, or when a plain function looks at its context. If it does not end within
`limits.END_GRACE_S`, its executor is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from penstock.model import limits
from penstock.worker.messages import PROCESS_LANE, Occupied


class EndReason(Enum):
    """Why a running job must end."""

    OVERDUE = "overdue"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Running:
    """A job seen in a slot.

    Attributes:
        limit_s: its task's time limit; None: none.
        reported: the store knows that it has started.
        kill_at: when its executor is killed; None: not to be.
    """

    slot: int
    fence: int
    task: str | None
    started: float
    attempt: int
    limit_s: float | None
    reported: bool = False
    ending: EndReason | None = None
    kill_at: float | None = None


@dataclass(slots=True)
class Findings:
    """What one look at a scoreboard asks for.

    Attributes:
        started: jobs whose start is to be reported to the store.
        ask: jobs to be asked to end.
        kill: the job for which the executor is to be killed. None: there is none.
    """

    started: list[Running] = field(default_factory=list)
    ask: list[Running] = field(default_factory=list)
    kill: Running | None = None


class Watch:
    """The running jobs of one lane.

    Attributes:
        running: by fence, the jobs that the scoreboard showed when it was looked at last. Jobs that start and end
            between two looks are never seen.
    """

    def __init__(
        self, kind: str, task_of: Callable[[int], str | None], limit_of: Callable[[str], float | None]
    ) -> None:
        self._kind = kind
        self._task_of = task_of
        self._limit_of = limit_of
        self._cancelled: set[int] = set()
        self.running: dict[int, Running] = {}

    def look(self, occupied: Iterable[Occupied], now: float) -> Findings:
        """Compare what the scoreboard shows with what it showed before."""
        findings = Findings()
        before, self.running = self.running, {}
        for place in occupied:
            job = before.get(place.fence)
            if job is None:
                job = self._first_seen(place)
            elif not job.reported:
                # The start is reported when a job is seen for the second time. Most jobs are over by then, and need
                # no report.
                job.reported = True
                findings.started.append(job)
            self.running[place.fence] = job
            self._judge(job, now, findings)
        return findings

    def cancel(self, fence: int) -> None:
        """Somebody has cancelled a job. If it has not started yet, it is asked to end as soon as it does."""
        self._cancelled.add(fence)

    def forget(self, fences: Iterable[int]) -> None:
        """These jobs have ended, or are not this lane's any more."""
        if self._cancelled:
            self._cancelled.difference_update(fences)

    def _first_seen(self, place: Occupied) -> Running:
        task = self._task_of(place.fence)
        limit_s = None if task is None else self._limit_of(task)
        return Running(place.slot, place.fence, task, place.started, place.attempt, limit_s)

    def _judge(self, job: Running, now: float, findings: Findings) -> None:
        if job.ending is None:
            if job.limit_s is not None and now - job.started >= job.limit_s:
                # A plain function cannot be ended from inside, so waiting for that would be for nothing.
                self._end(job, EndReason.OVERDUE, now + (0.0 if self._kind == PROCESS_LANE else limits.END_GRACE_S))
            elif job.fence in self._cancelled:
                self._end(job, EndReason.CANCELLED, now + limits.END_GRACE_S)
            if job.ending is not None:
                findings.ask.append(job)
        if job.kill_at is not None and now >= job.kill_at and findings.kill is None:
            findings.kill = job

    @staticmethod
    def _end(job: Running, ending: EndReason, kill_at: float) -> None:
        job.ending = ending
        job.kill_at = kill_at
