"""The root from its start to its end, in virtual time: parts are scripts, and their report pipes are real."""

from __future__ import annotations

import errno
import heapq
import itertools
import json
import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.model import limits
from penstock.node.forked_part import PartSpec
from penstock.node.root import Root
from penstock.node.system import System
from penstock.process import process_file
from penstock.process.part_report import PartReport, ProcessEntry

READY = b'{"ready":true}\n'
FOREVER = 1e9


@dataclass
class Life:
    """How one process of a part goes on. Times are seconds after its start.

    Attributes:
        says: what it writes on its report pipe, and when.
        ends_at: when it ends by itself, with ``status``.
        heeds_s: how long after SIGTERM it leaves, with status 0. None: it does not.
        holds_pipe: somebody it has started keeps its report pipe open.
    """

    says: Sequence[tuple[float, bytes]] = ((0.1, READY),)
    ends_at: float | None = None
    status: int = 0
    heeds_s: float | None = 0.1
    holds_pipe: bool = False


@dataclass
class Process:
    name: str
    life: Life
    report_fd: int
    alive: bool = True


class World(System):
    """An operating system in virtual time.

    Attributes:
        log: what was done to processes: ("fork", name), (signal, name).
        orphans: processes below the root that are nobody's part, with the signal that ends each.
    """

    def __init__(self, lives: dict[str, list[Life]]) -> None:
        self.time = 1_000.0
        self.lives = {name: iter(some) for name, some in lives.items()}
        self.log: list[tuple[Any, str]] = []
        self.starts: list[tuple[float, str]] = []
        self.groups_killed: list[int] = []
        self.orphans: dict[int, int] = {}
        self.fork_errors: dict[str, list[OSError]] = {}
        self.processes: dict[int, Process] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ended: list[tuple[int, int]] = []
        self._pids = itertools.count(900_001)

    def at(self, moment: float, happening: Callable[[], None]) -> None:
        heapq.heappush(self._due, (moment, next(self._order), happening))

    def now(self) -> float:
        return self.time

    def wait(self, selector: selectors.BaseSelector, timeout_s: float | None) -> list[str | None]:
        until = FOREVER * 2 if timeout_s is None else self.time + timeout_s
        if self._due and self._due[0][0] <= until:
            self.time, _, happening = heapq.heappop(self._due)
            happening()
        else:
            assert timeout_s is not None, "the root waits, and nothing will ever happen"
            self.time = until
        return super().wait(selector, 0)

    def fork(
        self, spec: PartSpec, others: Sequence[PartSpec], report_fd: int, life_fd: int, not_theirs: Sequence[int]
    ) -> int:
        assert report_fd not in not_theirs
        if errors := self.fork_errors.get(spec.name):
            raise errors.pop(0)
        pid = next(self._pids)
        process = Process(spec.name, next(self.lives[spec.name]), os.dup(report_fd))
        self.processes[pid] = process
        self.log.append(("fork", spec.name))
        self.starts.append((self.time, spec.name))
        for after_s, words in process.life.says:
            self.at(self.time + after_s, lambda words=words: process.alive and os.write(process.report_fd, words))
        if process.life.ends_at is not None:
            self.at(self.time + process.life.ends_at, lambda: self._end(pid, process.life.status))
        return pid

    def kill(self, pid: int, number: int) -> None:
        if pid in self.orphans:
            self.log.append((number, "orphan"))
            if self.orphans[pid] == number:
                del self.orphans[pid]
            return
        process = self.processes[pid]
        assert process.alive, f"{process.name} gets {number} when it is gone"
        self.log.append((number, process.name))
        if number == signal.SIGKILL:
            self.at(self.time, lambda: self._end(pid, -signal.SIGKILL))
        elif process.life.heeds_s is not None:
            self.at(self.time + process.life.heeds_s, lambda: self._end(pid, 0))

    def kill_group(self, pid: int) -> None:
        self.groups_killed.append(pid)

    def ended(self) -> list[tuple[int, int]]:
        found, self._ended = self._ended, []
        return found

    def adopt_orphans(self) -> None:
        pass

    def below(self) -> list[int]:
        return list(self.orphans)

    def _end(self, pid: int, status: int) -> None:
        process = self.processes[pid]
        if process.alive:
            process.alive = False
            if not process.life.holds_pipe:
                os.close(process.report_fd)
            self._ended.append((pid, status))


