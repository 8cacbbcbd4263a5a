"""An error at any moment of any transaction: the caller is told, nothing is half done, and the store goes on."""

import itertools

import apsw
import msgspec
import pytest

from penstock.model.errors import StoreFull, StoreUnavailable
from penstock.model.flow import RateRule, TaskFlow
from penstock.model.job import (
    Buried,
    Cancelled,
    Extension,
    Filter,
    JobGroup,
    Lost,
    Outcomes,
    Progress,
    Retried,
    Snoozed,
    TaskRecord,
)
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.keyed import keyed, per_tenant
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    OTHER_HOLDER,
    entry,
    group,
    put,
    settle,
    states,
    succeeded,
    take,
)

ERRORS = {apsw.FullError: StoreFull, apsw.IOError: StoreUnavailable}


def furnish(store, clock):
    """Jobs in every state, in two queues, with keys; some due, some expired, some records old."""
    store.register_tasks([TaskRecord("app.work")])
    put(store, 3)
    put(store, 3, queue="other", priority=5)
    put(store, 2, delay_s=1.0)
    put(store, 2, expires_s=1.0, priority=-9)
    store.enqueue([group(entry(key="known"))])
    fences = [one.fence for one in take(store, 3)]
    settle(store, succeeded=[succeeded(fences[0], clock, b"m\x01", keep_record_s=1.0, keep_result_s=1.0)])
    settle(store, buried=[Buried(fences[1], ERROR, keep_s=1.0), Buried(fences[2], ERROR)])
    put(store, 8)
    held = take(store, 8, queues=["default"])
    store.extend(Extension(HOLDER, [], started=[(one.fence, clock.time()) for one in held[1:]]))
    store.cancel([held[7].job.id])
    return [one.fence for one in held] + keyed_leases(store)


def keyed_leases(store):
    """Jobs of keys, in a queue of their own: two leased, others ready, or blocked by a limit, by a rate, or by both."""
    store.register_tasks(
        [TaskRecord("app.keyed", flow=TaskFlow(limits=(per_tenant(2), RateRule(2, 60.0, per="user"))))]
    )
    values = [{"tenant": "a"}] * 4 + [{"user": "u"}] * 2 + [{"tenant": "a", "user": "u"}, {"tenant": "b", "user": "v"}]
    store.enqueue([group(*map(keyed, values), task="app.keyed", queue="keyed")])
    return [one.fence for one in take(store, 2, queues=["keyed"])]


def whole_settlement(fences, clock):
    """An outcome of every kind."""
    return Outcomes(
        HOLDER,
        forgotten=[fences[0]],
        succeeded=[succeeded(fences[1], clock, b"m\x01")],
        retried=[Retried(fences[2], 5.0, ERROR)],
        snoozed=[Snoozed(fences[3], 5.0)],
        buried=[Buried(fences[4], ERROR)],
        lost=[Lost(fences[5], Loss.BLAMED, ERROR)],
        released=[fences[6]],
        cancelled=[Cancelled(fences[7])],
        children=[(fences[0], [group(entry(key="child"), queue="children")])],
    )


def tick_with_every_chore(store, fences, clock):
    """One in which there is something to promote, to reclaim, to expire and to trim."""
    for held in store.books.by_fence.values():
        held.deadline = 0.0
    store._chores._next_scan = 0.0
    # As its owner does it: by itself a tick raises nothing, and does each chore alone (test_apart.py).
    store.begin()
    try:
        told = store.tick()
    except Exception:
        store.rollback()
        raise
    store.commit()
    assert min(told.promoted, told.reclaimed, told.expired, told.trimmed) > 0


