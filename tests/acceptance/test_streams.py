"""A node whose standard streams nobody takes anything from, or that has none."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator

import pytest

from penstock.process import process_file
from tests.acceptance.conftest import Place, until

LOUD = """
import logging
import sys
import time

from penstock.tasks.app import Penstock
from penstock.tasks.retry import Retry

app = Penstock()


@app.task
def shout(lines: int) -> int:
    for number in range(lines):
        print("x" * 1000)
        logging.getLogger("shop").warning("%d %s", number, "y" * 1000)
        sys.stderr.write("z" * 1000 + "\\n")
    return lines


@app.task(timeout_s=0.2, retry=Retry(max_attempts=1))
def linger() -> None:
    time.sleep(600)
"""


def full_pipe() -> tuple[int, int]:
    """A pipe that holds all it can, and its reader, who does not read."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    return writing, reading


def stopped_terminal() -> tuple[int, int]:
    """A terminal on which Ctrl-S was typed."""
    master, slave = pty.openpty()
    termios.tcflow(slave, termios.TCOOFF)
    return slave, master


def reader_gone() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.close(reading)
    return writing, os.open(os.devnull, os.O_RDONLY)


def full_disk() -> tuple[int, int]:
    return os.open("/dev/full", os.O_WRONLY), os.open(os.devnull, os.O_RDONLY)


@pytest.fixture
def loud(place: Place) -> Place:
    (place.path / "loud.py").write_text(LOUD)
    return place


@pytest.fixture
def started(loud: Place) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(arguments: list[str], **streams: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "penstock.cli", *arguments]
        running.append(subprocess.Popen(command, cwd=loud.path, env=loud.environment, **streams))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def run_jobs(place: Place) -> None:
    """Jobs run, also those that print, and limits are kept."""
    ids = [place.json("enqueue", "loud:app", "loud.shout", "400")["id"] for _ in range(3)]
    lingering = place.json("enqueue", "loud:app", "loud.linger")["id"]
    for job in ids:
        assert place.json("job", job, "--wait", "--timeout", "60")["result"] == 400
    status, output, _ = place.run("job", lingering, "--wait", "--timeout", "60", "--json")
    assert (status, json.loads(output)["state"]) == (1, "dead")


@pytest.mark.parametrize("stream", [full_pipe, stopped_terminal, reader_gone, full_disk])
def test_a_node_works_and_stops_whatever_takes_its_output(loud, started, stream):
    taking, other = stream()
    try:
        arguments = ["up", "loud:app", "--gate", "127.0.0.1:0", "--executors", "2", "--verbose"]
        node = started(arguments, stdin=subprocess.DEVNULL, stdout=taking, stderr=taking)
        until(lambda: process_file.read(loud.store).executors_ready == 2)
        run_jobs(loud)
        # A part that dies is told of, and started again.
        first = [entry.pid for entry in process_file.read(loud.store).processes if entry.role == "supervisor"]
        os.kill(first[0], signal.SIGKILL)
        until(lambda: process_file.read(loud.store).executors_ready == 2 and first[0] not in _pids(loud))
        run_jobs(loud)
        node.send_signal(signal.SIGTERM)
        assert node.wait(60) == 0
    finally:
        os.close(taking)
        os.close(other)


@pytest.mark.parametrize("command", [["worker", "loud:app"], ["gate", "loud:app", "--gate", "127.0.0.1:0"]])
def test_a_part_alone_works_and_stops_too(loud, started, command):
    taking, other = full_pipe()
    try:
        part = started(command, stdin=subprocess.DEVNULL, stdout=taking, stderr=taking)
        if command[0] == "worker":
            run_jobs(loud)
        else:
            until(lambda: (loud.store / "owner.sock").exists())
        part.send_signal(signal.SIGTERM)
        assert part.wait(60) == 0
    finally:
        os.close(taking)
        os.close(other)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_node_without_standard_streams_works(loud, closed):
    command = f'exec "$0" -m penstock.cli up loud:app --gate 127.0.0.1:0 --executors 1 {closed}'
    node = subprocess.Popen(["sh", "-c", command, sys.executable], cwd=loud.path, env=loud.environment)
    try:
        until(lambda: process_file.read(loud.store).executors_ready == 1)
        run_jobs(loud)
        node.send_signal(signal.SIGTERM)
        assert node.wait(60) == 0
    finally:
        node.kill()
        node.wait()


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("arguments", ["enqueue loud:app loud.shout 1", "jobs", "stats", "tasks", "config", "version"])
def test_a_command_without_standard_streams_does_what_it_is_asked_for(loud, arguments, closed):
    assert loud.run("enqueue", "loud:app", "loud.shout", "1")[0] == 0
    command = f'exec "$0" -m penstock.cli {arguments} {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=loud.path,
        env=loud.environment,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert len(loud.json("jobs")["jobs"]) == (2 if arguments.startswith("enqueue") else 1)


def _pids(place: Place) -> list[int]:
    return [entry.pid for entry in process_file.read(place.store).processes]
