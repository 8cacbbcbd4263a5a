"""The heartbeat, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.model.job import Extended, Extension, Progress
from penstock.testing.clock import VirtualClock
from penstock.testing.virtual_loop import run_virtual
from penstock.worker.supervisor import heartbeat as module
from penstock.worker.supervisor.heartbeat import STARTED_S, Heartbeat

HOLDER = b"h" * 16


class Store:
    """Notes when it was asked for what. Raises while it is ``away``; an answer takes ``takes_s``."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self.away = False
        self.takes_s = 0.0
        self.answer = Extended([], [])
        self.asked: list[tuple[float, Extension]] = []
        self.at_once = 0

    async def extend(self, extension: Extension) -> Extended:
        self.asked.append((round(self._clock.monotonic() - self._began, 6), extension))
        self.at_once += 1
        await asyncio.sleep(self.takes_s)
        self.at_once -= 1
        assert not self.at_once, "one request at a time"
        if self.away:
            raise StoreUnavailable("away")
        return self.answer

    def times(self) -> list[float]:
        return [at for at, _ in self.asked]

    def started(self) -> list[tuple[float, list[int]]]:
        """When it was told of which starts."""
        return [(at, [fence for fence, _ in one.started]) for at, one in self.asked if one.started]


class Place:
    """A heartbeat, the fences that are held and those that run, and what was heard."""

    def __init__(self, clock: VirtualClock) -> None:
        self.store = Store(clock)
        self.heartbeat = Heartbeat(HOLDER)
        self.held: list[int] = []
        self.running: list[int] = []
        self.heard: list[Extended] = []

    async def beat(self, story: Callable[[], Awaitable[object]]) -> None:
        beat = asyncio.create_task(
            self.heartbeat.run(
                cast(Any, self.store), lambda: list(self.held), lambda: list(self.running), self.heard.append
            )
        )
        try:
            await story()
            assert not beat.done()
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    clock = VirtualClock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def place(clock: VirtualClock) -> Place:
    return Place(clock)


def play(place: Place, clock: VirtualClock, story: Callable[[], Awaitable[object]]) -> None:
    run_virtual(place.beat(story), clock)


def test_every_lease_is_extended_in_time(place: Place, clock: VirtualClock) -> None:
    place.held = [1, 2, 3]
    play(place, clock, lambda: asyncio.sleep(60.5))
    assert place.store.times() == pytest.approx([limits.EXTEND_S * count for count in range(1, 7)])
    for _, extension in place.store.asked:
        assert (extension.holder, extension.fences, extension.lease_s) == (HOLDER, [1, 2, 3], limits.LEASE_S)


def test_nothing_is_sent_while_nothing_is_held(place: Place, clock: VirtualClock) -> None:
    play(place, clock, lambda: asyncio.sleep(3_600.0))
    assert place.store.asked == []


def test_the_store_is_asked_about_running_jobs_every_second(place: Place, clock: VirtualClock) -> None:
    place.held, place.running = [1, 2], [2]
    place.store.answer = Extended([], [2])
    play(place, clock, lambda: asyncio.sleep(limits.EXTEND_S - 0.5))
    assert [extension.fences for _, extension in place.store.asked] == [[2]] * 9
    assert place.heard == [Extended([], [2])] * 9


def test_starts_are_told_together_and_in_time(place: Place, clock: VirtualClock) -> None:
    async def story() -> None:
        place.heartbeat.started(1, 100.0)
        await asyncio.sleep(STARTED_S / 2)
        place.heartbeat.started(2, 200.0)
        await asyncio.sleep(limits.STARTED_REPORT_S)
        place.heartbeat.started(3, 300.0)
        await asyncio.sleep(limits.STARTED_REPORT_S)

    play(place, clock, story)
    assert [one.started for _, one in place.store.asked] == [[(1, 100.0), (2, 200.0)], [(3, 300.0)]]
    assert place.store.times()[0] == pytest.approx(STARTED_S)
    assert all(one.fences == [fence for fence, _ in one.started] for _, one in place.store.asked)


def test_of_progress_only_the_latest_is_told_and_only_once(place: Place, clock: VirtualClock) -> None:
    async def story() -> None:
        place.held = place.running = [1]
        for done in range(5):
            place.heartbeat.progress[1] = Progress(done)
            await asyncio.sleep(0.1)
        await asyncio.sleep(2.0)

    play(place, clock, story)
    assert [one.progress for _, one in place.store.asked] == [[(1, Progress(4))], []]


