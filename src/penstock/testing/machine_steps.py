"""What `penstock.testing.machine` asks about durable steps: histories, events, published values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from penstock.model.durable_steps import JobRecords, Record
from penstock.model.errors import WorkflowNotFound
from penstock.ports import Store
from penstock.testing import calls


class StepRules:
    """The rules about them. Jobs are suspended among the other outcomes."""

    tried: Store
    model: Store
    ids: list[bytes]

    @abstractmethod
    def _both(self, ask: Callable[[Store], Any]) -> None:
        """Ask both stores; they answer the same."""

    @abstractmethod
    def _ids(self, picks: calls.Picks) -> list[bytes]:
        """Ids of jobs there ever were."""

    @abstractmethod
    def _leases(self, picks: calls.Picks) -> list[Any]:
        """Leases there ever were, with their jobs."""

    @rule(
        pick=st.integers(0, 12),
        records=calls.step_records,
        checkpoint=st.sampled_from([None, None, b"m\x01"]),
        published=calls.published_values,
    )
    def record(self, pick: int, records: list[Record], checkpoint: bytes | None, published: dict[str, bytes]) -> None:
        """`Store.record`."""
        (lease,) = self._leases([pick])
        tried = self.tried.record([JobRecords(lease.tried, lease.job, records, checkpoint, published)])
        model = self.model.record([JobRecords(lease.model, lease.job, records, checkpoint, published)])
        assert tried == model, f"tried: {tried}\nmodel: {model}"

    @rule(pick=st.integers(0, 12), event=st.sampled_from(calls.EVENTS), by=st.sampled_from([None, None, "ann"]))
    def signal(self, pick: int, event: str, by: str | None) -> None:
        """`Store.signal`."""
        (job,) = self._ids([pick])

        def ask(store: Store) -> Any:
            try:
                return store.signal(job, event, b"m\x07", by=by)
            except WorkflowNotFound as error:
                return error.code

        self._both(ask)

    @invariant()
    def every_history_is_the_same(self) -> None:
        """`Store.history` and `Store.published` of every id there ever was."""
        self._both(lambda store: [(store.history(job), store.published(job)) for job in self.ids])
