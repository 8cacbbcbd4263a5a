"""Settling against a store that refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.model.errors import BodyTooLarge, PenstockError, StoreUnavailable
from penstock.model.job import Outcomes
from penstock.worker import flow as module
from penstock.worker.flow import Flow


class Nobody:
    """No executors."""

    def lanes_by_kind(self) -> dict[str, Any]:
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
