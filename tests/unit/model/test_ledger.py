"""Every move of the table, counted."""

import itertools

import pytest
from msgspec.structs import replace

from penstock.model import ledger
from penstock.model.errors import IllegalTransition
from penstock.model.job import QueueStats
from penstock.model.states import MOVES, WAITING, Event, State

ENDS = [*State, None]
LEGAL = [
    (event, source, target)
    for event, move in MOVES.items()
    for source, target in itertools.product(move.sources, move.targets)
]
TOTALS = [name for name in QueueStats.__struct_fields__ if name.endswith("_total")]


def changes(before, after):
    """What is different, and by how much."""
    names = [name for name in QueueStats.__struct_fields__ if name != "oldest_ready_age_s"]
    found = {name: getattr(after, name) - getattr(before, name) for name in names}
    return {name: change for name, change in found.items() if change}


def moved(event, source, target, number=1):
    counts = QueueStats(*[100] * 8)
    before = replace(counts)
    ledger.move(counts, event, source, target, number)
    return changes(before, counts)


@pytest.mark.parametrize(("event", "source", "target"), LEGAL)
def test_every_move_takes_a_job_from_one_state_to_the_other_and_stays_accounted_for(event, source, target):
    counts = QueueStats(*[100] * 8)
    unaccounted = counts.unaccounted()
    ledger.move(counts, event, source, target)
    assert counts.unaccounted() == unaccounted
    records = {name: change for name, change in moved(event, source, target).items() if name not in TOTALS}
    wanted = {} if source is target else {state.value: by for state, by in ((source, -1), (target, 1)) if state}
    assert records == wanted


@pytest.mark.parametrize("event", Event)
def test_a_move_that_the_table_does_not_have_raises_and_changes_nothing(event):
    move = MOVES[event]
    for source, target in itertools.product(ENDS, ENDS):
        if source not in move.sources or target not in move.targets:
            counts = QueueStats(*[100] * 8)
            with pytest.raises(IllegalTransition, match=event.value):
                ledger.move(counts, event, source, target, 7)
            assert counts == QueueStats(*[100] * 8)


def test_many_that_make_the_same_move_are_counted_at_once():
    one = moved(Event.SUCCEED, State.RUNNING, State.SUCCEEDED)
    assert moved(Event.SUCCEED, State.RUNNING, State.SUCCEEDED, 7) == {name: 7 * by for name, by in one.items()}


@pytest.mark.parametrize(
    ("event", "source", "target", "totals"),
    [
        (Event.ENQUEUE, None, State.READY, {"accepted_total": 1}),
        (Event.PROMOTE, State.SCHEDULED, State.READY, {}),
        (Event.LEASE, State.READY, State.RUNNING, {}),
        (Event.REFUSE, State.RUNNING, State.READY, {}),
        (Event.SUCCEED, State.RUNNING, None, {"succeeded_total": 1}),
        (Event.RETRY, State.RUNNING, State.SCHEDULED, {"retried_total": 1}),
        (Event.LOSE, State.RUNNING, State.READY, {"lost_total": 1}),
        (Event.LOSE, State.RUNNING, State.DEAD, {"lost_total": 1, "dead_total": 1}),
        (Event.GIVE_UP, State.READY, State.DEAD, {"dead_total": 1}),
        (Event.CANCEL, State.BLOCKED, None, {"cancelled_total": 1}),
        (Event.DELETE, State.READY, None, {"discarded_total": 1}),
        (Event.DELETE, State.DEAD, None, {}),
        (Event.TRIM, State.DEAD, None, {"discarded_total": 1, "dead_discarded_total": 1}),
        (Event.TRIM, State.SUCCEEDED, None, {}),
        (Event.REVIVE, State.DEAD, State.READY, {"revived_total": 1}),
    ],
)
def test_which_totals_a_move_counts_in(event, source, target, totals):
    assert {name: by for name, by in moved(event, source, target).items() if name in TOTALS} == totals


@pytest.mark.parametrize("state", sorted(WAITING))
def test_a_job_that_goes_to_another_queue_leaves_one_and_is_in_the_other(state):
    left, joined = QueueStats(*[100] * 8), QueueStats(*[100] * 8)
    ledger.transfer(left, joined, state)
    assert changes(QueueStats(*[100] * 8), left) == {state.value: -1, "moved_out_total": 1}
    assert changes(QueueStats(*[100] * 8), joined) == {state.value: 1, "moved_in_total": 1}


@pytest.mark.parametrize("state", sorted(set(State) - WAITING))
def test_only_a_waiting_job_goes_to_another_queue(state):
    left, joined = QueueStats(), QueueStats()
    with pytest.raises(IllegalTransition, match="move"):
        ledger.transfer(left, joined, state)
    assert left == joined == QueueStats()


def test_jobs_that_go_to_another_queue_are_counted_each():
    source, target = QueueStats(ready=3), QueueStats()
    for _ in range(3):
        ledger.transfer(source, target, State.READY)
    assert source == QueueStats(moved_out_total=3)
    assert target == QueueStats(ready=3, moved_in_total=3)
