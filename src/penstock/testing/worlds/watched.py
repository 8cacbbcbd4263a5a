"""The in-memory store, seen as a state: two stores with the same form do the same from then on."""

from __future__ import annotations

from penstock.model.states import State
from penstock.testing.memory import MemoryStore
from penstock.testing.memory_table import Row

Form = tuple[object, ...]
"""What is the same in states that have the same future. It can be hashed."""
_IN_LINE = frozenset({State.READY, State.BLOCKED, State.RUNNING})
"""States in which the arrival of a job counts, or will."""


class WatchedStore(MemoryStore):
    """`MemoryStore` with a view of all that decides what it does next, in a world that `penstock.testing.worlds` makes.

    What such a world never uses is left out: refusals, topics, actions, priorities, the times of records and of
    idempotency keys, which last for longer than any way through a world.
    """

    def form(self) -> Form:
        """The state. Of arrivals and fences the order counts; holders are named as they appear, times are from now."""
        rows = [self._table.rows[job_id] for job_id in sorted(self._table.rows)]
        fences = sorted(row.lease.fence for row in rows if row.lease is not None)
        holders: dict[bytes, int] = {}
        for fence in fences:
            lease = self._table.running[fence].lease if fence in self._table.running else None
            if lease is not None:
                holders.setdefault(lease.holder, len(holders))
        arrivals = sorted(row.arrival for row in rows if row.state in _IN_LINE)
        return tuple(self._form_of(row, fences, arrivals, holders) for row in rows)

    def _form_of(self, row: Row, fences: list[int], arrivals: list[int], holders: dict[bytes, int]) -> Form:
        now, monotonic = self._clock.time(), self._clock.monotonic()
        scheduled_s = None
        if row.state is State.SCHEDULED and row.run_at is not None:
            scheduled_s = max(0.0, row.run_at - now)
        lease = row.lease
        return (
            row.id,
            row.state,
            row.body,
            arrivals.index(row.arrival) if row.state in _IN_LINE else None,
            scheduled_s,
            row.attempts,
            row.standing,
            row.has_started,
            row.started_at is not None,
            row.cancel_requested,
            row.waits_for,
            tuple(sorted(row.slots)),
            row.unique_key is not None and self._unique.is_holder(row, row.unique_key),
            None
            if lease is None
            else (fences.index(lease.fence), holders.get(lease.holder), round(lease.ends_at - monotonic, 3)),
            self._form_of_steps(row, now),
        )

    def _form_of_steps(self, row: Row, now: float) -> Form:
        """What a job has recorded, but for the values, and what it waits for."""
        steps = self._moves.steps
        records = tuple(
            (
                record.place,
                record.kind,
                record.value is None,
                record.timed_out,
                None if record.until is None else max(0.0, round(record.until - now, 3)),
            )
            for record in steps.history(row.id, 0).records
        )
        kept = tuple(event for event, _ in steps._kept.get(row.id, ()))  # noqa: SLF001 - it decides what comes
        return records, kept, steps.awaits(row), row.id in steps.recorded
