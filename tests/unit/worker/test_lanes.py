"""Lanes at the other end of a socket, in threads of this process."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from penstock.model.errors import InvalidArguments, InvalidOption
from penstock.model.ids import id_text
from penstock.model.job import JobExtra, LeasedJob, Outcomes, Refused
from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry, Snooze
from penstock.worker.executor import after_fork
from penstock.worker.executor.async_lane import AsyncLane
from penstock.worker.executor.process_lane import ProcessLane
from penstock.worker.executor.thread_lane import ThreadLane
from penstock.worker.messages import Lot, MessageReader, Recall, Report, frame, report_decoder
from penstock.worker.scoreboard import Scoreboard, scoreboard_fd

FENCES = [11, 12, 13, 14]
BODY = b"m\x92\x90\x80"
WITH_ARGUMENT = b"m\x92\x91\x01\x80"
OF_ANOTHER_FORMAT = b"z\x92\x90\x80"


def _leaf(number: int) -> int:
    return number


class Seat:
    """The supervisor's side of a lane whose jobs call `act`, each in turn, and return ``value``. Those of the tasks
    ``kept`` and ``forgetting`` call `act_in` with their context. Those of ``adds``, ``adds_quietly`` add two numbers.
    """

    def __init__(self, kind: str) -> None:
        self.act: Callable[[int], None] = lambda _run: None
        self.act_in: Callable[[Context], object] = lambda _ctx: None
        self.value: object = None
        self.runs = 0
        board_fd = scoreboard_fd(1)
        self.board = Scoreboard(board_fd, 1)
        os.close(board_fd)
        self.mine, self._theirs = socket.socketpair()
        self.mine.settimeout(20.0)
        self._reader = MessageReader()
        app = Penstock()

        def plain() -> Any:
            self.runs += 1
            self.act(self.runs)
            return self.value

        async def coroutine() -> Any:
            return plain()

        def with_context(ctx: Context) -> Any:
            self.runs += 1
            self.act_in(ctx)
            return 1 if self.value is None else self.value

        async def coroutine_with_context(ctx: Context) -> Any:
            return with_context(ctx)

        def add(ctx: Context, one: int, other: int = 10) -> int:
            self.act_in(ctx)
            return one + other

        async def add_on_a_loop(ctx: Context, one: int, other: int = 10) -> int:
            return add(ctx, one, other)

        def add_quietly(one: int, other: int = 10) -> int:
            return one + other

        async def add_quietly_on_a_loop(one: int, other: int = 10) -> int:
            return one + other

        def count(values: list[int]) -> int:
            return len(values)

        async def count_on_a_loop(values: list[int]) -> int:
            return len(values)

        task = app.task(name="t", keep_result_s=0, keep_record_s=0)(coroutine if kind == "async" else plain)
        asking: Any = coroutine_with_context if kind == "async" else with_context
        kept = app.task(name="kept", retry=Retry(max_attempts=2))(asking)
        forgetting = app.task(name="forgetting", keep_result_s=0, keep_record_s=0)(asking)
        self.leaf: Any = app.task(name="leaf")(_leaf)
        adds = app.task(name="adds")(add_on_a_loop if kind == "async" else add)
        quiet: Any = add_quietly_on_a_loop if kind == "async" else add_quietly
        adds_quietly = app.task(name="adds_quietly", keep_result_s=0, keep_record_s=0)(quiet)
        counts: Any = app.task(name="counts")(count_on_a_loop if kind == "async" else count)
        tasks = {task.name: task for task in (task, kept, forgetting, adds, adds_quietly, counts)}
        lane: Callable[[], None]
        if kind == "process":
            lane = ProcessLane(self._theirs, self.board, tasks).run
        elif kind == "thread":
            lane = ThreadLane(self._theirs, self.board, tasks, 1).run
        else:
            lane = lambda: asyncio.run(AsyncLane(self.board, tasks, 1).run(self._theirs))  # noqa: E731 - as the others
        self._thread = threading.Thread(target=lane)
        self._thread.start()

    def hand_over(
        self,
        bodies: Sequence[bytes] = (BODY,) * 4,
        extras: Sequence[JobExtra] = (),
        task: str = "t",
        first: int = FENCES[0],
    ) -> None:
        packed = [msgspec.msgpack.encode(extra) for extra in extras] or [None] * len(bodies)
        jobs = [LeasedJob(bytes(16), 1, "default", *one) for one in zip(bodies, packed, strict=True)]
        self.mine.sendall(frame(Lot(first, None, [task], bytes(len(jobs)), jobs, time.monotonic())))

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


def test_however_many_threads_start_jobs_the_latest_never_falls() -> None:
    """The supervisor takes whatever is above the latest for not started, and gives that to others."""
    jobs = 400
    latest: list[int] = []

    class Words:
        def __init__(self, words: Any) -> None:
            self._words = words

        def __getitem__(self, word: int) -> int:
            return self._words[word]

        def __setitem__(self, word: int, value: int) -> None:
            if word == 0:
                # Give others every chance to come between.
                time.sleep(0)
                latest.append(value)
            self._words[word] = value

    board_fd = scoreboard_fd(8)
    board = Scoreboard(board_fd, 8)
    os.close(board_fd)
    words, board.words = board.words, Words(board.words)
    app = Penstock()
    task = app.task(name="t", executor="thread", keep_result_s=0, keep_record_s=0)(lambda: time.sleep(0))
    mine, theirs = socket.socketpair()
    mine.settimeout(20.0)
    thread = threading.Thread(target=ThreadLane(theirs, board, {"t": task}, 8).run)
    thread.start()
    mine.sendall(frame(Lot(1, None, ["t"], bytes(jobs), [LeasedJob(bytes(16), 1, "default", BODY, None)] * jobs)))
    reader, done = MessageReader(), 0
    while done < jobs:
        for report in map(report_decoder.decode, reader.feed(mine.recv(65536))):
            done += report.forgotten_count + (0 if report.outcomes is None else len(report.outcomes.forgotten))
    mine.close()
    thread.join(20.0)
    theirs.close()
    board.words = words
    assert latest == list(range(1, jobs + 1))


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


def test_after_a_recall_the_lane_starts_jobs_as_before(seat: Seat) -> None:
    """What was taken back leaves nobody waiting for it."""
    held, goes_on = threading.Event(), threading.Event()

    def hold(run: int) -> None:
        if run == 1:
            held.set()
            assert goes_on.wait(20.0)

    seat.act = hold
    seat.hand_over()
    assert held.wait(20.0)
    seat.board.recall_to(FENCES[-1])
    seat.mine.sendall(frame(Recall()))
    goes_on.set()
    assert ends(seat, 4) == (1, FENCES[1:], [])
    for first in (21, 31, 41):
        seat.hand_over(first=first)
        assert ends(seat, 4) == (4, [], [])
    assert seat.runs == 13


def ends(seat: Seat, count: int) -> tuple[int, list[int], list[Refused]]:
    """What is heard of so many jobs: how many have run, which were returned, which were refused."""
    done, returned, refused = 0, list[int](), list[Refused]()
    for report in seat.reports():
        done += report.forgotten_count
        returned += report.returned
        if report.outcomes is not None:
            done += len(report.outcomes.forgotten)
            refused += report.outcomes.refused
            assert report.outcomes.retried + report.outcomes.buried == []
        if done + len(returned) + len(refused) == count:
            return done, returned, refused
    raise AssertionError("the lane has gone")


def test_jobs_of_a_task_that_is_not_known_are_refused(seat: Seat) -> None:
    seat.hand_over(task="elsewhere")
    done, returned, refused = ends(seat, 4)
    assert (seat.runs, done, returned, [one.fence for one in refused]) == (0, 0, [], FENCES)
    assert {one.error.type for one in refused} == {"UnknownTask"}
    assert not any(one.is_unfit or one.error.traceback for one in refused)


@pytest.mark.parametrize("body", [WITH_ARGUMENT, OF_ANOTHER_FORMAT])
def test_a_job_whose_body_does_not_fit_is_refused_and_others_run(seat: Seat, body: bytes) -> None:
    seat.hand_over([BODY, body, BODY])
    done, returned, (refused,) = ends(seat, 3)
    assert (seat.runs, done, returned) == (2, 2, [])
    assert (refused.fence, refused.is_unfit, refused.error.type) == (FENCES[1], True, "InvalidArguments")
    assert "t: " in refused.error.message


def test_a_job_that_waited_too_long_for_its_start_is_returned_and_does_not_run(seat: Seat) -> None:
    def outlast(run: int) -> None:
        until = time.monotonic() + 0.02
        while run == 1 and time.monotonic() < until:
            pass

    seat.act = outlast
    extras = [JobExtra(), JobExtra(expires_in_s=0.01), JobExtra({"h": "x"}), JobExtra(expires_in_s=1_000.0)]
    seat.hand_over(extras=extras)
    done, returned, refused = ends(seat, 4)
    assert (seat.runs, done, returned, refused) == (3, 3, [FENCES[1]], [])


def test_jobs_that_are_all_too_late_are_returned_at_once(seat: Seat) -> None:
    seat.hand_over(extras=[JobExtra(expires_in_s=0.0)] * 4)
    assert ends(seat, 4) == (0, FENCES, [])
    seat.hand_over([BODY])
    assert ends(seat, 1) == (1, [], [])


# --- children --------------------------------------------------------------------------------------------------------


def outcomes_of(seat: Seat, count: int) -> Outcomes:
    """What the lane says of so many jobs, with the children that were in the report of their parents."""
    said = Outcomes(b"")
    for report in seat.reports():
        said.forgotten.extend(range(report.forgotten_first, report.forgotten_first + report.forgotten_count))
        if report.outcomes is not None:
            assert {fence for fence, _ in report.outcomes.children} <= set(report.outcomes.fences())
            said.extend(report.outcomes)
        if len(said.fences()) == count:
            return said
    raise AssertionError("the lane has gone")


@pytest.mark.parametrize("task", ["kept", "forgetting"])
def test_what_a_job_enqueues_is_reported_with_its_success(seat: Seat, task: str) -> None:
    ids: list[str] = []

    def ask(ctx: Context) -> None:
        if seat.runs != 2:
            ids.extend([ctx.enqueue(seat.leaf.s(seat.runs)), ctx.enqueue(seat.leaf.options(queue="q").s(0))])

    seat.act_in = ask
    seat.hand_over(task=task)
    said = outcomes_of(seat, 4)
    parents = [FENCES[0], FENCES[2], FENCES[3]]
    assert [fence for fence, _ in said.children] == parents
    assert [id_text(job.id) for _, groups in said.children for group in groups for job in group.jobs] == ids
    assert [[group.queue for group in groups] for _, groups in said.children] == [["default", "q"]] * 3
    # Those of which nothing is kept are successes all the same; the one without children goes the fast way.
    kept_s = {success.fence: success.keep_record_s + success.keep_result_s for success in said.succeeded}
    assert sorted(kept_s) == (FENCES if task == "kept" else parents)
    assert all(kept_s.values()) == (task == "kept")
    assert said.forgotten == ([] if task == "kept" else [FENCES[1]])


@pytest.mark.parametrize("error", [ValueError("no"), Snooze(1.0)])
def test_what_a_job_enqueues_is_dropped_when_it_raises(seat: Seat, error: Exception) -> None:
    def ask(ctx: Context) -> None:
        ctx.enqueue(seat.leaf.s(1))
        raise error

    seat.act_in = ask
    seat.hand_over([BODY], task="kept")
    said = outcomes_of(seat, 1)
    assert (len(said.retried) + len(said.snoozed), said.children) == (1, [])


def test_what_a_job_enqueues_is_dropped_when_it_heard_that_it_is_cancelled(seat: Seat) -> None:
    def ask(ctx: Context) -> None:
        ctx.enqueue(seat.leaf.s(1))
        seat.board.ask_to_end(0, FENCES[0])
        assert ctx.cancelled()

    seat.act_in = ask
    seat.hand_over([BODY], task="kept")
    said = outcomes_of(seat, 1)
    assert ([one.fence for one in said.cancelled], said.children) == ([FENCES[0]], [])


def test_a_call_that_does_not_fit_is_the_jobs_own_failure(seat: Seat) -> None:
    """Not a refusal of the job: its own arguments do fit."""
    seat.act_in = lambda ctx: ctx.enqueue(seat.leaf.s("x"))
    seat.hand_over([BODY], task="kept")
    said = outcomes_of(seat, 1)
    assert [one.error.type for one in said.retried] == [InvalidArguments.__name__]


def test_a_process_that_a_job_has_forked_is_told_that_it_cannot_enqueue_with_it(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(ctx: Context) -> None:
        with monkeypatch.context() as forked:
            forked.setattr(after_fork, "is_child", [1])
            with pytest.raises(InvalidOption, match="forked"):
                ctx.enqueue(seat.leaf.s(1))
        ctx.enqueue(seat.leaf.s(2))

    seat.act_in = ask
    seat.hand_over([BODY], task="kept")
    said = outcomes_of(seat, 1)
    assert [len(group.jobs) for _, groups in said.children for group in groups] == [1]


def test_after_its_attempt_a_job_enqueues_nothing(seat: Seat) -> None:
    contexts: list[Context] = []
    seat.act_in = contexts.append
    seat.hand_over([BODY], task="kept")
    outcomes_of(seat, 1)
    with pytest.raises(InvalidOption, match="has ended"):
        contexts[0].enqueue(seat.leaf.s(1))
