"""Applies requests to the engine, inside the transaction of their group."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from penstock.model import errors
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Request
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.file_requests import FileRequests
from penstock.store.wire.owner.group import Group, GroupCounters
from penstock.store.wire.owner.waiting_calls import WaitingCalls

UNREADABLE: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
"""What decoding a request raises when it is none: text that is no UTF-8 is a ValueError."""
SMALL_BYTES_MAX: Final = 16 * 1024
"""Enqueues up to this size are deferred, or done together; larger ones gain nothing from it."""
_WITHOUT_STORE: Final = (
    protocol.OWNER_STATISTICS,
    protocol.HEALTH,
    protocol.HAND_OVER,
    protocol.PING,
    protocol.COPY_FILE,
    protocol.FILE_STATISTICS,
)
"""Calls that do not look at jobs, so that rows need not be made of what is deferred before them."""

OwnersCall = Callable[[], object]
"""A call that the owner answers by itself: what it tells."""


class Applying:
    """What a group's transaction is made of.

    One group at a time: `begin`, `apply` for each request, `WaitingCalls.serve`, `commit` and
    `WaitingCalls.publish`; or `undo`.

    Args:
        waiting: does the calls that may be parked.
        owners: does the calls that are about the owner and not about jobs, by kind.
        files: keeps the calls that are about the store's file until the group is done.
        check_requests: False only in a torture variant that must fail: repeated requests are applied again.
    """

    def __init__(
        self,
        engine: Engine,
        waiting: WaitingCalls,
        counters: GroupCounters,
        owners: Mapping[int, OwnersCall],
        files: FileRequests,
        *,
        check_requests: bool,
    ) -> None:
        self.check_requests = check_requests
        self._engine = engine
        self._waiting = waiting
        self._counters = counters
        # What does the calls that are not simply the store's, by kind.
        self._own: dict[int, Callable[[Request, Any, Group], None]] = {
            protocol.LEASE.kind: waiting.lease,
            protocol.WAIT.kind: waiting.wait,
            protocol.WAIT_WORKFLOW.kind: waiting.wait,
            **{kind: partial(self._tell, call) for kind, call in owners.items()},
            **dict.fromkeys(files.calls, files.add),
        }

    def begin(self, group: Group) -> None:
        """Open the group's transaction, unless it is open."""
        if not group.began:
            group.began = True
            self._engine.begin()

    def apply(self, request: Request, group: Group) -> bool:
        """Do a request, or set it aside to be done together with others. Answers whether it was set aside.

        An error that is its client's own fault is answered to that client. Any other error is raised: the whole group
        has failed.
        """
        call, connection, number = request.call, request.connection, request.number
        if connection.answers and self._is_recorded(request):
            known = connection.answers.get(number)
            if known is not None:
                self._counters.repeated += 1
                group.answer(connection, number, known)
                return False
        try:
            query = call.request(request.payload)
        except UNREADABLE as error:
            group.fail(connection, number, errors.InvalidOption(f"{call.name}: {error}"))
            return False
        try:
            if (
                call is protocol.ENQUEUE
                and group.small_enqueues is not None
                and len(request.payload) <= SMALL_BYTES_MAX
                and query.cursor is None
            ):
                group.small_enqueues.append((request, query))
                return True
            if call.mutating or (self._engine.deferred and call not in _WITHOUT_STORE):
                self.begin(group)
            own = self._own.get(call.kind)
            if own is not None:
                own(request, query, group)
                return False
            assert call.apply is not None, "all other calls are the store's"
            self._engine.asking = connection.client
            answer = call.apply(self._engine, query)
        except errors.PenstockError as error:
            if not is_fault_of_caller(error):
                raise
            group.fail(connection, number, error)
            return False
        self.say(request, protocol.encode(answer), group)
        return False

    @staticmethod
    def _tell(call: OwnersCall, request: Request, _: Any, group: Group) -> None:
        """Answer a call about the owner."""
        group.answer(request.connection, request.number, protocol.encode(call()))

    def say(self, request: Request, payload: bytes, group: Group) -> None:
        """Answer a request that was done, and keep the answer where a repeat of the request must not be applied."""
        if self._is_recorded(request):
            assert request.connection.client is not None
            self._engine.record_answer(request.connection.client, request.number, payload)
        group.answer(request.connection, request.number, payload, wrote=request.call.mutating)

    def _is_recorded(self, request: Request) -> bool:
        return request.call.recorded and request.number < protocol.UNRECORDED and self.check_requests

    def commit(self) -> None:
        """Make the transaction durable."""
        started = time.perf_counter()
        self._engine.commit()
        self._counters.commits += 1
        self._counters.commit_s_max = max(self._counters.commit_s_max, time.perf_counter() - started)

    def undo(self, group: Group) -> None:
        """Undo the transaction, and all that the group has promised."""
        if group.began:
            self._engine.rollback()
        self._waiting.undo(group)


def is_fault_of_caller(error: errors.PenstockError) -> bool:
    """Whether the call has written nothing, so that the rest of its group is not concerned."""
    return isinstance(error, protocol.FAULTS_OF_CALLER) or (isinstance(error, errors.StoreFull) and error.refused)
