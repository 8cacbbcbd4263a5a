"""The gate as an application: finds the route, checks who asks, answers, counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from time import monotonic
from typing import Final

from penstock.gate.access import Access
from penstock.gate.admission import Admission, AdmissionStatistics, Flight
from penstock.gate.ingest import Ingest
from penstock.gate.limit_routes import LimitRoutes
from penstock.gate.metrics import GateCounters, GateStatistics
from penstock.gate.operator_routes import OperatorRoutes
from penstock.gate.parked_requests import ParkedRequests
from penstock.gate.problems import Problem, problem_of
from penstock.gate.queue_shares import QueueShares
from penstock.gate.reads import Lookups, ProcessRecord
from penstock.gate.request_bodies import refuse_body
from penstock.gate.requests import HttpRequest, RouteRequest
from penstock.gate.resources import routes_of
from penstock.gate.routing import Route
from penstock.gate.schedule_routes import ScheduleRoutes
from penstock.gate.searches import Searches
from penstock.gate.shared_counters import GateScoreboard, Seat, together
from penstock.gate.side_thread import SideThread
from penstock.gate.task_catalog import Catalog
from penstock.gate.topic_routes import TopicRoutes
from penstock.gate.workflow_routes import WorkflowRoutes
from penstock.http.messages import Answer, ClientGone
from penstock.http.problems import HttpProblem
from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.ports import AsyncStore
from penstock.process.loop_faults import place_of
from penstock.process.repeated_faults import Faults

logger = logging.getLogger("penstock.gate")

_UNROUTED: Final = "other"
_CLIENT_GONE: Final = 499
"""Counted, never sent: the client did not wait for its answer."""


class Gate:
    """Answers HTTP requests; the object that the server calls. One event loop's.

    Args:
        store: where jobs are.
        catalog: which tasks there are.
        access: who may ask.
        durability: what an accepted job's level is called.
        processes: the processes of this node, for ``/v1/stats``.
        unready: why the gate should get no work yet; None: it should.
        seat: where it posts its figures, among the gates of its node. None: it is the only one.
    """

    def __init__(
        self,
        store: AsyncStore,
        catalog: Catalog,
        access: Access,
        *,
        durability: str,
        processes: Callable[[], Sequence[ProcessRecord]] = tuple,
        unready: Callable[[], str | None] = lambda: None,
        seat: Seat | None = None,
    ) -> None:
        self._seat = seat or GateScoreboard(1).seat(0)
        self.admission = Admission(self._seat.gates)
        self.catalog = catalog
        self._access = access
        self._counters = GateCounters(self._seat.before())
        self._side_thread = SideThread()
        self._parked = ParkedRequests(self.admission)
        workflows = WorkflowRoutes(store, self.admission, self._side_thread, self._parked, access.caller)
        self._lookups = Lookups(
            store,
            self.admission,
            self._side_thread,
            self._parked,
            self._figures,
            processes,
            self._why_unready,
            access.caller,
            workflows.result_of,
        )
        self._unready = unready
        self._server_trouble: Callable[[], str | None] = lambda: None
        queues = QueueShares(store, self._seat.gates)
        ingest = Ingest(store, catalog, self.admission, queues, self._side_thread, durability)
        operators = OperatorRoutes(store, catalog, self.admission, self._side_thread, access.caller)
        self._routes = routes_of(
            ingest,
            self._lookups,
            Searches(store, self.admission, self._side_thread),
            LimitRoutes(store, self.admission, self._side_thread, access.caller),
            operators,
            TopicRoutes(store, self.admission, self._side_thread, durability, access.caller),
            workflows,
            ScheduleRoutes(store, catalog, self.admission, queues, self._side_thread, access.caller),
        )
        self._sweeping: asyncio.TimerHandle | None = None
        self.faults = Faults(logger)

    def statistics(self) -> GateStatistics:
        """What the gate has done."""
        return self._counters.statistics()

    def start(self) -> None:
        """Begin to look for overdue requests and to post figures, until `stop`."""
        self._sweeping = asyncio.get_running_loop().call_later(limits.HTTP_SWEEP_S, self._sweep)
        self._post()

    def watch(self, trouble: Callable[[], str | None]) -> None:
        """`/health/ready` says no while this names a trouble of the server."""
        self._server_trouble = trouble

    def _why_unready(self) -> str | None:
        return self._server_trouble() or self._unready()

    def drain(self) -> None:
        """Parked requests are answered now; `/health/ready` says no."""
        self._parked.drain()

    def stop(self) -> None:
        """Do so no more. A second stop does nothing."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
            self._post()
        self._side_thread.close()

    async def serve(self, exchange: HttpRequest) -> None:
        """Answer one request."""
        started = monotonic()
        flight = self.admission.begin(exchange.task, started + limits.GATE_STORE_S, exchange.client)
        route, subject = self._routes.find(exchange.path)
        status, byte_count = _CLIENT_GONE, 0
        try:
            request = RouteRequest(exchange.query_string, exchange.headers, exchange, flight, subject)
            answer = await self._answer(exchange.method, route, request)
            if len(answer[2]) > limits.HTTP_ANSWER_KEPT_BYTES:
                answer = self._counted(answer, flight)
            exchange.answer(*answer)
            status, byte_count = answer[0], flight.byte_count
            if flight.answer_bytes:
                await self._deliver(exchange, flight)
            if not (exchange.complete or flight.late):
                await self._drain(request)
        except ClientGone:
            pass
        finally:
            self.admission.end(flight)
            self._counters.count(route.name if route else _UNROUTED, status, byte_count, monotonic() - started)

    def refuse(self, problem: HttpProblem) -> Answer:
        """The answer to what is no request."""
        self._counters.count(_UNROUTED, problem.status, 0, 0.0)
        return problem.answer()

    async def _answer(self, method: str, route: Route | None, request: RouteRequest) -> Answer:
        try:
            if route is None or not route.open:
                self._access.check(request.headers)
            if route is None:
                raise Problem("not-found", "There is no such resource.")
            handler = route.handlers.get(method)
            if handler is None:
                allow = (("allow", route.allow),)
                raise Problem("method-not-allowed", f"This resource has {route.allow}.", headers=allow)
            if method != route.reading:
                await refuse_body(request, self.admission)
            return await handler(request)
        except HttpProblem as problem:
            return problem.answer()
        except PenstockError as error:
            return problem_of(error).answer()
        except asyncio.CancelledError:
            return _overdue(request.flight).answer()
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the client hears of it, and so does the log: once, then in numbers
            self.faults.note(f"A request, in {place_of(error)},", error, monotonic())
            return Problem("internal", "The gate has logged what happened.").answer()

    def _counted(self, answer: Answer, flight: Flight) -> Answer:
        """The answer, which counts until it is taken; another where there is no room for it. That jobs were accepted is
        said anyhow: their sender would send them again."""
        try:
            self.admission.take_answer(flight, len(answer[2]), anyhow=answer[0] == HTTPStatus.ACCEPTED)
        except Problem as problem:
            return problem.answer()
        return answer

    async def _deliver(self, exchange: HttpRequest, flight: Flight) -> None:
        """Wait until the client has taken a large answer: no other request of its connection is begun before that."""
        delivered = exchange.delivered()
        if delivered is None:
            return
        self.admission.sending(flight, exchange.unsent_bytes)
        try:
            await delivered
        except asyncio.CancelledError:
            _overdue(flight)
            exchange.give_up()

    async def _drain(self, request: RouteRequest) -> None:
        try:
            await self.admission.drain(request.flight, request.incoming)
        except asyncio.CancelledError:
            _overdue(request.flight)

    def _post(self) -> None:
        self._seat.post(self._counters.statistics(), self.admission.statistics())

    def _figures(self) -> tuple[GateStatistics, AdmissionStatistics]:
        """What all gates of the node have done, with this one's as it is now."""
        self._post()
        return together(self._seat.postings())

    def _sweep(self) -> None:
        # First: whatever goes wrong in this sweep, there is a next one.
        self.start()
        self.admission.sweep(monotonic())


def _overdue(flight: Flight) -> Problem:
    """What a request that the sweep cancelled is answered.

    Raises:
        CancelledError: it was somebody else who cancelled it.
    """
    if not flight.overdue or flight.task is None:
        raise asyncio.CancelledError
    flight.task.uncancel()
    flight.overdue = False
    flight.deadline = monotonic() + limits.GATE_STORE_S
    if flight.reading:
        flight.late = True
        return Problem("request-timeout", "The body did not arrive in time.")
    return Problem(
        "unavailable",
        "The store did not answer in time. What was asked for may have happened or not: "
        "ask again, with the same idempotency key.",
    )
