"""What a lane has to report to the supervisor, until it is sent.

The thread that runs a job appends the outcome. `deque.append` is atomic, so that takes no lock. Whoever flushes takes
outcomes from the other end, under a lock: while a long job holds the lane's own thread, a second thread can send what
earlier jobs have left.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from penstock.model import limits
from penstock.model.job import (
    Buried,
    Cancelled,
    Outcomes,
    Progress,
    Refused,
    Retried,
    Snoozed,
    Succeeded,
    Suspended,
)
from penstock.tasks.child_jobs import Children
from penstock.worker.messages import Report, frame

T = TypeVar("T")


class Parent(NamedTuple):
    """The success of a job with which others land."""

    outcome: Succeeded
    children: Children


Outcome = Succeeded | Retried | Snoozed | Buried | Cancelled | Refused | Suspended | Parent

FLUSH_S = 0.005
"""Outcomes of short jobs are collected no longer than this before a report is sent."""
ERROR_BYTES_MAX = 2 * limits.ERROR_MESSAGE_BYTES_MAX + limits.TRACEBACK_BYTES_MAX
"""What an error may take in a report: its type, its message and its traceback."""
_OUTCOME_BYTES = 64
"""What any outcome takes besides, at most."""
PROGRESS_S = 0.02
"""Progress is sent no more often than this, unless there is something else to send."""


class Outbox:
    """Outcomes and progress of one lane, sent in reports.

    Attributes:
        forgotten: append fences of jobs that succeeded and of which nothing is kept.
        outcomes: append all others.
        progress: the latest of each running job.
        returned: append fences of jobs that did not start: taken back before, or too late for them.
        recalled: set when a `Recall` was heard, after its jobs were appended to ``returned``.
        busy_s: add the time that jobs have taken.
        flushed_at: when something was sent last (monotonic seconds).
        send_now: flushes from whichever thread a job runs on. A lane whose socket belongs to one thread replaces it.
    """

    def __init__(self, send: Callable[[bytearray], None]) -> None:
        self.forgotten: deque[int] = deque()
        self.outcomes: deque[Outcome] = deque()
        self.progress: dict[int, Progress] = {}
        self.recalled = False
        self.returned: deque[int] = deque()
        self.busy_s = 0.0
        self.flushed_at = time.monotonic()
        self._send = send
        self.send_now: Callable[[], object] = self.flush
        self._lock = threading.Lock()

    def hurry(self, *, first: bool) -> None:
        """Send progress that was noted, unless something was sent a moment ago: the job may go on for long before there
        is anything else to send. ``first``: of this job; it is sent at once."""
        if first or time.monotonic() - self.flushed_at >= PROGRESS_S:
            self.send_now()

    def mute(self) -> None:
        """Send nothing any more. For a process that a job forked: what it says of its progress is dropped."""
        self.send_now = _nothing

    def announce(self) -> None:
        """Say that the lane is ready."""
        self._send(frame(Report()))

    def flush(self) -> None:
        """Send what there is. The caller must end the executor on whatever this raises: then others run the jobs whose
        outcomes could not be sent."""
        with self._lock:
            self.flushed_at = time.monotonic()
            left = len(self.outcomes)
            if left or self.forgotten or self.progress or self.recalled or self.returned:
                left -= self._send_report()
            while left > 0:
                # What did not fit one report. Jobs that have ended since then are left for the next flush.
                left -= self._send_report()

    def flush_if_stale(self, now: float) -> None:
        """`flush`, unless something was sent a moment ago."""
        if now - self.flushed_at >= FLUSH_S:
            self.flush()

    def _send_report(self) -> int:
        """Send one report. Answers how many outcomes are in it."""
        forgotten, outcomes = _taken(self.forgotten), self._bounded()
        report = self._report(forgotten, outcomes)
        try:
            data = frame(report)
        except BaseException:
            self.forgotten.extendleft(reversed(forgotten))
            self.outcomes.extendleft(reversed(outcomes))
            self.returned.extendleft(reversed(report.returned))
            self.recalled |= report.answers_recall
            raise
        self._send(data)
        return len(outcomes)

    def _bounded(self) -> list[Outcome]:
        """Take outcomes for one report: as many as a settlement holds, and the one that exceeds its limits."""
        waiting, taken, size_bytes, children = self.outcomes, [], 0, 0
        for _ in range(len(waiting)):
            outcome = waiting.popleft()
            taken.append(outcome)
            size_bytes += _OUTCOME_BYTES
            if isinstance(outcome, Succeeded):
                size_bytes += len(outcome.result or b"")
            elif isinstance(outcome, Parent):
                size_bytes += len(outcome.outcome.result or b"") + outcome.children.size_bytes
                children += outcome.children.count
            elif isinstance(outcome, (Retried, Buried, Refused)):
                size_bytes += ERROR_BYTES_MAX
            elif isinstance(outcome, Suspended):
                size_bytes += ERROR_BYTES_MAX * (1 + len(outcome.before))
            if children > limits.BATCH_JOBS_MAX - limits.CHILDREN_MAX:
                break
            if size_bytes >= limits.SETTLE_BYTES_MAX:
                break
        return taken

    def _report(self, forgotten: list[int], outcomes: list[Outcome]) -> Report:
        report = Report(busy_s=self.busy_s)
        self.busy_s = 0.0
        if self.recalled:
            self.recalled, report.answers_recall = False, True
        report.returned = _taken(self.returned)
        if forgotten and forgotten[-1] - forgotten[0] == len(forgotten) - 1 and _rising(forgotten):
            report.forgotten_first, report.forgotten_count = forgotten[0], len(forgotten)
            forgotten = []
        if forgotten or outcomes:
            # An executor holds no lease: its supervisor says by whom they are held.
            report.outcomes = Outcomes(b"", forgotten=forgotten)
            _sort_into(report.outcomes, outcomes)
        while self.progress:
            report.progress.append(self.progress.popitem())
        return report


def _nothing() -> None:
    pass


def _taken(waiting: deque[T]) -> list[T]:
    # Only as many as there are now: the jobs' thread may go on appending.
    return [waiting.popleft() for _ in range(len(waiting))]


def _rising(fences: list[int]) -> bool:
    return fences == list(range(fences[0], fences[-1] + 1))


def _sort_into(report: Outcomes, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Succeeded):
            # Most are; they are not worth a look at what they are called.
            report.succeeded.append(outcome)
        elif isinstance(outcome, Parent):
            report.succeeded.append(outcome.outcome)
            outcome.children.land(report, outcome.outcome.fence)
        else:
            report.add(outcome)
