"""Lanes at the other end of a socket, in threads of this process."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from penstock.model.job import LeasedJob
from penstock.tasks.app import Penstock
from penstock.worker.async_lane import AsyncLane
from penstock.worker.messages import FrameReader, Lot, Recall, Report, frame, report_decoder
from penstock.worker.process_lane import ProcessLane
from penstock.worker.scoreboard import Scoreboard, scoreboard_fd
from penstock.worker.thread_lane import ThreadLane

FENCES = [11, 12, 13, 14]


class Seat:
    """The supervisor's side of a lane whose jobs call `act`, each in turn."""

    def __init__(self, kind: str) -> None:
        self.act: Callable[[int], None] = lambda _run: None
        self.runs = 0
        board_fd = scoreboard_fd(1)
        self.board = Scoreboard(board_fd, 1)
        os.close(board_fd)
        self.mine, self._theirs = socket.socketpair()
        self.mine.settimeout(20.0)
        self._reader = FrameReader()
        app = Penstock()

        def plain() -> None:
            self.runs += 1
            self.act(self.runs)

        async def coroutine() -> None:
            plain()

        task = app.task(name="t", keep_result_s=0, keep_record_s=0)(coroutine if kind == "async" else plain)
        tasks = {"t": task}
        lane: Callable[[], None]
        if kind == "process":
            lane = ProcessLane(self._theirs, self.board, tasks).run
        elif kind == "thread":
            lane = ThreadLane(self._theirs, self.board, tasks, 1).run
        else:
            lane = lambda: asyncio.run(AsyncLane(self.board, tasks, 1).run(self._theirs))  # noqa: E731 - as the others
        self._thread = threading.Thread(target=lane)
        self._thread.start()

    def hand_over(self) -> None:
        jobs = [LeasedJob(bytes(16), 1, "default", b"m\x92\x90\x80", None) for _ in FENCES]
        self.mine.sendall(frame(Lot(FENCES[0], None, ["t"], bytes(len(FENCES)), jobs)))

    def reports(self) -> Iterator[Report]:
        while True:
            for body in self._reader.feed(self.mine.recv(65536)):
                yield report_decoder.decode(body)

    def close(self) -> None:
        self.mine.close()
        self._thread.join(20.0)
        assert not self._thread.is_alive()
        self._theirs.close()
        self.board.close()


@pytest.fixture(params=["process", "async", "thread"])
def seat(request: pytest.FixtureRequest) -> Iterator[Seat]:
    made = Seat(request.param)
    try:
        yield made
    finally:
        made.close()


def test_jobs_recalled_on_the_scoreboard_do_not_start(seat: Seat) -> None:
    seat.act = lambda run: seat.board.recall_to(FENCES[-1]) if run == 2 else None
    seat.hand_over()
    returned: list[int] = []
    done = 0
    for report in seat.reports():
        returned += report.returned
        done += report.forgotten_count
        if done + len(returned) == len(FENCES):
            break
    assert (seat.runs, done, returned) == (2, 2, FENCES[2:])


def test_a_recall_is_answered_with_the_rest_and_later_jobs_run(seat: Seat) -> None:
    seat.board.recall_to(FENCES[0] - 1)
    seat.mine.sendall(frame(Recall()))
    seat.hand_over()
    answers, done = 0, 0
    for report in seat.reports():
        answers += report.answers_recall
        done += report.forgotten_count
        assert report.returned == []
        if done == len(FENCES) and answers:
            break
    assert (answers, seat.runs) == (1, len(FENCES))
