"""What a lane has to report, until it is sent.

Jobs append (`deque.append` is atomic, so no lock is taken for a job); whoever flushes takes from the other end under
a lock. So a second thread can send what short jobs left behind while a long one holds the lane's own thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from penstock.model.job import Buried, Cancelled, Outcomes, Progress, Retried, Snoozed, Succeeded
from penstock.worker.messages import Report, frame

T = TypeVar("T")
Outcome = Succeeded | Retried | Snoozed | Buried | Cancelled

FLUSH_S = 0.005
"""Outcomes of short jobs wait for company no longer than this."""


class Outbox:
    """Outcomes and progress of one lane, sent in reports.

    Attributes:
        forgotten: append fences of jobs that succeeded and of which nothing is kept.
        outcomes: append all others.
        progress: the latest of each running job.
        recalled: set when a recall was heard, after adding to ``returned`` what it took back.
        busy_s: add what the jobs took.
        flushed_at: monotonic seconds.
    """

    def __init__(self, send: Callable[[bytearray], None]) -> None:
        self.forgotten: deque[int] = deque()
        self.outcomes: deque[Outcome] = deque()
        self.progress: dict[int, Progress] = {}
        self.recalled = False
        self.returned: list[int] = []
        self.busy_s = 0.0
        self.flushed_at = time.monotonic()
        self._send = send
        self._lock = threading.Lock()

    def announce(self) -> None:
        """Say that the lane is ready."""
        self._send(frame(Report()))

    def flush(self) -> None:
        """Send what there is."""
        with self._lock:
            self.flushed_at = time.monotonic()
            if self.forgotten or self.outcomes or self.progress or self.recalled:
                self._send(frame(self._report()))

    def flush_if_stale(self, now: float) -> None:
        """`flush`, unless something was sent a moment ago."""
        if now - self.flushed_at >= FLUSH_S:
            self.flush()

    def _report(self) -> Report:
        report = Report(busy_s=self.busy_s)
        self.busy_s = 0.0
        if self.recalled:
            self.recalled, report.answers_recall = False, True
            report.returned, self.returned = self.returned, []
        forgotten = _taken(self.forgotten)
        if forgotten and forgotten[-1] - forgotten[0] == len(forgotten) - 1 and _rising(forgotten):
            report.forgotten_first, report.forgotten_count = forgotten[0], len(forgotten)
            forgotten = []
        if forgotten or self.outcomes:
            report.outcomes = Outcomes(forgotten=forgotten)
            _sort_into(report.outcomes, _taken(self.outcomes))
        while self.progress:
            report.progress.append(self.progress.popitem())
        return report


def _taken(waiting: deque[T]) -> list[T]:
    # Only as many as there are now: the jobs' thread may go on appending.
    return [waiting.popleft() for _ in range(len(waiting))]


def _rising(fences: list[int]) -> bool:
    return fences == list(range(fences[0], fences[-1] + 1))


def _sort_into(report: Outcomes, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Succeeded):
            report.succeeded.append(outcome)
        elif isinstance(outcome, Retried):
            report.retried.append(outcome)
        elif isinstance(outcome, Buried):
            report.buried.append(outcome)
        elif isinstance(outcome, Snoozed):
            report.snoozed.append(outcome)
        else:
            report.cancelled.append(outcome)
