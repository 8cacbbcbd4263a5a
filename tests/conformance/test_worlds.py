"""Every state of small worlds: no breach in the model, one in each broken store, and the engine goes the same ways.

Bounded by the number of states. `python -m penstock.testing.worlds` searches larger ones.
"""

import itertools
from dataclasses import replace

import pytest

from penstock.store.sqlite.store import SqliteStore
from penstock.testing.worlds.actions import Size
from penstock.testing.worlds.broken import BROKEN, BROKEN_DELIVERIES, BROKEN_SUSPENSIONS
from penstock.testing.worlds.kinds import world_of
from penstock.testing.worlds.search import search
from penstock.testing.worlds.watched import WatchedStore
from penstock.testing.worlds.world import SmallWorld

SUSPENDING = Size(jobs=1, on_conflict=None, signals=1)
"""A job that records a step and sleeps, or waits for an event, and two workers."""
DELIVERING = Size(on_conflict=None, delivers=True)
"""Two connections of a door."""
FEWER = replace(SUSPENDING, workers=1, attempts_max=1)


def searched(size, store=WatchedStore, states_max=None):
    return search(lambda: world_of(size, store), states_max=states_max)


@pytest.mark.parametrize(
    "size, states_min",
    [
        (Size(), 300),
        (Size(on_conflict=None), 200),
        (Size(on_conflict="existing"), 150),
        (Size(on_conflict="refuse"), 100),
        (Size(on_conflict="keep_time"), 300),
        (Size(order="fifo"), 200),
        (Size(pauses=True), 700),
        (SUSPENDING, 400),
        (DELIVERING, 150),
        (replace(DELIVERING, order="fifo"), 120),
    ],
)
def test_a_small_world_is_searched_whole_and_has_no_breach(size, states_min):
    found = searched(size)
    assert found.finding is None, found.finding
    assert found.is_whole
    assert found.states > states_min
    assert found.transitions > 5 * found.states


@pytest.mark.parametrize(
    "size",
    [
        Size(jobs=3),
        Size(jobs=3, on_conflict=None, limit=2),
        Size(limit=2, on_conflict=None),
        Size(operators=True),
        Size(starts=True),
        Size(signals=1, on_conflict=None),
        Size(signals=1, on_conflict="existing"),
        Size(signals=1, on_conflict=None, order="fifo"),
    ],
)
def test_the_nearest_states_of_a_larger_world_have_no_breach(size):
    found = searched(size, states_max=500)
    assert found.finding is None, found.finding
    assert found.states >= 500


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_that_is_taken_out_is_found(rule):
    found = searched(Size(), BROKEN[rule])
    assert found.finding is not None
    world = SmallWorld(Size(), BROKEN[rule])
    for action in found.finding.trace[:-1]:
        world.do(action)
        world.check()


@pytest.mark.parametrize("rule", BROKEN_SUSPENSIONS)
def test_a_rule_of_suspension_that_is_taken_out_is_found(rule):
    found = searched(SUSPENDING, BROKEN_SUSPENSIONS[rule])
    assert found.finding is not None
    assert searched(Size(jobs=1, on_conflict=None), BROKEN_SUSPENSIONS[rule]).finding is None, "it takes suspension"


@pytest.mark.parametrize("rule", BROKEN_DELIVERIES)
def test_a_rule_of_deliveries_that_is_taken_out_is_found(rule):
    assert searched(DELIVERING, BROKEN_DELIVERIES[rule]).finding is not None
    assert searched(replace(DELIVERING, delivers=False), BROKEN_DELIVERIES[rule]).finding is None, "it takes a door"


def test_the_breach_is_told_with_the_shortest_way_to_it():
    what, trace = searched(Size(), BROKEN["fence"]).finding
    assert what.startswith("worker 0 could settle (succeed) job 0 by the fence of worker 0")
    assert [action.verb for action in trace] == ["enqueue", "lease", "settle", "lease", "late"]


@pytest.mark.parametrize("size, others_min", [(Size(), 300), (FEWER, 50)])
def test_the_form_of_a_state_decides_its_future(size, others_min):
    """What is the same by its form does the same, whichever way it was come to. Workers may have changed places."""
    first, other, comes = {world_of(size).form(): []}, {}, {}
    for form, trace in (to_do := list(first.items())):
        comes[form] = after(size, trace)
        for action, then in comes[form].items():
            way = [*trace, action]
            if then not in first:
                first[then] = way
                to_do.append((then, way))
            elif first[then] != way:
                other[then] = way
    assert len(other) > others_min
    for form, way in other.items():
        assert unnamed(after(size, way)) == unnamed(comes[form])


def after(size, trace):
    """What each action makes of the state at the end of a way."""
    return {action: led(size, [*trace, action]).form() for action in led(size, trace).actions()}


def unnamed(comes):
    return {(action._replace(worker=-1), form) for action, form in comes.items()}


def led(size, trace):
    world = world_of(size)
    for action in trace:
        world.do(action)
    return world


@pytest.mark.parametrize(
    "size, states_max", [(Size(), None), (Size(order="fifo", pauses=True), 250), (FEWER, None), (DELIVERING, 250)]
)
def test_the_engine_goes_through_every_state_as_the_model_does(tmp_path, size, states_max):
    numbers = itertools.count()

    def make(clock):
        return SqliteStore(str(tmp_path / f"penstock-{next(numbers)}.db"), clock=clock)

    for way in searched(size, states_max=states_max).ways:
        tried, model = world_of(size, make), world_of(size)
        for action in way:
            tried.do(action)
            model.do(action)
            tried.check()
            assert tried.shown() == model.shown(), (way, action)
        tried.close()
