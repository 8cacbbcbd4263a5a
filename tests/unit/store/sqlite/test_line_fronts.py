"""Limited lines stand apart: what a lease asks of them, and of all others."""

import pytest

from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.job import LeaseRequest
from penstock.testing.conformance.kit import HOLDER, ids_of, put, settle, take


def limited_lines(store):
    """The queues and tasks of the lines that stand among the limited, and are open."""
    heads = store._line._limited.values()
    return sorted(store.books.line_name(line) for one in heads for line in one.members)


def test_lines_become_limited_and_are_so_no_more(store, audit):
    put(store, 2, queue="a")
    put(store, 2, queue="b")
    assert limited_lines(store) == []
    store.put_limits("queue:a", [ConcurrencyRule(9)])
    assert limited_lines(store) == [("a", "app.work")]
    audit(store)
    store.put_limits("task:app.work", [ConcurrencyRule(9)])
    assert limited_lines(store) == [("a", "app.work"), ("b", "app.work")]
    store.restore_limits("task:app.work")
    store.restore_limits("queue:a")
    assert limited_lines(store) == []
    audit(store)


@pytest.mark.parametrize("scope", ["queue:a", "task:app.work"])
def test_a_lease_that_takes_no_limited_jobs_looks_at_none_of_their_lines(store, audit, scope):
    store.put_limits(scope, [ConcurrencyRule(9)])
    jobs = put(store, 4, queue="a")
    (free,) = put(store, queue="b", task="app.free")
    batch = store.lease(LeaseRequest(HOLDER, 9, limited=0))
    assert [job.id for job in batch.jobs] == [free]
    audit(store)
    assert ids_of(take(store)) == jobs


def test_the_rest_of_what_was_chosen_stays_in_its_place(store, audit):
    """Jobs of several lines are chosen together; those over a limit are given back, and others come in their place."""
    store.put_limits("queue:a", [ConcurrencyRule(2)])
    jobs = [put(store, queue="ab"[number % 2])[0] for number in range(40)]
    first = take(store, 10)
    assert ids_of(first) == [jobs[0], jobs[1], jobs[2], jobs[3], *jobs[5:16:2]]
    audit(store)
    settle(store, forgotten=[one.fence for one in first])
    assert ids_of(take(store, 3)) == [jobs[4], jobs[6], jobs[8]][:2] + [jobs[17]]
    audit(store)


def test_new_jobs_of_a_full_line_that_no_lease_has_taken_are_written(store, audit):
    store.put_limits("queue:a", [ConcurrencyRule(1)])
    store.begin()
    jobs = put(store, 5, queue="a")
    assert ids_of(take(store)) == jobs[:1]
    assert take(store) == []
    store.commit()
    store.tidy()
    audit(store)


def test_many_full_queues_cost_other_leases_no_look(store, monkeypatch):
    for number in range(50):
        store.put_limits(f"queue:q{number}", [ConcurrencyRule(1)])
        put(store, 2, queue=f"q{number}")
    take(store, 100)
    (free,) = put(store, task="app.free")
    asked = []
    room = store.books.limits.has_room
    monkeypatch.setattr(store.books.limits, "has_room", lambda limits: asked.append(limits) or room(limits))
    assert ids_of(take(store, 100)) == [free]
    assert asked == []


def test_which_lines_a_limit_holds_for(store):
    store.put_limits("task:app.one", [RateRule(5)])
    store.put_limits("queue:a", [RateRule(5)])
    for queue, task in (("a", "app.one"), ("a", "app.two"), ("b", "app.one")):
        put(store, queue=queue, task=task)
    limits = store.books.limits.by_scope
    assert store._line.names_under(limits["queue:a"]) == {("a", "app.one"), ("a", "app.two")}
    assert store._line.names_under(limits["task:app.one"]) == {("a", "app.one"), ("b", "app.one")}
