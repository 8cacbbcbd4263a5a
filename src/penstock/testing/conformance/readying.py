"""Claims about leases that wait: each hears when a job becomes ready, however that happens."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import pytest
from msgspec.structs import replace

from penstock.model.flow import ConcurrencyRule, RateRule, Rule, TaskFlow
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, LeaseRequest, Lost, Outcomes, Refused, Retried, TaskRecord, checksum
from penstock.model.lines import Closed
from penstock.model.losses import Loss
from penstock.ports import AsyncStore
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.async_kit import LONG_S, AsyncStoreClaims, is_waiting, put, take
from penstock.testing.conformance.kit import BODY, ERROR, HOLDER, OTHER_HOLDER, entry, group

Act = Callable[[], Awaitable[object]]
Hide = Callable[[AsyncStore, VirtualClock, bytes], Awaitable[Act]]
"""Makes a ready job one that no lease finds. Answers what makes it ready again."""


async def _another_is_first(store: AsyncStore, scope: str, rule: Rule) -> list[int]:
    """Limit a queue or a task, and lease another job of it. Answers its fence."""
    await store.put_limits(scope, [rule])
    await put(store, queue="here", priority=1)
    return await take(store)


async def _its_limit_has_room(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    fences = await _another_is_first(store, "task:app.work", ConcurrencyRule(1))
    return partial(store.settle, Outcomes(HOLDER, forgotten=fences))


async def _its_limit_is_raised(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    await _another_is_first(store, "queue:here", ConcurrencyRule(1))
    return partial(store.put_limits, "queue:here", [ConcurrencyRule(2)])


async def _its_limit_is_taken_away(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    await _another_is_first(store, "queue:here", RateRule(1, per_s=3_600.0))
    return partial(store.restore_limits, "queue:here")


async def _its_rate_lets_it(store: AsyncStore, clock: VirtualClock, __: bytes) -> Act:
    await _another_is_first(store, "task:app.work", RateRule(1, per_s=1.0))
    clock.advance(0.5)
    await store.tick()

    async def fill() -> None:
        clock.advance(0.5)
        await store.tick()

    return fill


async def _its_queue_opens(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    await store.close_lines(Closed.PAUSED, queue="here")
    return partial(store.open_lines, queue="here")


async def _its_task_opens(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    await store.close_lines(Closed.RATE, task="app.work")
    return partial(store.open_lines, task="app.work")


async def _it_is_moved(store: AsyncStore, _: VirtualClock, job: bytes) -> Act:
    await store.move([job], "elsewhere")
    return partial(store.move, [job], "here")


async def _it_is_edited(store: AsyncStore, clock: VirtualClock, job: bytes) -> Act:
    await store.edit([job], run_at=clock.time() + 900.0)
    return partial(store.edit, [job], run_at=clock.time())


async def _it_is_revived(store: AsyncStore, _: VirtualClock, job: bytes) -> Act:
    await store.cancel([job])
    return partial(store.revive, [job])


async def _it_is_retried(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    return partial(store.settle, Outcomes(HOLDER, retried=[Retried((await take(store))[0], 0.0, ERROR)]))


async def _it_is_lost(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    return partial(store.settle, Outcomes(HOLDER, lost=[Lost((await take(store))[0], Loss.BLAMED, ERROR)]))


async def _it_is_refused(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    return partial(store.settle, Outcomes(HOLDER, refused=[Refused((await take(store))[0], ERROR)]))


async def _its_holder_does_not_list_it(store: AsyncStore, _: VirtualClock, __: bytes) -> Act:
    await take(store)
    return partial(store.reconcile, HOLDER, [])


async def _its_lease_ends(store: AsyncStore, clock: VirtualClock, __: bytes) -> Act:
    await store.lease(LeaseRequest(HOLDER, 1, lease_s=1.0))
    clock.advance(1.0)
    return store.tick


async def _it_is_a_child(store: AsyncStore, _: VirtualClock, job: bytes) -> Act:
    await store.delete([job])
    await put(store, queue="elsewhere")
    (fence,) = await take(store)
    children = [(fence, [group(entry(job_id=job), queue="here")])]
    return partial(store.settle, Outcomes(HOLDER, forgotten=[fence], children=children))


async def _its_key_has_a_slot_again(store: AsyncStore, _: VirtualClock, job: bytes) -> Act:
    (fence,) = await _two_of_a_key(store, job, ConcurrencyRule(1, per="tenant"))
    return partial(store.settle, Outcomes(HOLDER, forgotten=[fence]))


async def _a_token_of_its_key_comes_in(store: AsyncStore, clock: VirtualClock, job: bytes) -> Act:
    await _two_of_a_key(store, job, RateRule(1, per_s=1.0, per="tenant"))
    clock.advance(1.1)
    return store.tick


async def _two_of_a_key(store: AsyncStore, job: bytes, rule: Rule) -> list[int]:
    """Another job of its key is leased, and it is blocked. Answers that lease's fence."""
    await store.delete([job])
    await store.register_tasks([TaskRecord("app.work", flow=TaskFlow(limits=(rule,)))])
    first, second = (JobEntry(one, BODY, checksum(BODY), values={"tenant": "acme"}) for one in (new_id(), job))
    await store.enqueue([group(first, second, queue="here")])
    return await take(store)


