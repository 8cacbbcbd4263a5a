import pytest

from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, LeaseRequest, checksum
from penstock.model.states import State
from penstock.store.wire import protocol


def test_a_worker_that_waits_is_answered_before_the_producers_whose_jobs_it_gets(pending, groups):
    worker, first, second = pending.client(), pending.client(), pending.client()
    request = LeaseRequest(holder=new_id(), queues=None, limit=10, lease_s=30.0)
    pending.ask(worker, protocol.LEASE, request, 30.0)
    assert pending.groups.run(pending.turns) == []
    for number, producer in enumerate((first, second)):
        pending.ask(producer, protocol.ENQUEUE, groups(number))
    answers = pending.groups.run(pending.turns)
    assert next(connection for connection, _ in answers) is worker
    assert {connection for connection, _ in answers[1:]} == {first, second}
    assert pending.groups.counters.commits == 2


def test_clients_with_different_numbers_of_jobs_each_get_their_own_count(pending, groups):
    clients = [pending.client() for _ in range(4)]
    for count, client in enumerate(clients, start=1):
        pending.ask(client, protocol.ENQUEUE, groups(*range(count)))
    told = {}
    for connection, frame in pending.groups.run(pending.turns):
        told[connection] = protocol.ENQUEUE.answer(frame[protocol.HEADER_BYTES :]).accepted
    assert [told[client] for client in clients] == [1, 2, 3, 4]


@pytest.mark.parametrize("tasks", [["task"], ["other", "task"], None])
def test_a_parked_lease_gets_jobs_of_its_tasks_and_others_wait_on(pending, groups, tasks):
    stranger, worker, producer = pending.client(), pending.client(), pending.client()
    for client, names in ((stranger, ["stranger"]), (worker, tasks)):
        request = LeaseRequest(new_id(), 10, tasks=names)
        pending.ask(client, protocol.LEASE, request, 30.0)
    assert pending.groups.run(pending.turns) == []
    pending.ask(producer, protocol.ENQUEUE, groups(1))
    told = dict(pending.groups.run(pending.turns))
    assert set(told) == {worker, producer}
    assert list(pending.groups.parking.leases) == [*stranger.parked.values()]


def test_queues_count_for_the_client_that_makes_them_though_small_requests_are_done_together(pending, groups):
    pending.engine._names._of_client_max = 2
    greedy, other = pending.client(), pending.client()
    for name in ("a", "b", "c", "a"):
        pending.ask(greedy, protocol.ENQUEUE, groups(1, queue=name))
    pending.ask(other, protocol.ENQUEUE, groups(1, queue="d"))
    kinds = [frame[protocol.HEADER_BYTES - 9] for _, frame in pending.groups.run(pending.turns)]
    assert sorted(kinds) == [protocol.ANSWER] * 4 + [protocol.FAILURE]
    counts = pending.engine.stats().queues
    assert {name: one.accepted_total for name, one in counts.items()} == {"a": 2, "b": 1, "d": 1}
    pending.ask(other, protocol.ENQUEUE, groups(1, queue="e"))
    pending.ask(other, protocol.ENQUEUE, groups(*range(2_000), queue="f"))
    (_, taken), (_, refused) = pending.groups.run(pending.turns)
    assert (taken[protocol.HEADER_BYTES - 9], refused[protocol.HEADER_BYTES - 9]) == (
        protocol.ANSWER,
        protocol.FAILURE,
    )
    assert pending.engine.totals().queues == 4


def test_a_waiter_hears_of_a_job_that_ends_when_a_parked_lease_takes_it(pending):
    worker, waiter = pending.client(), pending.client()
    damaged = JobEntry(new_id(), b"m", checksum(b"other"))
    pending.engine.enqueue([JobGroup("task", [damaged], delay_s=0.000_001)])
    pending.ask(worker, protocol.LEASE, LeaseRequest(new_id(), 10), 30.0)
    pending.ask(waiter, protocol.WAIT, [damaged.id], 30.0)
    assert pending.groups.run(pending.turns) == []
    ((connection, frame),) = pending.groups.run(pending.turns, chores=pending.engine.tick)
    assert connection is waiter
    assert protocol.WAIT.answer(frame[protocol.HEADER_BYTES :])[0].state is State.DEAD


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("run_schedule", ["nope"]),
        ("pause_schedule", ["nope"]),
        ("resume_schedule", ["nope"]),
        ("remove_schedule", ["nope"]),
        ("backfill_schedule", ["nope", 0.0, 1.0]),
        ("fork_workflow", [bytes(16), 0, bytes(16)]),
        ("signal", [bytes(16), "go", b"m\xc0"]),
        ("remove_queue", ["nope"]),
        ("delete_topic", ["nope"]),
    ],
)
def test_a_name_that_is_not_there_is_no_fault_of_the_store_nor_of_others(pending, groups, call, arguments):
    mistaken, other = pending.client(), pending.client()
    pending.ask(mistaken, protocol.CALLS[call], *arguments)
    pending.ask(other, protocol.ENQUEUE, groups(1))
    kinds = {connection: frame[protocol.HEADER_BYTES - 9] for connection, frame in pending.groups.run(pending.turns)}
    assert kinds == {mistaken: protocol.FAILURE, other: protocol.ANSWER}
    assert (pending.groups.counters.commits, pending.groups.faults.counts) == (1, {})
