"""The ports: what the rest of Penstock may ask of a store and of a clock.

Every implementation of a store passes the one conformance suite, `penstock.testing.conformance`.
"""

from __future__ import annotations

from penstock.ports.clock import Clock
from penstock.ports.durable_steps import DurableStepStore
from penstock.ports.effects import Effect, effect_of
from penstock.ports.operators import OperatorStore
from penstock.ports.schedules import ScheduleStore
from penstock.ports.sources import SourceStore
from penstock.ports.store import Store
from penstock.ports.topics import TopicStore
from penstock.ports.waiting import AsyncStore, BlockingStore
from penstock.ports.workflows import WorkflowStore

__all__ = [
    "AsyncStore",
    "BlockingStore",
    "Clock",
    "DurableStepStore",
    "Effect",
    "OperatorStore",
    "ScheduleStore",
    "SourceStore",
    "Store",
    "TopicStore",
    "WorkflowStore",
    "effect_of",
]
