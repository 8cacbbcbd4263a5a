"""Real processes: a node, or one command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from penstock.process import process_file
from penstock.process.process_tree import descendants
from penstock.store.directory import StoreDirectory
from tests.acceptance.nsq_peers import Daemons
from tests.acceptance.owners import wait_for_end

T = TypeVar("T")
SOURCES = Path(__file__).resolve().parents[2] / "src"

SHOP = """
import asyncio
import os

from penstock.tasks.app import Penstock

app = Penstock()


@app.task
def add(a: int, b: int = 1) -> int:
    return a + b


@app.task
async def pause(path: str) -> str:
    while not os.path.exists(path):
        await asyncio.sleep(0.01)
    return "seen"


@app.task(queue="sour")
def refuse(why: str) -> None:
    raise ValueError(why)


@app.task
def who() -> int:
    return os.getpid()
"""


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and processes started here would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def until(condition: Callable[[], T], deadline_s: float = 60.0) -> T:
    """What ``condition`` answers once that is true."""
    deadline = time.monotonic() + deadline_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return answer


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a store may be. An owner that is left there is asked to go."""
    path = tmp_path / "store"
    yield path
    record = StoreDirectory(path).owner()
    if record is not None:
        try:
            os.kill(record.pid, signal.SIGCONT)
            os.kill(record.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        wait_for_end(record.pid)


class Place:
    """A directory with an application in it, and commands that run there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = path / "jobs"
        (path / "shop.py").write_text(SHOP)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        self.environment |= {"PYTHONPATH": str(SOURCES), "PENSTOCK_URL": str(self.store), "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: str | bytes, **environment: str) -> subprocess.Popen[str]:
        """``penstock …`` in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", *arguments],
            cwd=self.path,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | bytes, **environment: str) -> tuple[int, str, str]:
        """``penstock …`` to its end: status, output, errors."""
        process = self.start(*arguments, **environment)
        try:
            output, errors = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            pytest.fail(f"penstock {arguments} does not end: {output} {errors}")
        return process.returncode, output, errors

    def json(self, *arguments: str) -> Any:
        """What ``penstock … --json`` prints."""
        status, output, errors = self.run(*arguments, "--json")
        assert status == 0, errors
        return json.loads(output)


class Node:
    """``penstock up`` in a place."""

    def __init__(self, place: Place, *arguments: str, **environment: str) -> None:
        self.place = place
        self.process = place.start("up", "shop:app", "--gate", "127.0.0.1:0", *arguments, **environment)

    def wait_ready(self) -> None:
        """Until the banner has been printed."""
        line = self.process.stdout.readline()
        assert line.startswith("Penstock runs"), line + self.process.stderr.read()

    def state(self) -> process_file.Processes:
        return process_file.read(self.place.store)

    def pids(self, role: str) -> list[int]:
        return [entry.pid for entry in self.state().processes if entry.role == role]

    def get(self, path: str) -> tuple[int, Any]:
        """Status and body of a GET at the gate; status 0: it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.state().gate}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, None

    def is_ready(self) -> bool:
        return self.state().gate != "" and self.get("/health/ready")[0] == 200

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal the root, wait for it; status and errors."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=90)
        return self.process.returncode, errors

    def below(self) -> list[int]:
        return descendants(self.process.pid)


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    """Daemons and tools of NSQ, real ones and ours, on free ports; what runs is ended after the test."""
    with Daemons(tmp_path) as started:
        yield started


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    where = Place(tmp_path)
    yield where
    record = where.store / "owner.lock"
    if record.is_file():
        # A command may have started an owner that would stay for a while.
        owner = json.loads(record.read_bytes() or b"{}").get("pid", 0)
        if process_file.alive(owner) and str(where.store) in Path(f"/proc/{owner}/cmdline").read_text():
            os.kill(owner, signal.SIGTERM)


@pytest.fixture
def node(place: Place) -> Iterator[Callable[..., Node]]:
    nodes: list[Node] = []

    def start(*arguments: str, **environment: str) -> Node:
        nodes.append(Node(place, *arguments, **environment))
        return nodes[-1]

    yield start
    for each in nodes:
        if each.process.poll() is None:
            each.process.terminate()
            try:
                each.process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                each.process.kill()
        each.process.communicate()
