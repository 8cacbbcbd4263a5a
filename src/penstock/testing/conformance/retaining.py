"""Claims about queues whose finished jobs have bounds of their own."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from penstock.model import limits
from penstock.model.flow import QueueRecord, Retention
from penstock.model.job import Buried, checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.states import State
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    StoreClaims,
    counted,
    put,
    rest,
    settle,
    states,
    succeeded,
    take,
)


def declare(store: Store, queue: str = "q", **bounds: int) -> None:
    """Bounds for a queue; none: those that it had are lifted."""
    retention = Retention(**bounds) if bounds else None
    store.register_tasks([], [QueueRecord(queue, retention=retention)])


def finish(store: Store, clock: VirtualClock, count: int, queue: str = "q", result: bytes | None = None) -> list[bytes]:
    """Jobs that succeed one after another."""
    ids = []
    for _ in range(count):
        ids += put(store, queue=queue)
        (held,) = take(store, queues=[queue])
        settle(store, succeeded=[succeeded(held.fence, clock, result)])
        clock.advance(0.5)
    return ids


class RetainingClaims(StoreClaims):
    """Records, dead, bytes."""

    def test_the_oldest_records_beyond_a_queues_bound_go(self, store: Store, clock: VirtualClock) -> None:
        declare(store, records=2)
        ids, others = finish(store, clock, 5), finish(store, clock, 3, "other")
        rest(store)
        assert states(store, ids) == [None] * 3 + [State.SUCCEEDED] * 2
        assert states(store, others) == [State.SUCCEEDED] * 3
        assert counted(store, "q") == {"succeeded": 2, "accepted_total": 5, "succeeded_total": 5}
        more = finish(store, clock, 1)
        rest(store)
        assert states(store, [*ids[3:], *more]) == [None, State.SUCCEEDED, State.SUCCEEDED]

    def test_cancelled_records_count_among_them_and_dead_ones_do_not(self, store: Store, clock: VirtualClock) -> None:
        declare(store, records=1)
        finish(store, clock, 1)
        store.cancel(put(store, queue="q"))
        put(store, 2, queue="q")
        settle(store, buried=[Buried(held.fence, ERROR) for held in take(store)])
        rest(store)
        counts = counted(store, "q")
        assert (counts.get("succeeded", 0), counts["cancelled"], counts["dead"]) == (0, 1, 2)

    def test_dead_records_beyond_a_queues_bound_are_counted_as_discarded(self, store: Store) -> None:
        declare(store, dead=2)
        ids = put(store, 5, queue="q")
        held = take(store)
        settle(store, buried=[Buried(one.fence, ERROR, keep_s=90.0 - place) for place, one in enumerate(held)])
        rest(store)
        assert states(store, ids) == [State.DEAD, State.DEAD, None, None, None]
        assert counted(store, "q") == {
            "dead": 2, "accepted_total": 5, "dead_total": 5, "discarded_total": 3, "dead_discarded_total": 3,
        }  # fmt: skip
        assert sum(kind.count for kind in store.dead_counts().kinds) == 2

    def test_results_and_bodies_together_are_bounded(self, store: Store, clock: VirtualClock) -> None:
        size_bytes = len(BODY) + 1_000
        declare(store, size_bytes=3 * size_bytes)
        ids = finish(store, clock, 5, result=b"m" * 1_000)
        rest(store)
        assert states(store, ids) == [None] * 2 + [State.SUCCEEDED] * 3
        store.delete(ids[2:3])
        more = finish(store, clock, 1, result=b"m" * 1_000)
        rest(store)
        assert states(store, [*ids[3:], *more]) == [State.SUCCEEDED] * 3
        more += finish(store, clock, 1, result=b"m" * 1_001)
        rest(store)
        assert states(store, [*ids[3:], *more]) == [None, None, State.SUCCEEDED, State.SUCCEEDED]

    def test_a_channel_has_bounds_and_counts_the_bodies_of_its_own_copies(
        self, store: Store, clock: VirtualClock
    ) -> None:
        declare(store, "orders:a", size_bytes=5_000)
        for channel in ("a", "b"):
            store.create_channel("orders", channel)
        body = b"r" + bytes(1_999)
        messages = [MessageEntry(one, body, checksum(body)) for one in new_message_ids(4)]
        store.publish("orders", [MessageGroup(messages)])
        for queue in ("orders:a", "orders:b"):
            held = take(store, queues=[queue])
            ends = [succeeded(one.fence, clock, keep_record_s=60.0 + place) for place, one in enumerate(held)]
            settle(store, succeeded=ends)
        rest(store)
        assert (counted(store, "orders:a")["succeeded"], counted(store, "orders:b")["succeeded"]) == (2, 4)

    def test_dead_records_make_room_when_there_are_no_others(self, store: Store) -> None:
        declare(store, size_bytes=len(BODY))
        ids = put(store, 3, queue="q")
        settle(store, buried=[Buried(held.fence, ERROR, keep_s=90.0 + n) for n, held in enumerate(take(store))])
        rest(store)
        assert states(store, ids) == [None, None, State.DEAD]

    def test_a_bound_holds_for_records_that_were_there_before_it(self, store: Store, clock: VirtualClock) -> None:
        ids, others = finish(store, clock, 5), finish(store, clock, 3, "other")
        declare(store, records=3, size_bytes=10**9)
        rest(store)
        assert states(store, ids) == [None] * 2 + [State.SUCCEEDED] * 3
        declare(store, records=3, size_bytes=len(BODY))
        rest(store)
        assert states(store, ids) == [None] * 4 + [State.SUCCEEDED]
        assert states(store, others) == [State.SUCCEEDED] * 3

    def test_a_bound_that_is_not_declared_any_more_does_not_hold(self, store: Store, clock: VirtualClock) -> None:
        declare(store, records=1)
        declare(store)
        ids = finish(store, clock, 3)
        rest(store)
        assert states(store, ids) == [State.SUCCEEDED] * 3
        declare(store, records=0)
        rest(store)
        assert states(store, ids) == [None] * 3

    def test_revived_jobs_are_no_records_and_count_again_when_they_end(self, store: Store, clock: VirtualClock) -> None:
        declare(store, size_bytes=2 * len(BODY))
        revived, dead = put(store, 2, queue="q")
        settle(store, buried=[Buried(held.fence, ERROR) for held in take(store)])
        store.revive([revived])
        settle(store, succeeded=[succeeded(held.fence, clock) for held in take(store)])
        rest(store)
        assert states(store, [revived, dead]) == [State.SUCCEEDED, State.DEAD]
        clock.advance(0.5)
        more = finish(store, clock, 1)
        rest(store)
        assert states(store, [revived, dead, *more]) == [None, State.DEAD, State.SUCCEEDED]

    def test_many_are_trimmed_in_bounded_steps(self, store: Store, clock: VirtualClock) -> None:
        count = limits.TICK_STEP_JOBS * 3
        put(store, count, queue="q")
        settle(store, succeeded=[succeeded(held.fence, clock) for held in take(store, count)])
        declare(store, records=7)
        store.tick()
        assert counted(store, "q")["succeeded"] > 7
        rest(store)
        assert counted(store, "q") == {"succeeded": 7, "accepted_total": count, "succeeded_total": count}

    def test_bounds_stand_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        declare(store, records=3, size_bytes=2 * (len(BODY) + 10))
        ids = finish(store, clock, 2, result=b"m" * 10)
        again = self.take_over(store, clock)
        ids += finish(again, clock, 1, result=b"m" * 10)
        rest(again)
        assert states(again, ids) == [None, State.SUCCEEDED, State.SUCCEEDED]

    def test_a_queue_that_was_removed_and_is_used_again_has_its_bounds(self, store: Store, clock: VirtualClock) -> None:
        declare(store, records=1)
        finish(store, clock, 1)
        declare(store, records=0)
        rest(store)
        store.tick()
        clock.advance(limits.QUEUE_EMPTY_S)
        rest(store)
        assert "q" not in store.stats().queues
        ids = finish(store, clock, 2)
        rest(store)
        assert states(store, ids) == [None, None]
