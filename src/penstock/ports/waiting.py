"""A store that can be waited on: for threads and for event loops.

`Store` answers every call at once. What is between a store and its users (a wire, a server) can also park a call until
there is something to answer, and can lose an answer on the way. So its contract says more: how waiting behaves, and
that a call that is made again because its answer was lost is applied once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model import limits
from penstock.model.actions import Action, ActionRequest
from penstock.model.audit import AuditPage
from penstock.model.durable_steps import History, JobRecords, Recorded, Signalled
from penstock.model.flow import QueueRecord, Rule
from penstock.model.health import StoreHealth
from penstock.model.holds import Hold, QueuesPage
from penstock.model.job import (
    Capabilities,
    DeadCounts,
    EnqueueAnswer,
    Extended,
    Extension,
    Filter,
    JobEntry,
    JobGroup,
    JobView,
    LeaseBatch,
    LeaseRequest,
    Outcomes,
    PackedBatch,
    Page,
    Settled,
    StatsPage,
    Step,
    TaskRecord,
    Ticked,
    Totals,
)
from penstock.model.limits_in_force import LimitView
from penstock.model.lines import Closed, ClosedLine
from penstock.model.schedules import RunsPage, Schedule, ScheduleRun, SchedulesPage, ScheduleView
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import State
from penstock.model.topics import MessageGroup, PublishAnswer, TopicsPage
from penstock.model.workflow_views import WorkflowView
from penstock.ports.async_workflows import AsyncWorkflowStore
from penstock.ports.effects import reads, repeatable
from penstock.ports.store import Store


class BlockingStore(Store, Protocol):
    """A `Store` for threads, which can wait.

    Applied once: whoever implements this repeats a call whose answer was lost, and the store answers the repeat of a
    call that it has applied with the first answer. It does so for as long as it takes to find the store again, at
    least `limits.RECONNECT_S_MAX`; then the call raises `StoreUnavailable`, and whether it was applied is not known.
    """

    @repeatable
    def lease(self, request: LeaseRequest, *, wait_s: float = 0.0) -> LeaseBatch:
        """Take ready jobs as `Store.lease` does; when there are none, wait up to ``wait_s`` (seconds) for some.

        One that says how many limited jobs it takes is answered with nothing when the first limits come into force
        while it waits (`LeaseBatch.limited`, ``more``): what it said did not matter so far."""
        ...

    @reads
    def wait(self, ids: Sequence[bytes], *, wait_s: float, result: bool = False) -> list[JobView | None]:
        """Jobs by id as from `Store.get`, as soon as all of them have ended or are gone, or after ``wait_s``."""
        ...

    @reads
    def wait_workflow(self, workflow: bytes, *, wait_s: float) -> WorkflowView | None:
        """A workflow as from `WorkflowStore.workflow`, as soon as it is over or gone, or after ``wait_s``."""
        ...


class AsyncStore(AsyncWorkflowStore, Protocol):
    """`BlockingStore` for an event loop: the same calls as coroutines, with what that says of waiting and repeats.

    A caller that is cancelled leaves nothing waiting at the store, and jobs leased for it are given back.
    """

    async def capabilities(self) -> Capabilities:
        """See `Store.capabilities`."""
        ...

    async def register_tasks(
        self,
        tasks: Sequence[TaskRecord],
        queues: Sequence[QueueRecord] = (),
        *,
        schedules: Sequence[Schedule] = (),
        application: str | None = None,
    ) -> None:
        """See `Store.register_tasks`."""
        ...

    async def tasks(self) -> list[TaskRecord]:
        """See `Store.tasks`."""
        ...

    async def declared_queues(self) -> list[QueueRecord]:
        """See `Store.declared_queues`."""
        ...

    async def enqueue(
        self, groups: Sequence[JobGroup], *, atomic: bool = False, cursor: SourceCursor | None = None
    ) -> EnqueueAnswer:
        """See `Store.enqueue`."""
        ...

    async def cursors(self, source: str | None = None) -> list[SourceCursor]:
        """See `SourceStore.cursors`."""
        ...

    async def remove_cursors(self, source: str, *, partition: str | None = None) -> int:
        """See `SourceStore.remove_cursors`."""
        ...

    async def extend(self, extension: Extension) -> Extended:
        """See `Store.extend`."""
        ...

    async def settle(self, outcomes: Outcomes) -> Settled:
        """See `Store.settle`."""
        ...

    async def reconcile(self, holder: bytes, fences: Sequence[int]) -> int:
        """See `Store.reconcile`."""
        ...

    async def tick(self) -> Ticked:
        """See `Store.tick`."""
        ...

    async def get(self, ids: Sequence[bytes], *, result: bool = False, body: bool = False) -> list[JobView | None]:
        """See `Store.get`."""
        ...

    async def query(self, where: Filter, *, cursor: str | None = None, limit: int = 100) -> Page:
        """See `Store.query`."""
        ...

    async def dead_counts(self) -> DeadCounts:
        """See `Store.dead_counts`."""
        ...

    async def stats(
        self, *, cursor: str | None = None, limit: int = limits.PAGE_QUEUES, busiest: bool = False
    ) -> StatsPage:
        """See `Store.stats`."""
        ...

    async def totals(self) -> Totals:
        """See `Store.totals`."""
        ...

    async def health(self) -> StoreHealth:
        """See `Store.health`."""
        ...

    async def cancel(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """See `Store.cancel`."""
        ...

    async def revive(self, ids: Sequence[bytes], *, by: str | None = None) -> list[State | None]:
        """See `Store.revive`."""
        ...

    async def move(self, ids: Sequence[bytes], queue: str, *, by: str | None = None) -> list[State | None]:
        """See `Store.move`."""
        ...

    async def delete(self, ids: Sequence[bytes], *, by: str | None = None) -> list[bool]:
        """See `Store.delete`."""
        ...

    async def edit(
        self,
        ids: Sequence[bytes],
        *,
        priority: int | None = None,
        run_at: float | None = None,
        by: str | None = None,
    ) -> list[State | None]:
        """See `Store.edit`."""
        ...

    async def cancel_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """See `Store.cancel_where`."""
        ...

    async def revive_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """See `Store.revive_where`."""
        ...

    async def move_where(self, where: Filter, queue: str, *, cursor: str | None = None) -> Step:
        """See `Store.move_where`."""
        ...

    async def delete_where(self, where: Filter, *, cursor: str | None = None) -> Step:
        """See `Store.delete_where`."""
        ...

    async def close_lines(self, reason: Closed, *, queue: str | None = None, task: str | None = None) -> None:
        """See `Store.close_lines`."""
        ...

    async def open_lines(
        self, *, queue: str | None = None, task: str | None = None, reason: Closed | None = None
    ) -> None:
        """See `Store.open_lines`."""
        ...

    async def closed_lines(self) -> list[ClosedLine]:
        """See `Store.closed_lines`."""
        ...

    async def pause(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """See `OperatorStore.pause`."""
        ...

    async def drain(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """See `OperatorStore.drain`."""
        ...

    async def resume(self, *, queue: str | None = None, task: str | None = None, by: str = "") -> None:
        """See `OperatorStore.resume`."""
        ...

    async def holds(self) -> list[Hold]:
        """See `OperatorStore.holds`."""
        ...

    async def queues(
        self, *, names: Sequence[str] | None = None, cursor: str | None = None, limit: int = limits.PAGE_QUEUES
    ) -> QueuesPage:
        """See `OperatorStore.queues`."""
        ...

    async def remove_queue(self, name: str, *, by: str = "") -> None:
        """See `OperatorStore.remove_queue`."""
        ...

    async def start_action(self, wanted: ActionRequest, *, by: str = "") -> Action:
        """See `OperatorStore.start_action`."""
        ...

    async def actions(self, ids: Sequence[bytes] | None = None) -> list[Action]:
        """See `OperatorStore.actions`."""
        ...

    async def stop_action(self, action_id: bytes, *, by: str = "") -> Action | None:
        """See `OperatorStore.stop_action`."""
        ...

    async def audit(self, *, cursor: str | None = None, limit: int = 100) -> AuditPage:
        """See `OperatorStore.audit`."""
        ...

    async def revive_edited(self, entry: JobEntry, *, by: str | None = None) -> State | None:
        """See `OperatorStore.revive_edited`."""
        ...

    async def put_limits(self, scope: str, rules: Sequence[Rule], *, by: str = "") -> None:
        """See `Store.put_limits`."""
        ...

    async def restore_limits(self, scope: str, per: str | None = None, *, by: str = "") -> None:
        """See `Store.restore_limits`."""
        ...

    async def limits(self) -> list[LimitView]:
        """See `Store.limits`."""
        ...

    async def publish(
        self,
        topic: str,
        groups: Sequence[MessageGroup],
        *,
        atomic: bool = False,
        channel: str | None = None,
        cursor: SourceCursor | None = None,
    ) -> PublishAnswer:
        """See `TopicStore.publish`."""
        ...

    async def create_topic(self, topic: str) -> bool:
        """See `TopicStore.create_topic`."""
        ...

    async def create_channel(self, topic: str, channel: str) -> bool:
        """See `TopicStore.create_channel`."""
        ...

    async def delete_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """See `TopicStore.delete_channel`."""
        ...

    async def delete_topic(self, topic: str, *, by: str | None = None) -> None:
        """See `TopicStore.delete_topic`."""
        ...

    async def empty_channel(self, topic: str, channel: str, *, by: str | None = None) -> None:
        """See `TopicStore.empty_channel`."""
        ...

    async def empty_topic(self, topic: str, *, by: str | None = None) -> None:
        """See `TopicStore.empty_topic`."""
        ...

    async def topics(self, *, topic: str | None = None, cursor: str | None = None, limit: int = 100) -> TopicsPage:
        """See `TopicStore.topics`."""
        ...

    async def record(self, jobs: Sequence[JobRecords]) -> list[Recorded]:
        """See `DurableStepStore.record`."""
        ...

    async def history(self, job: bytes, *, first: int = 0) -> History:
        """See `DurableStepStore.history`."""
        ...

    async def published(self, workflow: bytes, names: Sequence[str] | None = None) -> dict[str, tuple[bytes, float]]:
        """See `DurableStepStore.published`."""
        ...

    async def signal(self, workflow: bytes, event: str, payload: bytes, *, by: str | None = None) -> Signalled:
        """See `DurableStepStore.signal`."""
        ...

    async def put_schedule(self, schedule: Schedule, *, by: str | None = None) -> ScheduleView:
        """See `ScheduleStore.put_schedule`."""
        ...

    async def remove_schedule(self, name: str, *, by: str | None = None) -> ScheduleView | None:
        """See `ScheduleStore.remove_schedule`."""
        ...

    async def schedule(self, name: str) -> ScheduleView | None:
        """See `ScheduleStore.schedule`."""
        ...

    async def schedules(self, *, cursor: str | None = None, limit: int = 100) -> SchedulesPage:
        """See `ScheduleStore.schedules`."""
        ...

    async def run_schedule(self, name: str, *, by: str | None = None) -> ScheduleRun:
        """See `ScheduleStore.run_schedule`."""
        ...

    async def pause_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """See `ScheduleStore.pause_schedule`."""
        ...

    async def resume_schedule(self, name: str, *, by: str | None = None) -> ScheduleView:
        """See `ScheduleStore.resume_schedule`."""
        ...

    async def backfill_schedule(self, name: str, since: float, until: float, *, by: str | None = None) -> int:
        """See `ScheduleStore.backfill_schedule`."""
        ...

    async def schedule_runs(self, name: str, *, cursor: str | None = None, limit: int = 100) -> RunsPage:
        """See `ScheduleStore.schedule_runs`."""
        ...

    async def lease(self, request: LeaseRequest, *, wait_s: float = 0.0) -> LeaseBatch:
        """See `BlockingStore.lease`."""
        ...

    async def lease_packed(self, request: LeaseRequest, *, wait_s: float = 0.0) -> PackedBatch:
        """`lease`, with each job as the bytes that it travels as, for whoever only hands it on."""
        ...

    async def wait(self, ids: Sequence[bytes], *, wait_s: float, result: bool = False) -> list[JobView | None]:
        """See `BlockingStore.wait`."""
        ...

    async def close(self) -> None:
        """See `Store.close`."""
        ...