class TestAfterAFailure:
    """What a request that failed was to tell is told by the next."""

    def test_starts_are_told_again(self, place: Place, clock: VirtualClock) -> None:
        async def story() -> None:
            place.held = [1, 2]
            place.store.away = True
            place.heartbeat.started(1, 100.0)
            place.heartbeat.started(2, 200.0)
            await asyncio.sleep(2 * STARTED_S)
            place.store.away = False
            await asyncio.sleep(2 * limits.CANCEL_NOTICE_S)

        play(place, clock, story)
        assert place.store.started() == [
            (pytest.approx(STARTED_S), [1, 2]),
            (pytest.approx(STARTED_S + limits.CANCEL_NOTICE_S), [1, 2]),
        ]
        assert place.store.asked[-1][1].started == [(1, 100.0), (2, 200.0)]

    def test_a_job_that_has_ended_meanwhile_is_not_told_of(self, place: Place, clock: VirtualClock) -> None:
        async def story() -> None:
            place.held = [1, 2]
            place.store.away, place.store.takes_s = True, 0.01
            place.heartbeat.started(1, 100.0)
            place.heartbeat.started(2, 200.0)
            place.heartbeat.progress.update({1: Progress(1), 2: Progress(2)})
            await asyncio.sleep(STARTED_S + 0.005)
            place.held = [2]
            await asyncio.sleep(0.01)
            place.store.away = False
            await asyncio.sleep(2 * limits.CANCEL_NOTICE_S)

        play(place, clock, story)
        assert [fences for _, fences in place.store.started()] == [[1, 2], [2]]

    def test_later_starts_do_not_wait_for_the_earlier_ones(self, place: Place, clock: VirtualClock) -> None:
        async def story() -> None:
            place.held = [1, 2]
            place.store.away = True
            place.heartbeat.started(1, 100.0)
            await asyncio.sleep(2 * STARTED_S)
            place.store.away = False
            place.heartbeat.started(2, 200.0)
            await asyncio.sleep(limits.STARTED_REPORT_S)

        play(place, clock, story)
        assert place.store.started()[1] == (pytest.approx(3 * STARTED_S), [1, 2])

    def test_the_latest_progress_stays_the_latest(self, place: Place, clock: VirtualClock) -> None:
        async def story() -> None:
            place.held = place.running = [1, 2]
            place.store.away, place.store.takes_s = True, 0.1
            place.heartbeat.progress.update({1: Progress(1), 2: Progress(2)})
            await asyncio.sleep(limits.CANCEL_NOTICE_S + 0.05)
            place.heartbeat.progress[1] = Progress(10)
            await asyncio.sleep(0.1)
            place.store.away = False
            await asyncio.sleep(limits.CANCEL_NOTICE_S)

        play(place, clock, story)
        assert sorted(place.store.asked[-1][1].progress) == [(1, Progress(10)), (2, Progress(2))]

    def test_every_lease_is_extended_a_second_later(self, place: Place, clock: VirtualClock) -> None:
        async def story() -> None:
            place.held, place.running = [1, 2, 3], [3]
            await asyncio.sleep(limits.EXTEND_S - 0.5)
            place.store.away = True
            await asyncio.sleep(3.0)
            place.store.away = False
            await asyncio.sleep(2.0)

        play(place, clock, story)
        whole = [at for at, one in place.store.asked if one.fences == [1, 2, 3]]
        assert whole == pytest.approx([10.0, 11.0, 12.0, 13.0])
        assert whole[-1] + limits.EXTEND_S < limits.LEASE_S

    def test_a_failure_that_lasts_is_told_once(
        self, place: Place, clock: VirtualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        place.held = [1]
        place.store.away = True
        play(place, clock, lambda: asyncio.sleep(19.0))
        assert len(place.store.asked) > 5
        assert len(caplog.records) == 1

    def test_a_slow_answer_delays_the_next_request_and_no_more(self, place: Place, clock: VirtualClock) -> None:
        """The store checks that there is one at a time."""
        place.held = place.running = [1]
        place.store.takes_s = 5.0
        play(place, clock, lambda: asyncio.sleep(32.0))
        assert place.store.times() == pytest.approx([1.0, 6.0, 11.0, 16.0, 21.0, 26.0, 31.0])
