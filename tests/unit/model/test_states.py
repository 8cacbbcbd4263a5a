import itertools

import pytest

from penstock.model.errors import IllegalTransition
from penstock.model.job import QueueStats
from penstock.model.states import MEANING, MOVES, TERMINAL, WAITING, Event, State, check, why_not_now

ENDS = [*State, None]


def test_every_state_is_waiting_running_or_finished():
    assert WAITING | TERMINAL | {State.RUNNING} == set(State)
    assert not WAITING & TERMINAL


def test_every_state_says_what_it_means():
    assert set(MEANING) == set(State)
    assert all(meaning.endswith(".") for meaning in MEANING.values())


def test_the_table_has_every_event_with_an_actor_and_a_meaning():
    assert set(MOVES) == set(Event)
    assert all(move.actor and move.meaning and move.sources and move.targets for move in MOVES.values())


@pytest.mark.parametrize("event", Event)
def test_a_move_passes_when_the_table_has_it_and_raises_when_not(event):
    move = MOVES[event]
    for source, target in itertools.product(ENDS, ENDS):
        if source in move.sources and target in move.targets:
            check(event, source, target)
        else:
            with pytest.raises(IllegalTransition, match=event.value):
                check(event, source, target)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached_and_left(state):
    assert any(state in move.targets for move in MOVES.values())
    assert any(state in move.sources for move in MOVES.values())


def test_only_an_enqueue_makes_a_job_out_of_nothing():
    assert [event for event, move in MOVES.items() if None in move.sources] == [Event.ENQUEUE]


def test_only_a_lease_makes_a_job_run():
    assert [event for event, move in MOVES.items() if State.RUNNING in move.targets] == [Event.LEASE]


def test_a_finished_job_only_leaves_or_runs_again():
    leaving = {event for event, move in MOVES.items() if move.sources & TERMINAL}
    assert leaving == {Event.REVIVE, Event.REPEAT, Event.REPLAY, Event.DELETE, Event.TRIM}
    assert State.SUCCEEDED not in MOVES[Event.REVIVE].sources


def test_a_running_job_is_never_deleted():
    assert State.RUNNING not in MOVES[Event.DELETE].sources


def test_the_message_names_the_move():
    with pytest.raises(IllegalTransition, match=r"lease cannot take a job from nothing to running\."):
        check(Event.LEASE, None, State.RUNNING)


def test_every_state_is_counted():
    assert {state.value for state in State} <= set(QueueStats.__struct_fields__)


def test_what_waits_for_a_time_can_be_started_now():
    assert why_not_now(State.SCHEDULED, None) is None
    assert why_not_now(State.READY, "paused") is None
    assert why_not_now(State.RUNNING, None) == "The job is running; only one that waits can be started now."
    assert "blocked (2 of 2 running for tenant acme)" in str(
        why_not_now(State.BLOCKED, "2 of 2 running for tenant acme")
    )
