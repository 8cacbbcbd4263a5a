"""Everything but ``POST /v1/jobs``: single jobs, their results, the figures, health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final, TypeVar, TypeVarTuple

import msgspec

from penstock.gate import metrics
from penstock.gate.admission import Admission, AdmissionStatistics
from penstock.gate.job_json import counts_json, job_id_text, stats_json, view_json
from penstock.gate.parked_requests import ParkedRequests, wait_s_of
from penstock.gate.problems import Problem
from penstock.gate.requests import RouteRequest, page_limit
from penstock.gate.side_thread import SideThread
from penstock.gate.workflow_json import history_json
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model import limits
from penstock.model.health import StoreHealth
from penstock.model.holds import Hold
from penstock.model.ids import parse_id
from penstock.model.job import JobView, QueueStats, StatsPage, Totals
from penstock.model.page_filling import PageFilling
from penstock.model.states import TERMINAL, State
from penstock.ports import AsyncStore
from penstock.tasks.arguments.result_json import result_json

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_ID_LENGTH: Final = 36
_QUEUES_AT_ONCE: Final = 100
_METRICS_HEADERS: Final = (("content-type", metrics.CONTENT_TYPE),)
_WITHOUT_RESULT: Final = {
    State.DEAD: "job-failed",
    State.CANCELLED: "job-cancelled",
    State.EXPIRED: "job-expired",
}


class ProcessRecord(msgspec.Struct, frozen=True):
    """A process of this node. ``role`` is owner, gate, supervisor, executor, …"""

    role: str
    pid: int


class Lookups:
    """Answers about what is there.

    Args:
        store: where it is.
        admission: how many answers are made at once.
        side_thread: where large answers are made.
        parked: the requests that wait for the end of something.
        figures: what the gates of this node have done, and what is on its way in them.
        processes: the processes of this node.
        unready: why the gate should get no work yet; None: it should. The store is asked in any case.
        caller: how the audit log names who sends a request, by the client's address on another machine.
        result_of_workflow: answers with what the workflow of an id has come to.
    """

    def __init__(
        self,
        store: AsyncStore,
        admission: Admission,
        side_thread: SideThread,
        parked: ParkedRequests,
        figures: Callable[[], tuple[metrics.GateStatistics, AdmissionStatistics]],
        processes: Callable[[], Sequence[ProcessRecord]],
        unready: Callable[[], str | None],
        caller: Callable[[str | None], str],
        result_of_workflow: Callable[[RouteRequest, bytes], Awaitable[Answer]],
    ) -> None:
        self._store = store
        self._caller = caller
        self._result_of_workflow = result_of_workflow
        self._admission = admission
        self._side_thread = side_thread
        self._parked = parked
        self._figures = figures
        self._processes = processes
        self._unready = unready

    async def get_job(self, request: RouteRequest) -> Answer:
        """The job as it is, or as it is when it has ended."""
        job_id = job_id_of(request.subject)
        wait_s = wait_s_of(request.parameters("wait_s"))
        view = record_of(await self._store.get([job_id]), request.subject)
        if wait_s and view.state not in TERMINAL and not self._parked.is_draining:
            views = await self._parked.wait(
                request, wait_s, lambda: self._store.wait([job_id], wait_s=wait_s), lambda: self._store.get([job_id])
            )
            view = record_of(views, request.subject)
        document = view_json(view)
        if view.recorded:
            document |= history_json(await self._store.history(job_id))
        return 200, JSON_HEADERS, msgspec.json.encode(document)

    async def get_result(self, request: RouteRequest) -> Answer:
        """What the job returned, as JSON; of one that returned a call, what that has come to."""
        request.parameters()
        job_id = job_id_of(request.subject)
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            view = record_of(await self._store.get([job_id], result=True), request.subject)
            if view.state not in TERMINAL:
                raise Problem("not-finished", f"The job is {view.state.value}.")
            if view.state in _WITHOUT_RESULT:
                why = f": {view.error.type}: {view.error.message}" if view.error else ""
                raise Problem(_WITHOUT_RESULT[view.state], f"The job is {view.state.value}{why}.")
            if view.became is None:
                return 200, JSON_HEADERS, await self._result_text(view)
        return await self._result_of_workflow(request, view.became)

    async def _result_text(self, view: JobView) -> bytes:
        """The result of a job that has succeeded, as JSON."""
        if view.result is None:
            raise Problem("result-expired", "The job succeeded; its result is not kept any more, or never was.")
        if len(view.result) > limits.GATE_LOOP_BYTES_MAX:
            return await self._side_thread.run(_result_json, view.result, view.task)
        return _result_json(view.result, view.task)

    async def delete_job(self, request: RouteRequest) -> Answer:
        """Cancel. 202 when a running job was asked to stop; else 200 with the state that is final."""
        request.parameters()
        job_id = job_id_of(request.subject)
        by = self._caller(request.flight.client)
        state = record_of(await self._store.cancel([job_id], by=by), request.subject)
        body = msgspec.json.encode({"id": job_id_text(job_id), "state": state.value})
        return 202 if state is State.RUNNING else 200, JSON_HEADERS, body

    async def get_stats(self, request: RouteRequest) -> Answer:
        """A page of the queues' counts, the sum of all queues, and the node's processes."""
        parameters = request.parameters("limit", "cursor")
        limit = page_limit(parameters, limits.PAGE_QUEUES, limits.PAGE_QUEUES_MAX, "queues")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            filling = PageFilling[tuple[str, QueueStats]](limit, parameters.get("cursor"))
            while filling.is_open:
                page = await self._store.stats(cursor=filling.cursor, limit=filling.left)
                filling.add(page.queues.items(), page.cursor)
            queues = StatsPage(dict(filling.items), filling.cursor)
            totals, store = await self._store.totals(), await self._store.health()
            made = self._made(len(queues.queues), _stats_text, queues, totals, self._processes(), store)
            return 200, JSON_HEADERS, await made

    async def get_metrics(self, request: RouteRequest) -> Answer:
        """The same for Prometheus, with the figures of the node's gates."""
        request.parameters()
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            busiest = await self._store.stats(limit=limits.PAGE_QUEUES, busiest=True)
            totals, holds, store = await self._store.totals(), await self._store.holds(), await self._store.health()
            queues = metrics.by_label(busiest)
            count = len(queues) + len(holds)
            made = self._made(count, _metrics_text, queues, totals.workflows, holds, store, *self._figures())
            return 200, _METRICS_HEADERS, await made

    async def _made(self, count: int, make: Callable[[*Ts], bytes], *arguments: *Ts) -> bytes:
        """A page about so many queues and holds; of many it is made in a thread."""
        if count > _QUEUES_AT_ONCE:
            return await self._side_thread.run(make, *arguments)
        return make(*arguments)

    async def get_live(self, request: RouteRequest) -> Answer:
        """The process answers."""
        request.parameters()
        return 200, JSON_HEADERS, b'{"status":"live"}'

    async def get_ready(self, request: RouteRequest) -> Answer:
        """The owner answers, the gate accepts, and whatever else the node asks for.

        What goes on failing makes it 503: jobs do not move as they should. What a store can live with, such as a full
        disk on which jobs are still worked off, is 200 with ``degraded`` and the reasons.
        """
        reason = "The gate is shutting down." if self._parked.is_draining else self._unready()
        if reason is not None:
            raise Problem("unavailable", reason)
        request.flight.deadline = monotonic() + limits.GATE_READY_S
        await self._store.totals()
        health = await self._store.health()
        problems = health.problems()
        if health.fails:
            raise Problem("unavailable", " ".join(problems))
        if problems:
            return 200, JSON_HEADERS, msgspec.json.encode({"status": "degraded", "problems": problems})
        return 200, JSON_HEADERS, b'{"status":"ready"}'


