"""Blocked lines: the table, and what becomes of a blocked job by other hands. Nobody blocks jobs yet; the test does."""

from itertools import pairwise

import pytest

from penstock.model.job import Filter
from penstock.model.states import Event, State
from penstock.store.sqlite.blocked_line import Blocked
from penstock.store.sqlite.in_memory import Place
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import counted, ids_of, put, see, states, take


def block(store, ids, reason="limit", key="acme"):
    """Put ready jobs into a blocked line."""
    store.begin()
    for job in ids:
        seq = store._inspector.seq_of(job)
        store._line.write_all()
        left = store._chores.leave_line(seq)
        store._joining.slots.blocked.join(reason, key, [Blocked(seq, left.place)])
        queue = store.books.lines[left.line].queue
        # There is no such move yet: a job that is to be blocked will be so when it is accepted.
        store.books.dirty.add(queue)
        for counts in (store.books.queues[queue].counts, store.books._totals):
            counts.ready -= 1
            counts.blocked += 1
    store.commit()


def unblock(store, limit, reason="limit", key="acme"):
    """Let the first so many become ready."""
    store.begin()
    blocked = store._joining.slots.blocked
    for seq, number, *place, _ in blocked.first(reason, key, limit):
        blocked.remove([seq])
        line = store.books.lines[number]
        store._line.insert(line.id, Place(*place), seq)
        store.books.move(line.queue, Event.UNBLOCK, State.BLOCKED, State.READY)
    store.commit()


def test_a_blocked_job_is_shown_with_its_reason_and_key_and_given_to_nobody(store, audit):
    blocked, free = put(store, 2)
    block(store, [blocked])
    assert (see(store, blocked).state, see(store, blocked).reason, see(store, blocked).key) == (
        State.BLOCKED,
        "limit",
        "acme",
    )
    assert ids_of(take(store)) == [free]
    assert [view.id for view in store.query(Filter(state=State.BLOCKED)).jobs] == [blocked]
    audit(store)


def test_each_reason_and_key_has_a_line_of_its_own(store, audit):
    one, two, three = put(store, 3)
    block(store, [one], key="a")
    block(store, [two], key="b")
    block(store, [three], reason="rate", key="a")
    lines = store._joining.slots.blocked
    assert [lines.count(*line) for line in (("limit", "a"), ("limit", "b"), ("rate", "a"), ("rate", "b"))] == [
        1,
        1,
        1,
        0,
    ]
    unblock(store, 10, key="b")
    assert ids_of(take(store)) == [two]
    audit(store)


def test_the_first_are_taken_in_order_and_have_their_places_again(store, audit):
    normal, later = put(store, 2)
    (urgent,) = put(store, priority=5)
    (behind,) = put(store)
    block(store, [later, normal, urgent])
    unblock(store, 2)
    assert store._joining.slots.blocked.count("limit", "acme") == 1
    assert ids_of(take(store)) == [urgent, normal, behind]
    assert states(store, [later]) == [State.BLOCKED]
    audit(store)


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda store, clock, job: store.cancel([job]), State.CANCELLED),
        (lambda store, clock, job: store.delete([job]), None),
        (lambda store, clock, job: store.move([job], "other"), State.READY),
        (lambda store, clock, job: store.edit([job], priority=3), State.READY),
        (lambda store, clock, job: store.edit([job], run_at=clock.time() + 60), State.SCHEDULED),
        (lambda store, clock, job: (clock.advance(5.0), store.tick()), State.EXPIRED),
    ],
    ids=["cancel", "delete", "move", "edit", "postpone", "expire"],
)
def test_whatever_is_done_to_a_blocked_job_takes_it_out_of_its_line(store, clock, audit, act, state):
    (job,) = put(store, expires_s=4.0)
    block(store, [job])
    assert counted(store) == {"blocked": 1, "accepted_total": 1}
    act(store, clock, job)
    assert states(store, [job]) == [state]
    assert store._joining.slots.blocked.count("limit", "acme") == 0
    audit(store)


def test_a_blocked_line_outlives_its_owner(path, clock, audit):
    store = SqliteStore(path, clock=clock)
    ids = put(store, 3)
    block(store, ids)
    store.close()
    again = SqliteStore(path, clock=clock)
    assert states(again, ids) == [State.BLOCKED] * 3
    assert again._joining.slots.blocked.count("limit", "acme") == 3
    unblock(again, 3)
    assert ids_of(take(again)) == ids
    audit(again)
    again.close()


def test_a_place_compares_by_urgency_rank_and_arrival():
    places = [Place(-1, 0, 9), Place(0, 0, 5), Place(0, 1, 2), Place(0, 1, 3), Place(1, 0, 1)]
    assert all(before < behind for before, behind in pairwise(places))
    assert places[0].priority == 1
