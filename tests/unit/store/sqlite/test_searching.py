"""A search, or a bulk action, ends when its time is over, wherever it is then; going on finds everything once."""

import itertools

import pytest

from penstock.model import limits
from penstock.model.flow import ConcurrencyRule, TaskFlow
from penstock.model.ids import new_id, new_ids
from penstock.model.job import Buried, Filter, JobEntry, JobError, JobGroup, Refused, TaskRecord, checksum
from penstock.model.searching import has_arguments, matches
from penstock.model.states import State
from penstock.store.paging import all_steps, full_page
from penstock.store.sqlite import reading, searching
from penstock.store.sqlite.database import STATEMENTS
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, HOLDER, id_at, put, settle, succeeded, take, take_one
from tests.unit.store.sqlite.conftest import steps_of

QUEUES = (None, "a", "b", "none")
TASKS = (None, "app.one", "app.two", "app.none")
TAGS = (None, "x", "größe", "none")


def slow_down(clock, looks):
    """A slice is over after so many looks at the clock."""
    clock.look_s = limits.SLICE_S / looks


def slices(store, where, limit=100):
    """The jobs found by each slice."""
    found, cursor = [], None
    while True:
        page = store.query(where, cursor=cursor, limit=limit)
        found.append([view.id for view in page.jobs])
        cursor = page.cursor
        if cursor is None:
            return found


def flat(found):
    return list(itertools.chain(*found))


def mixed(store, clock):
    """Jobs of several queues, tasks and tags, in every state that can be reached, and two that were refused."""
    ids = []
    for queue, task, tags in itertools.product(("a", "b"), ("app.one", "app.two"), (None, ["x"], ["y", "größe"])):
        put(store, queue=queue, task=task, tags=tags, expires_s=1.0)
        clock.advance(1.0)
        store.tick()
        ids += put(store, 3, queue=queue, task=task, tags=tags, headers={"x": "none"})
        fences = [held.fence for held in take(store, 3, queues=[queue])]
        settle(store, buried=[Buried(fences[0], ERROR)], succeeded=[succeeded(fences[1], clock)])
        ids += put(store, 2, queue=queue, task=task, tags=tags)
        store.cancel(ids[-1:])
        ids += put(store, queue=queue, task=task, tags=tags, delay_s=900.0)
    held = take(store, 2, queues=["a"])
    unknown = JobError("UnknownTask", "not here")
    settle(store, refused=[Refused(one.fence, unknown) for one in held])
    return ids


def matching(store, where):
    """What a filter has to find, read from all jobs."""
    return [
        view.id
        for view in full_page(store, Filter(), limit=limits.PAGE_JOBS_MAX).jobs
        if where.state in (None, view.state)
        and where.queue in (None, view.queue)
        and where.task in (None, view.task)
        and (where.tag is None or where.tag in (view.tags or ()))
    ]


@pytest.mark.parametrize("few", [0, searching._FEW])
@pytest.mark.parametrize("looks", [1, 3, 1_000_000])
def test_every_filter_finds_the_same_whatever_the_time(store, clock, monkeypatch, few, looks):
    mixed(store, clock)
    monkeypatch.setattr(searching, "_FEW", few)
    monkeypatch.setattr(searching, "_LOOKS", 2)
    everything = [Filter(*fields) for fields in itertools.product((None, *State), QUEUES, TASKS, TAGS)]
    expected = {where: matching(store, where) for where in everything}
    slow_down(clock, looks)
    assert {where: flat(slices(store, where)) for where in everything} == expected
    assert sum(map(bool, expected.values())) > 100


