"""What nobody expected, in the parts of a worker that must go on for ever: told once, and they go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import PenstockError, StoreUnavailable
from penstock.model.job import Extended, Extension, Outcomes, Progress, Settled
from penstock.process.repeated_faults import Faults
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor import dispatch
from penstock.worker.supervisor import flow as flow_module
from penstock.worker.supervisor.flow import Flow
from penstock.worker.supervisor.heartbeat import Heartbeat
from penstock.worker.supervisor.settlement import REFUSALS_MAX
from penstock.worker.supervisor.staffing import WorkerFailed
from penstock.worker.supervisor.supervisor import Supervisor

HOLDER = b"h" * 16
UNEXPECTED = [KeyError("x"), TypeError("no"), OverflowError("int too big"), RecursionError(), MemoryError()]


class Nobody:
    """No executors."""

    def lanes_by_kind(self) -> dict[str, Any]:
        return {}

    def ledgers(self) -> list[Any]:
        return []

    def holding(self) -> bool:
        return False


class Store:
    """Raises what it is told to, as often as it is told to; then it answers."""

    def __init__(self, error: BaseException, times: int) -> None:
        self._error, self._times = error, times
        self.asked: list[Any] = []

    def _answer(self, request: Any) -> None:
        self.asked.append(request)
        if len(self.asked) <= self._times:
            raise self._error

    async def settle(self, outcomes: Outcomes) -> Settled:
        self._answer(outcomes)
        return Settled([])

    async def extend(self, extension: Extension) -> Extended:
        self._answer(extension)
        return Extended([], [])

    async def lease_packed(self, *_about: Any, **_more: Any) -> Any:
        self._answer("lease")
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "RETRY_S", 0.0)
    monkeypatch.setattr(limits, "CANCEL_NOTICE_S", 0.0)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20.0):
        while not condition():
            await asyncio.sleep(0)


def settle(store: Store, jobs: int) -> Flow:
    async def run() -> Flow:
        flow = Flow(HOLDER, None, Nobody())
        flow.start(store)
        empty = asyncio.Event()
        flow.on_empty = empty.set
        flow.settlement.forget(range(1, jobs + 1))
        flow.drain()
        await asyncio.wait_for(empty.wait(), 20.0)
        return flow

    return asyncio.run(run())


@pytest.mark.parametrize("error", UNEXPECTED)
def test_outcomes_whose_settling_fails_oddly_are_settled_all_the_same(error, caplog):
    store = Store(error, 3)
    flow = settle(store, 8)
    assert flow.settlement.unsettled == 0
    assert flow.settlement.fences() == []
    assert flow.statistics().settled == 8
    assert len([record for record in caplog.records if record.exc_info]) == 1


@pytest.mark.parametrize("error", [*UNEXPECTED, PenstockError("no")])
def test_what_can_never_be_settled_is_let_go_of_in_the_end(error):
    """Its lease is not extended any more, so the store takes the job back."""
    store = Store(error, 1_000)
    flow = settle(store, 2)
    assert flow.settlement.unsettled == 0
    assert flow.settlement.fences() == []
    assert len(store.asked) <= 1 + 2 * 2 * REFUSALS_MAX


def test_a_store_that_is_away_for_long_loses_no_outcome(caplog):
    store = Store(StoreUnavailable("away"), 500)
    assert settle(store, 2).statistics().settled == 2
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize("error", UNEXPECTED)
def test_leasing_goes_on_after_what_nobody_expected(error, monkeypatch, caplog):
    monkeypatch.setattr(dispatch, "appetite", lambda *about: 0 if about[3] else 5)

    async def run() -> None:
        store = Store(error, 3)
        flow = Flow(HOLDER, None, Nobody())
        flow.start(store)
        flow.soon()
        await until(lambda: len(store.asked) == 4)
        flow.close()

    asyncio.run(run())
    assert len(caplog.records) == 1


def test_a_turn_that_fails_is_followed_by_another(monkeypatch, caplog):
    staff = Nobody()
    flow = Flow(HOLDER, None, staff)
    turns = []

    def lanes_by_kind() -> dict[str, Any]:
        turns.append(1)
        if len(turns) < 4:
            raise KeyError("lane")
        return {}

    monkeypatch.setattr(staff, "lanes_by_kind", lanes_by_kind)

    async def run() -> None:
        flow.start(Store(KeyError(), 0))
        flow.soon()
        await until(lambda: len(turns) >= 4)

    asyncio.run(run())
    assert len(caplog.records) == 1


def beat(store: Store, story: Callable[[Heartbeat], Any], held: list[int], until_asked: int) -> Heartbeat:
    async def run() -> Heartbeat:
        heart = Heartbeat(HOLDER)
        task = asyncio.ensure_future(heart.run(store, lambda: held, list, lambda _: None))
        await asyncio.sleep(0)
        story(heart)
        await until(lambda: len(store.asked) >= until_asked or task.done())
        assert not task.done()
        task.cancel()
        return heart

    return asyncio.run(run())


@pytest.mark.parametrize("error", [*UNEXPECTED, StoreUnavailable("away")])
def test_what_was_not_told_is_told_by_the_next_beat(error, caplog):
    store = Store(error, 3)

    def story(heart: Heartbeat) -> None:
        heart.progress[7] = Progress(1.0, 2.0, None)
        heart.started(7, 100.0)

    beat(store, story, [7], 4)
    last = store.asked[3]
    assert last.progress == [(7, Progress(1.0, 2.0, None))]
    assert last.started == [(7, 100.0)]
    assert len(caplog.records) == 1


def test_what_is_newer_than_what_was_not_told_stays(monkeypatch):
    heart = Heartbeat(HOLDER)
    heart.progress[7] = Progress(2.0, None, None)
    extension = Extension(HOLDER, [7, 8], started=[(8, 1.0)], progress=[(7, Progress(1.0, None, None))])
    heart._take_back(extension, {7})
    assert heart.progress == {7: Progress(2.0, None, None)}
    # It has ended meanwhile.
    assert heart._started == {}


def test_leases_that_could_not_be_extended_are_extended_soon(monkeypatch):
    monkeypatch.setattr(limits, "EXTEND_S", 0.0)
    store = Store(StoreUnavailable("away"), 1)

    async def run() -> None:
        heart = Heartbeat(HOLDER)
        task = asyncio.ensure_future(heart.run(store, lambda: [7, 8], list, lambda _: None))
        # The first beat is due at once, the one after it not for long.
        await asyncio.sleep(0)
        monkeypatch.setattr(limits, "EXTEND_S", 3_600.0)
        await until(lambda: len(store.asked) == 2)
        task.cancel()

    asyncio.run(run())
    assert [extension.fences for extension in store.asked] == [[7, 8], [7, 8]]


def test_an_odd_answer_does_not_end_the_heartbeat(caplog):
    store = Store(KeyError(), 0)
    heard = []

    def fail(_answer: Extended) -> None:
        heard.append(1)
        raise KeyError("fence")

    async def run() -> None:
        heart = Heartbeat(HOLDER)
        task = asyncio.ensure_future(heart.run(store, list, lambda: [7], fail))
        await until(lambda: len(heard) == 5 or task.done())
        task.cancel()

    asyncio.run(run())
    assert len(heard) == 5
    assert len(caplog.records) == 1


class TestSupervisor:
    def test_a_look_that_fails_is_followed_by_another(self, monkeypatch, caplog):
        monkeypatch.setattr("penstock.worker.supervisor.supervisor.LOOK_S", 0.0)
        supervisor = Supervisor(WorkerOptions("x:y"))
        looks = []

        def look() -> None:
            looks.append(1)
            if len(looks) < 4:
                raise KeyError("task")

        monkeypatch.setattr(supervisor, "_look_at_all", look)

        async def run() -> None:
            supervisor._loop = asyncio.get_running_loop()
            supervisor._look_on()
            await until(lambda: len(looks) == 4)

        asyncio.run(run())
        assert len(caplog.records) == 1

    def test_a_heartbeat_that_ends_is_the_worker_s_end(self):
        supervisor = Supervisor(WorkerOptions("x:y"))

        async def run() -> None:
            async def end() -> None:
                raise KeyError("beat")

            beat = asyncio.ensure_future(end())
            beat.add_done_callback(supervisor._beat_ended)
            await until(supervisor._stop_asked.is_set)

        asyncio.run(run())
        assert isinstance(supervisor._failure, WorkerFailed)
        assert "KeyError" in str(supervisor._failure)


def test_the_parts_of_a_worker_note_their_faults_in_one_place():
    supervisor = Supervisor(WorkerOptions("x:y"))
    assert supervisor._flow._faults is supervisor._heartbeat._faults is supervisor._faults
    assert isinstance(Flow(HOLDER, None, Nobody())._faults, Faults)
