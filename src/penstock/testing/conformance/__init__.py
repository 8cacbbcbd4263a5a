"""The one suite that every store passes. A store of your own is tried so::

    from penstock.testing.conformance import StoreConformance

    class TestMyStore(StoreConformance):
        def make_store(self, clock, *, records_max=limits.RECORDS_MAX, dead_max=limits.DEAD_MAX):
            return MyStore(clock, records_max=records_max, dead_max=dead_max)

The store is seen through `penstock.ports.Store` alone, its time moves through the clock it is given, and it is ticked
by the suite; so it may as well run in another thread or behind a socket. A store that outlives its process overrides
`reopen` too. Let pytest explain failures well: ``pytest.register_assert_rewrite("penstock.testing.conformance")``
before the import, in ``conftest.py``.
"""

from __future__ import annotations

from penstock.testing.conformance.accepting import AcceptingClaims, IdempotencyClaims
from penstock.testing.conformance.acting import (
    BulkClaims,
    CancelClaims,
    DeleteClaims,
    EditClaims,
    MoveClaims,
    ReviveClaims,
)
from penstock.testing.conformance.asking import AskingClaims, CountingClaims, SearchClaims
from penstock.testing.conformance.auditing import AuditClaims, EditedClaims
from penstock.testing.conformance.bounds import BoundsClaims
from penstock.testing.conformance.bulk import ActionClaims
from penstock.testing.conformance.channel_limits import ChannelLimitClaims
from penstock.testing.conformance.channels import ChannelClaims, DeletingClaims
from penstock.testing.conformance.children import ChildrenClaims, WholeClaims
from penstock.testing.conformance.closing import ClosingClaims, UnknownTaskClaims
from penstock.testing.conformance.consuming import ConsumingClaims
from penstock.testing.conformance.cursors import CursorClaims
from penstock.testing.conformance.declaring import DeclaringClaims
from penstock.testing.conformance.delivered_order import DeliveredOrderClaims
from penstock.testing.conformance.delivering import DeliveringClaims, DoorClaims
from penstock.testing.conformance.emptying import EmptyingClaims
from penstock.testing.conformance.ephemeral import EphemeralClaims
from penstock.testing.conformance.expiring import ExpiringClaims
from penstock.testing.conformance.fairness import FairnessClaims, KeptTurnClaims, TurnReopeningClaims
from penstock.testing.conformance.fates import FateClaims
from penstock.testing.conformance.holding import ExtendingClaims, ReclaimingClaims, ReconcilingClaims
from penstock.testing.conformance.holding_back import DrainingClaims, PausingClaims, QueueClaims
from penstock.testing.conformance.keeping import KeepingClaims, TickingClaims, TrimmingClaims
from penstock.testing.conformance.keyed import KeyedLimitClaims
from penstock.testing.conformance.keyed_changes import (
    ChangingLimitClaims,
    FifoClaims,
    KeyedReopeningClaims,
    PausedKeyClaims,
)
from penstock.testing.conformance.keyed_rates import KeyedRateClaims
from penstock.testing.conformance.keyed_slots import SlotClaims
from penstock.testing.conformance.leasing import LeasingClaims, OrderClaims, TaskClaims
from penstock.testing.conformance.limiting import ConcurrencyClaims, LimitedLeaseClaims, RateClaims
from penstock.testing.conformance.losing import LosingClaims
from penstock.testing.conformance.naming import NamingClaims
from penstock.testing.conformance.publishing import PublishingClaims
from penstock.testing.conformance.readying import ReadyingClaims
from penstock.testing.conformance.recording import RecordedReopeningClaims, RecordingClaims
from penstock.testing.conformance.refusing import GivingUpClaims, RefusedAndActedUponClaims, RefusingClaims
from penstock.testing.conformance.reopening import ReopeningClaims
from penstock.testing.conformance.repeating import RepeatingClaims
from penstock.testing.conformance.replaying import ReplayClaims
from penstock.testing.conformance.retaining import RetainingClaims
from penstock.testing.conformance.schedule_changes import HandClaims, PuttingClaims
from penstock.testing.conformance.schedule_declaring import DeclaredClaims
from penstock.testing.conformance.schedule_history import HistoryClaims, OverlapClaims, RefusedSlotClaims
from penstock.testing.conformance.schedule_workflows import WorkflowScheduleClaims
from penstock.testing.conformance.scheduling import ClockClaims, FiringClaims, MissedClaims
from penstock.testing.conformance.searching import DeadCountClaims, FindingClaims
from penstock.testing.conformance.settling import FenceClaims, OutcomeClaims
from penstock.testing.conformance.signalling import EventClaims, SuspendedReopeningClaims
from penstock.testing.conformance.suspending import SleepingClaims
from penstock.testing.conformance.topic_pausing import TopicPauseClaims
from penstock.testing.conformance.unique import UniqueClaims
from penstock.testing.conformance.unique_ends import UniqueEndClaims
from penstock.testing.conformance.unique_periods import UniquePeriodClaims
from penstock.testing.conformance.unique_replacing import ReplacingClaims
from penstock.testing.conformance.waiting import WaitingClaims
from penstock.testing.conformance.workflow_acting import WorkflowActingClaims
from penstock.testing.conformance.workflow_events import WorkflowEventClaims
from penstock.testing.conformance.workflow_failing import WorkflowFailingClaims
from penstock.testing.conformance.workflow_forking import WorkflowForkingClaims
from penstock.testing.conformance.workflow_landing import WorkflowLandingClaims
from penstock.testing.conformance.workflow_members import WorkflowMemberClaims
from penstock.testing.conformance.workflow_reading import WorkflowReadingClaims, WorkflowReopeningClaims
from penstock.testing.conformance.workflow_retrying import WorkflowRetryingClaims
from penstock.testing.conformance.workflow_starting import WorkflowStartingClaims
from penstock.testing.conformance.workflow_telling import WorkflowTellingClaims
from penstock.testing.conformance.workflow_waiting import WorkflowWaitingClaims


