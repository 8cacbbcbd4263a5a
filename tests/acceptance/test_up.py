"""``penstock up``: a whole node, and what becomes of it when its parts die."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

import pytest

from penstock.process import process_file
from tests.acceptance.conftest import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_a_node_runs_jobs_and_says_what_it_is(node, place):
    running = node("--executors", "2")
    running.wait_ready()
    assert running.is_ready()
    assert place.run("enqueue", "shop:app", "shop.add", "1", "2", "--wait")[:2] == (0, "3\n")
    roles = [entry["role"] for entry in place.json("stats")["processes"]]
    assert roles == ["owner", "supervisor", "forkserver", "executor", "executor", "gate"]
    assert running.get("/v1/stats")[1] == place.json("stats")
    assert sorted(running.below()) == sorted(entry["pid"] for entry in place.json("stats")["processes"])


@pytest.mark.parametrize("role", ["owner", "gate", "supervisor", "forkserver", "executor"])
def test_a_part_that_is_killed_comes_back_and_jobs_run_again(node, place, role):
    running = node("--executors", "1")
    running.wait_ready()
    [before] = running.pids(role)
    os.kill(before, signal.SIGKILL)
    until(lambda: running.pids(role) not in ([], [before]))
    until(running.is_ready)
    assert place.run("enqueue", "shop:app", "shop.add", "1", "2", "--wait")[:2] == (0, "3\n")
    assert running.process.poll() is None


def test_when_the_root_is_killed_everything_leaves(node):
    running = node("--executors", "2")
    running.wait_ready()
    below = running.below()
    assert len(below) >= 6
    running.process.kill()
    until(lambda: not any(process_file.alive(pid) for pid in below))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_leaves_nothing_behind(node, place, number, status):
    running = node("--executors", "2")
    running.wait_ready()
    below = running.below()
    assert running.stop(number)[0] == status
    assert not any(process_file.alive(pid) for pid in below)
    assert not (place.store / process_file.FILE_NAME).exists()
    assert not (place.store / "owner.sock").exists()


def test_a_running_job_is_drained(node, place, tmp_path):
    running = node("--executors", "1")
    running.wait_ready()
    flag = tmp_path / "flag"
    job = place.run("enqueue", "shop:app", "shop.pause", json.dumps(str(flag)))[1].strip()
    until(lambda: place.json("job", job)["state"] == "running")
    running.process.send_signal(signal.SIGTERM)
    until(lambda: "Draining" in running.process.stderr.readline())
    flag.touch()
    assert running.end()[0] == 0
    assert place.json("job", job)["state"] == "succeeded"


def test_a_second_signal_stops_now_and_the_job_is_not_lost(node, place, tmp_path):
    running = node("--executors", "1")
    running.wait_ready()
    job = place.run("enqueue", "shop:app", "shop.pause", json.dumps(str(tmp_path / "never")))[1].strip()
    until(lambda: place.json("job", job)["state"] == "running")
    below = running.below()
    running.process.send_signal(signal.SIGTERM)
    until(lambda: "Draining" in running.process.stderr.readline())
    running.process.send_signal(signal.SIGTERM)
    running.end()
    assert not any(process_file.alive(pid) for pid in below)
    assert place.json("job", job)["state"] in {"running", "ready"}


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("nowhere:app", "no module 'nowhere'"),
        ("shop:nothing", "shop:app"),
        ("shop", "module:attribute"),
        ("shop:add", "not a Penstock"),
        ("broken:app", "ZeroDivisionError"),
    ],
)
def test_a_wrong_application_is_told_in_a_line_before_anything_runs(place, app, words):
    (place.path / "broken.py").write_text("1 / 0\n")
    status, output, errors = place.run("up", app, "--gate", "127.0.0.1:0")
    assert status == 2
    assert words in errors
    assert output == ""
    assert len(errors.strip().splitlines()) <= 2
    assert not place.store.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["up", "shop:app", "--executors", "1"],
        ["up", "shop:app", "--executors", "1", "--gates", "2"],
        ["gate", "shop:app"],
        ["gate", "--gates", "2"],
    ],
)
def test_a_port_in_use_is_status_3_with_the_reason_and_leaves_nothing_running(place, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, errors = place.run(*command, "--gate", f"127.0.0.1:{port}")
    assert status == 3
    assert f"port {port}" in errors
    assert "Traceback" not in errors
    assert not place.store.exists()


def test_a_second_node_on_the_same_directory_is_refused_and_the_first_goes_on(node, place):
    running = node("--executors", "1")
    running.wait_ready()
    status, _, errors = place.run("up", "shop:app", "--gate", "127.0.0.1:0", "--executors", "1")
    assert status == 3, errors
    assert running.is_ready()
    assert place.run("enqueue", "shop:app", "shop.add", "1", "--wait")[:2] == (0, "2\n")


def test_an_owner_that_a_script_started_hands_over(node, place):
    assert place.run("enqueue", "shop:app", "shop.add", "20", "22")[0] == 0
    running = node("--executors", "1")
    running.wait_ready()
    until(lambda: place.json("stats")["queues"]["default"]["succeeded"] == 1)
    owner = json.loads((place.store / "owner.lock").read_bytes())["pid"]
    assert [owner] == running.pids("owner")


def test_logs_are_json_when_asked_for(node):
    running = node("--executors", "1", PENSTOCK_LOG_FORMAT="json")
    until(running.is_ready)
    _, errors = running.stop()
    entries = [json.loads(line) for line in errors.splitlines()]
    assert {"ready", "stopping"} <= {entry.get("action") for entry in entries}


def test_the_flag_for_the_store_is_over_what_the_application_says(node, place):
    other = place.path / "elsewhere"
    running = node("--executors", "1", "--url", str(other))
    running.wait_ready()
    assert process_file.read(other).under_up
    assert not place.store.exists()
