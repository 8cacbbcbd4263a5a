"""Claims about what operators hold back: queues and tasks that are paused, drained, resumed, looked at, removed."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.counts import QueueStats
from penstock.model.errors import Conflict, InvalidOption, QueueDraining, QueueNotFound, UnknownTask
from penstock.model.flow import QueueRecord
from penstock.model.holds import Hold, HoldKind
from penstock.model.job import Buried, Filter, Retried, TaskRecord
from penstock.model.lines import Closed
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    elapse,
    entry,
    group,
    ids_of,
    put,
    see,
    settle,
    states,
    take,
    take_one,
)


class PausingClaims(StoreClaims):
    """`Store.pause` and `Store.resume`."""

    def test_a_paused_queue_gives_out_nothing_and_takes_jobs_in(self, store: Store) -> None:
        first = put(store, queue="q")
        store.pause(queue="q", by="ann", note="a deploy")
        second = put(store, queue="q")
        assert take(store) == []
        assert {see(store, job).reason for job in first + second} == {"paused"}
        store.resume(queue="q", by="bob")
        assert ids_of(take(store)) == first + second

    def test_a_paused_task_waits_in_every_queue_and_a_line_alone(self, store: Store) -> None:
        put(store, queue="a", task="app.slow")
        put(store, queue="b", task="app.slow")
        free = put(store, queue="a") + put(store, queue="b")
        store.pause(task="app.slow")
        store.pause(queue="a", task="app.work")
        assert ids_of(take(store)) == free[1:]
        store.resume(queue="a", task="app.work")
        assert ids_of(take(store)) == free[:1]
        store.resume(task="app.slow")
        assert len(take(store)) == 2

    def test_what_is_leased_when_its_queue_is_paused_runs_and_comes_back_to_it(self, store: Store) -> None:
        done, again = put(store, 2)
        held = take(store)
        store.pause(queue="default")
        settle(store, forgotten=[held[0].fence], retried=[Retried(held[1].fence, 0.0, ERROR)])
        assert states(store, [done, again]) == [None, State.READY]
        assert take(store) == []

    def test_holds_are_listed_with_who_when_and_why(self, store: Store, clock: VirtualClock) -> None:
        put(store, queue="q")
        assert store.holds() == []
        store.pause(queue="q", by="ann", note="a deploy")
        clock.advance(1.0)
        store.drain(queue="q", by="bob")
        store.pause(task="app.work")
        now = clock.time()
        assert store.holds() == [
            Hold(None, "app.work", HoldKind.PAUSED, "", now, None),
            Hold("q", None, HoldKind.DRAINING, "bob", now, None),
            Hold("q", None, HoldKind.PAUSED, "ann", now - 1.0, "a deploy"),
        ]
        store.pause(queue="q", by="eve")
        assert [hold.by for hold in store.holds()] == ["", "bob", "eve"]
        store.resume(queue="q")
        assert [(hold.queue, hold.task) for hold in store.holds()] == [(None, "app.work")]

    def test_resuming_leaves_other_reasons_for_which_lines_are_closed(self, store: Store) -> None:
        put(store)
        store.close_lines(Closed.RATE, queue="default")
        store.pause(queue="default")
        store.resume(queue="default")
        assert take(store) == []
        store.open_lines(queue="default")
        assert len(take(store)) == 1

    def test_resuming_what_is_not_held_does_nothing(self, store: Store) -> None:
        store.resume(queue="nowhere")
        store.resume(task="app.nothing", by="ann")
        assert store.audit().entries == []

    def test_what_is_not_there_cannot_be_held(self, store: Store) -> None:
        put(store, queue="images")
        for hold in (store.pause, store.drain):
            with pytest.raises(QueueNotFound, match="Did you mean 'images'"):
                hold(queue="imagse")
            with pytest.raises(QueueNotFound, match="penstock queues"):
                hold(queue="zzz")
            with pytest.raises(UnknownTask, match="penstock tasks"):
                hold(task="app.nothing")
            with pytest.raises(UnknownTask):
                hold(queue="images", task="app.nothing")
        assert store.holds() == []

    def test_a_queue_is_there_as_soon_as_a_task_is_registered_for_it(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.new", queue="new")])
        store.pause(queue="new")
        store.pause(task="app.new")
        put(store, task="app.new", queue="new")
        assert take(store) == []
        store.resume(task="app.new")
        assert take(store) == []
        store.resume(queue="new")
        assert len(take(store)) == 1

    def test_a_hold_names_something_and_what_is_said_of_it_is_bounded(self, store: Store) -> None:
        put(store)
        for hold in (store.pause, store.drain):
            for wrong in (
                {},
                {"queue": "no name"},
                {"task": "1"},
                {"queue": "default", "note": "n" * (limits.NOTE_BYTES_MAX + 1)},
                {"queue": "default", "by": "b" * (limits.BY_BYTES_MAX + 1)},
            ):
                with pytest.raises(InvalidOption):
                    hold(**wrong)
        with pytest.raises(InvalidOption):
            store.resume()
        assert (store.holds(), store.closed_lines(), store.audit().entries) == ([], [], [])

    def test_so_many_holds_and_no_more(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "HOLDS_MAX", 2)
        put(store, queue="a")
        put(store, queue="b")
        store.pause(queue="a")
        store.drain(queue="a")
        for hold in (store.pause, store.drain):
            with pytest.raises(InvalidOption, match="HOLDS_MAX"):
                hold(queue="b")
        store.pause(queue="a", by="ann")
        assert len(store.holds()) == 2
        assert len(take(store)) == 1

    def test_what_operators_held_is_held_by_the_next_owner(self, store: Store, clock: VirtualClock) -> None:
        put(store, queue="p")
        put(store, queue="d")
        store.pause(queue="p", by="ann", note="why")
        store.drain(queue="d")
        before = (store.holds(), store.audit().entries)
        store = self.take_over(store, clock)
        assert (store.holds(), store.audit().entries) == before
        assert [held.job.queue for held in take(store)] == ["d"]
        with pytest.raises(QueueDraining):
            put(store, queue="d")
        store.resume(queue="d")
        put(store, queue="d")


class DrainingClaims(StoreClaims):
    """`Store.drain`: nothing comes in, what is there is worked off."""

    def test_a_draining_queue_takes_no_new_jobs_and_gives_out_those_it_has(self, store: Store) -> None:
        ids = put(store, 2, queue="q")
        store.drain(queue="q", by="ann", note="moving out")
        with pytest.raises(QueueDraining, match=r"'q' is draining \(by ann since .*: moving out\)"):
            put(store, queue="q")
        assert ids_of(take(store)) == ids
        store.resume(queue="q")
        put(store, queue="q")

    def test_nothing_of_a_request_is_taken_when_a_part_of_it_may_not_come_in(self, store: Store) -> None:
        put(store, queue="q")
        store.drain(queue="q")
        before = store.totals()
        for atomic in (False, True):
            with pytest.raises(QueueDraining):
                store.enqueue([group(), group(queue="q")], atomic=atomic)
        assert store.totals() == before
        put(store)

    def test_a_source_stays_where_it_is_when_its_jobs_are_refused(self, store: Store) -> None:
        put(store, queue="q")
        store.drain(queue="q")
        with pytest.raises(QueueDraining):
            store.enqueue([group(queue="q")], cursor=SourceCursor("binlog", "0", 7, 1))
        assert store.cursors() == []
        assert store.enqueue([group()], cursor=SourceCursor("binlog", "0", 7, 1)).accepted == 1

    def test_a_key_that_was_refused_can_be_used(self, store: Store) -> None:
        put(store, queue="q")
        store.drain(queue="q")
        with pytest.raises(QueueDraining):
            store.enqueue([group(entry(key="k"), queue="q")])
        assert store.enqueue([group(entry(key="k"))]).accepted == 1

    def test_a_draining_task_takes_no_jobs_in_any_queue_and_a_line_alone(self, store: Store) -> None:
        put(store, task="app.old")
        put(store, queue="q")
        store.drain(task="app.old")
        store.drain(queue="q", task="app.work")
        for task, queue in (("app.old", "default"), ("app.old", "new"), ("app.work", "q")):
            with pytest.raises(QueueDraining, match="draining"):
                put(store, task=task, queue=queue)
        put(store)
        put(store, queue="q", task="app.other")
        assert len(take(store)) == 4

    def test_what_comes_of_jobs_that_were_there_goes_on(self, store: Store, clock: VirtualClock) -> None:
        parent, retried, dead = put(store, 3)
        late = put(store, delay_s=5.0)
        held = take(store)
        store.drain(queue="default")
        child = entry()
        settle(
            store,
            forgotten=[held[0].fence],
            retried=[Retried(held[1].fence, 1.0, ERROR)],
            buried=[Buried(held[2].fence, ERROR)],
            children=[(held[0].fence, [group(child)])],
        )
        assert store.revive([dead]) == [State.READY]
        elapse(store, clock, 6.0)
        assert set(ids_of(take(store))) == {child.id, retried, dead, *late}
        assert states(store, [parent]) == [None]

    def test_jobs_are_not_moved_into_a_draining_queue_and_may_be_moved_out_of_it(self, store: Store) -> None:
        put(store, queue="q")
        (other,) = put(store)
        store.drain(queue="q")
        with pytest.raises(QueueDraining):
            store.move([other], "q")
        with pytest.raises(QueueDraining):
            store.move_where(Filter(queue="default"), "q")
        assert store.move_where(Filter(queue="q"), "elsewhere").changed == 1
        assert counted(store)["ready"] == 1

    def test_a_queue_may_be_paused_and_drain_at_once(self, store: Store) -> None:
        put(store)
        store.drain(queue="default")
        store.pause(queue="default")
        assert take(store) == []
        with pytest.raises(QueueDraining):
            put(store)
        store.resume(queue="default")
        put(store)
        assert len(take(store)) == 2


class QueueClaims(StoreClaims):
    """`Store.queues` and `Store.remove_queue`."""

    def test_queues_are_shown_with_counts_holds_and_reasons(self, store: Store) -> None:
        put(store, queue="b")
        put(store, 2, queue="a")
        store.pause(queue="a", by="ann")
        store.close_lines(Closed.RATE, queue="a")
        store.drain(queue="b", task="app.work")
        page = store.queues()
        assert ([view.name for view in page.queues], page.cursor) == (["a", "b"], None)
        first, second = page.queues
        assert (first.counts.ready, [hold.kind for hold in first.holds]) == (2, [HoldKind.PAUSED])
        assert set(first.closed) == {Closed.PAUSED, Closed.RATE}
        assert first.closed[0] is Closed.PAUSED
        assert ([hold.task for hold in second.holds], second.closed) == (["app.work"], [])

    def test_they_come_in_pages_by_name(self, store: Store) -> None:
        names = [f"q{number}" for number in range(5)]
        for name in reversed(names):
            put(store, queue=name)
        found: list[str] = []
        cursor = None
        while True:
            page = store.queues(limit=2, cursor=cursor)
            found += [view.name for view in page.queues]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == names
        with pytest.raises(InvalidOption):
            store.queues(cursor="nonsense")

    def test_those_of_some_names_are_those_that_there_are(self, store: Store) -> None:
        put(store, queue="a")
        put(store, queue="b")
        page = store.queues(names=["b", "none", "b"])
        assert ([view.name for view in page.queues], page.cursor) == (["b"], None)
        assert store.queues(names=[]).queues == []
        with pytest.raises(InvalidOption):
            store.queues(names=["b"], cursor="anything")

    def test_a_queue_that_an_application_names_is_there_before_its_first_job(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.new", queue="new")], [QueueRecord("declared")])
        (new, declared) = store.queues(names=["new", "none", "declared"]).queues
        assert (new.name, new.counts, new.holds) == ("new", QueueStats(), [])
        assert declared.name == "declared"
        store.pause(queue="new")
        store.resume(queue="new")
        assert [view.name for view in store.queues(names=["new"]).queues] == ["new"]
        assert store.queues().queues == [], "only those that have had jobs are listed"

    def test_a_queue_that_is_held_is_shown_before_its_first_job(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.new", queue="new")])
        put(store, queue="zoo")
        store.pause(queue="new")
        assert [(view.name, view.counts.ready) for view in store.queues().queues] == [("new", 0), ("zoo", 1)]
        assert store.queues(names=["new"]).queues[0].counts == QueueStats()

    def test_a_held_queue_is_not_removed_for_being_empty(self, store: Store, clock: VirtualClock) -> None:
        put(store, queue="held")
        put(store, queue="free")
        settle(store, forgotten=[held.fence for held in take(store)])
        store.drain(queue="held")
        elapse(store, clock, 1.0)
        clock.advance(limits.QUEUE_EMPTY_S)
        elapse(store, clock, 1.0)
        assert [view.name for view in store.queues().queues] == ["held"]

    def test_an_empty_queue_is_removed_with_its_holds_and_its_totals_stay(self, store: Store) -> None:
        put(store, queue="old")
        settle(store, forgotten=[take_one(store).fence])
        store.pause(queue="old")
        store.drain(queue="old", task="app.work")
        totals = store.totals()
        store.remove_queue("old", by="ann")
        assert (store.queues().queues, store.holds(), store.closed_lines()) == ([], [], [])
        assert store.totals().counts == totals.counts
        with pytest.raises(QueueNotFound):
            store.remove_queue("old")
        put(store, queue="old")
        assert len(take(store)) == 1

    def test_a_queue_with_jobs_or_records_is_not_removed_and_says_why(self, store: Store) -> None:
        (job,) = put(store, queue="q")
        with pytest.raises(Conflict, match="1 waiting job"):
            store.remove_queue("q")
        fence = take_one(store).fence
        with pytest.raises(Conflict, match="1 run"):
            store.remove_queue("q")
        settle(store, buried=[Buried(fence, ERROR)])
        with pytest.raises(Conflict, match="1 record"):
            store.remove_queue("q")
        store.delete([job])
        store.remove_queue("q")
        with pytest.raises(InvalidOption):
            store.remove_queue("no name")
        store.create_channel("orders", "archive")
        with pytest.raises(InvalidOption, match="is a channel"):
            store.remove_queue("orders:archive")
