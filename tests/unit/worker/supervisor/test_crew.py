"""An executor as its supervisor sees it: what it is told, and when it counts as dead."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from penstock.model.job import Extended, Outcomes, Succeeded
from penstock.model.losses import Loss
from penstock.worker import memory_barrier
from penstock.worker.messages import PROCESS_LANE, LaneOrder, Recall, Report, TaskSheet, frame
from penstock.worker.options import WorkerOptions
from penstock.worker.scoreboard import RECALLED, Scoreboard, scoreboard_fd
from penstock.worker.supervisor import crew, staffing
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.crew import Executor, Lane
from penstock.worker.supervisor.lane_load import LaneLedger, Piece
from penstock.worker.supervisor.supervisor import Supervisor
from penstock.worker.supervisor.watch import Watch

HOLDER = b"h" * 16


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
        self.board.reached()
        monkeypatch.setattr(memory_barrier, "everywhere", lambda: True)
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
    supervisor = Supervisor(WorkerOptions("no_such_app:app", holder=HOLDER))
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

    assert asyncio.run(run()) == Outcomes(HOLDER, released=[7])
    assert (list(place.ledger.held), place.board.words[RECALLED]) == ([5], 8)


def test_leases_are_held_on_to_until_their_outcomes_are_settled(place: Place) -> None:
    async def run() -> list[int]:
        place.hold(5, 6)
        supervisor = supervisor_of(place)
        settlement = supervisor._flow.settlement
        settlement.add(Outcomes(HOLDER, succeeded=[Succeeded(3, 0.0, 0.0)]), 1, [3], 10)
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


class TestVerdicts:
    """What is held against the jobs of an executor that is gone."""

    def settled(
        self, place: Place, *, status: int | None = 1, latest: int = 0, runs: int = 0, killed: bool = False
    ) -> Outcomes:
        """What is settled when the executor is gone that holds 5, 6 and 7.

        Args:
            latest: the job that started last.
            runs: the job that the scoreboard shows.
        """

        async def run() -> Outcomes:
            place.hold(5, 6, 7)
            base = place.board.slot_base(0)
            place.board.words[0], place.board.words[base] = latest, runs
            place.executor.status, place.executor.killed = status, killed
            supervisor = supervisor_of(place)
            supervisor.dead(place.executor)
            settling = supervisor._flow.settlement.take()
            assert settling is not None
            return settling.outcomes

        return asyncio.run(run())

    def losses(self, outcomes: Outcomes) -> list[tuple[int, Loss]]:
        return [(one.fence, one.loss) for one in outcomes.lost]

    def test_the_only_job_that_ever_began_there_is_blamed_and_those_behind_it_go_back(self, place: Place) -> None:
        outcomes = self.settled(place, latest=5, runs=5)
        assert (self.losses(outcomes), outcomes.released) == ([(5, Loss.BLAMED)], [6, 7])
        assert outcomes.lost[0].started_at is not None

    def test_a_job_that_ended_without_a_word_may_have_done_it(self, place: Place) -> None:
        """It may have left something behind that struck before its end could be told."""
        outcomes = self.settled(place, latest=5)
        assert (self.losses(outcomes), outcomes.released) == ([(5, Loss.BLAMED)], [6, 7])
        assert outcomes.lost[0].started_at is None

    def test_of_several_any_may_have_done_it(self, place: Place) -> None:
        outcomes = self.settled(place, latest=6, runs=6)
        assert (self.losses(outcomes), outcomes.released) == ([(5, Loss.SHARED), (6, Loss.SHARED)], [7])
        assert "and 1 more" in outcomes.lost[0].error.message

    def test_so_may_one_that_ended_there_before(self, place: Place) -> None:
        place.ledger.measure(1, 0.1)
        assert self.losses(self.settled(place, latest=5, runs=5)) == [(5, Loss.SHARED)]

    def test_so_may_one_that_runs_there_though_others_have_it_by_now(self, place: Place) -> None:
        assert self.losses(self.settled(place, latest=5, runs=4)) == [(5, Loss.SHARED)]

    def test_when_the_forkserver_is_gone_too_it_was_none_of_them(self, place: Place) -> None:
        assert self.losses(self.settled(place, status=None, latest=5, runs=5)) == [(5, Loss.STRAY)]

    def test_an_executor_that_was_killed_by_its_supervisor_makes_nobody_a_suspect(self, place: Place) -> None:
        outcomes = self.settled(place, latest=6, runs=6, killed=True)
        assert (outcomes.lost, sorted(outcomes.released)) == ([], [5, 6, 7])


class TestLoneExecutors:
    """Executors that run one suspect each, beside the others."""

    def lone(self, place: Place) -> Supervisor:
        place.executor.lone = True
        return supervisor_of(place)

    def test_whatever_job_comes_is_not_for_them(self, place: Place) -> None:
        async def run() -> None:
            staff = self.lone(place)._staffing
            assert (staff.lanes_by_kind(), staff.ledgers(), staff.lanes()) == ({}, [], [place.lane])
            assert staff.lone() == [place.executor]
            place.hold(5)
            assert staff.holding()

        asyncio.run(run())

    def test_they_are_watched_extended_and_told_of_like_others(self, place: Place) -> None:
        told: list[list[tuple[str, int]]] = []

        async def run() -> None:
            supervisor = self.lone(place)
            supervisor.on_processes = told.append
            place.executor.pid = 77
            place.executor.run_alone(PROCESS_LANE, Piece([5], ["t"], bytes(1), [b""]), 1.0)
            place.board.words[place.board.slot_base(0)] = 5
            supervisor._look()
            assert (supervisor.held_fences(), list(place.lane.watch.running)) == ([5], [5])
            supervisor.ready(place.executor)

        asyncio.run(run())
        assert told == [[("lone-executor", 77)]]

    def test_no_other_takes_the_place_of_one_that_is_gone(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        async def run() -> None:
            staff = self.lone(place)._staffing
            staff._has_template = True
            started: list[bool] = []

            async def note(_pause_s: float = 0.0, *, lone: bool = False) -> None:
                started.append(lone)

            monkeypatch.setattr(staff, "_start_one", note)
            staff.dying(place.executor)
            await asyncio.gather(*staff._changes)
            assert started == []
            place.executor.lone = False
            staff.dying(place.executor)
            staff.start_lone()
            await asyncio.gather(*staff._changes)
            assert started == [False, True]

        asyncio.run(run())

    def test_one_that_leaves_after_its_job_has_not_died(self, place: Place) -> None:
        async def run() -> int:
            supervisor = self.lone(place)
            place.executor.leave()
            place.executor.status = 0
            supervisor.dead(place.executor)
            return supervisor.statistics().deaths

        assert asyncio.run(run()) == 0
        assert place.transport.closed


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_an_executor_that_cannot_be_started_for_want_of_descriptors_leaves_none_open() -> None:
    """Whichever step is the one that finds none left: the pipe, a socket, a scoreboard."""
    forks: list[int] = []

    class Forkless:
        async def fork(self, number: int, lanes: list[LaneOrder], fds: Sequence[int]) -> int:
            forks.append(len(fds))
            raise OSError(errno.EMFILE, "the template has none left either")

    sheets = [
        TaskSheet(kind, kind, None, True, 5, "exponential", 1.0, 2.0, 60.0, True, 0.0) for kind in ("process", "async")
    ]
    catalogue = Catalogue(sheets, 4)

    async def start_in_vain() -> None:
        # What earlier tests have left is let go now, and not in the middle of the comparison.
        gc.collect()
        gc.disable()
        before = set(map(int, os.listdir("/proc/self/fd")))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        spare = 0
        try:
            while not forks:
                free = [number for number in range(max(before) + spare + 2) if number not in before]
                resource.setrlimit(resource.RLIMIT_NOFILE, (free[spare], hard))
                with pytest.raises(OSError, match=r"left either|Too many open files"):
                    await crew.start_executor(
                        1, cast(Any, Forkless()), catalogue, Listener(), cast(Any, NoOutput()), lambda _: None
                    )
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                assert set(map(int, os.listdir("/proc/self/fd"))) == before
                spare += 1
        finally:
            gc.enable()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert spare > 2 * len(catalogue.orders)

    asyncio.run(start_in_vain())
    assert forks == [1 + 2 * len(catalogue.orders)]