class Node:
    """A root over a world. ``lives``: one list of lives a part, for each of its starts."""

    def __init__(self, tmp_path: Path, lives: dict[str, list[Life]], specs: Sequence[PartSpec] = ()) -> None:
        self.world = World(lives)
        self.announced: list[process_file.Processes] = []
        self.directory = tmp_path
        given = {spec.name: spec for spec in specs}
        parts = [given.get(name) or PartSpec(name, lambda _: 0) for name in lives]
        self.root = Root(parts, str(tmp_path), self.announced.append, system=self.world)

    def signal_at(self, after_s: float, *numbers: int) -> None:
        self.world.at(self.world.time + after_s, lambda: self.root._waker.send(bytes(numbers)))

    def look_at(self, after_s: float, look: Callable[[], None]) -> None:
        self.world.at(self.world.time + after_s, look)

    def run(self) -> tuple[int, str | None]:
        return self.root.run()

    def written(self) -> list[str]:
        """The roles in `processes.json`; none: there is no file."""
        path = self.directory / process_file.FILE_NAME
        return [entry["role"] for entry in json.loads(path.read_text())["processes"]] if path.exists() else []


def everything(**changed: list[Life]) -> dict[str, list[Life]]:
    return {"owner": [Life()], "supervisor": [Life()], "gate": [Life()], **changed}


def orders(node: Node) -> list[tuple[Any, str]]:
    """What was asked of parts, without their starts."""
    return [one for one in node.world.log if one[0] != "fork"]


STOPPED_IN_ORDER = [(signal.SIGTERM, "gate"), (signal.SIGTERM, "supervisor"), (signal.SIGTERM, "owner")]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_a_node_starts_from_its_foundation_and_stops_down_to_it(tmp_path, number, status) -> None:
    node = Node(tmp_path, everything())
    node.signal_at(50.0, number)
    assert node.run() == (status, None)
    assert [name for _, name in node.world.starts] == ["owner", "supervisor", "gate"]
    assert orders(node) == STOPPED_IN_ORDER


