import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import actions, limits
from penstock.model.actions import Action, ActionRequest, ActionState, Verb
from penstock.model.actions_under_way import Actions, Turns
from penstock.model.errors import InvalidOption
from penstock.model.job import Filter, QueueStats


def numbered(number, state=ActionState.RUNNING):
    return Action(b"%016d" % number, Verb.RETRY, Filter(queue="q"), None, False, None, None, "ann", 100.0, state)


def test_only_so_many_actions_are_under_way():
    known = Actions(numbered(at) for at in range(limits.ACTIONS_UNDER_WAY_MAX))
    with pytest.raises(InvalidOption) as refused:
        known.check_room()
    assert refused.value.field == "verb"
    known.save(numbered(0, ActionState.DONE))
    known.check_room()
    assert len(known.under_way()) == limits.ACTIONS_UNDER_WAY_MAX - 1


def test_of_actions_that_have_ended_the_oldest_go(monkeypatch):
    monkeypatch.setattr(limits, "ACTIONS_KEPT_MAX", 2)
    known = Actions()
    gone = [known.save(numbered(at, ActionState.RUNNING if at == 0 else ActionState.DONE)) for at in range(5)]
    assert gone == [[], [], [], [numbered(1).id], [numbered(2).id]]
    assert [action.id for action in known.newest_first()] == [numbered(at).id for at in (4, 3, 0)]
    assert [action.id for action in known.newest_first([numbered(0).id, numbered(1).id])] == [numbered(0).id]
    assert known.get(numbered(1).id) is None


def test_an_action_is_stopped_where_it_is_and_one_that_has_ended_is_not():
    known = Actions([numbered(1), numbered(2, ActionState.FAILED)])
    stopped = known.stopped(numbered(1).id, 107.0)
    assert stopped is not None
    assert (stopped.state, stopped.finished_at) == (ActionState.STOPPED, 107.0)
    assert known.stopped(numbered(2).id, 107.0) is None
    assert known.stopped(numbered(3).id, 107.0) is None


def make(number, per_s=None):
    wanted = ActionRequest(bytes([number]) * 16, Verb.DELETE, Filter(queue="q"), per_s=per_s)
    return actions.begun(wanted, "", 0.0, QueueStats(ready=3))


def test_each_has_its_turn_and_there_is_a_rest_between_two():
    turns, under_way = Turns(), [make(1), make(2)]
    assert turns.next_at(under_way) == 0.0
    now, had = 10.0, []
    for _ in range(4):
        action = turns.next(under_way, now)
        had.append(action.id[0])
        turns.took(action, 1, now)
        assert turns.next(under_way, now) is None
        assert turns.next_at(under_way) == pytest.approx(now + limits.ACTION_REST_S)
        now = turns.next_at(under_way)
    assert had == [1, 2, 1, 2]
    assert turns.next([], now) is None
    assert turns.next_at([]) is None


@given(st.floats(0.1, 1_000.0), st.integers(1, 30))
def test_over_time_no_more_a_second_than_it_may(per_s, steps):
    turns, action, now, done = Turns(), make(1, per_s), 0.0, 0
    for _ in range(steps):
        now = max(now, turns.next_at([action]))
        assert turns.next([action], now) == action
        jobs = actions.step_jobs_max(action)
        turns.took(action, jobs, now)
        done += jobs
        assert done <= per_s * now + jobs + 1e-6


def test_an_action_that_has_ended_is_forgotten():
    turns, action = Turns(), make(1, 1.0)
    turns.took(action, 5, 0.0)
    turns.took(actions.ended(action, ActionState.DONE, 1.0), 0, 5.0)
    assert turns.next_at([action]) == pytest.approx(5.0 + limits.ACTION_REST_S)


def test_what_is_known_of_actions_that_were_stopped_goes_when_none_is_left():
    turns, action = Turns(), make(1, 1.0)
    turns.took(action, 5, 0.0)
    assert turns.next_at([]) is None
    assert turns.next_at([action]) == pytest.approx(limits.ACTION_REST_S)
