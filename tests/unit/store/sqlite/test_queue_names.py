"""Who may make queues, which are removed, and what is left of those: in the file, over a rollback and a new owner."""

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import Filter, Outcomes
from penstock.model.lines import Closed
from penstock.store.paging import all_queues
from penstock.store.sqlite.queue_names import SEVERAL
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import HOLDER, group, leap, put, rest, settle, take, take_one

ONE, OTHER = b"client-0-16bytes", b"client-1-16bytes"


@pytest.fixture
def store(path, clock):
    made = SqliteStore(path, clock=clock, queues_of_client_max=3)
    yield made
    made.close()


def make(store, client, *names):
    store.asking = client
    try:
        store.enqueue([group(queue=name) for name in names])
    finally:
        store.asking = None


def used(store, queue):
    put(store, queue=queue)
    settle(store, forgotten=[take_one(store, queues=[queue]).fence])


# --- shares ----------------------------------------------------------------------------------------------------------
def test_a_client_makes_so_many_queues_and_others_make_theirs(store):
    make(store, ONE, "a", "b")
    make(store, ONE, "b", "c")
    with pytest.raises(InvalidOption, match="QUEUES_OF_CLIENT_MAX") as refused:
        make(store, ONE, "a", "d")
    assert refused.value.field == "queue"
    make(store, ONE, "a", "b", "c")
    make(store, OTHER, "d")
    make(store, ONE, "d")
    assert set(all_queues(store)) == {"a", "b", "c", "d"}


def test_too_many_at_once_are_refused_whole(store):
    with pytest.raises(InvalidOption):
        make(store, ONE, "a", "b", "c", "d")
    assert all_queues(store) == {}
    make(store, ONE, "a", "b", "c")


def test_a_queue_that_is_gone_counts_no_more(store, clock):
    for name in ("a", "b", "c"):
        store.asking = ONE
        used(store, name)
    store.asking = None
    rest(store)
    leap(store, clock, limits.QUEUE_EMPTY_S)
    assert all_queues(store) == {}
    make(store, ONE, "d", "e", "f")


def test_a_queue_that_gives_way_to_another_counts_no_more(store, monkeypatch):
    monkeypatch.setattr(limits, "QUEUES_MAX", 3)
    store.asking = ONE
    for name in ("a", "b", "c", "d", "e"):
        used(store, name)
    assert set(all_queues(store)) == {"c", "d", "e"}
    store.asking = OTHER
    used(store, "f")
    store.asking = ONE
    used(store, "g")
    assert store._names._made == {ONE: 2, OTHER: 1}


def test_a_queue_that_was_never_made_counts_no_more(store):
    store.begin()
    make(store, ONE, "a", "b", "c")
    store.rollback()
    make(store, ONE, "d", "e", "f")


def test_a_queue_that_comes_again_counts_for_who_makes_it_then(store, clock):
    store.asking = ONE
    used(store, "a")
    store.asking = None
    rest(store)
    leap(store, clock, limits.QUEUE_EMPTY_S)
    make(store, OTHER, "a")
    make(store, ONE, "b", "c", "d")
    with pytest.raises(InvalidOption):
        make(store, OTHER, "e", "f", "g")


def test_moves_and_children_count_as_well(store):
    make(store, ONE, "a", "b", "c")
    held = take_one(store, queues=["a"])
    (waits,) = put(store, queue="a")
    store.asking = ONE
    with pytest.raises(InvalidOption):
        store.move([waits], "d")
    with pytest.raises(InvalidOption):
        store.settle(Outcomes(HOLDER, forgotten=[held.fence], children=[(held.fence, [group(queue="d")])]))
    store.asking = None
    assert set(all_queues(store)) == {"a", "b", "c"}


def test_requests_of_several_clients_at_once_make_no_queue(store):
    make(store, ONE, "a")
    make(store, SEVERAL, "a")
    with pytest.raises(InvalidOption):
        make(store, SEVERAL, "a", "b")


def test_nobody_in_particular_makes_as_many_as_there_may_be(store):
    """Not in small, as the conformance suite has it: there are ten thousand names."""
    make(store, None, *(f"q{number}" for number in range(limits.QUEUES_MAX)))
    with pytest.raises(InvalidOption, match="10000 queues"):
        make(store, None, "one-more")
    store.delete_where(Filter(queue="q7"))
    make(store, ONE, "a")
    assert store.totals().queues == limits.QUEUES_MAX


# --- removal ---------------------------------------------------------------------------------------------------------
def test_what_was_removed_is_in_the_file(store, path, clock, audit):
    used(store, "a")
    used(store, "b")
    put(store, queue="c")
    rest(store)
    leap(store, clock, limits.QUEUE_EMPTY_S)
    audit(store)
    totals, arrival = store.totals(), store.books.arrival
    assert (totals.queues, totals.removed.succeeded_total) == (1, 2)
    assert store.database.connection.execute("SELECT count(*) FROM line").fetchall() == [(1,)]
    store.close()
    again = SqliteStore(path, clock=clock)
    assert again.totals() == totals
    assert again.books.arrival == arrival
    put(again, queue="a")
    audit(again)
    again.close()


def test_a_queue_never_has_the_number_of_a_removed_one(store, path, clock):
    """The journal may still have a ledger of that one."""
    used(store, "a")
    number = store.books.queue_by_name["a"].id
    rest(store)
    leap(store, clock, limits.QUEUE_EMPTY_S)
    put(store, queue="b")
    assert store.books.queue_by_name["b"].id > number
    store.close()
    again = SqliteStore(path, clock=clock)
    assert all_queues(again)["b"].accepted_total == 1
    again.close()


def test_a_removal_that_is_undone_has_not_happened(store, clock, audit):
    used(store, "a")
    rest(store)
    clock.advance(limits.QUEUE_EMPTY_S)
    before = store.totals()
    store.begin()
    store.tick()
    assert store.totals().queues == 0
    store.rollback()
    assert store.totals() == before
    assert set(all_queues(store)) == {"a"}
    store.tick()
    assert store.totals().queues == 0
    audit(store)


def test_what_is_known_of_its_lines_goes_with_a_queue(store, clock):
    """Also of a line of which it was only known that it may have jobs."""
    put(store, 3, queue="a")
    fences = [take_one(store, queues=["a"]).fence for _ in range(3)]
    settle(store, forgotten=fences)
    rest(store)
    leap(store, clock, limits.QUEUE_EMPTY_S)
    assert store.books.lines == {}
    assert store._line._fronts == {}
    store.close_lines(Closed.PAUSED, task="app.work")
    store.open_lines(task="app.work")
    assert take(store) == []


def test_many_queues_are_removed_in_steps(store, clock):
    names = [f"q{number}" for number in range(limits.TICK_STEP_JOBS + 10)]
    store.enqueue([group(queue=name) for name in names])
    fences = []
    while len(fences) < len(names):
        fences.append(take_one(store).fence)
    settle(store, forgotten=fences)
    rest(store)
    clock.advance(limits.QUEUE_EMPTY_S)
    ticked = store.tick()
    assert ticked.next_s == 0
    assert store.totals().queues == 10
    store.tick()
    assert store.totals().queues == 0
