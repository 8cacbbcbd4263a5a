"""Calls become groups in one request, and answers become handles in the order of the calls."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from penstock import SourceCursor
from penstock.model import limits
from penstock.model.errors import BodyTooLarge, Conflict, InvalidArguments, InvalidOption, StaleCursor
from penstock.model.job import checksum
from penstock.tasks.app import Penstock
from penstock.testing.running import run_ready


@pytest.fixture
def pay(app: Penstock):
    @app.task(name="shop.pay")
    def pay(amount: int) -> int:
        return amount

    return pay


@pytest.fixture
def ship(app: Penstock):
    @app.task(name="shop.ship", queue="post")
    def ship(to: str) -> None: ...

    return ship


@pytest.fixture
def requests(store, monkeypatch):
    """The groups of every request that reached the store."""
    seen = []
    enqueue = store.enqueue

    def watched(groups, **options):
        seen.append(list(groups))
        return enqueue(groups, **options)

    monkeypatch.setattr(store, "enqueue", watched)
    return seen


def _either(app, calls, asynchronous, **options):
    if asynchronous:
        return asyncio.run(app.enqueue_many_async(calls, **options))
    return app.enqueue_many(calls, **options)


def test_one_job_is_one_request(pay, requests):
    job = pay.enqueue(3)
    [[group]] = requests
    [entry] = group.jobs
    assert (group.task, entry.id, entry.checksum) == ("shop.pay", job._id, checksum(entry.body))
    assert (job.state, job.duplicate, job.durability) == ("ready", False, "memory")


def test_one_job_from_a_coroutine_is_the_same(pay, requests):
    job = asyncio.run(pay.options(queue="money").enqueue_async(3))
    [[group]] = requests
    assert (group.queue, group.jobs[0].id, job.state, job.durability) == ("money", job._id, "ready", "memory")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_many_jobs_are_one_request_in_groups_of_those_alike(app, pay, ship, requests, asynchronous):
    later = [pay.options(delay_s=5).s(10), pay.options(delay_s=5).s(11)]
    calls = [pay.s(1), ship.s("a"), pay.s(2), later[0], ship.s("b"), later[1]]
    jobs = _either(app, calls, asynchronous)
    [groups] = requests
    assert [(group.task, group.queue, group.delay_s, len(group.jobs)) for group in groups] == [
        ("shop.pay", "default", None, 2),
        ("shop.ship", "post", None, 2),
        ("shop.pay", "default", 5.0, 2),
    ]
    assert [job.task for job in jobs] == [call.task.name for call in calls]
    assert [job.state for job in jobs] == ["ready", "ready", "ready", "scheduled", "ready", "scheduled"]
    bodies = [view.body for view in app.client.get([job._id for job in jobs], body=True)]
    assert [call.task.decode(body) for call, body in zip(calls, bodies, strict=True)] == [
        (call.args, call.kwargs) for call in calls
    ]


def test_ids_rise_in_the_order_of_the_calls(app, pay, ship):
    ids = [job.id for job in app.enqueue_many(itertools.chain(*([pay.s(n), ship.s("a")] for n in range(50))))]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_calls_are_no_request(app, requests, asynchronous):
    assert _either(app, [], asynchronous) == []
    assert requests == []


def test_a_wrong_argument_refuses_all_and_a_note_says_which_call_it_was(app, pay, requests):
    with pytest.raises(InvalidArguments) as caught:
        app.enqueue_many([pay.s(1), pay.s("2")])
    assert caught.value.field == "amount"
    assert "call 1 of 2" in caught.value.__notes__[0]
    assert requests == []


def test_more_jobs_than_a_request_holds_are_refused_without_reading_them_all(app, pay):
    endless = (pay.s(n) for n in itertools.count())
    with pytest.raises(InvalidOption, match="BATCH_JOBS_MAX"):
        app.enqueue_many(endless)


def test_as_many_jobs_as_a_request_holds_pass(app, pay):
    assert len(app.enqueue_many(pay.s(n) for n in range(limits.BATCH_JOBS_MAX))) == limits.BATCH_JOBS_MAX


def test_more_bytes_than_a_request_holds_are_refused(app, ship):
    large = "a" * (limits.JOB_BODY_BYTES_MAX - 100)
    with pytest.raises(BodyTooLarge, match="REQUEST_BYTES_MAX"):
        app.enqueue_many([ship.s(large)] * 5)


def test_a_task_of_another_application_is_refused(app, store):
    other = Penstock(store=store).task(name="other.task")(lambda: None)
    with pytest.raises(InvalidOption, match=r"other\.task"):
        app.enqueue_many([other.s()])


def test_the_same_key_and_arguments_are_the_same_job(app, pay):
    keyed = pay.options(idempotency_key="order-1")
    first, second = keyed.enqueue(3), keyed.enqueue(3)
    assert (second.id, second.duplicate, first.duplicate) == (first.id, True, False)
    batch = app.enqueue_many([pay.s(9), keyed.s(3)])
    assert [job.duplicate for job in batch] == [False, True]
    assert batch[1].id == first.id


def test_equal_calls_are_one_job_whichever_way_and_whichever_came_first(app):
    @app.task(name="shop.price")
    def price(x: float, notes: dict[str, str] | None = None) -> None: ...

    @app.task(name="shop.price_async")
    async def price_async(x: float, notes: dict[str, str] | None = None) -> None: ...

    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    for task in (price, price_async):
        for index, (first, *later) in enumerate([(3.0, 3, 3.0), (3, 3.0, 3)]):
            keyed = task.options(idempotency_key=f"k{index}")
            made = keyed.enqueue(first, one)
            again = [keyed.enqueue(x=value, notes=notes) for value in later for notes in (one, other)]
            again += [asyncio.run(keyed.enqueue_async(value, notes=other)) for value in later]
            again += app.enqueue_many([keyed.s(value, other) for value in later])
            again += asyncio.run(app.enqueue_many_async([keyed.s(x=value, notes=other) for value in later]))
            assert {(job.id, job.duplicate) for job in again} == {(made.id, True)}


def test_a_call_by_name_runs_by_name_at_a_later_version_after_a_retry(app, work, store, clock):
    ran: list[str] = []

    @app.task(name="shop.transfer")
    def transfer(source: str, target: str, amount: int = 0) -> None:
        raise OSError

    job = transfer.options(idempotency_key="k").enqueue(source="alice", target="bob")
    work()
    later = Penstock(store=store)

    @later.task(name="shop.transfer")
    def transfer_2(target: str, source: str, amount: int = 0) -> None:
        ran.append(f"{source}->{target}")

    assert transfer_2.options(idempotency_key="k").enqueue(source="alice", target="bob").id == job.id
    clock.advance(60)
    store.tick()
    assert run_ready(later, store, clock) == 1
    assert ran == ["alice->bob"]


def test_the_same_key_with_other_arguments_is_a_conflict(app, pay):
    keyed = pay.options(idempotency_key="order-1")
    first = keyed.enqueue(3)
    for clash in [
        lambda: keyed.enqueue(4),
        lambda: asyncio.run(keyed.enqueue_async(4)),
        lambda: app.enqueue_many([pay.s(9), keyed.s(4)]),
    ]:
        with pytest.raises(Conflict, match=rf"shop\.pay.*order-1.*{first.id}"):
            clash()


def test_a_conflict_among_many_enqueues_nothing(app, pay, store):
    pay.options(idempotency_key="order-1").enqueue(3)
    with pytest.raises(Conflict):
        app.enqueue_many([pay.s(9), pay.options(idempotency_key="order-1").s(4)])
    assert store.stats().queues["default"].accepted_total == 1


def test_a_signature_shows_what_it_calls(pay):
    assert repr(pay.s(3)) == "shop.pay.s(3)"
    assert repr(pay.s(amount=3)) == "shop.pay.s(amount=3)"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_many_jobs_move_the_position_of_their_source_with_them(app, pay, store, asynchronous):
    first, second = SourceCursor("sales", "0", 10), SourceCursor("sales", "0", 20)
    assert len(_either(app, [pay.s(1), pay.s(2)], asynchronous, cursor=first)) == 2
    assert _either(app, [], asynchronous, cursor=second) == []
    assert store.cursors("sales") == [second]
    with pytest.raises(StaleCursor):
        _either(app, [pay.s(3)], asynchronous, cursor=second)
    assert store.stats().queues["default"].ready == 2
