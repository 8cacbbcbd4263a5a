"""OutcomeBatch against a store that refuses; suspects on their way to executors of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest
import uvloop
from msgspec import Raw

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, PenstockError, StoreUnavailable
from penstock.model.job import Outcomes, PackedBatch, Settled
from penstock.worker.supervisor import flow as module
from penstock.worker.supervisor.dispatch import Asked
from penstock.worker.supervisor.flow import SETTLE_SECOND_JOBS, Flow
from penstock.worker.supervisor.lane_load import Piece


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

    async def settle(self, outcomes: Outcomes) -> Settled:
        self.asked.append(outcomes.forgotten)
        error = self._refuse(outcomes)
        if error is not None:
            raise error
        self.settled += outcomes.forgotten
        self.lost += [one.fence for one in outcomes.lost]
        return Settled([])


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


class Lone:
    """An executor for one suspect, as the flow sees it."""

    def __init__(self, *, is_ready: bool = False) -> None:
        self.is_ready = is_ready
        self.given_at: float | None = None
        self.given: list[tuple[str, list[int]]] = []
        self.busy = False
        self.left = False

    def run_alone(self, kind: str, piece: Piece, now: float) -> None:
        self.given.append((kind, list(piece.fences)))
        self.given_at, self.busy = now, True

    def holds(self) -> bool:
        return self.busy

    def leave(self) -> None:
        self.left = True


class Forkserver(Nobody):
    """Forks executors for suspects when asked."""

    def __init__(self) -> None:
        self.executors: list[Lone] = []
        self.starting = 0

    def lone(self) -> list[Lone]:
        return [one for one in self.executors if not one.left]

    def lone_starting(self) -> int:
        return self.starting

    def start_lone(self) -> None:
        self.executors.append(Lone())


class Leasing(Store):
    """Has one lease to give."""

    def __init__(self, batch: PackedBatch) -> None:
        super().__init__(lambda _: None)
        self.batch: PackedBatch | None = batch
        self.released: list[int] = []

    async def lease_packed(self, _request: Any, *, wait_s: float = 0.0) -> PackedBatch:
        batch, self.batch = self.batch, None
        return batch or PackedBatch(0, [], b"", [])

    async def settle(self, outcomes: Outcomes) -> Settled:
        self.released += outcomes.released
        return await super().settle(outcomes)


class TestSuspects:
    """Jobs that may have killed an executor."""

    def play(
        self, alone: list[int], story: Callable[[Flow, Leasing, Forkserver], Awaitable[None]], jobs: int = 4
    ) -> tuple[Flow, Leasing, Forkserver]:
        row = Raw(msgspec.msgpack.encode(b"row"))
        store, staffing = Leasing(PackedBatch(10, ["t"], bytes(jobs), [row] * jobs, alone)), Forkserver()

        async def whole() -> Flow:
            flow = Flow(b"h" * 16, None, cast(Any, staffing))
            flow.start(cast(Any, store))
            flow.catalogue.lane_of["t"] = "process"
            await flow._lease(Asked(None, jobs, 0))
            await self.turn(flow)
            try:
                await story(flow, store, staffing)
            finally:
                flow.close()
            return flow

        return asyncio.run(whole()), store, staffing

    async def turn(self, flow: Flow) -> None:
        flow.soon()
        for _ in range(20):
            await asyncio.sleep(0)

    def test_each_runs_in_an_executor_of_its_own_which_then_leaves(self) -> None:
        async def story(flow: Flow, _: Leasing, staffing: Forkserver) -> None:
            assert flow._backlog.fences() == [10, 12]
            assert sorted(flow.backlog_fences()) == [10, 11, 12, 13]
            first, second = staffing.executors
            await self.turn(flow)
            assert staffing.executors == [first, second]
            second.is_ready = True
            await self.turn(flow)
            assert (first.given, second.given) == ([], [("process", [11])])
            first.is_ready = True
            await self.turn(flow)
            assert first.given == [("process", [13])]
            second.busy = False
            await self.turn(flow)
            assert (first.left, second.left, len(staffing.executors)) == (False, True, 2)

        self.play([1, 3], story)

    def test_a_lease_without_any_asks_for_no_executor(self) -> None:
        async def story(flow: Flow, _: Leasing, staffing: Forkserver) -> None:
            assert (flow._backlog.fences(), staffing.executors) == ([10, 11, 12, 13], [])

        self.play([], story)

    def test_an_executor_that_nobody_needs_any_more_leaves(self) -> None:
        async def story(flow: Flow, store: Leasing, staffing: Forkserver) -> None:
            flow.drop({11})
            (lone,) = staffing.executors
            lone.is_ready = True
            await self.turn(flow)
            assert (lone.given, lone.left, store.released) == ([], True, [])

        self.play([1], story)

    def test_a_new_one_is_asked_for_when_one_died_before_it_was_given_a_job(self) -> None:
        async def story(flow: Flow, _: Leasing, staffing: Forkserver) -> None:
            staffing.executors.clear()
            await self.turn(flow)
            assert len(staffing.executors) == 1

        self.play([1], story)

    def test_one_that_is_not_to_run_goes_back_at_once(self) -> None:
        async def story(flow: Flow, store: Leasing, _: Forkserver) -> None:
            flow.cancel([10, 13])
            await self.turn(flow)
            assert (store.released, flow.backlog_fences()) == ([13], [10, 12, 11])

        self.play([1, 3], story)

    def test_those_that_wait_go_back_when_the_worker_leaves(self) -> None:
        async def story(flow: Flow, store: Leasing, _: Forkserver) -> None:
            flow.drain()
            await self.turn(flow)
            assert sorted(store.released) == [10, 11, 12, 13]

        self.play([1, 3], story)

    def test_a_crowd_takes_turns_and_is_looked_after_though_nothing_else_happens(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Long ones at the front hold up nobody."""
        monkeypatch.setattr(limits, "LONE_NEW_S", 0.001)

        async def story(flow: Flow, _: Leasing, staffing: Forkserver) -> None:
            async with asyncio.timeout(20.0):
                while len(staffing.executors) < limits.LONE_NEW_MAX + 2:
                    for one in staffing.executors:
                        one.is_ready = True
                    if len(staffing.executors) == limits.LONE_NEW_MAX and not staffing.executors[0].given:
                        flow.soon()
                    await asyncio.sleep(0)

        jobs = limits.LONE_NEW_MAX + 2
        self.play(list(range(jobs)), story, jobs)


