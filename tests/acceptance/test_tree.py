"""The root of a node with small parts of our own: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.process import process_file
from penstock.process.process_tree import descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

NODE = """
import os, signal, sys, time
from penstock.process import log
from penstock.process.part_report import Reporter
from penstock.node.forked_part import PartSpec
from penstock.node.root import Root

directory, ways = sys.argv[1], dict(word.split("=") for word in sys.argv[2:])

def part(role):
    def entry(fd):
        reporter = Reporter(fd)
        way = ways.get(role, "")
        if way == "fails":
            reporter.failure("No luck today.")
            return 1
        if way == "usage":
            reporter.failure("No such thing.")
            return 2
        def leave(number, frame):
            with open(os.path.join(directory, "order"), "a") as file:
                file.write(role + "\\n")
            os._exit(0)
        if way != "deaf":
            signal.signal(signal.SIGTERM, leave)
        else:
            signal.signal(signal.SIGTERM, lambda *_: None)
        if way == "parent":
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    signal.pause()
            reporter.processes([("executor", child)], 1)
        reporter.ready()
        # Not `signal.pause`: a signal that came just before would have its handler run only after the next one.
        while True:
            signal.sigtimedwait([], 0.05)
    return PartSpec(role, entry)

log.setup("info", "text")
status, reason = Root(
    [part("owner"), part("supervisor"), part("gate")], directory, lambda _: print("ready", flush=True)
).run()
if reason:
    print(reason, file=sys.stderr)
sys.exit(status)
"""


class Node:
    """A root in a process of its own."""

    def __init__(self, directory: Path, **ways: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", NODE, str(directory), *(f"{role}={way}" for role, way in ways.items())],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def pids(self) -> dict[str, int]:
        return {entry.role: entry.pid for entry in process_file.read(self.directory).processes}

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def order(self) -> list[str]:
        return (self.directory / "order").read_text().split()


def until(condition, deadline_s: float = 60.0):
    """What ``condition`` answers once that is true."""
    deadline = time.monotonic() + deadline_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return answer


@pytest.fixture
def node(tmp_path):
    nodes: list[Node] = []

    def start(**ways: str) -> Node:
        nodes.append(Node(tmp_path, **ways))
        return nodes[-1]

    yield start
    for each in nodes:
        if each.process.poll() is None:
            each.process.terminate()
        each.process.communicate()


@pytest.mark.parametrize("role", ["owner", "supervisor", "gate"])
def test_a_part_that_is_killed_is_started_again_and_the_others_stay(node, role):
    running = node()
    running.wait_ready()
    before = running.pids()
    os.kill(before[role], signal.SIGKILL)
    after = until(lambda: (now := running.pids()) and now.get(role) not in {None, before[role]} and now)
    assert {name: pid for name, pid in after.items() if name != role} == {
        name: pid for name, pid in before.items() if name != role
    }


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_goes_gate_supervisor_owner_and_leaves_nothing(node, number, status):
    running = node()
    running.wait_ready()
    below = descendants(running.process.pid)
    assert len(below) == 3
    running.process.send_signal(number)
    assert running.end()[0] == status
    assert running.order() == ["gate", "supervisor", "owner"]
    assert not any(process_file.alive(pid) for pid in below)
    assert not (running.directory / process_file.FILE_NAME).exists()


def test_when_the_root_is_killed_its_parts_leave(node):
    running = node()
    running.wait_ready()
    below = descendants(running.process.pid)
    running.process.kill()
    until(lambda: not any(process_file.alive(pid) for pid in below))
    assert process_file.read(running.directory).processes == []


def test_a_second_signal_stops_now_whatever_a_part_does(node):
    running = node(gate="deaf", supervisor="deaf")
    running.wait_ready()
    running.process.send_signal(signal.SIGTERM)
    until(lambda: "Draining" in running.process.stderr.readline())
    running.process.send_signal(signal.SIGTERM)
    assert running.end()[0] == 0
    assert running.order() == ["owner"]


def test_a_part_that_keeps_failing_stops_the_whole_with_the_reason(node):
    status, errors = node(gate="fails").end()
    assert status == 1
    assert "gate" in errors
    assert "No luck today" in errors


def test_wrong_usage_stops_the_whole_at_once(node):
    status, errors = node(supervisor="usage").end()
    assert status == 2
    assert "No such thing" in errors


def test_an_orphan_of_a_dead_part_is_ended_with_the_root(node):
    running = node(supervisor="parent")
    running.wait_ready()
    before = until(lambda: (pids := running.pids()) and "executor" in pids and pids)
    os.kill(before["supervisor"], signal.SIGKILL)
    until(lambda: running.pids().get("executor") not in {None, before["executor"]})
    assert before["executor"] in descendants(running.process.pid), "the root has taken it in"
    running.process.send_signal(signal.SIGTERM)
    assert running.end()[0] == 0
    assert not process_file.alive(before["executor"])


def test_the_file_of_processes_says_what_each_part_says(node):
    running = node(supervisor="parent")
    running.wait_ready()
    until(lambda: process_file.read(running.directory).executors_ready == 1)
    state = json.loads((running.directory / process_file.FILE_NAME).read_bytes())
    assert state["root"] == running.process.pid
    assert [entry["role"] for entry in state["processes"]] == ["owner", "supervisor", "executor", "gate"]
