"""How a built canvas becomes a workflow: sent whole, or, where a group is large, its first part and then the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from penstock.model.errors import Conflict, PenstockError
from penstock.model.ids import id_text
from penstock.model.job import JobGroup
from penstock.model.workflow_plan import Members
from penstock.model.workflow_views import WorkflowStarted
from penstock.tasks.canvas.plan_parts import Built
from penstock.tasks.canvas.workflow import Workflow
from penstock.tasks.store_connection import StoreConnection

PART_JOBS_MAX: Final = 2_000
"""Members that are added in one call."""
PART_BYTES_MAX: Final = 4 * 1024 * 1024
"""What they take; those that exceed it are the last in it."""


class Addition(NamedTuple):
    """The arguments of one call of `add_members`."""

    members: list[Members]
    close: list[int]


def start(connection: StoreConnection, built: Built) -> Workflow[Any]:
    """Start a workflow. See `penstock.tasks.canvas.composition.Canvas.enqueue` for what it raises."""
    store = connection.store()
    started = store.start_workflow(built.plan, built.members)
    workflow = _handle(connection, built, started)
    if not started.duplicate:
        try:
            for addition in additions(built):
                store.add_members(started.id, addition.members, close=addition.close)
        except BaseException:
            with suppress(PenstockError):
                store.cancel_workflow(started.id, by=_BY)
            raise
    return workflow


async def start_async(connection: StoreConnection, built: Built) -> Workflow[Any]:
    """`start` for a coroutine."""
    store = await connection.async_store()
    started = await store.start_workflow(built.plan, built.members)
    workflow = _handle(connection, built, started)
    if not started.duplicate:
        try:
            for addition in additions(built):
                await store.add_members(started.id, addition.members, close=addition.close)
        except BaseException:
            with suppress(PenstockError):
                await store.cancel_workflow(started.id, by=_BY)
            raise
    return workflow


_BY: Final = "its producer"


def additions(built: Built) -> Iterator[Addition]:
    """What is added to a workflow that has been started, call by call; each is made when it is asked for.

    Raises:
        PenstockError: a member cannot be one.
    """
    for stream in built.streams:
        groups: list[JobGroup] = []
        count = size_bytes = 0
        for piece in stream.pieces:
            if count + piece.jobs > PART_JOBS_MAX or size_bytes >= PART_BYTES_MAX:
                yield Addition([Members(stream.step, groups)], [])
                groups, count, size_bytes = [], 0, 0
            groups += piece.groups
            count += piece.jobs
            size_bytes += piece.size_bytes
        yield Addition([Members(stream.step, groups)] if groups else [], [stream.step])


def _handle(connection: StoreConnection, built: Built, started: WorkflowStarted) -> Workflow[Any]:
    """The handle of a workflow that was started.

    Raises:
        Conflict: it was not.
    """
    if started.conflict:
        raise Conflict(
            f"{built.plan.name}: idempotency key {built.plan.idempotency_key!r} was used before for another workflow,"
            f" {id_text(started.id)}."
        )
    return Workflow(connection, started.id, built.plan.name, built.returns, duplicate=started.duplicate)