CALLS = {
    "register": lambda store, fences, clock: store.register_tasks([TaskRecord("app.new"), TaskRecord("app.work", "x")]),
    "enqueue": lambda store, fences, clock: store.enqueue(
        [group(entry(), entry(key="new")), group(entry(), queue="fresh", task="app.new", delay_s=9.0, tags=["a"])]
    ),
    "lease": lambda store, fences, clock: take(store, 5, holder=OTHER_HOLDER),
    "extend": lambda store, fences, clock: store.extend(
        Extension(HOLDER, fences, started=[(fences[0], 1.0)], progress=[(fences[1], Progress(1.0))])
    ),
    "settle": lambda store, fences, clock: store.settle(whole_settlement(fences, clock)),
    "enqueue keyed": lambda store, fences, clock: store.enqueue(
        [group(keyed({"tenant": "c"}), keyed({"tenant": "a"}), task="app.keyed", queue="keyed")]
    ),
    "lease keyed": lambda store, fences, clock: take(store, 5, queues=["keyed"]),
    "settle keyed": lambda store, fences, clock: store.settle(
        Outcomes(HOLDER, forgotten=fences[-2:-1], retried=[Retried(fences[-1], 0.0, ERROR)])
    ),
    "raise limits": lambda store, fences, clock: store.put_limits("task:app.keyed", [per_tenant(9)]),
    "lower limits": lambda store, fences, clock: store.put_limits("queue:keyed", [per_tenant(1)]),
    "pause": lambda store, fences, clock: store.pause(queue="keyed"),
    "reconcile": lambda store, fences, clock: store.reconcile(HOLDER, fences[:2]),
    "tick": tick_with_every_chore,
    "cancel": lambda store, fences, clock: store.cancel_where(Filter()),
    "revive": lambda store, fences, clock: store.revive_where(Filter()),
    "move": lambda store, fences, clock: store.move_where(Filter(), "elsewhere"),
    "delete": lambda store, fences, clock: store.delete_where(Filter()),
    "edit": lambda store, fences, clock: store.edit(
        [view.id for view in store.query(Filter()).jobs], priority=9, run_at=clock.time() + 99.0
    ),
}


def picture(store):
    """Everything that can be seen of a store, but for ages and for progress, which is in memory alone."""
    ids = [row[0] for row in store.database.connection.execute("SELECT id FROM job ORDER BY seq")]
    views = [msgspec.structs.replace(view, progress=None) for view in store.get(ids, result=True, body=True) if view]
    keys = store.database.connection.execute("SELECT * FROM idempotency").fetchall()
    return views, store.tasks(), {name: repr(counts) for name, counts in store.stats().queues.items()}, keys


CHANGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "COMMIT")


class Struck(BaseException):
    """As sudden as a signal."""


@pytest.mark.parametrize("call", CALLS)
def test_an_exception_in_the_middle_leaves_memory_as_the_file(store, clock, audit, call):
    fences = furnish(store, clock)
    clock.advance(1.5)
    before = picture(store)
    for strike in itertools.count(1):
        executed = itertools.count(1)

        def trace(_, statement, __, strike=strike, executed=executed):
            if statement.startswith(CHANGES) and next(executed) == strike:
                raise Struck
            return True

        store.database.connection.exec_trace = trace
        try:
            CALLS[call](store, fences, clock)
        except Struck:
            store.database.connection.exec_trace = None
            if store.in_group:
                store.rollback()
            assert picture(store) == before
            audit(store)
        else:
            break
    store.database.connection.exec_trace = None
    assert strike > 1, "it was struck"
    audit(store)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("call", CALLS)
def test_an_error_at_any_operation_of_the_disk_undoes_the_call(disk, faulty_store, clock, audit, call, error):
    store = faulty_store
    fences = furnish(store, clock)
    clock.advance(1.5)
    before = picture(store)
    for operation in itertools.count(1):
        store.database.full = False
        disk.fail_at(operation, error)
        try:
            CALLS[call](store, fences, clock)
        except ERRORS[error]:
            disk.heal()
            assert picture(store) == before
            audit(store)
        else:
            break
    disk.heal()
    assert operation > 2, "it failed"
    audit(store)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_a_failed_enqueue_leaves_nothing_and_the_next_is_accepted(disk, faulty_store, audit, error):
    put(faulty_store)
    for operation in itertools.count(1):
        entries = [entry(key=f"key-{operation}"), entry()]
        disk.fail_at(operation, error)
        try:
            faulty_store.enqueue([group(*entries, queue=f"queue-{operation}", task=f"app.task_{operation}")])
        except ERRORS[error]:
            assert states(faulty_store, [one.id for one in entries]) == [None, None]
            assert f"queue-{operation}" not in faulty_store.stats().queues
        else:
            break
        disk.heal()
        faulty_store.tick()
        assert faulty_store.enqueue([group(*entries)]).accepted == 2
        assert states(faulty_store, [one.id for one in entries]) == [State.READY] * 2
    assert operation > 5
    disk.heal()
    audit(faulty_store)


