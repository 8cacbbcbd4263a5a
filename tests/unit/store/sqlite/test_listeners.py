"""Whoever wants to hear of a job's end does, in the same transaction, whatever way the job ends."""

import pytest

from penstock.model import limits
from penstock.model.interests import Interest
from penstock.model.job import Buried, Cancelled, Filter, JobError, Lost, Outcomes, Refused, Retried, Snoozed
from penstock.model.losses import Loss
from penstock.model.states import Event, State
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    elapse,
    entry,
    group,
    put,
    rest,
    settle,
    succeeded,
    take,
    take_one,
)

UNFIT = JobError("InvalidArguments", "no such argument")
KEPT = {State.SUCCEEDED, State.DEAD, State.CANCELLED, State.EXPIRED}


class Listening:
    """What a listener is told of the jobs that it wants to hear of."""

    def __init__(self, store, interest=Interest.SLOT):
        self.store = store
        self.interest = interest
        self.heard = []
        store._endings.listeners.register(interest, self.heard.extend)

    def want(self, *ids):
        for job_id in ids:
            self.store._endings.listeners.add_interest(self.store._inspector.seq_of(job_id), self.interest)

    def moves(self):
        """Who ended and how, since this was last asked."""
        told = [(one.id, one.event, one.source, one.target) for one in self.heard]
        self.heard.clear()
        return told


@pytest.fixture
def listening(store):
    return Listening(store)


def put_wanted(store, listening, count=1, **options):
    ids = put(store, count, **options)
    listening.want(*ids)
    return ids


def forgotten(store, clock, job):
    settle(store, forgotten=[take_one(store).fence])


def succeeds(store, clock, job):
    settle(store, succeeded=[succeeded(take_one(store).fence, clock)])


def buried(store, clock, job):
    settle(store, buried=[Buried(take_one(store).fence, ERROR)])


def cancelled_by_its_holder(store, clock, job):
    settle(store, cancelled=[Cancelled(take_one(store).fence)])


def cancelled_instead_of_running_again(store, clock, job):
    fence = take_one(store).fence
    store.cancel([job])
    settle(store, retried=[Retried(fence, 0.0, ERROR)])


def cancelled_when_its_lease_ends(store, clock, job):
    take_one(store, lease_s=1.0)
    store.cancel([job])
    elapse(store, clock, 2.0)


def cancelled_while_it_waits(store, clock, job):
    store.cancel([job])


def cancelled_by_filter(store, clock, job):
    store.cancel_where(Filter())


def lost_too_often(store, clock, job):
    for _ in range(limits.LOSSES_MAX):
        settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, ERROR)])


def given_up(store, clock, job):
    elapse(store, clock, limits.HOLDER_ALIVE_S * 2)
    end = clock.monotonic() + limits.REFUSED_S + limits.REFUSED_AGAIN_S_MAX
    while clock.monotonic() < end:
        for held in take(store):
            settle(store, refused=[Refused(held.fence, UNFIT)])
        elapse(store, clock, limits.HOLDER_ALIVE_S / 2)


def corrupt(store, clock, job):
    store.database.connection.execute("UPDATE job SET body = x'00'")
    assert take(store) == []


def deleted(store, clock, job):
    assert store.delete([job]) == [True]


def deleted_by_filter(store, clock, job):
    store.delete_where(Filter())


ENDS = {
    forgotten: [(Event.SUCCEED, State.RUNNING, None)],
    succeeds: [(Event.SUCCEED, State.RUNNING, State.SUCCEEDED)],
    buried: [(Event.BURY, State.RUNNING, State.DEAD)],
    cancelled_by_its_holder: [(Event.CANCEL, State.RUNNING, State.CANCELLED)],
    cancelled_instead_of_running_again: [(Event.CANCEL, State.RUNNING, State.CANCELLED)],
    cancelled_when_its_lease_ends: [(Event.CANCEL, State.RUNNING, State.CANCELLED)],
    cancelled_while_it_waits: [(Event.CANCEL, State.READY, State.CANCELLED)],
    cancelled_by_filter: [(Event.CANCEL, State.READY, State.CANCELLED)],
    lost_too_often: [(Event.LOSE, State.RUNNING, State.DEAD)],
    given_up: [(Event.GIVE_UP, State.READY, State.DEAD)],
    corrupt: [(Event.CORRUPT, State.READY, State.DEAD)],
    deleted: [(Event.DELETE, State.READY, None)],
    deleted_by_filter: [(Event.DELETE, State.READY, None)],
}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("company", [0, 1])
def test_every_way_to_end_is_told_once(store, clock, listening, end, company):
    (job,) = put_wanted(store, listening)
    put(store, company, queue="elsewhere", delay_s=limits.DELAY_S_MAX / 2)
    end(store, clock, job)
    assert listening.moves() == [(job, *move) for move in ENDS[end]]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_every_way_to_end_is_told_to_a_client_that_waits(store, clock, end):
    (job,) = put(store)
    store.watched.add(job)
    end(store, clock, job)
    assert store.ended == [job]


