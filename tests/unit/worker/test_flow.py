"""Settling against a store that refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from penstock.model.errors import BodyTooLarge, PenstockError, StoreUnavailable
from penstock.model.job import Outcomes
from penstock.worker import flow as module
from penstock.worker.flow import SETTLE_SECOND_JOBS, Flow
from penstock.worker.ledger import Piece


class Nobody:
    """No executors. Counts the turns of the flow: each looks for lanes once."""

    turns = 0

    def lanes_by_kind(self) -> dict[str, Any]:
        self.turns += 1
        return {}

    def ledgers(self) -> list[Any]:
        return []

    def holding(self) -> bool:
        return False


class Store:
    """Takes settlements, or raises what `refuse` answers for one."""

    def __init__(self, refuse: Any) -> None:
        self._refuse = refuse
        self.settled: list[int] = []
        self.lost: list[int] = []
        self.asked: list[list[int]] = []

    async def settle(self, outcomes: Outcomes) -> list[int]:
        self.asked.append(outcomes.forgotten)
        error = self._refuse(outcomes)
        if error is not None:
            raise error
        self.settled += outcomes.forgotten
        self.lost += [one.fence for one in outcomes.lost]
        return []


def settle(store: Store, jobs: int) -> Flow:
    """Settle so many jobs, however often it takes."""

    async def run() -> Flow:
        flow = Flow(b"h" * 16, None, Nobody())
        flow.start(store)
        empty = asyncio.Event()
        flow.on_empty = empty.set
        flow.settlement.forget(range(1, jobs + 1))
        flow.drain()
        await asyncio.wait_for(empty.wait(), 20.0)
        return flow

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)


def test_a_settlement_that_is_too_large_is_split_until_it_fits() -> None:
    store = Store(lambda outcomes: BodyTooLarge() if len(outcomes.forgotten) > 3 else None)
    flow = settle(store, 20)
    assert sorted(store.settled) == list(range(1, 21))
    assert flow.settlement.unsettled == 0


def test_one_outcome_that_is_refused_does_not_hold_up_the_others() -> None:
    store = Store(lambda outcomes: PenstockError("no") if 7 in outcomes.forgotten else None)
    settle(store, 20)
    assert sorted(store.settled) == [fence for fence in range(1, 21) if fence != 7]
    assert store.lost == [7]


def test_a_store_that_cannot_be_reached_is_sent_the_same_again() -> None:
    answers = iter([StoreUnavailable(), StoreUnavailable(), None])
    store = Store(lambda _: next(answers))
    settle(store, 4)
    assert store.asked == [[1, 2, 3, 4]] * 3


class TestPauses:
    """Between two settlements of a worker that has more jobs than its executors take."""

    def play(self, story: Callable[[Flow, Store], Awaitable[None]], run: Any = asyncio.run) -> list[list[int]]:
        store = Store(lambda _: None)

        async def whole() -> None:
            flow = Flow(b"h" * 16, None, Nobody())
            flow.start(store)
            flow._backlog.add("process", Piece([100, 101], ["t"], bytes(2), [None] * 2))
            try:
                await self.end(flow, [1])
                await story(flow, store)
            finally:
                flow.close()

        run(whole())
        return store.asked

    async def end(self, flow: Flow, fences: list[int]) -> None:
        """These jobs have succeeded; then everybody has a turn."""
        flow.settlement.forget(fences)
        flow.soon()
        for _ in range(20):
            await asyncio.sleep(0)

    @pytest.fixture
    def long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "SETTLE_PAUSE_S", 3_600.0)

    @pytest.mark.usefixtures("long")
    def test_a_few_outcomes_wait_for_more(self) -> None:
        async def story(flow: Flow, store: Store) -> None:
            await self.end(flow, [2])
            await self.end(flow, list(range(3, SETTLE_SECOND_JOBS)))
            assert store.asked == [[1]]
            await self.end(flow, [1_000, 1_001])

        assert self.play(story) == [[1], [*range(2, SETTLE_SECOND_JOBS), 1_000, 1_001]]

    @pytest.mark.usefixtures("long")
    def test_nothing_waits_once_the_executors_have_taken_all(self) -> None:
        async def story(flow: Flow, _: Store) -> None:
            await self.end(flow, [2])
            flow.drop({100, 101})
            await self.end(flow, [3])
            await self.end(flow, [4])

        assert self.play(story) == [[1], [2, 3], [4]]

    @pytest.mark.usefixtures("long")
    def test_nothing_waits_once_the_worker_leaves(self) -> None:
        async def story(flow: Flow, _: Store) -> None:
            await self.end(flow, [2])
            flow.drain()
            await self.end(flow, [])

        assert self.play(story) == [[1], [2]]

    @pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
    def test_they_are_settled_when_it_is_over_though_nothing_else_happens(self, run: Any) -> None:
        async def story(flow: Flow, _: Store) -> None:
            for fence in range(2, 8):
                await self.end(flow, [fence])
                async with asyncio.timeout(20.0):
                    while flow.settlement.unsettled:
                        await asyncio.sleep(0)
            assert flow._staffing.turns < 6 * 8, "the timer does not ring again and again"

        assert self.play(story, run) == [[fence] for fence in range(1, 8)]
