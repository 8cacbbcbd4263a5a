"""The sum over all queues is what counting them anew would give, whatever changed in between."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from penstock.model.counts import QueueStats, added
from penstock.store.sqlite.running_totals import RunningTotals


@dataclass
class Queue:
    counts: QueueStats = field(default_factory=QueueStats)


def test_without_queues_all_is_zero():
    assert RunningTotals({}, QueueStats()).counts() == QueueStats()


def test_what_is_there_at_first_counts_and_so_does_what_was_removed_before():
    queues = {1: Queue(QueueStats(ready=2, accepted_total=5)), 2: Queue(QueueStats(dead=1, dead_total=1))}
    totals = RunningTotals(queues, QueueStats(accepted_total=7, succeeded_total=7))
    expected = QueueStats(ready=2, accepted_total=12, succeeded_total=7, dead=1, dead_total=1)
    assert totals.counts() == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 5), st.booleans()), max_size=30))
def test_changes_are_added_whenever_somebody_asks(changes):
    queues = {0: Queue()}
    totals = RunningTotals(queues, QueueStats())
    for number, amount, asks in changes:
        queue = queues.setdefault(number, Queue())
        queue.counts.ready += amount
        queue.counts.accepted_total += abs(amount)
        totals.note([number])
        if asks:
            assert totals.counts() == added(queue.counts for queue in queues.values())
    assert totals.counts() == added(queue.counts for queue in queues.values())


def test_only_queues_that_changed_are_looked_at():
    queues = {number: Queue(QueueStats(ready=1)) for number in range(3)}
    totals = RunningTotals(queues, QueueStats())
    queues[1].counts.ready = 5
    assert totals.counts().ready == 3
    totals.note([1])
    assert totals.counts().ready == 7


def test_the_sum_stays_when_a_queue_is_removed():
    queues = {1: Queue(QueueStats(accepted_total=4, succeeded_total=4)), 2: Queue()}
    totals = RunningTotals(queues, QueueStats())
    queues[1].counts.accepted_total = queues[1].counts.succeeded_total = 6
    totals.forget(1)
    del queues[1]
    assert totals.counts().accepted_total == 6
    queues[1] = Queue(QueueStats(accepted_total=1))
    totals.note([1])
    assert totals.counts().accepted_total == 7