@pytest.mark.parametrize("options", [{}, {"delay_s": 60.0}])
@pytest.mark.parametrize("way", [cancelled_while_it_waits, deleted])
def test_one_that_waits_for_a_time_is_told_of_like_one_that_is_ready(store, clock, listening, way, options):
    (job,) = put_wanted(store, listening, **options)
    way(store, clock, job)
    ((told, _, source, _),) = listening.moves()
    assert (told, source) == (job, State.SCHEDULED if options else State.READY)


@pytest.mark.parametrize("way", ["tick", "lease", "release", "loss", "refusal"])
def test_every_way_to_expire_is_told(store, clock, listening, way):
    (job,) = put_wanted(store, listening, expires_s=10.0)
    if way in ("tick", "lease"):
        clock.advance(11.0)
        rest(store) if way == "tick" else take(store)
    else:
        fence = take_one(store).fence
        clock.advance(11.0)
        said = {"release": fence, "loss": Lost(fence, Loss.UNSTARTED, ERROR), "refusal": Refused(fence, UNFIT)}
        settle(store, **{{"release": "released", "loss": "lost", "refusal": "refused"}[way]: [said[way]]})
    assert listening.moves() == [(job, Event.EXPIRE, State.READY, State.EXPIRED)]


def test_a_range_with_a_few_that_somebody_wants_to_hear_of_is_still_ended_as_a_range(store, listening):
    ids = put(store, 300)
    listening.want(*ids[7::100])
    settle(store, forgotten=[held.fence for held in take(store, 300)])
    assert listening.moves() == [(job, Event.SUCCEED, State.RUNNING, None) for job in ids[7::100]]
    assert not store.books.interested


def test_a_dead_job_of_which_nothing_is_kept_is_told_twice(store, listening):
    (job,) = put_wanted(store, listening)
    settle(store, buried=[Buried(take_one(store).fence, ERROR, keep_s=0.0)])
    assert listening.moves() == [
        (job, Event.BURY, State.RUNNING, State.DEAD),
        (job, Event.TRIM, State.DEAD, None),
    ]


@pytest.mark.parametrize("end", [succeeds, buried, cancelled_while_it_waits])
def test_a_record_that_is_trimmed_or_deleted_is_told_of(store, clock, listening, end):
    first, second = put_wanted(store, listening, 2)
    end(store, clock, first)
    end(store, clock, second)
    outcome = listening.moves()[0][-1]
    assert outcome in KEPT
    store.delete([first])
    assert listening.moves() == [(first, Event.DELETE, outcome, None)]
    clock.advance(limits.KEEP_DEAD_S + 1.0)
    rest(store)
    assert listening.moves() == [(second, Event.TRIM, outcome, None)]


def test_records_beyond_their_number_are_told_of(tmp_path, clock):
    store = SqliteStore(tmp_path / "penstock.db", clock=clock, records_max=1)
    listening = Listening(store)
    ids = put_wanted(store, listening, 3)
    settle(store, succeeded=[succeeded(held.fence, clock) for held in take(store)])
    listening.moves()
    rest(store)
    assert [(job, event) for job, event, *_ in listening.moves()] == [(job, Event.TRIM) for job in ids[:2]]
    store.close()


