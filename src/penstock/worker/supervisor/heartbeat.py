"""The heartbeat of a supervisor: it extends its leases, so that nobody else runs its jobs meanwhile.

The same requests tell the store which jobs have started and how far they are, and bring back which leases were lost
and which jobs are to be cancelled. There is one request at a time. `supervisor.Supervisor` starts the heartbeat and
feeds it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.model.job import Extended, Extension, Progress
from penstock.ports import AsyncStore
from penstock.process.repeated_faults import Faults

STARTED_S = limits.STARTED_REPORT_S / 4
"""How long the start of a job waits to be told together with others. The supervisor reads scoreboards every `LOOK_S`
and reports what it has seen twice, so this much is left of `limits.STARTED_REPORT_S`."""

_log = logging.getLogger("penstock.worker")


class Heartbeat:
    """Extends the leases of one supervisor.

    Three things make it send a request: every `limits.EXTEND_S` all leases are extended; every `limits.CANCEL_NOTICE_S`
    those of jobs that have been running for a while, to hear of cancellations; and `STARTED_S` after a job has started.

    Attributes:
        progress: by fence, the latest progress of jobs, which the store has not been told yet.
    """

    def __init__(self, holder: bytes, faults: Faults | None = None) -> None:
        self._faults = Faults(_log) if faults is None else faults
        self._holder = holder
        self._started: dict[int, float] = {}
        self._news = asyncio.Event()
        self._news_due = False
        self._all_at = 0.0
        self._running_at = 0.0
        self.progress: dict[int, Progress] = {}

    def started(self, fence: int, at: float) -> None:
        """A job has been running for a while. ``at``: Unix seconds."""
        # Not `if not self._started`: that may hold starts that a request failed to tell, which wait for the next beat.
        if not self._news_due:
            self._news_due = True
            asyncio.get_running_loop().call_later(STARTED_S, self._news.set)
        self._started[fence] = at

    async def run(
        self,
        store: AsyncStore,
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
            try:
                await self._beat(store, held, running, heard)
            except Exception as error:  # noqa: BLE001 - whatever it is, the leases must be extended
                traceback = not isinstance(error, PenstockError)
                self._faults.note("extending leases", error, time.monotonic(), traceback=traceback)

    async def _beat(
        self,
        store: AsyncStore,
        held: Callable[[], list[int]],
        running: Callable[[], list[int]],
        heard: Callable[[Extended], None],
    ) -> None:
        """Send one request, if anything is due. If it fails, the next one tells what this one was to tell."""
        all_at = self._all_at
        extension = self._due(held, running, time.monotonic())
        if extension is None:
            return
        try:
            extended = await store.extend(extension)
        except Exception:
            soon = time.monotonic() + limits.CANCEL_NOTICE_S
            self._running_at = soon
            if self._all_at != all_at:
                # This request was to extend every lease and has extended none, so do not wait for `EXTEND_S`.
                self._all_at = soon
            self._take_back(extension, set(held()))
            raise
        self._faults.passed("extending leases", time.monotonic())
        heard(extended)

    def _take_back(self, extension: Extension, held: set[int]) -> None:
        """Keep what a failed request was to tell. What was noted since is newer and stays; jobs that have ended since
        (``held`` are those that have not) need not be told of."""
        for fence, at in extension.started:
            if fence in held:
                self._started.setdefault(fence, at)
        for fence, progress in extension.progress:
            if fence in held:
                self.progress.setdefault(fence, progress)

    async def _pause(self) -> None:
        """Wait until something is due."""
        try:
            until_s = min(self._all_at, self._running_at) - time.monotonic()
            await asyncio.wait_for(self._news.wait(), max(until_s, 0.0))
        except TimeoutError:
            pass
        if self._news.is_set():
            self._news.clear()
            self._news_due = False

    def _due(self, held: Callable[[], list[int]], running: Callable[[], list[int]], now: float) -> Extension | None:
        """The request that is due now; what it tells counts as told. None: nothing is due."""
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