HIDES: Final[list[Hide]] = [
    _its_queue_opens,
    _its_task_opens,
    _it_is_moved,
    _it_is_edited,
    _it_is_revived,
    _it_is_retried,
    _it_is_lost,
    _it_is_refused,
    _its_holder_does_not_list_it,
    _its_lease_ends,
    _it_is_a_child,
    _its_limit_has_room,
    _its_limit_is_raised,
    _its_limit_is_taken_away,
    _its_rate_lets_it,
    _its_key_has_a_slot_again,
    _a_token_of_its_key_comes_in,
]


class ReadyingClaims(AsyncStoreClaims):
    """Leases that are parked, and what ends their waiting."""

    @pytest.mark.parametrize("hide", HIDES, ids=lambda hide: hide.__name__.strip("_"))
    def test_a_lease_hears_however_a_job_becomes_ready(self, hide: Hide) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            (job,) = await put(store, queue="here")
            act = await hide(store, clock, job)
            request = LeaseRequest(OTHER_HOLDER, 5, queues=["here"], tasks=["app.work"])
            waiting = asyncio.ensure_future(store.lease(request, wait_s=LONG_S))
            assert await is_waiting(store, waiting)
            await act()
            assert [one.id for one in (await waiting).jobs] == [job]

        self.tell(claim)

    def test_a_lease_that_takes_no_limited_jobs_hears_of_the_first_limits(self) -> None:
        """What it said did not matter so far. It is asked again; one that takes any number is not."""

        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            asked = [LeaseRequest(OTHER_HOLDER, 5, limited=limited) for limited in (0, 3, None)]
            waiting = [asyncio.ensure_future(store.lease(request, wait_s=LONG_S)) for request in asked]
            await asyncio.sleep(0)
            for one in waiting:
                assert await is_waiting(store, one)
            await store.put_limits("queue:here", [ConcurrencyRule(1)])
            for one in waiting[:2]:
                batch = await one
                assert (batch.jobs, batch.limited) == ([], [])
            again = asyncio.ensure_future(store.lease(replace(asked[0], queues=["here"]), wait_s=LONG_S))
            await asyncio.sleep(0)
            await store.put_limits("queue:there", [ConcurrencyRule(1)])
            assert await is_waiting(store, again)
            assert await is_waiting(store, waiting[2])
            await put(store, queue="elsewhere")
            assert len((await waiting[2]).jobs) == 1
            again.cancel()

        self.tell(claim)
