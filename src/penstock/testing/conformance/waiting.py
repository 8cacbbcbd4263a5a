"""Claims about waiting: a lease for jobs that are ready, a wait for jobs to end."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import new_id
from penstock.model.job import (
    Buried,
    Extension,
    Filter,
    LeasedJob,
    LeaseRequest,
    Lost,
    Outcomes,
    Refused,
    Retried,
    Settled,
    Succeeded,
)
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import AsyncStore
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.async_kit import (
    LONG_S,
    SHORT_S,
    AsyncStoreClaims,
    fences_of,
    is_waiting,
    let_pass,
    put,
    take,
)
from penstock.testing.conformance.kit import ERROR, HOLDER, OTHER_HOLDER, entry, group


async def _succeeds(store: AsyncStore, clock: VirtualClock, _: bytes) -> None:
    done = Succeeded((await take(store))[0], clock.time(), clock.time())
    await store.settle(Outcomes(HOLDER, succeeded=[done]))


async def _succeeds_and_is_forgotten(store: AsyncStore, _: VirtualClock, __: bytes) -> None:
    await store.settle(Outcomes(HOLDER, forgotten=await take(store)))


async def _fails(store: AsyncStore, _: VirtualClock, __: bytes) -> None:
    await store.settle(Outcomes(HOLDER, buried=[Buried((await take(store))[0], ERROR)]))


async def _is_lost_too_often(store: AsyncStore, _: VirtualClock, __: bytes) -> None:
    for _time in range(limits.LOSSES_MAX):
        await store.settle(Outcomes(HOLDER, lost=[Lost((await take(store))[0], Loss.BLAMED, ERROR)]))


async def _is_cancelled(store: AsyncStore, _: VirtualClock, job: bytes) -> None:
    await store.cancel([job])


async def _is_cancelled_by_filter(store: AsyncStore, _: VirtualClock, __: bytes) -> None:
    await store.cancel_where(Filter())


async def _succeeds_among_many(store: AsyncStore, _: VirtualClock, __: bytes) -> None:
    await put(store, *(new_id() for _ in range(100)))
    await store.settle(Outcomes(HOLDER, forgotten=await take(store, 101)))


async def _is_cancelled_and_its_lease_ends(store: AsyncStore, clock: VirtualClock, job: bytes) -> None:
    await store.lease(LeaseRequest(HOLDER, 1, lease_s=1.0))
    await store.cancel([job])
    clock.advance(1.0)
    await store.tick()


async def _is_cancelled_and_its_holder_has_forgotten_it(store: AsyncStore, _: VirtualClock, job: bytes) -> None:
    await take(store)
    await store.cancel([job])
    await store.reconcile(HOLDER, [])


async def _is_cancelled_while_it_runs(store: AsyncStore, _: VirtualClock, job: bytes) -> None:
    (fence,) = await take(store)
    await store.cancel([job])
    await store.settle(Outcomes(HOLDER, retried=[Retried(fence, 0.0, ERROR)]))


async def _expires(store: AsyncStore, clock: VirtualClock, _: bytes) -> None:
    clock.advance(1.0)
    await store.tick()


async def _is_too_late_for_a_lease(store: AsyncStore, clock: VirtualClock, _: bytes) -> None:
    clock.advance(1.0)
    assert await take(store) == []


async def _expires_when_it_comes_back(store: AsyncStore, clock: VirtualClock, _: bytes) -> None:
    fences = await take(store)
    clock.advance(1.0)
    await store.settle(Outcomes(HOLDER, released=fences))


async def _is_deleted(store: AsyncStore, _: VirtualClock, job: bytes) -> None:
    await store.delete([job])


async def _is_deleted_by_filter(store: AsyncStore, _: VirtualClock, __: bytes) -> None:
    await store.delete_where(Filter())


End = Callable[[AsyncStore, VirtualClock, bytes], Awaitable[None]]

ENDS: Final[dict[End, State | None]] = {
    _succeeds: State.SUCCEEDED,
    _succeeds_and_is_forgotten: None,
    _succeeds_among_many: None,
    _fails: State.DEAD,
    _is_lost_too_often: State.DEAD,
    _is_cancelled: State.CANCELLED,
    _is_cancelled_by_filter: State.CANCELLED,
    _is_cancelled_while_it_runs: State.CANCELLED,
    _is_cancelled_and_its_lease_ends: State.CANCELLED,
    _is_cancelled_and_its_holder_has_forgotten_it: State.CANCELLED,
    _expires: State.EXPIRED,
    _is_too_late_for_a_lease: State.EXPIRED,
    _expires_when_it_comes_back: State.EXPIRED,
    _is_deleted: None,
    _is_deleted_by_filter: None,
}
"""Ways in which a job ends, and what is left of it."""


class WaitingClaims(AsyncStoreClaims):
    """Leases and waits that are parked."""

    # --- a lease waits -----------------------------------------------------------------------------------------------
    def test_a_lease_waits_for_a_job_and_has_it(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            waiting = asyncio.ensure_future(store.lease(LeaseRequest(HOLDER, 5), wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            ids = await put(store)
            batch = await waiting
            assert [job.id for job in batch.jobs] == ids
            assert await store.settle(Outcomes(HOLDER, fences_of(batch))) == Settled([])

        self.tell(claim)

    def test_a_lease_that_finds_jobs_does_not_wait(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            await put(store)
            assert len((await store.lease(LeaseRequest(HOLDER, 5), wait_s=LONG_S)).jobs) == 1

        self.tell(claim)

    def test_a_lease_waits_only_for_what_it_asks_for(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            queue = LeaseRequest(HOLDER, 5, queues=["b"])
            task = LeaseRequest(OTHER_HOLDER, 5, tasks=["app.other"])
            waits = [asyncio.ensure_future(store.lease(each, wait_s=LONG_S)) for each in (queue, task)]
            assert await is_waiting(store, waits[0])
            await put(store, queue="a")
            assert await is_waiting(store, waits[0])
            assert await is_waiting(store, waits[1])
            of_queue, of_task = await put(store, queue="b"), await put(store, task="app.other")
            batches = await asyncio.gather(*waits)
            assert [[job.id for job in batch.jobs] for batch in batches] == [of_queue, of_task]

        self.tell(claim)

    def test_a_job_that_becomes_due_ends_the_wait(self) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            ids = await put(store, delay_s=1.0)
            waiting = asyncio.ensure_future(store.lease(LeaseRequest(HOLDER, 5), wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            clock.advance(1.0)
            await store.tick()
            assert [job.id for job in (await waiting).jobs] == ids

        self.tell(claim)

    def test_a_job_that_is_given_back_ends_another_s_wait(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            ids = await put(store)
            fences = await take(store)
            waiting = asyncio.ensure_future(store.lease(LeaseRequest(OTHER_HOLDER, 5), wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            await store.settle(Outcomes(HOLDER, released=fences))
            assert [job.id for job in (await waiting).jobs] == ids

        self.tell(claim)

    def test_a_job_ends_the_wait_of_one_lease(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            holders = (HOLDER, OTHER_HOLDER)
            waits = [asyncio.ensure_future(store.lease(LeaseRequest(one, 5), wait_s=LONG_S)) for one in holders]
            assert await is_waiting(store, waits[0])
            await put(store)
            done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            assert [len(one.result().jobs) for one in done] == [1]
            assert await is_waiting(store, *left)
            await put(store)
            assert len((await left.pop()).jobs) == 1

        self.tell(claim)

    def test_a_lease_that_waited_long_enough_is_empty(self) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            waiting = asyncio.ensure_future(store.lease(LeaseRequest(HOLDER, 5), wait_s=SHORT_S))
            assert (await let_pass(store, clock, waiting)).jobs == []
            await put(store)
            assert len(await take(store)) == 1, "nothing is leased to a lease that is over"

        self.tell(claim)

    def test_a_lease_whose_caller_is_cancelled_takes_nothing(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            waiting = asyncio.ensure_future(store.lease(LeaseRequest(OTHER_HOLDER, 5), wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            waiting.cancel()
            await asyncio.wait([waiting])
            await put(store)
            assert len(await take(store)) == 1

        self.tell(claim)

    def test_a_packed_lease_has_the_same_jobs(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            waiting = asyncio.ensure_future(store.lease_packed(LeaseRequest(HOLDER, 5), wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            ids = await put(store, new_id(), new_id(), headers={"h": "x"})
            batch = await waiting
            jobs = [msgspec.msgpack.decode(job, type=LeasedJob) for job in batch.jobs]
            assert [job.id for job in jobs] == ids
            assert [batch.tasks[place] for place in batch.task_of] == ["app.work"] * 2
            fences = [batch.first_fence, batch.first_fence + 1]
            assert (await store.extend(Extension(HOLDER, fences))).lost == []

        self.tell(claim)

    # --- a wait for jobs ---------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__.strip("_"))
    def test_a_wait_ends_however_the_job_does(self, end: End) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            (job,) = await put(store, expires_s=1.0)
            waiting = asyncio.ensure_future(store.wait([job], wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            await end(store, clock, job)
            (view,) = await waiting
            assert (view and view.state) == ENDS[end]

        self.tell(claim)

    def test_a_wait_ends_when_a_job_is_found_corrupt(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            damaged = entry()
            await store.enqueue([group(replace(damaged, checksum=damaged.checksum ^ 1))])
            waiting = asyncio.ensure_future(store.wait([damaged.id], wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            assert await take(store) == []
            (view,) = await waiting
            assert (view and view.state) is State.DEAD

        self.tell(claim)

    def test_a_wait_ends_when_a_job_is_given_up(self) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            (job,) = await put(store)
            step_s = limits.HOLDER_ALIVE_S / 2

            async def refuse_for(seconds: float) -> None:
                for _ in range(int(seconds / step_s)):
                    await store.settle(Outcomes(HOLDER, refused=[Refused(one, ERROR) for one in await take(store)]))
                    clock.advance(step_s)
                    await store.tick()

            await refuse_for(limits.REFUSED_S - step_s)
            waiting = asyncio.ensure_future(store.wait([job], wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            await refuse_for(step_s)
            (view,) = await waiting
            assert (view and view.state) is State.DEAD

        self.tell(claim)

    def test_a_wait_is_for_all_its_jobs(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            first, second = await put(store, new_id(), new_id())
            waiting = asyncio.ensure_future(store.wait([first, second, new_id()], wait_s=LONG_S))
            await store.cancel([first])
            assert await is_waiting(store, waiting)
            await store.cancel([second])
            views = await waiting
            assert [view and view.state for view in views] == [State.CANCELLED, State.CANCELLED, None]

        self.tell(claim)

    def test_a_wait_for_what_has_ended_or_was_never_there_is_none(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            ids = await put(store)
            await store.cancel(ids)
            views = await store.wait([*ids, new_id()], wait_s=LONG_S)
            assert [view and view.state for view in views] == [State.CANCELLED, None]

        self.tell(claim)

    def test_a_wait_that_took_long_enough_shows_the_jobs_as_they_are(self) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            ids = await put(store)
            waiting = asyncio.ensure_future(store.wait(ids, wait_s=SHORT_S))
            (view,) = await let_pass(store, clock, waiting)
            assert view.state is State.READY

        self.tell(claim)

    def test_a_wait_brings_the_result_where_it_is_asked_for(self) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            ids = await put(store)
            waits = [asyncio.ensure_future(store.wait(ids, wait_s=LONG_S, result=each)) for each in (True, False)]
            assert await is_waiting(store, waits[0])
            done = Succeeded((await take(store))[0], clock.time(), clock.time(), b"m\x2a")
            await store.settle(Outcomes(HOLDER, succeeded=[done]))
            views = [view for (view,) in await asyncio.gather(*waits)]
            assert [view and (view.result, view.result_kept) for view in views] == [(b"m\x2a", True), (None, True)]

        self.tell(claim)

    def test_a_time_that_is_none_is_refused(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            with pytest.raises(InvalidOption):
                await store.wait([new_id()], wait_s=float("nan"))
            with pytest.raises(InvalidOption):
                await store.lease(LeaseRequest(HOLDER, 1), wait_s=float("nan"))

        self.tell(claim)