@pytest.mark.parametrize(("few", "kinds"), [(0, 0), (searching._FEW, searching._KINDS)])
@pytest.mark.parametrize("looks", [1, 1_000_000])
def test_errors_times_and_arguments_are_found_whatever_the_time(store, clock, monkeypatch, few, kinds, looks):
    began = clock.time()
    mixed(store, clock)
    jobs = [
        JobEntry(new_id(), b"m", checksum(b"m"), searchable={"order": order, "customer": customer})
        for order, customer in itertools.product("123", "ab")
    ]
    for job in jobs:
        clock.advance(1.0)
        store.enqueue([JobGroup("app.one", [job], queue="a")])
        clock.advance(1.0)
    told = {job.id: job.searchable for job in jobs}
    monkeypatch.setattr(searching, "_FEW", few)
    monkeypatch.setattr(searching, "_KINDS", kinds)
    arguments = (None, {"order": "1"}, {"order": "2", "customer": "b"}, {"order": "none"})
    times = ((None, None), (began + 3.0, began + 12.0), (None, began + 5.0), (began + 14.0, None))
    everything = [
        Filter(state, "a", task, None, None, error, *time, argument)
        for state, task, error, time, argument in itertools.product(
            (None, *State), TASKS, (None, "ValueError", "UnknownTask", "none"), times, arguments
        )
    ]
    views = full_page(store, Filter(), limit=limits.PAGE_JOBS_MAX).jobs
    expected = [
        [view.id for view in views if matches(view, where) and has_arguments(told.get(view.id), where)]
        for where in everything
    ]
    slow_down(clock, looks)
    assert [flat(slices(store, where)) for where in everything] == expected
    assert sum(map(bool, expected)) > 100


def test_a_search_by_time_looks_only_where_ids_of_that_time_are(store, clock, monkeypatch):
    ids = []
    for _ in range(50):
        jobs = [JobEntry(id_at(clock.time()), b"m", checksum(b"m")) for _ in range(10)]
        store.enqueue([JobGroup("app.one", jobs)])
        ids += [job.id for job in jobs]
        clock.advance(60.0)
    monkeypatch.setattr(searching, "ROWS_MAX", 60)
    since = clock.time() - 30 * 60.0
    (found,) = slices(store, Filter(since=since, until=since + 120.0))
    assert sorted(found) == sorted(ids[200:220])


def test_what_a_state_or_a_queue_counts_none_of_is_found_nowhere_at_once(store, clock):
    put(store, 1_000)
    put(store, queue="a", delay_s=9.0)
    slow_down(clock, 1)
    assert slices(store, Filter(state=State.SUCCEEDED)) == [[]]
    assert slices(store, Filter(state=State.READY, queue="a")) == [[]]


def test_a_search_that_matches_nothing_is_made_of_short_slices(store, clock):
    put(store, 1_000, tags=["x"])
    slow_down(clock, 10)
    for where in (Filter(tag="none"), Filter(state=State.DEAD, tag="x"), Filter(state=State.BLOCKED)):
        assert flat(slices(store, where)) == []
    found = slices(store, Filter(tag="none"))
    assert len(found) == pytest.approx(1_000 / (10 * searching._LOOKS), rel=0.3)


def test_a_slice_looks_at_so_many_rows_however_fast_that_goes(store, monkeypatch):
    put(store, 1_000)
    monkeypatch.setattr(searching, "ROWS_MAX", 160)
    assert len(slices(store, Filter(tag="none"))) == 7


def test_a_name_that_there_is_not_is_found_nowhere_at_once(store, clock):
    put(store, 1_000)
    slow_down(clock, 1)
    assert len(slices(store, Filter(queue="none"))) == len(slices(store, Filter(task="app.none"))) == 1


def test_a_page_of_many_jobs_ends_with_its_time(store, clock):
    ids = put(store, 500)
    slow_down(clock, 20)
    found = slices(store, Filter(), limit=500)
    assert max(map(len, found)) <= 21
    assert flat(found) == ids[::-1]
    assert [view.id for view in full_page(store, Filter(), limit=500).jobs] == ids[::-1]


def test_a_tag_that_only_looks_like_one_is_not_found(store):
    put(store, tags=["extra"], headers={"tag": "x"})
    (wanted,) = put(store, tags=["x"])
    assert flat(slices(store, Filter(tag="x"))) == [wanted]