def test_records_dropped_on_a_full_disk_are_told_of(store, clock, listening):
    ids = put_wanted(store, listening, 3)
    settle(store, succeeded=[succeeded(held.fence, clock) for held in take(store)])
    listening.moves()
    clock.advance(limits.KEEP_RECORD_S / 2)
    store._room._in_batches("oldest_finished", 1 << 30, clock.time(), (), store._room._discard)
    assert [(job, event) for job, event, *_ in listening.moves()] == [(job, Event.TRIM) for job in ids]


def test_what_does_not_end_is_not_told(store, clock, listening):
    (job,) = put_wanted(store, listening)
    settle(store, released=[take_one(store).fence])
    settle(store, snoozed=[Snoozed(take_one(store).fence, 0.0)])
    settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
    settle(store, lost=[Lost(take_one(store).fence, Loss.BLAMED, ERROR)])
    settle(store, refused=[Refused(take_one(store).fence, UNFIT)])
    store.move([job], "other")
    store.edit([job], priority=3, run_at=clock.time() + 5.0)
    elapse(store, clock, 6.0)
    assert take_one(store).job.id == job
    store.cancel([job])
    assert listening.moves() == []
    assert store.books.interested


def test_a_stale_fence_is_not_told_of(store, listening):
    put_wanted(store, listening)
    fence = take_one(store).fence
    assert store.settle(Outcomes(b"another-holder-1", forgotten=[fence])).stale == [fence]
    assert listening.moves() == []


def test_an_interest_that_comes_while_the_job_is_leased_counts(store, listening):
    (job,) = put(store)
    fence = take_one(store).fence
    listening.want(job)
    settle(store, forgotten=[fence])
    assert listening.moves() == [(job, Event.SUCCEED, State.RUNNING, None)]


def test_an_interest_that_comes_with_the_job_in_one_group_counts(store, listening):
    store.begin()
    (job,) = put_wanted(store, listening)
    fence = take_one(store).fence
    store.commit()
    settle(store, forgotten=[fence])
    assert listening.moves() == [(job, Event.SUCCEED, State.RUNNING, None)]


def test_interests_survive_a_take_over_waiting_and_leased(tmp_path, clock):
    store = SqliteStore(tmp_path / "penstock.db", clock=clock)
    jobs = put_wanted(store, Listening(store), 2)
    fence = take_one(store).fence
    store.close()
    again = SqliteStore(tmp_path / "penstock.db", clock=clock)
    listening = Listening(again)
    settle(again, forgotten=[fence, take_one(again).fence])
    assert [job for job, *_ in listening.moves()] == jobs
    again.close()


def test_a_listener_hears_of_its_own_bit_alone(store, listening):
    others = Listening(store, Interest.UNIQUE)
    mine, theirs, both = put(store, 3)
    listening.want(mine, both)
    others.want(theirs, both)
    settle(store, forgotten=[held.fence for held in take(store)])
    assert [job for job, *_ in listening.moves()] == [mine, both]
    assert {one.interest for one in others.heard if one.id == both} == {Interest.UNIQUE | Interest.SLOT}
    assert [job for job, *_ in others.moves()] == [theirs, both]


def test_what_a_listener_writes_is_undone_with_the_end(store, listening):
    child = entry()
    store._endings.listeners.register(
        Interest.SLOT, lambda endings: (store._acceptor.land([group(child)]) and None) or None
    )
    (job,) = put_wanted(store, listening)
    fence = take_one(store).fence
    store.begin()
    settle(store, forgotten=[fence])
    assert store.get([job, child.id]) != [None, None]
    store.rollback()
    assert listening.moves() == [(job, Event.SUCCEED, State.RUNNING, None)]
    assert [view and view.state for view in store.get([job, child.id])] == [State.RUNNING, None]
    settle(store, forgotten=[fence])
    assert listening.moves() == [(job, Event.SUCCEED, State.RUNNING, None)]
    assert [view and view.state for view in store.get([job, child.id])] == [None, State.READY]


def test_a_listener_that_raises_undoes_the_end(store, listening):
    (job,) = put_wanted(store, listening)
    fence = take_one(store).fence

    def refuse(endings):
        raise RuntimeError("not now")

    store._endings.listeners.register(Interest.SLOT, refuse)
    with pytest.raises(RuntimeError):
        store.settle(Outcomes(HOLDER, forgotten=[fence]))
    assert store.get([job])[0].state is State.RUNNING
