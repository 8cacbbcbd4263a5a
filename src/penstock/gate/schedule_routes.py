"""``/v1/schedules``: what is started when, by which task, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.ingest import JobIds, group_of
from penstock.gate.job_json import check_size
from penstock.gate.problems import Problem
from penstock.gate.queue_shares import QueueShares
from penstock.gate.request_bodies import object_of, read_json, read_object
from penstock.gate.requests import RouteRequest
from penstock.gate.schedule_json import BackfillJson, ScheduleJson, run_json, schedule_json
from penstock.gate.side_thread import SideThread
from penstock.gate.task_catalog import Catalog, KnownTask
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model import limits
from penstock.model.errors import ScheduleNotFound, UnknownTask
from penstock.model.schedules import Schedule, ScheduleView
from penstock.ports import AsyncStore

_SCHEDULE: Final = msgspec.json.Decoder(ScheduleJson)
_BACKFILL: Final = msgspec.json.Decoder(BackfillJson)
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_PAGE: Final = 100


class ScheduleRoutes:
    """Answers about schedules, and changes them.

    Args:
        store: where they are.
        catalog: which tasks there are, to check arguments against.
        admission: for what a request brings and takes.
        queues: which queues its clients may name.
        side_thread: where large arguments are checked, and large answers made.
        caller: how the audit log names who asks, by the address that the client has on another machine.
    """

    def __init__(
        self,
        store: AsyncStore,
        catalog: Catalog,
        admission: Admission,
        queues: QueueShares,
        side_thread: SideThread,
        caller: Callable[[str | None], str],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._admission = admission
        self._queues = queues
        self._side_thread = side_thread
        self._caller = caller

    def _by(self, request: RouteRequest) -> str:
        return self._caller(request.flight.client)

    # --- looking -----------------------------------------------------------------------------------------------------
    async def get_all(self, request: RouteRequest) -> Answer:
        """A page of the schedules."""
        limit, cursor = _page_of(request)
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            page = await self._store.schedules(cursor=cursor, limit=limit)
            return await self._large(
                lambda: {"schedules": [schedule_json(view) for view in page.schedules], "cursor": page.cursor}
            )

    async def get(self, request: RouteRequest) -> Answer:
        """One schedule."""
        request.parameters()
        view = await self._store.schedule(request.subject)
        if view is None:
            raise ScheduleNotFound(f"There is no schedule {request.subject[:80]!r}.")
        return _shown(view)

    async def get_runs(self, request: RouteRequest) -> Answer:
        """A page of a schedule's history."""
        limit, cursor = _page_of(request)
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            page = await self._store.schedule_runs(request.subject, cursor=cursor, limit=limit)
            return await self._large(lambda: {"runs": [run_json(run) for run in page.runs], "cursor": page.cursor})

    async def _large(self, make: Callable[[], Any]) -> Answer:
        return 200, JSON_HEADERS, await self._side_thread.run(lambda: msgspec.json.encode(make()))

    # --- changing ----------------------------------------------------------------------------------------------------
    async def put(self, request: RouteRequest) -> Answer:
        """Make a schedule, or let the one of this name be this. Answers it."""
        request.parameters()
        body = await read_json(request, self._admission)
        check_size(body)
        wanted = object_of(body, _SCHEDULE)
        task = await self._task(wanted.task)
        if len(body) > limits.GATE_LOOP_BYTES_MAX:
            schedule = await self._side_thread.run(_schedule_of, request.subject, wanted, task)
        else:
            schedule = _schedule_of(request.subject, wanted, task)
        client = request.flight.client
        if client is not None and schedule.call is not None:
            await self._queues.admit(client, (schedule.call.queue,))
        return _shown(await self._store.put_schedule(schedule, by=self._by(request)))

    async def _task(self, name: str) -> KnownTask:
        task = self._catalog.get(name)
        if task is not None:
            return task
        try:
            return await self._catalog.find(name)
        except UnknownTask as error:
            raise Problem("unknown-task", error.message, field="task") from None

    async def delete(self, request: RouteRequest) -> Answer:
        """Remove a schedule, or what was put over a declared one. Answers what there is of this name then."""
        request.parameters()
        view = await self._store.remove_schedule(request.subject, by=self._by(request))
        left = None if view is None else schedule_json(view)
        return _json(200, {"name": request.subject, "removed": view is None, "schedule": left})

    def held(self, change: str) -> Callable[[RouteRequest], Awaitable[Answer]]:
        """What pauses or resumes (``change``) a schedule."""

        async def answer(request: RouteRequest) -> Answer:
            request.parameters()
            act = self._store.pause_schedule if change == "pause" else self._store.resume_schedule
            return _shown(await act(request.subject, by=self._by(request)))

        return answer

    async def run(self, request: RouteRequest) -> Answer:
        """Start a run now. Answers it."""
        request.parameters()
        return _json(202, run_json(await self._store.run_schedule(request.subject, by=self._by(request))))

    async def backfill(self, request: RouteRequest) -> Answer:
        """Start a run for each slot of a time that has passed. Answers how many."""
        request.parameters()
        wanted = await read_object(request, self._admission, _BACKFILL)
        bounds = wanted.since.timestamp(), wanted.until.timestamp()
        count = await self._store.backfill_schedule(request.subject, *bounds, by=self._by(request))
        return _json(202, {"name": request.subject, "runs": count})


def _schedule_of(name: str, wanted: ScheduleJson, task: KnownTask) -> Schedule:
    return wanted.schedule(name, group_of(wanted.job(), task, JobIds()))


def _page_of(request: RouteRequest) -> tuple[int, str | None]:
    parameters = request.parameters("limit", "cursor")
    text = parameters.get("limit", str(_PAGE))
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= limits.PAGE_SCHEDULES_MAX:
        raise Problem("invalid-option", f"`limit` is 1 to {limits.PAGE_SCHEDULES_MAX} in a page.", field="limit")
    return int(text), parameters.get("cursor")


def _shown(view: ScheduleView) -> Answer:
    return _json(200, schedule_json(view))


def _json(status: int, members: dict[str, Any]) -> Answer:
    return status, JSON_HEADERS, msgspec.json.encode(members)
