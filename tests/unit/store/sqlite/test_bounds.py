"""Nothing the engine does at once is without a bound: leases by jobs, tasks and bytes; chores by steps."""

import msgspec
import pytest

from penstock.model import limits
from penstock.model.job import Buried, LeaseRequest
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, HOLDER, entry, group, put, settle, succeeded, take

STEP = limits.TICK_STEP_JOBS


# --- one lease -----------------------------------------------------------------------------------------------------
def test_a_lease_names_at_most_256_tasks_and_the_next_goes_on_where_it_ended(store, audit):
    ids = [put(store, task=f"app.task_{number}")[0] for number in range(300)]
    first = store.lease(LeaseRequest(HOLDER, 1_000))
    assert (len(first.jobs), len(first.tasks)) == (256, 256)
    audit(store)
    second = store.lease(LeaseRequest(HOLDER, 1_000))
    assert [job.id for job in [*first.jobs, *second.jobs]] == ids
    names = [batch.tasks[place] for batch in (first, second) for place in batch.task_of]
    assert names == [f"app.task_{number}" for number in range(300)]
    audit(store)


def test_many_jobs_of_256_tasks_fit_one_lease(store):
    for number in range(512):
        put(store, task=f"app.task_{number % 256}")
    assert len(store.lease(LeaseRequest(HOLDER, 1_000)).jobs) == 512


def test_a_lease_ends_with_the_job_that_reaches_its_bytes(store, monkeypatch, audit):
    monkeypatch.setattr(limits, "LEASE_BYTES_MAX", 10_000)
    entries = [entry(b"m" + bytes(2_999)) for _ in range(10)]
    store.enqueue([group(*entries)])
    sizes = []
    while batch := take(store):
        sizes.append(len(batch))
    assert sizes == [4, 4, 2]
    audit(store)


@pytest.mark.parametrize(
    "queues",
    [None, [f"queue-{number}" for number in range(20)]],
)
def test_a_lease_over_many_queues_is_bounded_by_bytes_too(store, monkeypatch, audit, queues):
    monkeypatch.setattr(limits, "LEASE_BYTES_MAX", 10_000)
    for number in range(20):
        store.enqueue([group(entry(b"m" + bytes(2_999)), queue=f"queue-{number}")])
    batch = take(store, queues=queues)
    assert sum(len(one.job.body) for one in batch) < 10_000 + 3_000
    assert [one.job.queue for one in batch] == [f"queue-{number}" for number in range(4)]
    audit(store)


def test_a_lease_over_queues_takes_the_first_in_order_whatever_the_bytes(store, monkeypatch):
    monkeypatch.setattr(limits, "LEASE_BYTES_MAX", 5_000)
    bodies = {"a": b"m" + bytes(2_499), "b": b"m"}
    line = ["a", "b", "b", "b", "a", "b"]
    for name in line:
        store.enqueue([group(entry(bodies[name]), queue=name)])
    leased = []
    while batch := take(store):
        leased += [one.job.queue for one in batch]
    assert leased == line


def test_a_job_larger_than_a_lease_is_leased_alone(store, monkeypatch):
    monkeypatch.setattr(limits, "LEASE_BYTES_MAX", 1_000)
    store.enqueue([group(entry(b"m" + bytes(5_000)), entry())])
    assert [len(take(store)), len(take(store))] == [1, 1]


def test_no_more_run_than_may(store, monkeypatch):
    monkeypatch.setattr(limits, "RUNNING_JOBS_MAX", 7)
    put(store, 10)
    held = take(store, 5) + take(store, 5)
    assert (len(held), take(store, 5)) == (7, [])
    settle(store, forgotten=[held[0].fence])
    assert len(take(store, 5)) == 1


def test_leases_over_all_queues_go_by_priority_then_arrival(store):
    put_at = [("a", 0), ("b", 5), ("a", 5), ("c", 0), ("b", 0), ("c", -5), ("a", 100), ("b", -100)]
    jobs = [(put(store, queue=queue, priority=priority)[0], priority) for queue, priority in put_at]
    wanted = [job_id for job_id, _ in sorted(jobs, key=lambda job: -job[1])]
    leased = [one.job.id for limit in (1, 3, 2, 9) for one in take(store, limit)]
    assert leased == wanted


