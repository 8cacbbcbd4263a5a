"""Several gates at one address: a client sees one that does not go away."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from penstock.process import process_file
from penstock.process.process_tree import descendants
from tests.acceptance.conftest import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

JOB = {"task": "shop.add", "args": [1, 2]}


def post(address: str) -> int:
    request = urllib.request.Request(
        f"http://{address}/v1/jobs", json.dumps(JOB).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.status)


def accepted_by_gates(address: str) -> int:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    head = 'penstock_gate_requests_total{route="jobs",status="202"} '
    return sum(int(line.removeprefix(head)) for line in lines if line.startswith(head))


def listens_at(pid: int, port: int) -> bool:
    """Whether the process has a socket that listens there."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd") if name.isdigit()]
    return any(f"socket:[{inode}]" in links for inode in inodes)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("gates", [1, 2])
def test_nobody_is_refused_while_gates_are_killed_and_no_count_goes_back(node, gates):
    running = node("--executors", "1", "--gates", str(gates))
    running.wait_ready()
    address = running.state().gate
    for count in range(1, 4):
        before = running.pids("gate")
        assert len(before) == gates
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda pids=before: not any(map(process_file.alive, pids)))
        assert post(address) == 202
        # The other gate's figures may be a second old.
        until(lambda count=count: accepted_by_gates(address) == count)
        until(lambda pids=before: len(running.pids("gate")) == gates and not {*running.pids("gate")} & {*pids})
    assert running.stop()[0] == 0


def test_gates_share_the_requests_and_count_them_together(node, place):
    running = node("--executors", "1", "--gates", "2")
    running.wait_ready()
    address = running.state().gate
    shown = [0]
    for _ in range(32):
        assert post(address) == 202
        shown.append(accepted_by_gates(address))
    until(lambda: accepted_by_gates(address) == 32)
    assert shown == sorted(shown)
    assert len(running.pids("gate")) == 2
    until(lambda: place.json("stats")["queues"]["default"]["succeeded"] == 32)


def test_only_gates_have_the_sockets_and_a_stopped_node_has_none(node):
    running = node("--executors", "1", "--gates", "2")
    running.wait_ready()
    port = int(running.state().gate.rpartition(":")[2])
    gates = running.pids("gate")
    assert [listens_at(pid, port) for pid in gates] == [True, True]
    others = set(running.below()) - set(gates)
    assert len(others) >= 4
    assert not any(listens_at(pid, port) for pid in others)
    assert running.stop()[0] == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_gates_alone_serve_a_store_and_leave_together_but_for_the_owner(place):
    port = free_port()
    gates = place.start("gate", "shop:app", "--gate", f"127.0.0.1:{port}", "--gates", "2")
    try:
        address = f"127.0.0.1:{port}"
        assert "listening" in gates.stderr.readline()
        assert post(address) == 202
        with urllib.request.urlopen(f"http://{address}/health/ready", timeout=60) as answer:
            assert answer.status == 200

        def listed_now():
            with urllib.request.urlopen(f"http://{address}/v1/stats", timeout=60) as answer:
                return {entry["pid"] for entry in json.load(answer)["processes"]}

        until(lambda: len(listed_now()) == 2)
        pids, listed = descendants(gates.pid), listed_now()
        assert listed <= set(pids)
        gates.terminate()
        assert gates.wait(timeout=60) == 0
        assert not any(map(process_file.alive, listed))
        assert process_file.alive(json.loads((place.store / "owner.lock").read_bytes())["pid"])
        assert place.json("stats")["queues"]["default"]["accepted_total"] == 1
    finally:
        gates.kill()
        gates.communicate()
