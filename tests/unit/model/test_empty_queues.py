"""Which empty queues are removed, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.counts import QueueStats
from penstock.model.empty_queues import EmptyQueues, is_empty

DAY = limits.QUEUE_EMPTY_S


class World:
    """Queues by name, each empty or not, and those that must stay."""

    def __init__(self, *names):
        self.counts = {}
        self.kept = set()
        self.queues = EmptyQueues(self.counts.get, self.kept.__contains__)
        for name in names:
            self.put(name, empty=True)

    def put(self, name, *, empty):
        """A job comes into this queue; it is there still, or has left no record."""
        counts = self.counts.setdefault(name, QueueStats())
        counts.accepted_total += 1
        counts.ready = 0 if empty else 1
        self.queues.note([name])

    def remove(self, names):
        for name in names:
            del self.counts[name]
            self.queues.forget(name)


@pytest.mark.parametrize(
    "state", ["scheduled", "blocked", "ready", "running", "succeeded", "dead", "cancelled", "expired"]
)
def test_a_queue_with_a_job_or_a_record_is_not_empty(state):
    assert not is_empty(QueueStats(**{state: 1}))


def test_a_queue_that_only_has_totals_is_empty():
    assert is_empty(QueueStats(accepted_total=5, succeeded_total=5))


def test_nothing_is_due_before_its_time():
    world = World("a")
    world.queues.look(10.0)
    assert world.queues.next_at() == 10.0 + DAY
    assert world.queues.due(9.9 + DAY, 10) == []
    assert world.queues.due(10.0 + DAY, 10) == ["a"]


def test_a_queue_that_was_used_in_between_has_its_whole_time_again():
    world = World("a", "b")
    world.queues.look(0.0)
    world.put("a", empty=False)
    world.queues.look(5.0)
    assert world.queues.due(2 * DAY, 10) == ["b"]
    world.put("a", empty=True)
    world.queues.look(2 * DAY)
    assert world.queues.due(2 * DAY, 10) == ["b"]
    assert world.queues.due(3 * DAY, 10) == ["b", "a"]


def test_a_queue_that_was_used_and_emptied_between_two_looks_has_its_whole_time_again():
    world = World("a")
    world.queues.look(0.0)
    world.put("a", empty=True)
    world.queues.look(DAY - 1)
    assert world.queues.due(DAY, 10) == []


def test_a_queue_into_which_nothing_came_has_been_empty_all_the_time():
    world = World("a")
    world.queues.look(0.0)
    world.queues.note(["a"])
    world.queues.look(DAY - 1)
    assert world.queues.due(DAY, 10) == ["a"]


def test_a_queue_that_is_not_there_is_not_empty():
    world = World("a")
    world.counts.clear()
    world.queues.look(0.0)
    assert world.queues.spare(0.0, 10) == []


def test_no_more_are_due_at_once_than_are_asked_for():
    world = World(*"abcde")
    world.queues.look(0.0)
    first = world.queues.due(DAY, 2)
    assert first == ["a", "b"]
    world.remove(first)
    assert world.queues.due(DAY, 2) == ["c", "d"]


def test_one_that_must_stay_is_not_removed_and_not_in_the_way():
    world = World("a", "b")
    world.kept.add("a")
    world.queues.look(0.0)
    assert world.queues.due(DAY, 1) == ["b"]
    world.remove(["b"])
    world.kept.clear()
    assert world.queues.due(DAY, 1) == []
    assert world.queues.due(2 * DAY, 1) == ["a"]
    assert world.queues.spare(DAY, 5) == ["a"]


def test_names_that_run_short_are_those_of_the_queues_that_were_empty_for_longest():
    world = World("late", "early", "busy", "kept", "wanted")
    world.kept.add("kept")
    for name in ("late", "busy"):
        world.put(name, empty=False)
    world.queues.look(0.0)
    world.put("late", empty=True)
    assert world.queues.spare(5.0, 1, ["wanted"]) == ["early"]
    assert world.queues.spare(5.0, 10, ["wanted"]) == ["early", "late"]


def test_what_is_removed_is_forgotten():
    world = World("a")
    world.queues.look(0.0)
    world.remove(["a"])
    assert world.queues.next_at() is None
    assert world.queues.spare(0.0, 10) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from([0.0, 1.0, DAY / 2, DAY]))))
def test_only_queues_empty_all_the_time_are_due(steps):
    world, now = World(), 0.0
    emptied = {}
    for name, empty, pause_s in steps:
        world.put(name, empty=empty)
        world.queues.look(now)
        emptied.pop(name, None)
        if empty:
            emptied[name] = now
        now += pause_s
        assert sorted(world.queues.due(now, 10)) == sorted(one for one, at in emptied.items() if at + DAY <= now)


def test_jobs_that_were_moved_in_count_as_use():
    world = World("a")
    world.queues.look(0.0)
    counts = world.counts["a"]
    counts.accepted_total, counts.moved_in_total = counts.accepted_total - 1, counts.moved_in_total + 3
    world.queues.note(["a"])
    world.queues.look(5.0)
    assert world.queues.next_at() == 5.0 + DAY
    counts.accepted_total, counts.moved_in_total = counts.accepted_total + 1, counts.moved_in_total + 1
    world.queues.note(["a"])
    world.queues.look(6.0)
    assert world.queues.next_at() == 6.0 + DAY


def test_a_queue_that_must_stay_and_is_not_used_keeps_its_new_time():
    world = World("a")
    world.queues.look(0.0)
    world.kept.add("a")
    assert world.queues.due(DAY, 10) == []
    world.queues.note(["a"])
    world.queues.look(DAY + 5.0)
    assert world.queues.next_at() == 2 * DAY


def test_names_that_are_spared_are_looked_at_with_the_time():
    world = World("a")
    assert world.queues.spare(3.0, 1) == ["a"]
    assert world.queues.next_at() == 3.0 + DAY


def test_a_removed_queue_is_not_looked_at_again():
    world = World("a")
    asked = []
    world.queues._counts_of = lambda name: asked.append(name)
    world.queues.forget("a")
    world.queues.forget("never there")
    world.queues.look(1.0)
    assert asked == []