def test_the_end_of_some_child_stops_nothing(tmp_path) -> None:
    node = Node(tmp_path, everything())
    asked: list[list[tuple[Any, str]]] = []
    node.signal_at(50.0, signal.SIGCHLD)
    node.look_at(55.0, lambda: asked.append(orders(node)))
    node.signal_at(60.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert asked == [[]]


def test_what_is_ready_is_announced_once_and_written_down_until_the_end(tmp_path) -> None:
    below = b'{"processes":[{"role":"executor","pid":7}],"executors_ready":1}\n'
    supervisor = Life(says=[(0.1, READY), (0.2, below)])
    gate = Life(says=[(1.0, b'{"ready":true,"address":"127.0.0.1:7367"}\n')])
    node = Node(tmp_path, everything(supervisor=[supervisor], gate=[gate, Life()]))
    seen: list[list[str]] = []
    for moment in (0.05, 10.0):
        node.look_at(moment, lambda: seen.append(node.written()))
    node.signal_at(20.0, signal.SIGTERM)
    node.run()
    (announced,) = node.announced
    assert [entry.role for entry in announced.processes] == ["owner", "supervisor", "executor", "gate"]
    assert (announced.root, announced.executors_ready, announced.gate) == (os.getpid(), 1, "127.0.0.1:7367")
    assert seen == [[], ["owner", "supervisor", "executor", "gate"]]
    assert node.written() == []


def test_processes_that_cannot_be_written_down_are_a_warning(tmp_path, caplog) -> None:
    node = Node(tmp_path / "gone", everything())
    node.signal_at(20.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert any(process_file.FILE_NAME in record.message for record in caplog.records)
    assert len(node.announced) == 1


def test_asked_again_it_stops_at_once(tmp_path) -> None:
    node = Node(tmp_path, everything(gate=[Life(heeds_s=None)]))
    node.signal_at(50.0, signal.SIGTERM)
    node.signal_at(51.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert orders(node) == [
        (signal.SIGTERM, "gate"),
        (signal.SIGTERM, "owner"),
        (signal.SIGKILL, "supervisor"),
        (signal.SIGKILL, "gate"),
    ]
    assert node.world.time - 1_051.0 < 1.0


def test_a_part_that_does_not_stop_in_time_is_killed(tmp_path) -> None:
    node = Node(tmp_path, everything(gate=[Life(heeds_s=None)]))
    node.signal_at(50.0, signal.SIGTERM)
    node.run()
    assert orders(node)[:2] == [(signal.SIGTERM, "gate"), (signal.SIGKILL, "gate")]
    assert node.world.time - 1_050.0 == pytest.approx(limits.STOP_S + 0.2)


@pytest.mark.parametrize("status", [0, 1, 2, -9])
def test_a_part_that_ends_is_started_again_and_what_it_had_below_it_ends(tmp_path, caplog, status) -> None:
    said = b'{"processes":[{"role":"executor","pid":77},{"role":"forkserver","pid":78}],"executors_ready":1}\n'
    dying = Life(says=[(0.1, READY), (0.2, said)], ends_at=30.0, status=status)
    node = Node(tmp_path, everything(supervisor=[dying, Life()]))
    node.look_at(40.0, lambda: roles.extend(node.written()))
    node.signal_at(50.0, signal.SIGTERM)
    roles: list[str] = []
    with caplog.at_level(logging.WARNING):
        assert node.run() == (0, None)
    assert [name for _, name in node.world.starts] == ["owner", "supervisor", "gate", "supervisor"]
    assert node.world.groups_killed == [77, 78]
    assert roles == ["owner", "supervisor", "gate"], "the executors went with it"
    assert [record.message for record in caplog.records if "supervisor" in record.message] != []
    assert len(node.announced) == 1


def test_a_part_that_is_never_ready_is_killed_and_after_some_starts_the_whole_stops(tmp_path) -> None:
    silent = [Life(says=[(0.1, b'{"failure":"no luck"}\n')]) for _ in range(limits.STARTS_WITHOUT_READY_MAX)]
    node = Node(tmp_path, everything(gate=silent))
    status, reason = node.run()
    assert status == 1
    assert reason is not None
    assert f"gate was started {limits.STARTS_WITHOUT_READY_MAX} times" in reason
    assert reason.endswith("no luck.")
    starts = [moment for moment, name in node.world.starts if name == "gate"]
    pauses = [after - before - limits.START_S_MAX for before, after in itertools.pairwise(starts)]
    assert pauses == pytest.approx([limits.RESTART_BASE_S * 2**i for i in range(len(pauses))])


@pytest.mark.parametrize("status", [2, 3])
def test_a_part_that_was_asked_for_the_impossible_stops_the_whole_with_its_reason(tmp_path, status) -> None:
    """Its exit and its reason come together: the reason is heard all the same."""
    refused = Life(says=[(0.1, b'{"failure":"The address is taken."}\n')], ends_at=0.1, status=status)
    node = Node(tmp_path, everything(gate=[refused]))
    assert node.run() == (status, "The gate cannot start: The address is taken.")
    assert [name for _, name in node.world.starts].count("gate") == 1


def test_a_part_whose_work_is_lost_stops_the_whole(tmp_path) -> None:
    lost = Life(
        says=[(0.1, READY), (30.0, b'{"failure":"The store was deleted.","lost":true}\n')], ends_at=30.0, status=3
    )
    node = Node(tmp_path, everything(owner=[lost]))
    assert node.run() == (3, "The owner has lost what it served: The store was deleted.")
    assert [name for _, name in node.world.starts].count("owner") == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [b'{"rea', b'dy":', b"true}\n"],
        [b"ready\n"],
        [b"no report\n\n[]\n" + READY],
        [b"\xff\xfe\n" + READY + b"the beginning of"],
    ],
)
def test_reports_come_in_pieces_and_among_other_words(tmp_path, pieces) -> None:
    gate = Life(says=[(0.1 * (1 + i), piece) for i, piece in enumerate(pieces)])
    node = Node(tmp_path, everything(gate=[gate]))
    node.signal_at(50.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert len(node.announced) == 1


def test_a_part_that_says_one_endless_line_is_not_heard_and_not_ended(tmp_path) -> None:
    flood = [(1.0 + 0.01 * i, b"x" * 60_000) for i in range(20)]
    node = Node(tmp_path, everything(gate=[Life(says=[(0.1, READY), *flood[:18]], holds_pipe=True)]))
    pending: list[int] = []
    node.look_at(40.0, lambda: pending.append(node.root._running["gate"].reading))
    node.look_at(
        41.0, lambda: os.write(next(p for p in node.world.processes.values() if p.name == "gate").report_fd, b"x")
    )
    node.look_at(42.0, lambda: pending.append(node.root._running["gate"].reading))
    node.signal_at(50.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert pending[0] >= 0
    assert pending[1] == -1
    assert orders(node) == STOPPED_IN_ORDER


def test_a_report_pipe_that_others_hold_open_does_not_hold_up_the_end(tmp_path) -> None:
    gate = Life(says=[(0.1, READY), (30.0, b'{"address":"here"}\n' * 2)], ends_at=30.0, holds_pipe=True)
    node = Node(tmp_path, everything(gate=[gate, Life()]))
    node.signal_at(50.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert [name for _, name in node.world.starts].count("gate") == 2


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOMEM])
def test_a_part_that_cannot_be_forked_is_tried_again(tmp_path, code) -> None:
    node = Node(tmp_path, everything())
    node.world.fork_errors["supervisor"] = [OSError(code, os.strerror(code)) for _ in range(3)]
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    descriptors: list[int] = []
    node.look_at(40.0, lambda: descriptors.append(len(before and os.listdir("/proc/self/fd"))))
    node.signal_at(50.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert [name for _, name in node.world.starts].count("supervisor") == 1
    # Of each part that runs there is the root's end of its pipe, and here the part's own.
    assert not before or descriptors == [len(before) + 2 * len(everything())]


def test_when_no_part_can_ever_be_forked_the_whole_stops_with_the_reason(tmp_path) -> None:
    node = Node(tmp_path, everything())
    node.world.fork_errors["owner"] = [OSError(errno.EAGAIN, "no more processes")] * limits.STARTS_WITHOUT_READY_MAX
    status, reason = node.run()
    assert status == 1
    assert reason is not None
    assert "no more processes" in reason
    assert node.world.starts == []


def test_what_is_left_below_at_the_end_is_asked_and_then_killed(tmp_path) -> None:
    node = Node(tmp_path, everything())
    node.world.orphans = {5: signal.SIGTERM, 6: signal.SIGKILL}
    node.signal_at(50.0, signal.SIGTERM)
    assert node.run() == (0, None)
    last = [one for one in node.world.log if one[1] == "orphan"]
    assert last == [(signal.SIGTERM, "orphan"), (signal.SIGTERM, "orphan"), (signal.SIGKILL, "orphan")]
    assert node.world.orphans == {}


def test_what_cannot_be_ended_holds_up_the_end_for_two_seconds_only(tmp_path) -> None:
    node = Node(tmp_path, {"owner": [Life()]})
    node.world.orphans = {5: 0}
    node.signal_at(50.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert node.world.time == pytest.approx(1_050.0 + 0.1 + 2.0)


def test_listening_sockets_outlive_a_part_and_close_when_the_whole_stops(tmp_path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        gate = PartSpec("gate", lambda _: 0, listening=(sock,))
        node = Node(tmp_path, everything(gate=[Life(ends_at=10.0), Life()]), [gate])
        open_at: list[bool] = []
        for moment in (10.05, 40.0, 50.05):
            node.look_at(moment, lambda: open_at.append(sock.fileno() >= 0))
        node.signal_at(50.0, signal.SIGTERM)
        assert node.run() == (0, None)
        assert open_at == [True, True, False]


def test_a_word_of_its_own_is_understood_where_a_part_has_one(tmp_path) -> None:
    owner = PartSpec("owner", lambda _: 0, word=lambda said: PartReport(ready=True) if said == b"S" else None)
    node = Node(tmp_path, everything(owner=[Life(says=[(0.1, b"?"), (0.2, b"S")])]), [owner])
    node.signal_at(50.0, signal.SIGTERM)
    assert node.run() == (0, None)
    assert node.announced[0].processes[0] == ProcessEntry("owner", 900_001)


def test_it_leaves_signals_and_descriptors_as_it_found_them(tmp_path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
    open_before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    node = Node(tmp_path, everything())
    node.signal_at(50.0, signal.SIGTERM)
    node.run()
    assert {number: signal.getsignal(number) for number in before} == before
    assert not open_before or os.listdir("/proc/self/fd") == open_before
