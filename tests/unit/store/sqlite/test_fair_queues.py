from collections.abc import Iterator

import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.flow import FairRule, TaskFlow
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, TaskRecord, checksum
from penstock.model.states import State
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.keyed import put_for
from penstock.testing.conformance.kit import BODY, HOLDER, group, ids_of, put, settle, states, take

TASKS = ("app.work", "app.one", "app.two")


def declare(store):
    flow = TaskFlow(fair=FairRule("tenant"))
    store.register_tasks([TaskRecord(task, flow=flow) for task in TASKS])


def in_file(store):
    """What the file says: the rank that was leased last by queue and priority, and those of tenants."""
    return (
        {(queue, priority): rank for queue, priority, rank in store.database.rows("load_fair_queues")},
        {(queue, priority, tenant): rank for queue, priority, tenant, rank in store.database.rows("load_fair_tenants")},
    )


def known(store):
    """As `in_file`, of what is known in memory."""
    queues = store.books.fair.queues
    return (
        {(queue, priority): turns.leased for queue, of in queues.items() for priority, turns in of.items()},
        {
            (queue, priority, tenant): rank
            for queue, of in queues.items()
            for priority, turns in of.items()
            for tenant, rank in turns.tenants.items()
        },
    )


@pytest.fixture(autouse=True)
def _agrees(request) -> Iterator[None]:
    """After each test the file says what is known in memory."""
    store = request.getfixturevalue("store") if "store" in request.fixturenames else None
    yield
    assert store is None or in_file(store) == known(store)


def test_stores_without_fairness_know_nothing_of_it(store):
    put_for(store, "a", 5)
    take(store)
    assert known(store) == in_file(store) == ({}, {})


def test_a_group_that_is_undone_gave_no_turns(store):
    declare(store)
    put_for(store, "a", 3)
    before = known(store)
    store.begin()
    put_for(store, "a", 3)
    put_for(store, "b", 3, priority=1)
    take(store, 2)
    store.rollback()
    assert known(store) == in_file(store) == before


def test_a_commit_that_fails_gave_no_turns(faulty_store, disk):
    store = faulty_store
    declare(store)
    mine = put_for(store, "a", 3)
    before = known(store)
    disk.fail_at(1)
    with pytest.raises(StoreUnavailable):
        take(store, 2)
    disk.heal()
    assert known(store) == in_file(store) == before
    theirs = put_for(store, "b", 1)
    assert ids_of(take(store, 2)) == [mine[0], theirs[0]]


def test_rows_of_jobs_and_of_lines_agree(store, audit):
    declare(store)
    for number in (1, 9, 10, 49, 120):
        tenants = [f"t{place % 7}" for place in range(number)]
        entries = [
            JobEntry(job, BODY, checksum(BODY), values={"tenant": tenant} if tenant != "t3" else None)
            for job, tenant in zip(new_ids(number), tenants, strict=True)
        ]
        store.enqueue([group(*entries)])
    wrong = "SELECT count(*) FROM ready JOIN job USING (seq) WHERE ready.rank <> job.rank OR job.rank = 0"
    assert store.database.connection.execute(wrong).fetchall() == [(0,)]
    audit(store)
    assert len(take(store, 1_000)) == 189
    audit(store)


def test_tenants_without_turns_ahead_are_forgotten_in_steps(store):
    declare(store)
    for number in range(0, limits.TICK_STEP_JOBS + 20, 100):
        for tenant in range(number, number + 100):
            put_for(store, f"t{tenant}")
    number = len(known(store)[1])
    put_for(store, "last", 2)
    take(store, number + 1)
    store.tick()
    assert len(known(store)[1]) == number + 1 - limits.TICK_STEP_JOBS
    store.tick()
    assert [tenant for _, _, tenant in known(store)[1]] == ["last"]
    assert in_file(store) == known(store)


def test_a_queue_that_is_dry_is_not_fair_any_more(store):
    declare(store)
    put_for(store, "a", 3)
    settle(store, holder=HOLDER, forgotten=[held.fence for held in take(store, holder=HOLDER)])
    store.tick()
    assert known(store) == ({}, {})
    store.register_tasks([TaskRecord("app.work")])
    put(store, 3)
    assert store.database.value("count_running") == 0
    assert known(store) == ({}, {})


def test_tenants_beyond_the_limit_take_turns_together(store, monkeypatch):
    monkeypatch.setattr(limits, "FAIR_TENANTS_MAX", 3)
    declare(store)
    kept = {tenant: put_for(store, tenant, 3) for tenant in "abc"}
    others = [put_for(store, tenant, 1)[0] for tenant in "defg"]
    found = ids_of(take(store, 100))
    assert found[:4] == [*(kept[tenant][0] for tenant in "abc"), others[0]]
    assert found[-1] == others[3]
    # All of them are leased: there is room for others again.
    late = put_for(store, "h", 1) + put_for(store, "i", 1)
    assert {tenant for _, _, tenant in known(store)[1]} == {"h", "i"}
    assert ids_of(take(store)) == late


def test_several_lines_of_a_fair_queue_and_lines_of_others_in_one_lease(store, audit):
    declare(store)
    fair = put_for(store, "a", 3, task="app.one") + put_for(store, "a", 3, task="app.two")
    plain = [put(store, 2, task="app.other", queue=f"q{number}") for number in range(3)]
    late = put_for(store, "b", 2, task="app.two")
    assert states(store, late) == [State.READY] * 2
    found = ids_of(take(store, 7))
    assert found == [fair[0], *plain[0], *plain[1], *plain[2]]
    audit(store)
    assert ids_of(take(store)) == [late[0], fair[1], late[1], *fair[2:]]
    audit(store)


def test_one_line_of_each_of_many_fair_queues(store, audit):
    declare(store)
    queues = [f"q{number}" for number in range(20)]
    first = {queue: put_for(store, "a", 3, queue=queue) for queue in queues}
    plain = put(store, 5, task="app.other", queue="plain")
    late = {queue: put_for(store, "b", 1, queue=queue) for queue in queues}
    found = ids_of(take(store, 30)) + ids_of(take(store, 30)) + ids_of(take(store, 40))
    audit(store)
    assert [job for job in found if job in plain] == plain
    for queue in queues:
        ours = [job for job in found if job in {*first[queue], *late[queue]}]
        assert ours == [first[queue][0], *late[queue], *first[queue][1:]]


@pytest.mark.parametrize("limit", [4, 5, 6, 100])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_jobs_from_before_their_queue_was_fair_come_first(store, audit, number, limit):
    before = put(store, 3)
    declare(store)
    mine = put_for(store, "a", number)
    plain = put(store, 2, task="app.other", queue="plain")
    assert ids_of(take(store, limit)) == [*before, *mine, *plain][:limit]
    audit(store)
    assert ids_of(take(store, 100)) == [*before, *mine, *plain][limit:]


def test_a_file_keeps_its_turns(path, clock):
    store = SqliteStore(path, clock=clock)
    declare(store)
    mine = put_for(store, "a", 20)
    take(store, 4)
    before = known(store)
    store.close()
    again = SqliteStore(path, clock=clock)
    assert known(again) == before
    theirs = put_for(again, "b", 1)
    assert ids_of(take(again, 2)) == [mine[4], theirs[0]]
    again.close()
