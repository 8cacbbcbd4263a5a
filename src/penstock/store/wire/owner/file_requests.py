"""Requests about the store's file, such as the next pages of a copy.

They are done outside of any transaction, and after all requests of their group have been answered: nobody's commit
waits for them. Each is done for a bounded time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from penstock.model import errors
from penstock.model.store_file import CopyStep
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.group import Answers, Group


class FileRequests:
    """The requests that wait for the end of their group.

    Args:
        failed: told of what failed and is no client's fault.
    """

    def __init__(self, engine: Engine, failed: Callable[[str, Exception], None]) -> None:
        self._failed = failed
        self._engine = engine
        self._waiting: dict[tuple[Connection, int], tuple[Request, Any]] = {}
        self._copier: Connection | None = None
        self.calls: Final[dict[int, Callable[[Request, Any], object]]] = {
            protocol.COPY_FILE.kind: self._copy,
            protocol.FILE_STATISTICS.kind: lambda _, query: engine.file_statistics(query.cursor),
        }

    def add(self, request: Request, query: Any, _: Group) -> None:
        """Keep a request until its group has been answered. One that is added again, because the group is done again,
        is done once."""
        self._waiting[request.connection, request.number] = (request, query)

    def _copy(self, request: Request, query: Any) -> CopyStep:
        self.drop_copy_of_nobody()
        step = self._engine.copy_file(query.target, begin=query.begin)
        if not step.is_unknown:
            self._copier = None if step.is_done else request.connection
        return step

    def drop_copy_of_nobody(self) -> None:
        """Give up a copy whose client has gone, or has not asked for more for a while."""
        if self._copier is not None and not self._copier.open:
            self._copier = None
            self._engine.drop_copy()
        else:
            self._engine.drop_idle_copy()

    def run(self) -> Answers:
        """Do what waits. Answers what to send."""
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, {}
        group = Group()
        for request, query in waiting.values():
            started = time.perf_counter()
            try:
                answer = self.calls[request.call.kind](request, query)
            except errors.PenstockError as error:
                group.fail(request.connection, request.number, error)
            except Exception as error:  # noqa: BLE001 - whatever it is, its client is told and the others are not
                self._failed(request.call.name, error)
                told = errors.CareFailed(f"{request.call.name} failed at the owner: {type(error).__name__}: {error}.")
                group.fail(request.connection, request.number, told)
            else:
                group.answer(request.connection, request.number, protocol.encode(answer))
            request.connection.served_s += time.perf_counter() - started
        return group.answers
