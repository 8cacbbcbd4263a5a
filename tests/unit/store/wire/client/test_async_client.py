import asyncio
import threading

import msgspec
import pytest

from penstock.model import limits
from penstock.model.deliveries import delivering_holder, door_holders
from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.model.job import EnqueueAnswer, LeaseRequest, Outcomes
from penstock.store.wire import protocol
from penstock.store.wire.client.async_client import AsyncClient

HOLDER = LeaseRequest(b"h" * 16, 10)


def story(served):
    """Runs a coroutine function with a client that is closed afterwards."""

    def decorate(tell):
        async def run():
            client = AsyncClient(served.dial)
            try:
                await tell(client)
            finally:
                await client.close()

        asyncio.run(run())

    return decorate


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_callers_at_the_same_time_share_a_request(served, groups):
    @story(served)
    async def _(client):
        answers = await asyncio.gather(*(client.enqueue(groups(number)) for number in range(500)))
        assert answers == [EnqueueAnswer(1, [])] * 500
        assert client.statistics().requests <= 500 // 64 + 3
        assert (await client.stats()).queues["default"].accepted_total == 500


def test_one_callers_fault_is_told_to_it_alone(served, groups):
    @story(served)
    async def _(client):
        asked = [client.enqueue(groups(number, priority=1_000 if number == 3 else 0)) for number in range(6)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(answer, InvalidOption) for answer in answers] == [number == 3 for number in range(6)]


def test_the_jobs_of_a_lease_may_be_left_unparsed(served, groups):
    @story(served)
    async def _(client):
        await client.enqueue(groups(1, 2, 3))
        batch = await client.lease_packed(HOLDER)
        assert [type(job) for job in batch.jobs] == [msgspec.Raw] * 3
        assert msgspec.msgpack.decode(batch.jobs[1])[3] == b"m2"


def test_leases_extensions_and_settlements_are_in_flight_together(served, groups):
    @story(served)
    async def _(client):
        parked = asyncio.create_task(client.lease(HOLDER, 30.0))
        await until(lambda: served.owner.statistics().parked_leases)
        assert (await client.settle(Outcomes(HOLDER.holder, forgotten=[1]))).stale == [1]
        await client.enqueue(groups(1))
        assert len((await parked).jobs) == 1


def test_a_cancelled_lease_leaves_the_owner_and_takes_no_job_along(served, groups):
    @story(served)
    async def _(client):
        parked = asyncio.create_task(client.lease(HOLDER, 30.0))
        await until(lambda: served.owner.statistics().parked_leases)
        parked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await parked
        await client.enqueue(groups(1))
        assert served.owner.statistics().parked_leases == 0
        assert len((await client.lease(HOLDER)).jobs) == 1


def test_a_cancelled_lease_is_given_back_also_when_there_is_no_room_for_that_request(served, groups, monkeypatch):
    monkeypatch.setattr(limits, "CLIENT_REQUESTS_MAX", 1)

    @story(served)
    async def _(client):
        await client.enqueue(groups(1))
        batch = await client.lease(HOLDER)
        unanswered = client._session.ask(protocol.ENQUEUE.kind, b"", float("inf"), recorded=True)
        client._release(HOLDER.holder, protocol.encode(batch))
        assert len(client._giving_back) == 1
        client._session.give_up(unanswered)
        client._wake_room()
        await until(lambda: not client._giving_back)
        assert len((await client.lease(HOLDER)).jobs) == 1


def test_after_a_cut_unanswered_requests_are_repeated_and_leases_not_held_are_given_back(served, groups):
    async def run():
        held = []
        client = AsyncClient(served.dial, held=lambda: held)
        await client.enqueue(groups(*range(4)))
        kept = await client.lease(LeaseRequest(b"h" * 16, 2))
        held += [kept.first_fence, kept.first_fence + 1]
        # As if the answer to this lease had been lost on the way.
        await client.lease(LeaseRequest(b"h" * 16, 2))
        client._delivered._recent.clear()
        parked = asyncio.create_task(client.lease(LeaseRequest(b"other" + bytes(11), 2), 30.0))
        await until(lambda: served.owner.statistics().parked_leases)
        served.cut()
        assert len((await parked).jobs) == 2
        counts = (await client.stats()).queues["default"]
        assert (counts.running, counts.released_total) == (4, 2)
        assert (await client.settle(Outcomes(HOLDER.holder, forgotten=held))).stale == []
        await client.close()

    asyncio.run(run())


def test_outcomes_on_their_way_survive_a_cut_although_their_jobs_are_not_held_any_more(served, groups):
    async def run():
        client = AsyncClient(served.dial, held=list)
        await client.enqueue(groups(*range(5)))
        batch = await client.lease(HOLDER)
        client._delivered._recent.clear()
        served.cut()
        assert (
            await client.settle(Outcomes(HOLDER.holder, forgotten=[batch.first_fence + index for index in range(5)]))
        ).stale == []
        assert (await client.stats()).queues["default"].released_total == 0
        assert client.statistics().connections == 2
        await client.close()

    asyncio.run(run())