def test_a_fault_that_passes_fails_one_call_alone(disk, faulty_store, audit):
    disk.fail_at(2, apsw.IOError, lasting=False)
    with pytest.raises(StoreUnavailable):
        put(faulty_store)
    put(faulty_store)
    assert faulty_store.stats().queues["default"].accepted_total == 1
    audit(faulty_store)


def test_a_group_that_cannot_be_committed_is_undone_whole(disk, faulty_store, clock, audit):
    store = faulty_store
    put(store, 4)
    held = take(store, 2)
    before = picture(store)
    for operation in itertools.count(1):
        disk.fail_at(operation)
        try:
            store.begin()
            put(store, 2)
            store.settle(Outcomes(HOLDER, forgotten=[held[0].fence], succeeded=[succeeded(held[1].fence, clock)]))
            take(store, 1)
            store.record_answer(b"client", 1, b"answer")
            store.commit()
        except StoreUnavailable:
            disk.heal()
            assert not store.in_group
            assert picture(store) == before
            assert store.answers_of(b"client") == {}
            audit(store)
        else:
            break
    disk.heal()
    assert operation > 2
    assert store.answers_of(b"client") == {1: b"answer"}
    audit(store)


def test_a_refused_call_in_a_group_changes_nothing_of_the_rest(store, clock, audit):
    put(store, 2)
    (held,) = take(store, 1)
    store.begin()
    put(store)
    bad = JobGroup("app.work", [entry()], priority=1_000)
    refused = [
        lambda: store.enqueue([group(), bad]),
        lambda: store.settle(Outcomes(HOLDER, forgotten=[held.fence], children=[(held.fence, [bad])])),
        lambda: store.edit([held.job.id], priority=1_000),
        lambda: store.move([held.job.id], "no such name!"),
    ]
    for call in refused:
        with pytest.raises(Exception, match=r"is between|is no name"):
            call()
    store.commit()
    assert states(store, [held.job.id]) == [State.RUNNING]
    assert store.stats().queues["default"].accepted_total == 3
    audit(store)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_opening_on_a_disk_that_fails_says_so_and_works_when_it_is_back(disk, path, clock, audit, error):
    store = SqliteStore(path, clock=clock)
    ids = put(store, 3)
    store.close()
    for operation in itertools.count(1):
        disk.fail_at(operation, error)
        try:
            store = SqliteStore(path, clock=clock)
        except (StoreFull, StoreUnavailable):
            disk.heal()
        else:
            break
    disk.heal()
    assert operation > 2
    assert states(store, ids) == [State.READY] * 3
    audit(store)
    store.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a second error while giving up
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_first_opening_can_be_tried_again_wherever_it_failed(disk, path, clock, audit, error):
    for operation in itertools.count(1):
        disk.fail_at(operation, error)
        failed = False
        try:
            store = SqliteStore(path, clock=clock)
        except (StoreFull, StoreUnavailable):
            failed = True
        disk.heal()
        if not failed:
            break
        store = SqliteStore(path, clock=clock)
        put(store)
        audit(store)
        store.close()
        for left in path.parent.iterdir():
            left.unlink()
        disk.forget()
    assert operation > 10
    store.close()


@pytest.mark.parametrize("statement", ["INSERT INTO journal", "COMMIT"])
def test_an_exception_at_the_commit_leaves_no_transaction_open(store, audit, statement):
    put(store)

    def trace(_, executed, __):
        if executed.startswith(statement):
            raise Struck
        return True

    store.database.connection.exec_trace = trace
    with pytest.raises(Struck):
        put(store)
    store.database.connection.exec_trace = None
    assert not store.in_group
    audit(store)
    assert store.stats().queues["default"].ready == 1