def test_a_bulk_action_is_made_of_short_steps(store, clock):
    ids = put(store, 300)
    slow_down(clock, 40)
    sizes = []

    def cancel(cursor):
        step = store.cancel_where(Filter(), cursor=cursor)
        sizes.append(step.changed)
        return step

    assert all_steps(cancel) == 300
    assert max(sizes) <= 41
    assert {view.state for view in store.get(ids)} == {State.CANCELLED}


def test_a_bulk_action_that_changes_nothing_comes_to_its_end(store, clock):
    put(store, 300)
    slow_down(clock, 2)
    assert all_steps(lambda cursor: store.revive_where(Filter(), cursor=cursor)) == 0
    assert all_steps(lambda cursor: store.delete_where(Filter(tag="none"), cursor=cursor)) == 0


@pytest.mark.parametrize("few", [2, 100])
def test_jobs_of_a_key_are_found_among_many_that_are_blocked(store, clock, monkeypatch, few):
    monkeypatch.setattr(searching, "_FEW", few)
    store.register_tasks([TaskRecord("app.one", flow=TaskFlow(limits=(ConcurrencyRule(1, per="tenant"),)))])
    names = ["acme", "zen", "acme", "acme"] * 10
    jobs = [JobEntry(new_id(), b"m", checksum(b"m"), "acme" if at == 5 else None, values={"tenant": name})
            for at, name in enumerate(names)]  # fmt: skip
    store.enqueue([JobGroup("app.one", jobs)])
    blocked = {view.id for view in full_page(store, Filter(state=State.BLOCKED)).jobs}
    wanted = [job.id for job in jobs if (job.id in blocked and job.values["tenant"] == "acme") or job is jobs[5]]
    for looks in (1, 1_000_000):
        slow_down(clock, looks)
        assert flat(slices(store, Filter(key="acme"))) == wanted[::-1]
        assert flat(slices(store, Filter(key="acme", state=State.BLOCKED))) == [
            job for job in wanted[::-1] if job in blocked
        ]


def test_running_jobs_are_found_among_many(store, clock, monkeypatch):
    monkeypatch.setattr(searching, "_FEW", 5)
    put(store, 50)
    running = [held.job.id for held in take(store, 10)]
    slow_down(clock, 3)
    assert sorted(flat(slices(store, Filter(state=State.RUNNING)))) == running


def test_many_jobs_with_large_bodies_are_looked_at_in_short_slices(path):
    """By the real clock: reading a tag that lies behind a large body takes long."""
    from penstock.process.clock import SystemClock

    store = SqliteStore(path, clock=SystemClock())
    body = b"m" + bytes(100_000)
    for _ in range(4):
        jobs = [JobEntry(one, body, checksum(body)) for one in new_ids(50)]
        store.enqueue([JobGroup("app.work", jobs, tags=["x"])])
    assert len(flat(slices(store, Filter(tag="x"), limit=1_000))) == 200
    assert flat(slices(store, Filter(tag="none"))) == []
    store.close()


def test_counts_of_queues_come_in_short_slices(store, clock):
    store.enqueue([JobGroup("t", [JobEntry(one, b"m", checksum(b"m"))], queue=f"q{one.hex()}") for one in new_ids(100)])
    slow_down(clock, 10)
    page = store.stats()
    assert 0 < len(page.queues) <= 11
    shown, cursor = list(page.queues), page.cursor
    while cursor is not None:
        page = store.stats(cursor=cursor)
        shown += page.queues
        cursor = page.cursor
    assert len(shown) == len(set(shown)) == 100
    assert take_one(store, holder=HOLDER)


def test_the_age_of_a_queue_with_very_many_lines_is_that_of_its_first_job(store, clock, monkeypatch):
    monkeypatch.setattr(reading, "_LINES_ASKED_MAX", 3)
    put(store, task="app.first", queue="a")
    clock.advance(5.0)
    for number in range(10):
        put(store, 2, task=f"app.task-{number}", queue="a")
    assert store.stats().queues["a"].oldest_ready_age_s == pytest.approx(5.0)


