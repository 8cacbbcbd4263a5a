"""The heartbeat: leases extended, starts and progress told, cancellations heard of. One request at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.model.job import Extended, Extension, Progress
from penstock.worker.store import LeaseStore

STARTED_S = limits.STARTED_REPORT_S / 4
"""Starts wait for company this long; the scoreboard was read twice before, so all is told in time."""

_log = logging.getLogger("penstock.worker")


class Heartbeat:
    """One supervisor's.

    Attributes:
        progress: the latest of each job, not told yet.
    """

    def __init__(self, holder: bytes) -> None:
        self._holder = holder
        self._started: dict[int, float] = {}
        self._news = asyncio.Event()
        self._all_at = 0.0
        self._running_at = 0.0
        self.progress: dict[int, Progress] = {}

    def started(self, fence: int, at: float) -> None:
        """A job has been running for a while. ``at``: Unix seconds."""
        if not self._started:
            asyncio.get_running_loop().call_later(STARTED_S, self._news.set)
        self._started[fence] = at

    async def run(
        self,
        store: LeaseStore,
        held: Callable[[], list[int]],
        running: Callable[[], list[int]],
        heard: Callable[[Extended], None],
    ) -> None:
        """Beat until cancelled.

        Args:
            held: every fence held now.
            running: those of jobs that have been running for a while.
            heard: takes the store's answers.
        """
        now = time.monotonic()
        self._all_at, self._running_at = now + limits.EXTEND_S, now + limits.CANCEL_NOTICE_S
        while True:
            await self._pause()
            extension = self._due(held, running, time.monotonic())
            if extension is None:
                continue
            try:
                heard(await store.extend(extension))
            except PenstockError as error:
                _log.warning("cannot extend: %s", error, extra={"action": "extend-failed"})
                self._started.update(extension.started)
                self._running_at = time.monotonic() + limits.CANCEL_NOTICE_S

    async def _pause(self) -> None:
        """Until something is due."""
        try:
            until_s = min(self._all_at, self._running_at) - time.monotonic()
            await asyncio.wait_for(self._news.wait(), max(until_s, 0.0))
        except TimeoutError:
            pass
        self._news.clear()

    def _due(self, held: Callable[[], list[int]], running: Callable[[], list[int]], now: float) -> Extension | None:
        fences: list[int] = []
        progress: list[tuple[int, Progress]] = []
        if now >= self._running_at:
            self._running_at = now + limits.CANCEL_NOTICE_S
            fences = running()
            progress, self.progress = list(self.progress.items()), {}
        if now >= self._all_at:
            self._all_at = now + limits.EXTEND_S
            fences = held()
        started, self._started = self._started, {}
        fences = list(dict.fromkeys([*fences, *started, *(fence for fence, _ in progress)]))
        if not fences:
            return None
        return Extension(self._holder, fences, started=list(started.items()), progress=progress)