class JobConformance(
    AcceptingClaims,
    IdempotencyClaims,
    OrderClaims,
    TaskClaims,
    LeasingClaims,
    ClosingClaims,
    UnknownTaskClaims,
    DeclaringClaims,
    ConcurrencyClaims,
    RateClaims,
    LimitedLeaseClaims,
    ExtendingClaims,
    ReclaimingClaims,
    ReconcilingClaims,
    DeliveringClaims,
    DoorClaims,
    DeliveredOrderClaims,
    OutcomeClaims,
    FenceClaims,
    FateClaims,
    LosingClaims,
    ChildrenClaims,
    WholeClaims,
    RefusingClaims,
    GivingUpClaims,
    RefusedAndActedUponClaims,
    KeepingClaims,
    ExpiringClaims,
    TrimmingClaims,
    RetainingClaims,
    TickingClaims,
    AskingClaims,
    SearchClaims,
    FindingClaims,
    DeadCountClaims,
    CountingClaims,
    NamingClaims,
    CancelClaims,
    ReviveClaims,
    MoveClaims,
    DeleteClaims,
    EditClaims,
    BulkClaims,
    BoundsClaims,
    CursorClaims,
    PausingClaims,
    DrainingClaims,
    QueueClaims,
    ActionClaims,
    ReplayClaims,
    AuditClaims,
    EditedClaims,
    PublishingClaims,
    ConsumingClaims,
    ChannelClaims,
    DeletingClaims,
    TopicPauseClaims,
    EmptyingClaims,
    UniqueClaims,
    ReplacingClaims,
    UniqueEndClaims,
    UniquePeriodClaims,
    EphemeralClaims,
    ChannelLimitClaims,
    KeyedLimitClaims,
    SlotClaims,
    FifoClaims,
    ChangingLimitClaims,
    PausedKeyClaims,
    KeyedRateClaims,
    ReopeningClaims,
    KeyedReopeningClaims,
    FairnessClaims,
    KeptTurnClaims,
    TurnReopeningClaims,
    RecordingClaims,
    SleepingClaims,
    EventClaims,
    RecordedReopeningClaims,
    SuspendedReopeningClaims,
):
    """Every claim about jobs and topics. A store that takes neither schedules nor workflows yet is asked these."""


class StoreConformance(
    JobConformance,
    FiringClaims,
    ClockClaims,
    MissedClaims,
    OverlapClaims,
    RefusedSlotClaims,
    HistoryClaims,
    PuttingClaims,
    HandClaims,
    DeclaredClaims,
    WorkflowTellingClaims,
    WorkflowStartingClaims,
    WorkflowFailingClaims,
    WorkflowMemberClaims,
    WorkflowLandingClaims,
    WorkflowActingClaims,
    WorkflowRetryingClaims,
    WorkflowForkingClaims,
    WorkflowReadingClaims,
    WorkflowReopeningClaims,
    WorkflowEventClaims,
    WorkflowScheduleClaims,
):
    """Every claim about a store."""


class AsyncStoreConformance(WaitingClaims, WorkflowWaitingClaims, ReadyingClaims, RepeatingClaims):
    """Every claim about what a store for event loops promises beside its calls: waiting, and that a call is applied
    once. A store of your own is tried so::

        class TestMyStore(AsyncStoreConformance):
            @asynccontextmanager
            async def open_async(self, clock):
                store = MyStore(clock)
                yield store
                await store.close()

            def lose_answers(self, store, count):
                store.line.lose_answers(count)

    `penstock.testing.lossy_line` is a line that loses answers.
    """


__all__ = ["AsyncStoreConformance", "JobConformance", "StoreConformance"]
