"""Claims about lines that are closed, and about ready jobs of tasks that nobody knows."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import UNKNOWN_TASK
from penstock.model.lines import Closed, ClosedLine
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    OTHER_HOLDER,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    put,
    see,
    settle,
    states,
    take,
    take_one,
)


class ClosingClaims(StoreClaims):
    """`Store.close_lines`, `Store.open_lines`."""

    def test_a_closed_queue_gives_out_nothing_and_its_jobs_stay_ready(self, store: Store) -> None:
        first, second = put(store, 2, queue="q"), put(store, task="app.other", queue="q")
        (free,) = put(store)
        store.close_lines(Closed.PAUSED, queue="q")
        assert ids_of(take(store)) == [free]
        assert take(store, queues=["q"]) == take(store, queues=["q"], tasks=["app.work"]) == []
        assert states(store, first + second) == [State.READY] * 3
        assert {see(store, job).reason for job in first + second} == {"paused"}
        assert counted(store, "q") == {"ready": 3, "accepted_total": 3}

    def test_an_opened_queue_goes_on_in_its_order(self, store: Store) -> None:
        first = put(store, 2, queue="q")
        store.close_lines(Closed.PAUSED, queue="q")
        urgent = put(store, queue="q", priority=1)
        last = put(store, task="app.other", queue="q")
        assert take(store) == []
        store.open_lines(queue="q")
        assert see(store, first[0]).reason is None
        assert ids_of(take(store)) == urgent + first + last

    def test_a_closed_task_gives_out_nothing_in_any_queue(self, store: Store) -> None:
        put(store, task="app.closed")
        put(store, task="app.closed", queue="b")
        free = put(store) + put(store, queue="b")
        store.close_lines(Closed.RATE, task="app.closed")
        later = put(store, task="app.closed", queue="c")
        assert ids_of(take(store)) == free
        assert take(store, tasks=["app.closed"]) == take(store, queues=["c"]) == []
        assert see(store, later[0]).reason == "rate"

    def test_one_line_is_closed_alone(self, store: Store) -> None:
        store.close_lines(Closed.PAUSED, queue="b", task="app.work")
        put(store, queue="b")
        free = put(store) + put(store, task="app.other", queue="b")
        assert ids_of(take(store)) == free

    def test_a_line_opens_when_every_reason_is_gone(self, store: Store) -> None:
        (job,) = put(store)
        store.close_lines(Closed.RATE, task="app.work")
        store.close_lines(Closed.RATE, queue="default")
        store.close_lines(Closed.PAUSED, queue="default")
        assert see(store, job).reason == "paused"
        store.open_lines(queue="default", reason=Closed.PAUSED)
        assert see(store, job).reason == "rate"
        store.open_lines(queue="default")
        assert (see(store, job).reason, take(store)) == ("rate", [])
        store.open_lines(queue="default", task="app.work")
        assert take(store) == []
        store.open_lines(task="app.work")
        assert ids_of(take(store)) == [job]

    def test_what_is_closed_is_listed(self, store: Store) -> None:
        assert store.closed_lines() == []
        store.close_lines(Closed.RATE, task="app.work")
        store.close_lines(Closed.PAUSED, queue="q", task="app.work")
        store.close_lines(Closed.RATE, queue="q")
        store.close_lines(Closed.PAUSED, queue="q")
        assert store.closed_lines() == [
            ClosedLine(None, "app.work", Closed.RATE),
            ClosedLine("q", None, Closed.PAUSED),
            ClosedLine("q", None, Closed.RATE),
            ClosedLine("q", "app.work", Closed.PAUSED),
        ]
        store.open_lines(queue="q")
        assert len(store.closed_lines()) == 2

    def test_leased_jobs_of_a_line_that_closes_go_on_and_come_back_to_it(self, store: Store) -> None:
        _, back = put(store, 2)
        held = take(store)
        store.close_lines(Closed.PAUSED, queue="default")
        settle(store, forgotten=[held[0].fence], released=[held[1].fence])
        assert take(store) == []
        assert see(store, back).reason == "paused"
        store.open_lines(queue="default")
        assert ids_of(take(store)) == [back]

    def test_jobs_of_a_closed_line_can_be_cancelled_moved_edited_and_deleted(self, store: Store) -> None:
        cancelled, moved, edited, deleted = put(store, 4)
        store.close_lines(Closed.PAUSED, queue="default")
        assert store.cancel([cancelled]) == [State.CANCELLED]
        assert store.move([moved], "open") == [State.READY]
        assert store.edit([edited], priority=9) == [State.READY]
        assert store.delete([deleted]) == [True]
        assert ids_of(take(store)) == [moved]
        store.open_lines(queue="default")
        assert take_one(store).job.id == edited

    def test_jobs_of_a_closed_line_expire_and_become_due(self, store: Store, clock: VirtualClock) -> None:
        store.close_lines(Closed.PAUSED, queue="default")
        late, due = put(store, expires_s=1.0), put(store, delay_s=1.0)
        elapse(store, clock, 2.0)
        assert states(store, late + due) == [State.EXPIRED, State.READY]
        assert take(store) == []

    def test_lines_that_are_not_named_are_refused(self, store: Store) -> None:
        with pytest.raises(InvalidOption):
            store.open_lines()
        for scope in ({}, {"queue": "no name"}, {"queue": ""}, {"task": "1"}):
            with pytest.raises(InvalidOption):
                store.close_lines(Closed.PAUSED, **scope)
        assert store.closed_lines() == []


class UnknownTaskClaims(StoreClaims):
    """A ready job says so when no worker that asks for its queue knows its task."""

    def test_a_task_that_nobody_names_is_unknown(self, store: Store) -> None:
        (job,) = put(store, task="app.new")
        assert see(store, job).error is None
        take(store, tasks=["app.old"])
        error = see(store, job).error
        assert error is not None
        assert (error.type, "'app.new'" in error.message, "'default'" in error.message) == (UNKNOWN_TASK, True, True)
        assert see(store, job).state is State.READY

    def test_one_that_knows_it_is_enough(self, store: Store) -> None:
        (job,) = put(store, task="app.new")
        take(store, 0, tasks=["app.old"])
        take(store, 0, tasks=["app.new"], holder=OTHER_HOLDER)
        assert see(store, job).error is None

    def test_one_that_names_no_tasks_knows_all(self, store: Store) -> None:
        (job,) = put(store, task="app.new")
        take(store, 0, tasks=["app.old"])
        take(store, 0, holder=OTHER_HOLDER)
        assert see(store, job).error is None

    def test_workers_of_other_queues_do_not_count(self, store: Store) -> None:
        (job,) = put(store, task="app.new")
        take(store, 0, tasks=["app.new"], queues=["other"])
        assert see(store, job).error is None
        take(store, 0, tasks=["app.old"], queues=["default"], holder=OTHER_HOLDER)
        assert see(store, job).error is not None

    def test_it_is_forgotten_with_the_workers(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store, task="app.new")
        take(store, 0, tasks=["app.old"])
        elapse(store, clock, limits.HOLDER_ALIVE_S)
        assert see(store, job).error is None
