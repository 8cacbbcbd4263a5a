"""Which job keeps others away from its key, what becomes of those, and of the key when its job ends."""

from __future__ import annotations

import pytest

from penstock.model.flow import UniqueRule
from penstock.model.states import MOVES, TERMINAL, WAITING, Event, State
from penstock.model.unique import REVIVABLE, Claim, Remains, Verdict, after_end, verdict

ALIVE = UniqueRule().states
NOW = 1_000.0


def claim(*states: State, period_s: float | None = None) -> Claim:
    return Claim.of(UniqueRule(states=states or ALIVE, period_s=period_s), NOW)


def test_a_job_keeps_others_away_in_the_states_of_its_rule() -> None:
    assert [state for state in State if claim().keeps_away(state, NOW)] == [*ALIVE]
    assert [state for state in State if claim(State.DEAD).keeps_away(state, NOW)] == [State.DEAD]


def test_and_only_within_its_period() -> None:
    one = claim(period_s=60.0)
    assert one.keeps_away(State.READY, NOW + 59.9)
    assert not one.keeps_away(State.READY, NOW + 60.0)
    assert claim().keeps_away(State.READY, NOW + 1e9)
    assert one.anew(NOW + 30.0).until == NOW + 90.0
    assert claim().anew(NOW + 30.0) == claim()


def test_without_a_record_it_keeps_others_away_for_the_period_if_it_has_one() -> None:
    assert claim(period_s=60.0).keeps_away(None, NOW + 59.9)
    assert not claim(period_s=60.0).keeps_away(None, NOW + 60.0)
    assert not claim().keeps_away(None, NOW)


@pytest.mark.parametrize("state", [None, *State])
def test_what_becomes_of_a_newcomer(state: State | None) -> None:
    assert verdict("refuse", state) is Verdict.REFUSE
    assert verdict("existing", state) is Verdict.EXISTING
    replaces = {"replace": Verdict.REPLACE, "keep_time": Verdict.KEEP_TIME}
    for on_conflict in ("replace", "keep_time"):
        expected = Verdict.NEW if state is State.RUNNING else Verdict.EXISTING
        assert verdict(on_conflict, state) is (replaces[on_conflict] if state in WAITING else expected)


def test_a_key_is_held_on_to_only_if_the_job_ended_as_its_rule_says() -> None:
    ends = {
        Event.SUCCEED: State.SUCCEEDED,
        Event.BURY: State.DEAD,
        Event.CORRUPT: State.DEAD,
        Event.GIVE_UP: State.DEAD,
        Event.LOSE: State.DEAD,
        Event.CANCEL: State.CANCELLED,
        Event.EXPIRE: State.EXPIRED,
    }
    assert set(ends.values()) == TERMINAL
    for event, outcome in ends.items():
        source = next(source for source in MOVES[event].sources if source is not None)
        others = [state for state in State if state is not outcome]
        left = Remains.LEFT if outcome in REVIVABLE else Remains.NOTHING
        for period_s in (None, 60.0):
            assert after_end(claim(outcome, period_s=period_s), event, source, outcome, NOW) is Remains.HELD
            assert after_end(claim(*others, period_s=period_s), event, source, outcome, NOW) is left
            assert after_end(claim(*others, period_s=period_s), event, source, None, NOW) is Remains.NOTHING
        # No record of it is kept: the key counts for its period.
        assert after_end(claim(outcome, period_s=60.0), event, source, None, NOW) is Remains.HELD
        assert after_end(claim(outcome), event, source, None, NOW) is Remains.NOTHING


@pytest.mark.parametrize("event", [Event.TRIM, Event.DELETE])
@pytest.mark.parametrize("state", TERMINAL)
def test_a_record_that_goes_leaves_its_key_for_the_period(event: Event, state: State) -> None:
    assert after_end(claim(state, period_s=60.0), event, state, None, NOW + 59.0) is Remains.HELD
    assert after_end(claim(state, period_s=60.0), event, state, None, NOW + 60.0) is Remains.NOTHING
    assert after_end(claim(state), event, state, None, NOW) is Remains.NOTHING
    assert after_end(claim(period_s=60.0), event, state, None, NOW) is Remains.NOTHING


@pytest.mark.parametrize("state", WAITING)
def test_a_job_that_is_thrown_away_before_it_ran_leaves_nothing(state: State) -> None:
    assert after_end(claim(*State, period_s=60.0), Event.DELETE, state, None, NOW) is Remains.NOTHING
