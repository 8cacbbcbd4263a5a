"""The counts that are kept of all queues together: the sum of what each queue counts, whatever happened."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.counts import QueueStats, Totals, added
from penstock.model.errors import IllegalTransition
from penstock.model.states import Event, State
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import leap, put, rest, settle, take, take_one

QUEUES = ("a", "b", "c")
WAITS_S = (1, limits.LEASE_S + 10, limits.KEEP_RECORD_S, limits.QUEUE_EMPTY_S)


def summed(store):
    """What the counts of the queues that are there, and of those that were removed, add up to."""
    return added((queue.counts for queue in store.books.queues.values()), store.books.removed)


class Session:
    """Steps that somebody takes, each with a number that says which jobs and queues it is about."""

    def __init__(self, store, clock):
        self.store, self.clock = store, clock
        self.ids = []

    def _some(self, number):
        return self.ids[number % (len(self.ids) or 1) :][: number % 3 + 1]

    def enqueue(self, number):
        self.ids += put(self.store, number % 4 + 1, queue=QUEUES[number % 3])

    def delay(self, number):
        self.ids += put(self.store, queue=QUEUES[number % 3], run_at=self.clock.time() + 5)

    def lease(self, number):
        take(self.store, number % 5 + 1)

    def succeed(self, number):
        """Leased jobs in a range, of several queues."""
        settle(self.store, forgotten=sorted(self.store.books.by_fence)[: number % 5 + 1])

    def release(self, number):
        settle(self.store, released=sorted(self.store.books.by_fence)[: number % 3 + 1])

    def cancel(self, number):
        self.store.cancel(self._some(number))

    def revive(self, number):
        self.store.revive(self._some(number))

    def move(self, number):
        self.store.move(self._some(number), QUEUES[number % 3])

    def delete(self, number):
        self.store.delete(self._some(number))

    def wait(self, number):
        """Jobs that wait are promoted, leases end, records are trimmed, and in the end queues are removed."""
        if not self.store.in_group:
            leap(self.store, self.clock, WAITS_S[number % 4])

    def open_group(self, _):
        if not self.store.in_group:
            self.store.begin()

    def commit(self, _):
        if self.store.in_group:
            self.store.commit()
            self.store.tidy()

    def undo(self, _):
        if self.store.in_group:
            self.store.rollback()


STEPS = [name for name in vars(Session) if not name.startswith("_")]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 59)), min_size=10, max_size=40))
def test_totals_are_the_sum_of_all_queues_at_all_times(steps):
    with TemporaryDirectory() as directory:
        clock = VirtualClock()
        store = SqliteStore(Path(directory) / "penstock.db", clock=clock)
        session = Session(store, clock)
        for name, number in steps:
            getattr(session, name)(number)
            assert store.books.totals() == summed(store)
        session.commit(0)
        store.close()


def test_totals_stay_when_a_queue_is_removed(store, clock):
    put(store, 3, queue="a")
    settle(store, forgotten=[held.fence for held in take(store)])
    before = store.totals()
    rest(store)
    leap(store, clock, limits.QUEUE_EMPTY_S)
    assert store.totals() == Totals(0, before.counts, before.counts)
    assert before.counts == QueueStats(accepted_total=3, succeeded_total=3)


def test_totals_are_as_before_when_a_group_is_undone(store):
    put(store, 2, queue="a")
    before = store.totals()
    store.begin()
    put(store, 5, queue="b")
    settle(store, forgotten=[take_one(store).fence])
    assert store.totals().counts == QueueStats(ready=6, accepted_total=7, succeeded_total=1)
    store.rollback()
    assert store.totals() == before


def test_who_was_told_the_totals_has_them_for_itself(store):
    put(store)
    told = store.totals().counts
    told.ready = 100
    assert store.totals().counts.ready == 1


def test_a_move_that_there_is_not_counts_nowhere(store):
    put(store)
    (queue,) = store.books.queues
    before = store.totals()
    with pytest.raises(IllegalTransition):
        store.books.move(queue, Event.SUCCEED, State.READY, State.SUCCEEDED)
    with pytest.raises(IllegalTransition):
        store.books.move_each({queue: 1}, Event.SUCCEED, State.READY, State.SUCCEEDED)
    with pytest.raises(IllegalTransition):
        store.books.transfer(queue, queue, State.RUNNING)
    assert store.totals() == before
    assert store.books.totals() == summed(store)