def _stats_text(page: StatsPage, totals: Totals, processes: Sequence[ProcessRecord], store: StoreHealth) -> bytes:
    return msgspec.json.encode(
        {
            "queues": stats_json(page.queues),
            "cursor": page.cursor,
            "totals": counts_json(totals.counts),
            "workflows": totals.workflows,
            "processes": processes,
            "store": store,
        }
    )


def _metrics_text(
    queues: dict[str, QueueStats],
    workflows: dict[str, int],
    holds: list[Hold],
    store: StoreHealth,
    gate: metrics.GateStatistics,
    admission: AdmissionStatistics,
) -> bytes:
    return metrics.exposition(queues, workflows, holds, store, gate, admission).encode()


def job_id_of(text: str) -> bytes:
    """The id that a path names.

    Raises:
        Problem: ``not-found``: it is none.
    """
    try:
        if len(text) != _ID_LENGTH:
            raise ValueError
        return parse_id(text)
    except ValueError:
        raise Problem("not-found", f"{text[:_ID_LENGTH]!r} is not the id of a job.") from None


def record_of(found: Sequence[T | None], subject: str) -> T:
    """What the store answered for one job.

    Raises:
        Problem: ``not-found``: there is no record of it.
    """
    if found[0] is None:
        raise Problem(
            "not-found",
            f"There is no record of a job {subject}: never accepted, or not kept any more "
            "(its time was up, or the disk was full).",
        )
    return found[0]


def _result_json(result: bytes, task: str) -> bytes:
    return result_json(result, task)