def test_the_connections_of_a_door_are_reconciled_by_the_front_of_their_names(served, groups):
    async def run():
        held = []
        client = AsyncClient(served.dial, held=lambda: held, holders=door_holders(b"door"))
        await client.enqueue(groups(*range(5)))
        batches = [await client.lease(LeaseRequest(delivering_holder(b"door", number), 1)) for number in range(5)]
        held += [batch.first_fence for batch in batches[:3]]
        client._delivered._recent.clear()
        served.cut()
        again = await client.lease(LeaseRequest(delivering_holder(b"door", 9), 5), 30.0)
        assert [job.attempt for job in again.jobs] == [2, 2]
        counts = (await client.stats()).queues["default"]
        assert (counts.running, counts.retried_total) == (5, 2)
        await client.close()

    asyncio.run(run())


def test_it_works_on_uvloop(served, groups):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is optional")

    async def run():
        client = AsyncClient(served.dial)
        answers = await asyncio.gather(*(client.enqueue(groups(number)) for number in range(50)))
        served.cut()
        assert len((await client.lease(LeaseRequest(b"h" * 16, 50))).jobs) == sum(each.accepted for each in answers)
        await client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_an_owner_that_cannot_be_reached_ends_every_request_in_a_typed_error():
    def dial(_):
        raise StoreUnavailable("nobody there")

    async def run():
        client = AsyncClient(dial, reach_s=0.2)
        with pytest.raises(StoreUnavailable, match="nobody there"):
            await client.capabilities()
        await client.close()

    asyncio.run(run())


def test_closing_ends_what_is_in_flight(served):
    async def run():
        client = AsyncClient(served.dial)
        parked = asyncio.create_task(client.lease(HOLDER, 30.0))
        await until(lambda: served.owner.statistics().parked_leases)
        await client.close()
        await client.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await parked
        with pytest.raises(StoreUnavailable, match="closed"):
            await client.capabilities()

    asyncio.run(run())


def test_who_was_called_in_and_is_cancelled_leaves_its_turn_to_the_next(served, groups, monkeypatch):
    monkeypatch.setattr(limits, "CLIENT_REQUESTS_MAX", 1)

    @story(served)
    async def tell(client):
        await client.capabilities()
        held = client._session.ask(protocol.ENQUEUE.kind, b"", float("inf"), recorded=True)
        calls = [protocol.ENQUEUE, protocol.ENQUEUE.shape(groups(1))]
        first, second = (asyncio.ensure_future(client.ask(*calls)) for _ in range(2))
        await until(lambda: len(client._room) == 2)
        client._session.give_up(held)
        client._wake_room()
        # Twice, before it has had its turn.
        first.cancel()
        first.cancel()
        assert (await second).accepted == 1
        with pytest.raises(asyncio.CancelledError):
            await first


def test_a_connection_that_fails_in_a_way_nobody_foresaw_is_told_at_once_and_tried_again(served, groups):
    ways = [served.dial, lambda _: 1 / 0]

    async def run():
        client = AsyncClient(lambda deadline: ways.pop()(deadline))
        with pytest.raises(StoreUnavailable, match="ZeroDivisionError"):
            await client.enqueue(groups(1))
        assert (await client.enqueue(groups(1))).accepted == 1
        await client.close()

    asyncio.run(run())


def test_where_no_thread_can_be_started_any_more_the_loop_dials_itself(served, groups, monkeypatch):
    async def run():
        client = AsyncClient(served.dial)

        def refuse(*_):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert (await client.enqueue(groups(1))).accepted == 1
        await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("turns", range(8))
def test_a_caller_that_is_cancelled_again_and_again_holds_nobody_up(served, groups, times, turns):
    @story(served)
    async def tell(client):
        worker = asyncio.ensure_future(client.lease(HOLDER, 30.0))
        caller = asyncio.ensure_future(client.enqueue(groups(1)))
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in (worker, caller):
            for _ in range(times):
                task.cancel()
                if times > 2:
                    await asyncio.sleep(0)
        await asyncio.gather(worker, caller, return_exceptions=True)
        assert (await client.enqueue(groups(2))).accepted == 1
        assert (await client.stats()).queues["default"].running == 0


def test_a_connection_that_comes_when_nobody_waits_for_it_any_more_is_closed(served):
    reached, go_on = threading.Event(), threading.Event()

    def dial(deadline):
        sock = served.dial(deadline)
        reached.set()
        go_on.wait()
        return sock

    async def run():
        client = AsyncClient(dial)
        waiting = asyncio.ensure_future(client.capabilities())
        await until(reached.is_set)
        await client.close()
        with pytest.raises(StoreUnavailable):
            await waiting
        go_on.set()
        await until(lambda: served.dialled[-1].fileno() < 0)

    asyncio.run(run())
