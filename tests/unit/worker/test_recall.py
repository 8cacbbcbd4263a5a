"""A recalled job is never both started and given to others, on any processor.

The code's own steps are recorded: what a lane reads and writes on its scoreboard when it starts a job, and what the
supervisor does to take jobs back. Then every order in which two processors could make these steps is tried, each
keeping its writes to itself for as long as it likes, and showing those to different words in any order: x86 does the
first, ARM both. So this does not depend on luck, nor on the machine it runs on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

from penstock.model.job import LeasedJob
from penstock.tasks.app import Penstock
from penstock.worker import memory_barrier
from penstock.worker.executor.async_lane import AsyncLane
from penstock.worker.executor.process_lane import ProcessLane
from penstock.worker.executor.thread_lane import ThreadLane
from penstock.worker.messages import Lot, frame
from penstock.worker.options import WorkerOptions
from penstock.worker.scoreboard import RECALLED, SETTLE_S, Scoreboard, scoreboard_fd
from penstock.worker.supervisor.crew import Lane
from penstock.worker.supervisor.lane_load import LaneLedger, Piece
from penstock.worker.supervisor.supervisor import Supervisor

LATEST = 0
FENCE = 11


class Step(NamedTuple):
    """``kind``: store, load or barrier."""

    kind: str
    word: int = -1
    value: int = 0


class Recorder:
    """The words of a scoreboard, and what was done to them."""

    def __init__(self, words: Any, steps: list[Step]) -> None:
        self._words = words
        self._steps = steps

    def __getitem__(self, word: int) -> int:
        self._steps.append(Step("load", word))
        return cast(int, self._words[word])

    def __setitem__(self, word: int, value: int) -> None:
        self._steps.append(Step("store", word, value))
        self._words[word] = value

    def release(self) -> None:
        self._words.release()


def new_board() -> Scoreboard:
    board_fd = scoreboard_fd(1)
    board = Scoreboard(board_fd, 1)
    os.close(board_fd)
    return board


def start_of(kind: str) -> list[Step]:
    """What a lane does on its scoreboard up to the start of a job."""
    steps: list[Step] = []
    board = new_board()
    board.words = cast(Any, Recorder(board.words, steps))
    at_start: list[int] = []
    app = Penstock()

    def plain() -> None:
        at_start.append(len(steps))

    async def coroutine() -> None:
        plain()

    task = app.task(name="t", keep_result_s=0, keep_record_s=0)(coroutine if kind == "async" else plain)
    mine, theirs = socket.socketpair()
    run: Callable[[], Any] = {
        "process": lambda: ProcessLane(theirs, board, {"t": task}).run(),
        "thread": lambda: ThreadLane(theirs, board, {"t": task}, 1).run(),
        "async": lambda: asyncio.run(AsyncLane(board, {"t": task}, 1).run(theirs)),
    }[kind]
    lane = threading.Thread(target=run)
    lane.start()
    mine.settimeout(20.0)
    job = LeasedJob(bytes(16), 1, "default", b"m\x92\x90\x80", None)
    mine.sendall(frame(Lot(FENCE, None, ["t"], bytes(1), [job])))
    while not at_start:
        assert mine.recv(65536), "the lane is gone"
    # Not closed: what the lane has to say may not be read any more, but must be taken.
    mine.shutdown(socket.SHUT_WR)
    lane.join(20.0)
    assert not lane.is_alive()
    for end in (mine, theirs):
        end.close()
    return steps[: at_start[0]]


def take_back(monkeypatch: pytest.MonkeyPatch, *, reached: bool = True) -> tuple[list[Step], Callable[[], list[int]]]:
    """What a supervisor does to a scoreboard to take jobs back; and a function that answers what it has released."""
    steps: list[Step] = []

    def everywhere() -> bool:
        steps.append(Step("barrier"))
        return True

    monkeypatch.setattr(memory_barrier, "everywhere", everywhere)
    board = new_board()
    if reached:
        board.reached()
    board.words = cast(Any, Recorder(board.words, steps))
    ledger = LaneLedger("process", 1)
    executor = SimpleNamespace(is_dead=False, lanes=[])
    lane = Lane(cast(Any, executor), ledger, board, cast(Any, SimpleNamespace(forget=lambda _fences: None)))
    ledger.assign(Piece([FENCE], ["t"], bytes(1), [b""]), 10, 0.0)
    boss = Supervisor(WorkerOptions("no_such_app:app"))
    later: list[Callable[[], None]] = []

    def call_later(delay_s: float, call: Callable[..., None], *args: Any) -> None:
        assert delay_s == SETTLE_S
        later.append(lambda: call(*args))

    boss._loop = cast(Any, SimpleNamespace(call_later=call_later))
    boss._flow.soon = lambda: None

    def released() -> list[int]:
        return boss._flow.settlement.fences()

    boss._take_back(lane, 1.0)
    if later:
        assert released() == [], "nothing may run elsewhere before it is known what has started"
        steps.append(Step("barrier"))
        later[0]()
    return steps, released


class Side(NamedTuple):
    """One processor: its next step, its writes that the other does not see yet, and what it has read."""

    at: int
    buffer: tuple[tuple[int, int], ...]
    read: tuple[tuple[int, int], ...]


def outcomes(lane: list[Step], taker: list[Step]) -> set[tuple[int, int]]:
    """How far the lane saw that jobs are recalled, and which latest job the supervisor saw: for every order."""
    programs = (lane, taker)
    first = (Side(0, (), ()), Side(0, (), ()), ())
    seen, open_ends = {first}, [first]
    found = set()
    while open_ends:
        state = open_ends.pop()
        if all(side.at == len(program) for side, program in zip(state[:2], programs, strict=True)):
            found.add((dict(state[0].read).get(RECALLED, 0), dict(state[1].read).get(LATEST, 0)))
        for following in moves(state, programs):
            if following not in seen:
                seen.add(following)
                open_ends.append(following)
    return found


def moves(state: Any, programs: tuple[list[Step], list[Step]]) -> Iterator[Any]:
    """Every next state: a side makes its next step, or the oldest of its writes to some word is seen by the other."""
    *sides, memory = state
    for number, program in enumerate(programs):
        side = sides[number]
        for word in {word for word, _ in side.buffer}:
            place = next(i for i, (kept, _) in enumerate(side.buffer) if kept == word)
            shown = dict(memory) | {word: side.buffer[place][1]}
            buffer = side.buffer[:place] + side.buffer[place + 1 :]
            yield replaced(sides, number, side._replace(buffer=buffer), shown)
        if side.at == len(program):
            continue
        step, after = program[side.at], side._replace(at=side.at + 1)
        if step.kind == "store":
            yield replaced(sides, number, after._replace(buffer=(*side.buffer, (step.word, step.value))), dict(memory))
        elif step.kind == "load":
            value = (dict(memory) | dict(side.buffer)).get(step.word, 0)
            read = tuple(sorted((dict(side.read) | {step.word: value}).items()))
            yield replaced(sides, number, after._replace(read=read), dict(memory))
        elif step.kind == "barrier":
            # The kernel's: both sides' writes are seen.
            shown = dict(memory)
            for each in sides:
                shown |= dict(each.buffer)
            other = sides[1 - number]._replace(buffer=())
            cleared = [other, other]
            cleared[number] = after._replace(buffer=())
            yield (*cleared, tuple(sorted(shown.items())))


def replaced(sides: list[Side], number: int, side: Side, memory: dict[int, int]) -> Any:
    changed = list(sides)
    changed[number] = side
    return (*changed, tuple(sorted(memory.items())))


def runs_twice(lane: list[Step], taker: list[Step]) -> bool:
    """Whether in some order the lane starts the job and the supervisor gives it away."""
    return any(recalled < FENCE and latest < FENCE for recalled, latest in outcomes(lane, taker))


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("kind", ["process", "async", "thread"])
def test_in_no_order_does_a_job_start_here_and_elsewhere(
    kind: str, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane, (taker, released) = start_of(kind), take_back(monkeypatch, reached=reached)
    assert released() == [FENCE]
    assert not runs_twice(lane, taker)
    found = outcomes(lane, taker)
    assert {latest >= FENCE for _, latest in found} == {True, False}, "either may win"
    assert {recalled >= FENCE for recalled, _ in found} == {True, False}, "either may win"


@pytest.mark.parametrize("kind", ["process", "async", "thread"])
def test_each_step_is_needed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the search finds what it is there to find."""
    lane, (taker, _) = start_of(kind), take_back(monkeypatch)
    assert [step.kind for step in taker if step.word in (-1, RECALLED, LATEST)] == ["store", "barrier", "load"]
    assert runs_twice(lane, [step for step in taker if step.kind != "barrier"])
    assert runs_twice(lane, [taker[-1], *taker[:-1]])
    looks = [step for step in lane if step == Step("load", RECALLED)]
    assert runs_twice([*looks, *[step for step in lane if step not in looks]], taker)


@pytest.mark.skipif(sys.platform != "linux", reason="a system call of Linux's")
def test_the_kernel_puts_barriers_into_registered_processes() -> None:
    if not memory_barrier.register():
        pytest.skip("this kernel, or a filter on its calls, has none")
    assert memory_barrier.everywhere()


def test_without_the_call_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_barrier, "_system_call", lambda: None)
    assert (memory_barrier.register(), memory_barrier.everywhere()) == (False, False)