def test_ages_of_the_busiest_queues_are_those_that_each_has_in_a_page_by_name(store, clock):
    mixed(store, clock)
    for priority in (limits.PRIORITY_MIN, 0, 3, limits.PRIORITY_MAX):
        clock.advance(1.0)
        put(store, 2, queue="c", priority=priority)
    clock.advance(1.0)
    put(store, queue="delayed", delay_s=9.0)
    for task in ("app.one", "app.two"):
        put(store, queue="refused", task=task)
        clock.advance(1.0)
    held = take(store, 2, queues=["refused"])
    settle(store, refused=[Refused(one.fence, ERROR) for one in held])
    page = store.stats(busiest=True)
    assert page.queues == store.stats().queues
    ages = {name: counts.oldest_ready_age_s for name, counts in page.queues.items()}
    assert (ages["c"], ages["delayed"], ages["refused"]) == (pytest.approx(6.0), None, pytest.approx(2.0))


def test_ages_of_many_queues_are_asked_for_with_one_statement(store):
    for number in range(60):
        put(store, queue=f"q{number % 20}", task=f"app.task-{number % 3}")
    asked = statements_of(store, lambda: store.stats(busiest=True))
    assert asked == [STATEMENTS["ready_since"]]


def test_an_age_costs_the_same_however_many_jobs_wait(store):
    for priority in (0, 5):
        put(store, 5, queue="a", priority=priority)
    held = take(store, 5)
    settle(store, refused=[Refused(one.fence, ERROR) for one in held])
    before = steps_of(store, lambda: store.stats(busiest=True))
    for priority in (0, 5):
        put(store, 3_000, queue="a", priority=priority)
    assert steps_of(store, lambda: store.stats(busiest=True)) < before + 100


def test_ages_of_the_busiest_queues_are_found_as_far_as_the_time_of_a_slice_goes(store, clock):
    for number in range(40):
        put(store, 40 - number, queue=f"q{number}", task="app.one")
        put(store, queue=f"q{number}", task="app.two")
    slow_down(clock, 10)
    page = store.stats(busiest=True)
    ages = [counts.oldest_ready_age_s for counts in page.queues.values()]
    reached = sum(age is not None for age in ages)
    assert 4 <= reached <= 6, "of each queue two lines are asked"
    assert ages == [0.0] * reached + [None] * (40 - reached)
    assert [counts.ready for counts in page.queues.values()] == list(range(41, 1, -1))
    clock.look_s = 0.0
    assert store.stats(busiest=True).queues == store.stats().queues


def statements_of(store, act):
    """What SQLite is asked while something is done."""
    asked = []
    store.database.connection.exec_trace = lambda _, statement, __: asked.append(statement) or True
    act()
    store.database.connection.exec_trace = None
    return asked


@pytest.mark.parametrize("where", [Filter(State.READY, "a"), Filter(State.READY, "a", "app.work")])
def test_ready_jobs_of_a_small_queue_are_found_without_reading_those_of_a_large_one(store, monkeypatch, where):
    monkeypatch.setattr(searching, "_FEW", 50)
    wanted = put(store, 20, queue="a")
    put(store, 100, queue="b")
    before = steps_of(store, lambda: store.query(where))
    put(store, 5_000, queue="b")
    after = steps_of(store, lambda: store.query(where))
    assert [view.id for view in store.query(where).jobs] == wanted[::-1]
    assert after < before + 1_000


@pytest.mark.parametrize("state", [None, State.READY, State.DEAD])
def test_a_search_by_task_costs_the_same_however_many_queues_have_jobs_of_it(store, monkeypatch, state):
    monkeypatch.setattr(searching, "_FEW", 0)
    monkeypatch.setattr(searching, "ROWS_MAX", 20)
    where = Filter(state, task="app.work", tag="none")
    for number in range(30):
        put(store, queue=f"q{number}")
    before = steps_of(store, lambda: store.query(where))
    for number in range(30, 1_000):
        put(store, queue=f"q{number}")
    assert steps_of(store, lambda: store.query(where)) < before + 500