class Answering:
    """Answers one lease, and keeps what is settled."""

    def __init__(self, batch: PackedBatch) -> None:
        self._batch = batch
        self.settled: list[Outcomes] = []

    async def lease_packed(self, *_: Any, **__: Any) -> PackedBatch:
        return self._batch

    async def settle(self, outcomes: Outcomes) -> Settled:
        self.settled.append(outcomes)
        return Settled([])


def test_jobs_of_tasks_that_are_not_known_go_back_without_being_handed_over() -> None:
    row = Raw(msgspec.msgpack.encode([b"", 1, "default", b"", None]))
    store = Answering(PackedBatch(10, ["t", "elsewhere"], bytes([0, 1, 0, 1]), [row] * 4))

    async def run() -> Flow:
        flow = Flow(b"h" * 16, None, cast(Any, Nobody()))
        flow.start(cast(Any, store))
        flow.catalogue.lane_of["t"] = "process"
        await flow._lease(Asked(None, 4, 0))
        while flow.settlement.unsettled:
            await asyncio.sleep(0)
        flow.close()
        return flow

    flow = asyncio.run(run())
    (outcomes,) = store.settled
    assert [(one.fence, one.error.type) for one in outcomes.refused] == [(11, "UnknownTask"), (13, "UnknownTask")]
    assert (flow.backlog_fences(), flow.statistics().turned_away, flow.refused) == ([10, 12], 2, 0)


def test_what_waits_for_lanes_that_are_stuck_is_given_back() -> None:
    store = Answering(PackedBatch(1, [], b"", []))

    async def run() -> Flow:
        flow = Flow(b"h" * 16, None, cast(Any, Nobody()))
        flow.start(cast(Any, store))
        for kind, first in (("process", 100), ("async", 200)):
            flow._backlog.add(kind, Piece([first, first + 1], ["t"], bytes(2), [None] * 2))
        flow.give_back("process")
        flow.give_back("thread")
        while flow.settlement.unsettled:
            await asyncio.sleep(0)
        flow.close()
        return flow

    flow = asyncio.run(run())
    assert [outcomes.released for outcomes in store.settled] == [[100, 101]]
    assert (flow.backlog_fences(), flow.statistics().backlog) == ([200, 201], 2)


def test_when_jobs_are_given_back_other_workers_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Waiting(Answering):
        async def lease_packed(self, *_request: Any, **_options: Any) -> PackedBatch:
            told.append("asks")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append("asks no more")
                raise
            raise AssertionError

        async def settle(self, outcomes: Outcomes) -> Settled:
            told.append("gives back")
            return await super().settle(outcomes)

    async def run() -> None:
        flow = Flow(b"h" * 16, None, cast(Any, Nobody()))
        flow.start(cast(Any, Waiting(PackedBatch(1, [], b"", []))))
        monkeypatch.setattr(module, "to_ask", lambda *about, **_: None if about[3] else Asked(None, 5, 0))
        flow.soon()
        async with asyncio.timeout(20.0):
            while told != ["asks"]:
                await asyncio.sleep(0)
            flow._backlog.add("process", Piece([100, 101], ["t"], bytes(2), [None] * 2))
            flow.give_back("process")
            while told.count("asks") < 2:
                await asyncio.sleep(0)
        flow.close()

    asyncio.run(run())
    assert told[:4] == ["asks", "asks no more", "gives back", "asks"]
