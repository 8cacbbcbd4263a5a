"""An executor as its supervisor sees it: what it is told, and when it counts as dead."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from penstock.model.job import Extended, Outcomes, Succeeded
from penstock.worker import crew, staffing
from penstock.worker.crew import Executor, Lane
from penstock.worker.ledger import LaneLedger, Piece
from penstock.worker.messages import PROCESS_LANE, Recall, Report, frame
from penstock.worker.options import WorkerOptions
from penstock.worker.scoreboard import RECALLED, Scoreboard, scoreboard_fd
from penstock.worker.supervisor import Supervisor
from penstock.worker.watch import Watch


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.signals: list[int] = []
        self.killed = asyncio.Event()

    def reported(self, lane: Lane, report: Report, size_bytes: int) -> None:
        self.heard.append("reported")

    def ready(self, executor: Executor) -> None:
        self.heard.append("ready")

    def dying(self, executor: Executor) -> None:
        self.heard.append("dying")

    def dead(self, executor: Executor) -> None:
        self.heard.append("dead")


class NoOutput:
    """Nothing is printed."""

    def tail(self, fd: int) -> str:
        return ""

    def forget(self, fd: int) -> None:
        pass


class Transport:
    """Keeps what is written, and what the scoreboard said then."""

    def __init__(self, board: Scoreboard) -> None:
        self._board = board
        self.written: list[tuple[bytes, int]] = []
        self.closed = False

    def write(self, data: bytearray) -> None:
        self.written.append((bytes(data), self._board.words[RECALLED]))

    def close(self) -> None:
        self.closed = True


class Place:
    """An executor with one lane."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listener = Listener()
        self.executor = Executor(1, self.listener, NoOutput(), -1)
        self.ledger = LaneLedger(PROCESS_LANE, 1)
        board_fd = scoreboard_fd(1)
        self.board = Scoreboard(board_fd, 1)
        os.close(board_fd)
        watch = Watch(PROCESS_LANE, lambda _fence: None, lambda _task: None)
        self.lane = Lane(self.executor, self.ledger, self.board, watch)
        self.executor.expect(self.lane)
        self.transport = Transport(self.board)
        self.lane.connection_made(cast(Any, self.transport))
        self.lane.data_received(bytes(frame(Report())))
        monkeypatch.setattr(self.executor, "signal", self._signal)

    def _signal(self, number: int) -> None:
        self.listener.signals.append(number)
        self.listener.killed.set()

    def hold(self, *fences: int) -> None:
        self.ledger.assign(Piece(list(fences), ["t"], bytes(len(fences)), [b""] * len(fences)), 10, 0.0)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(monkeypatch)


@pytest.mark.parametrize(
    "body", [b"\xc1", b"\x91\xa1\xff", b"\x97\x00\x00\xc0\x00\x91\x92\x01\x93\x00\xc0\xa1\xff\xc2\x90"]
)
def test_an_executor_that_cannot_be_understood_is_ended(place: Place, body: bytes) -> None:
    good = bytes(frame(Report(busy_s=1.0)))
    place.lane.data_received(len(body).to_bytes(4, "little") + body + good)
    assert (place.listener.signals, place.transport.closed) == ([signal.SIGKILL], True)
    assert place.listener.heard == ["ready"]
    assert not place.executor.killed, "what ran counts as lost"


def test_a_closed_socket_alone_is_not_death(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "EXIT_WAIT_S", 0.0)

    async def run() -> None:
        place.lane.connection_lost(None)
        await asyncio.wait_for(place.listener.killed.wait(), 20.0)
        assert not place.executor.is_dead
        place.executor.exited(-signal.SIGKILL)

    asyncio.run(run())
    assert place.listener.heard == ["ready", "dying", "dead"]


def test_a_recall_is_on_the_scoreboard_before_it_is_sent(place: Place) -> None:
    place.hold(5, 6, 7)
    place.ledger.finish([7])
    place.lane.recall()
    assert place.transport.written == [(bytes(frame(Recall())), 7)]


def supervisor_of(place: Place) -> Supervisor:
    supervisor = Supervisor(WorkerOptions("no_such_app:app"))
    supervisor._staffing.executors.append(place.executor)
    supervisor._staffing._sort()
    supervisor._loop = asyncio.get_running_loop()
    supervisor._flow.start(None)
    supervisor._flow.close()
    return supervisor


def test_a_lane_that_lost_leases_is_recalled(place: Place) -> None:
    async def run() -> Outcomes:
        place.hold(5, 6, 7, 8)
        place.board.words[0] = 5
        supervisor = supervisor_of(place)
        supervisor._extended(Extended(lost=[6, 8], cancel=[]))
        settling = supervisor._flow.settlement.take()
        assert settling is not None
        return settling.outcomes

    assert asyncio.run(run()) == Outcomes(released=[7])
    assert (list(place.ledger.held), place.board.words[RECALLED]) == ([5], 8)


def test_leases_are_held_on_to_until_their_outcomes_are_settled(place: Place) -> None:
    async def run() -> list[int]:
        place.hold(5, 6)
        supervisor = supervisor_of(place)
        settlement = supervisor._flow.settlement
        settlement.add(Outcomes(succeeded=[Succeeded(3, 0.0, 0.0)]), 1, [3], 10)
        settlement.take()
        settlement.forget([4])
        return supervisor.held_fences()

    assert sorted(asyncio.run(run())) == [3, 4, 5, 6]


def test_the_killing_of_an_executor_is_told_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        place.hold(5)
        place.lane.watch = Watch(PROCESS_LANE, lambda _fence: "shop.endless", lambda _task: 1.0)
        base = place.board.slot_base(0)
        place.board.words[base] = place.board.words[0] = 5
        supervisor = supervisor_of(place)
        for now in (10.0, 10.02, 10.04):
            supervisor._look_at(place.lane, now)

    asyncio.run(run())
    assert place.listener.signals == [signal.SIGKILL]
    assert [record.action for record in caplog.records] == ["executor-killed"]


def test_executors_that_cannot_be_started_for_one_reason_are_told_of_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_about: object) -> Executor:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(staffing, "start_executor", fail)

    async def run() -> None:
        staff = supervisor_of(place)._staffing
        staff._template = cast(Any, SimpleNamespace(gone=False, pid=1))
        staff._output = cast(Any, NoOutput())
        await asyncio.gather(staff._start_one(), staff._start_one(), staff._start_one())
        staff.ready()
        await staff._start_one()
        for change in list(staff._changes):
            change.cancel()

    asyncio.run(run())
    assert [record.action for record in caplog.records] == ["executor-start-failed"] * 2