def test_named_queues_are_drained_one_after_the_other(store):
    for _ in range(2):
        for name in ("a", "b", "c"):
            put(store, queue=name)
    leased = [one.job.queue for one in take(store, 10, queues=["b", "nowhere", "a"])]
    leased += [one.job.queue for one in take(store, 10, queues=["b", "nowhere", "a"])]
    assert leased == ["b", "b", "a", "a"]


# --- one tick ------------------------------------------------------------------------------------------------------
def ticks(store):
    """Tick until there is nothing to do. Answers what each did."""
    done = []
    while True:
        done.append(store.tick())
        if done[-1].next_s != 0:
            return done


def touched(before, after):
    """How many jobs each count of a queue changed by."""
    return {
        name: abs(getattr(after, name) - getattr(before, name))
        for name in ("ready", "scheduled", "running", "succeeded", "dead", "expired", "cancelled")
    }


def check_steps(store, most_ticks):
    """No tick touches more jobs than a step has, and each but the last says that there is more."""
    for number in range(most_ticks + 1):
        before = msgspec.structs.replace(store.stats().queues["default"])
        told = store.tick()
        changed = touched(before, store.stats().queues["default"])
        assert max(changed.values()) <= STEP, changed
        assert max(told.promoted, told.expired, told.reclaimed, told.trimmed) <= STEP
        if told.next_s != 0:
            assert number == most_ticks
            return
    pytest.fail("more ticks than steps")


def test_due_jobs_are_promoted_in_steps(store, clock, audit):
    put(store, 2 * STEP + 10, delay_s=1.0)
    clock.advance(1.0)
    check_steps(store, 2)
    assert store.stats().queues["default"].ready == 2 * STEP + 10
    audit(store)


def test_jobs_expire_in_steps(store, clock, audit):
    put(store, 2 * STEP + 10, expires_s=1.0)
    clock.advance(1.0)
    check_steps(store, 2)
    assert store.stats().queues["default"].expired == 2 * STEP + 10
    audit(store)


def test_ended_leases_are_taken_back_in_steps(store, clock, audit):
    put(store, 2 * STEP + 10)
    take(store, 2_000, lease_s=1.0)
    clock.advance(1.0)
    check_steps(store, 2)
    assert store.stats().queues["default"].ready == 2 * STEP + 10
    audit(store)


@pytest.mark.parametrize("outcome", ["succeeded", "dead"])
def test_records_whose_time_is_up_are_trimmed_in_steps(store, clock, audit, outcome):
    count = 2 * STEP + 10
    put(store, count)
    fences = [one.fence for one in take(store, 2_000)]
    if outcome == "dead":
        settle(store, buried=[Buried(fence, ERROR, keep_s=1.0) for fence in fences])
    else:
        settle(store, succeeded=[succeeded(fence, clock, keep_record_s=1.0) for fence in fences])
    clock.advance(1.0)
    check_steps(store, 2)
    assert getattr(store.stats().queues["default"], outcome) == 0
    audit(store)


@pytest.mark.parametrize("outcome", ["succeeded", "dead"])
def test_too_many_records_are_trimmed_in_steps(path, clock, audit, outcome):
    store = SqliteStore(path, clock=clock, records_max=5, dead_max=5)
    put(store, STEP + 15)
    fences = [one.fence for one in take(store, 2_000)]
    if outcome == "dead":
        settle(store, buried=[Buried(fence, ERROR) for fence in fences])
    else:
        settle(store, succeeded=[succeeded(fence, clock) for fence in fences])
    assert [tick.trimmed for tick in ticks(store)] == [STEP, 10]
    assert getattr(store.stats().queues["default"], outcome) == 5
    audit(store)
    store.close()


def test_old_keys_are_forgotten_in_steps(store, clock):
    store.enqueue([group(*[entry(key=str(number)) for number in range(STEP + 10)])])
    clock.advance(limits.IDEMPOTENCY_S)
    left = []
    for _ in range(2):
        store.tick()
        left += [row[0] for row in store.database.connection.execute("SELECT count(*) FROM idempotency")]
    assert left == [10, 0]


def test_a_lease_between_two_steps_does_not_wait_for_the_last(store, clock):
    put(store, 2 * STEP - 10, expires_s=1.0)
    clock.advance(1.0)
    (job_id,) = put(store)
    store.tick()
    assert [one.job.id for one in take(store, 1)] == [job_id]
