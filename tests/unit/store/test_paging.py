"""Pages and steps are gone through to their end, short and empty ones included."""

import pytest

from penstock.model.holds import QueuesPage, QueueView
from penstock.model.job import Filter, JobView, Page, QueueStats, StatsPage, Step
from penstock.model.states import State
from penstock.model.topics import TopicsPage, TopicView
from penstock.store.paging import all_queues, all_steps, full_page, full_queues, full_stats, full_topics
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import put
from penstock.testing.memory import MemoryStore


def view(number):
    return JobView(bytes([number]) * 16, "t", "q", State.READY, 0, 0, 5, 0.0)


class Slices:
    """A store whose searches find one job in every other slice."""

    def __init__(self, count):
        self.count = count
        self.limits = []

    def query(self, where, *, cursor=None, limit=100):
        self.limits.append(limit)
        at = 0 if cursor is None else int(cursor)
        return Page([view(at // 2)] if at % 2 else [], str(at + 1) if at + 1 < 2 * self.count else None)

    def stats(self, *, cursor=None, limit=500):
        self.limits.append(limit)
        at = 0 if cursor is None else int(cursor)
        return StatsPage({f"q{at}": QueueStats(ready=at)}, str(at + 1) if at + 1 < self.count else None)

    def queues(self, *, cursor=None, limit=500):
        page = self.stats(cursor=cursor, limit=limit)
        return QueuesPage([QueueView(name, counts) for name, counts in page.queues.items()], page.cursor)

    def topics(self, *, cursor=None, limit=100):
        page = self.stats(cursor=cursor, limit=limit)
        return TopicsPage([TopicView(name, 0, []) for name in page.queues], page.cursor)


def ids(page):
    return [one.id[0] for one in page.jobs]


def test_a_page_of_jobs_is_filled_from_slices_and_goes_on_where_it_ended():
    store = Slices(5)
    first = full_page(store, Filter(), limit=2)
    assert ids(first) == [0, 1]
    assert max(store.limits) == 2
    assert store.limits[-1] == 1, "no more is asked for than has a place"
    second = full_page(store, Filter(), cursor=first.cursor, limit=10)
    assert (ids(second), second.cursor) == ([2, 3, 4], None)


def test_a_page_of_counts_is_filled_from_slices():
    store = Slices(5)
    first = full_stats(store, limit=3)
    assert list(first.queues) == ["q0", "q1", "q2"]
    assert list(full_stats(store, cursor=first.cursor).queues) == ["q3", "q4"]
    assert list(all_queues(store)) == ["q0", "q1", "q2", "q3", "q4"]


@pytest.mark.parametrize(("full", "items"), [(full_queues, "queues"), (full_topics, "topics")])
def test_a_page_of_queues_and_one_of_topics_is_filled_from_slices(full, items):
    store = Slices(5)
    first = full(store, limit=3)
    assert [one.name for one in getattr(first, items)] == ["q0", "q1", "q2"]
    assert store.limits == [3, 2, 1]
    second = full(store, cursor=first.cursor)
    assert ([one.name for one in getattr(second, items)], second.cursor) == (["q3", "q4"], None)


def test_steps_are_made_to_the_end_though_some_change_nothing():
    steps = {None: Step(2, "a"), "a": Step(0, "b"), "b": Step(3, None)}
    assert all_steps(lambda cursor: steps[cursor]) == 5


def test_a_real_store_is_gone_through():
    store = MemoryStore(VirtualClock())
    put(store, 7, queue="a")
    put(store, 2, queue="b")
    assert {name: counts.ready for name, counts in all_queues(store).items()} == {"a": 7, "b": 2}
    assert len(full_page(store, Filter(queue="a"), limit=5).jobs) == 5
    assert all_steps(lambda cursor: store.cancel_where(Filter(), cursor=cursor)) == 9


class Asked(Slices):
    """Notes also what was searched for."""

    def __init__(self, count):
        super().__init__(count)
        self.searches = []

    def query(self, where, *, cursor=None, limit=100):
        self.searches.append(where)
        return super().query(where, cursor=cursor, limit=limit)


def test_each_slice_is_asked_for_as_many_as_there_are_places_left():
    store = Asked(9)
    full_stats(store, limit=3)
    assert store.limits == [3, 2, 1]
    store.limits.clear()
    where = Filter(queue="q")
    full_page(store, where)
    assert store.limits[0] == 100
    assert set(map(id, store.searches)) == {id(where)}
