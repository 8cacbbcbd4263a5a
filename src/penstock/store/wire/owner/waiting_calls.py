"""The calls that may wait at the owner: a lease, for something to be ready, and waits, for jobs or workflows to end.

What is not answered at once is parked. It is answered in the same transaction that has what it waits for, so that an
idle system runs a job after one sync of the disk.
"""

from __future__ import annotations

from typing import Any, Final

from penstock.model import errors, limits
from penstock.model.job import JobView, LeaseBatch, Outcomes
from penstock.model.states import TERMINAL
from penstock.ports import Clock
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.group import Group, GroupCounters
from penstock.store.wire.owner.parking import LeaseRound, Parked, ParkedLease, ParkedWait, Parking

_NOTHING: Final = {
    has_limits: protocol.encode(LeaseBatch(0, [], b"", [], limited=[] if has_limits else None))
    for has_limits in (False, True)
}
_ASK_AGAIN: Final = protocol.encode(LeaseBatch(0, [], b"", [], more=True, limited=[]))


_ROUNDS_MAX: Final = 50
"""How often parked leases are tried in one group. Beyond: the next group goes on."""


class WaitingCalls:
    """Answers leases and waits, or parks them.

    Attributes:
        parking: what waits.
    """

    def __init__(self, engine: Engine, clock: Clock, counters: GroupCounters) -> None:
        self.parking = Parking(engine.watched)
        self._engine = engine
        self._clock = clock
        self._counters = counters
        self._retry_leases = False
        self._had_limits = engine.has_limits

    # --- new requests ------------------------------------------------------------------------------------------------
    def lease(self, request: Request, query: Any, group: Group) -> None:
        """`Store.lease`, parked when nothing is ready."""
        lost = request.connection.leased.get(request.number)
        if lost is not None:
            # The same request again: its first answer never arrived, so nobody holds what it leased.
            fences = list(range(lost[0], lost[0] + lost[1]))
            settled = self._engine.settle(Outcomes(query.request.holder, released=fences))
            self._counters.returned += lost[1] - len(settled.stale)
        batch = self._engine.lease(query.request)
        if batch.jobs or batch.more or query.wait_s <= 0:
            self._give(request.connection, request.number, batch, group)
            return
        deadline = self._clock.monotonic() + min(query.wait_s, limits.WAIT_S_MAX)
        self._park(ParkedLease(request.connection, request.number, deadline, query.request), group)

    def _give(self, connection: Connection, number: int, batch: LeaseBatch, group: Group) -> None:
        group.answer(connection, number, protocol.encode(batch), wrote=bool(batch.jobs))
        if batch.jobs:
            group.leased.append((connection, number, batch.first_fence, len(batch.jobs)))

    def wait(self, request: Request, query: Any, group: Group) -> None:
        """The jobs, or the workflow, as they are, parked until all have ended."""
        answer, remaining = self._look(query)
        if not remaining or query.wait_s <= 0:
            group.answer(request.connection, request.number, protocol.encode(answer))
            return
        deadline = self._clock.monotonic() + min(query.wait_s, limits.WAIT_S_MAX)
        self._park(ParkedWait(request.connection, request.number, deadline, query, remaining), group)

    def _look(self, query: Any) -> tuple[Any, set[bytes]]:
        """What is answered to a wait now, and for whose ends it would go on waiting."""
        if isinstance(query, protocol.WAIT_WORKFLOW.shape):
            workflow = self._engine.workflow(query.workflow)
            return workflow, set() if workflow is None or workflow.finished_at is not None else {workflow.id}
        views = self._engine.get(query.ids, result=query.result)
        return views, _unended(views)

    def _park(self, parked: Parked, group: Group) -> None:
        if parked.number in parked.connection.forgotten:
            return
        if len(parked.connection.parked) >= limits.CLIENT_CALLERS_MAX:
            raise errors.Conflict(f"{limits.CLIENT_CALLERS_MAX} requests of this client are parked already.")
        self.parking.add(parked)
        group.parked.append(parked)

    def retry_leases(self) -> None:
        """Let every parked lease try again with the next group, whatever the engine says has become ready."""
        self._retry_leases = True

    # --- parked requests ---------------------------------------------------------------------------------------------
    def serve(self, group: Group) -> None:
        """Answer parked requests with what this group has done, before all other answers, because they start jobs."""
        asked = len(group.answers)
        if self.parking.leases and (self._engine.readied or self._retry_leases):
            self._serve_leases(group)
        if self._engine.ended:
            # Leases too end jobs: those that are too late to start, or damaged.
            for wait in self.parking.awaiting(self._engine.ended):
                self._serve_wait(wait, group)
        if self._engine.has_limits and not self._had_limits:
            self._tell_of_limits(group)
        if len(group.answers) > asked:
            group.answers = group.answers[asked:] + group.answers[:asked]

    def _serve_wait(self, wait: ParkedWait, group: Group) -> None:
        try:
            answer, remaining = self._look(wait.query)
        except protocol.FAULTS_OF_CALLER as error:
            # Such as more results than fit an answer.
            group.fail(wait.connection, wait.number, error)
        else:
            if remaining:
                return
            group.answer(wait.connection, wait.number, protocol.encode(answer))
        group.served.append(wait)

    def _tell_of_limits(self, group: Group) -> None:
        """The first limits come into force. Who has said how many limited jobs it takes, when that did not matter, is
        asked again."""
        served = set(group.served)
        for parked in self.parking.leases:
            if parked.request.limited is not None and parked not in served:
                group.answer(parked.connection, parked.number, _ASK_AGAIN)
                group.served.append(parked)

    def _serve_leases(self, group: Group) -> None:
        """Let parked leases have what is ready for them. A lease may make something ready in turn: a damaged job that
        it meets ends, and gives its slots to others; a token comes in meanwhile. That is served in another round."""
        for _ in range(_ROUNDS_MAX):
            if self._retry_leases:
                self._retry_leases = False
                leases = self.parking.all_leases()
            else:
                leases = self.parking.wanting(self._engine.readied)
            self._engine.readied.clear()
            self._serve_round(leases, group)
            if not self._engine.readied:
                return
        self._retry_leases = True

    def _serve_round(self, leases: LeaseRound, group: Group) -> None:
        served = set(group.served)
        for parked in leases:
            if parked in served:
                continue
            batch = self._engine.lease(parked.request)
            if batch.jobs or batch.more:
                self._give(parked.connection, parked.number, batch, group)
                group.served.append(parked)
            elif not self._engine.is_particular:
                leases.found_nothing(parked)

    def undo(self, group: Group) -> None:
        """The group's transaction was undone. What it has parked was not asked; what it would have served waits on."""
        for parked in group.parked:
            self.parking.remove(parked)
        self._engine.ended.clear()
        self._engine.readied.clear()
        self._retry_leases = True

    def publish(self, group: Group) -> None:
        """The group is durable: what it has served leaves the parking."""
        self._had_limits = self._engine.has_limits
        for parked in group.served:
            self.parking.remove(parked)
        for connection, number, first_fence, count in group.leased:
            connection.remember_lease(number, first_fence, count)
        if self._engine.ended:
            self.parking.note_ended(self._engine.ended)
            self._engine.ended.clear()
        if self._engine.readied:
            self._engine.readied.clear()

    def expire(self, parked: Parked) -> bytes:
        """The frame for a parked request whose time is up and which has left the parking."""
        payload = _NOTHING[self._engine.has_limits]
        try:
            if isinstance(parked, ParkedWait):
                payload = protocol.encode(self._look(parked.query)[0])
            return protocol.frame(protocol.ANSWER, parked.number, payload)
        except errors.PenstockError as error:
            return protocol.frame(protocol.FAILURE, parked.number, protocol.failure(error))


def _unended(views: list[JobView | None]) -> set[bytes]:
    return {view.id for view in views if view is not None and view.state not in TERMINAL}
