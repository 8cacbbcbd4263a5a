"""Claims about waiting for a workflow: it is answered by the transaction in which the workflow ends."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from penstock.model.ids import new_id
from penstock.model.job import Buried, Cancelled, Outcomes, Succeeded
from penstock.ports import AsyncStore
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.async_kit import LONG_S, SHORT_S, AsyncStoreClaims, is_waiting, let_pass, take
from penstock.testing.conformance.kit import ERROR, HOLDER
from penstock.testing.conformance.workflow_kit import job, plan


async def _succeeds(store: AsyncStore, clock: VirtualClock, fence: int, _: bytes) -> str:
    await store.settle(Outcomes(HOLDER, succeeded=[Succeeded(fence, clock.time(), clock.time())]))
    return "succeeded"


async def _fails(store: AsyncStore, _: VirtualClock, fence: int, __: bytes) -> str:
    await store.settle(Outcomes(HOLDER, buried=[Buried(fence, ERROR)]))
    return "failed"


async def _is_cancelled(store: AsyncStore, _: VirtualClock, fence: int, workflow: bytes) -> str:
    await store.cancel_workflow(workflow)
    await store.settle(Outcomes(HOLDER, cancelled=[Cancelled(fence)]))
    return "cancelled"


class WorkflowWaitingClaims(AsyncStoreClaims):
    """Workflows are waited for."""

    @pytest.mark.parametrize("ends", [_succeeds, _fails, _is_cancelled])
    def test_a_wait_is_answered_when_the_workflow_is_over(
        self, ends: Callable[[AsyncStore, VirtualClock, int, bytes], Awaitable[str]]
    ) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            made = plan(job("a"), job("b", after=[0]))
            await store.start_workflow(made)
            waiting = asyncio.ensure_future(store.wait_workflow(made.id, wait_s=LONG_S))
            (fence,) = await take(store)
            await store.settle(Outcomes(HOLDER, forgotten=[fence]))
            assert await is_waiting(store, waiting)
            (fence,) = await take(store)
            state = await ends(store, clock, fence, made.id)
            view = await waiting
            assert view is not None
            assert view.state == state

        self.tell(claim)

    def test_one_that_is_over_or_unknown_is_answered_at_once(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            made = plan(job("a"))
            await store.start_workflow(made)
            await store.cancel_workflow(made.id)
            view = await store.wait_workflow(made.id, wait_s=LONG_S)
            assert view is not None
            assert view.state == "cancelled"
            assert await store.wait_workflow(new_id(), wait_s=LONG_S) is None

        self.tell(claim)

    def test_when_the_time_is_up_it_is_answered_as_it_is(self) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            made = plan(job("a"))
            await store.start_workflow(made)
            waiting = asyncio.ensure_future(store.wait_workflow(made.id, wait_s=SHORT_S))
            view = await let_pass(store, clock, waiting)
            assert view.state == "running"
            view = await store.wait_workflow(made.id, wait_s=0.0)
            assert view is not None
            assert view.finished_at is None

        self.tell(claim)
