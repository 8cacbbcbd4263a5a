"""What the door of NSQ is tested against, and daemons as tests start them: real ones, and ours in the same way.

``make nsq-peers`` makes them. Where they are wanted (PENSTOCK_PEERS=required, as in CI) an absent one is a failure,
else the test is skipped by its name.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import pytest

from tests.acceptance.owners import environment

PEERS = Path(__file__).resolve().parents[2] / ".cache" / "nsq-peers"
LISTENING = re.compile(r"\b(TCP|HTTP|HTTPS): listening on (\S+):(\d+)$", re.MULTILINE)
DEADLINE_S = 60.0

OURS = {
    "nsqd": [sys.executable, "-m", "penstock.cli", "nsqd"],
    "nsqlookupd": [sys.executable, "-m", "penstock.cli", "nsqlookupd"],
}
"""How our daemons are called, by the name of what they stand in for."""


def lacking(what: str) -> NoReturn:
    """Skip this test by what it lacks, or fail it where nothing may be lacking."""
    (pytest.fail if os.environ.get("PENSTOCK_PEERS") == "required" else pytest.skip)(what)


def present(path: Path) -> Path:
    """A file of a peer. A test that asks for one that is not there is skipped, or fails where peers are required."""
    if not path.exists():
        lacking(f"NSQ's {path.relative_to(PEERS)} is not there: make nsq-peers")
    return path


def program(name: str) -> Path:
    """A daemon or tool of NSQ itself: ``nsqd``, ``nsq_tail``, …"""
    return present(PEERS / "bin" / name)


def client_python(name: str) -> Path:
    """The Python that has the client: ``gnsq``, ``ansq`` or ``pynsq``."""
    return present(PEERS / name / "venv" / "bin" / "python")


def client_suite(name: str) -> Path:
    """The unpacked sdist of the client."""
    return present(PEERS / name / "suite")


class Daemon:
    """One daemon on ports of its own choice; what it says is in a file."""

    def __init__(self, command: Sequence[str | Path], log: Path, protocols: Sequence[str] = ("TCP", "HTTP")) -> None:
        self.log = log
        self._command = [str(word) for word in command]
        self._protocols = set(protocols)
        with log.open("wb") as into:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=into, stderr=into, env=environment()
            )
        self.ports: dict[str, int] = {}

    def wait_listening(self, *protocols: str) -> None:
        """Until it has said where it listens; a tool that does so is asked for its protocols."""
        deadline = time.monotonic() + DEADLINE_S
        while not (set(protocols) or self._protocols) <= self.ports.keys():
            assert self.process.poll() is None, f"{self._command} ended: {self.said()}"
            assert time.monotonic() < deadline, f"{self._command} does not listen: {self.said()}"
            time.sleep(0.01)
            self.ports = {protocol: int(port) for protocol, _, port in LISTENING.findall(self.said())}

    def wait_for(self, protocol: str) -> None:
        """Until it has said where it listens for this one, too."""
        self._protocols.add(protocol)
        self.wait_listening()

    def said(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    @property
    def tcp(self) -> str:
        return f"127.0.0.1:{self.ports['TCP']}"

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.ports['HTTP']}"

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """What its HTTP API answers; a POST if there is a body."""
        with urllib.request.urlopen(f"http://{self.http}{path}", data=body, timeout=DEADLINE_S) as answer:
            read: bytes = answer.read()
            return read

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal, and wait until it has ended; its status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self.end(signal.SIGKILL)


class Daemons:
    """The daemons and tools of one test; what still runs when it is over is ended."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[Daemon] = []

    def real_nsqd(self, *options: str, data_path: Path | None = None) -> Daemon:
        """NSQ's own nsqd."""
        return self._nsqd([program("nsqd")], options, data_path)

    def nsqd(self, *options: str, data_path: Path | None = None) -> Daemon:
        """Ours."""
        return self._nsqd(OURS["nsqd"], options, data_path)

    def real_nsqlookupd(self, *options: str) -> Daemon:
        """NSQ's own nsqlookupd."""
        return self._listening([program("nsqlookupd"), *FREE_PORTS, BROADCAST, *options])

    def nsqlookupd(self, *options: str) -> Daemon:
        """Ours."""
        return self._listening([*OURS["nsqlookupd"], *FREE_PORTS, BROADCAST, *options])

    def real_nsqadmin(self, nsqd: Daemon, *options: str) -> Daemon:
        """NSQ's own nsqadmin, for one nsqd."""
        addresses = ("-http-address=127.0.0.1:0", f"-nsqd-http-address={nsqd.http}")
        daemon = self._start([program("nsqadmin"), *addresses, *options], ("HTTP",))
        daemon.wait_listening()
        return daemon

    def real(self, name: str, *options: str | Path) -> Daemon:
        """A tool of NSQ's, or its nsqadmin, started; not waited for."""
        return self._start([program(name), *options])

    def _nsqd(self, command: Sequence[str | Path], options: Sequence[str], data_path: Path | None) -> Daemon:
        path = data_path or self.directory / f"data-{len(self._started)}"
        path.mkdir(exist_ok=True)
        own = FREE_PORTS if not any(option.lstrip("-").startswith("tcp-address") for option in options) else ()
        return self._listening([*command, *own, BROADCAST, f"-data-path={path}", *options])

    def _listening(self, command: Sequence[str | Path]) -> Daemon:
        daemon = self._start(command)
        daemon.wait_listening()
        return daemon

    def _start(self, command: Sequence[str | Path], protocols: Sequence[str] = ("TCP", "HTTP")) -> Daemon:
        self._started.append(Daemon(command, self.directory / f"daemon-{len(self._started)}.log", protocols))
        return self._started[-1]

    def __enter__(self) -> Daemons:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in reversed(self._started):
            if error is not None:
                # pytest shows it with the failure.
                print(f"--- {daemon.process.args!r}\n{daemon.said()[-4000:]}")
            daemon.end()


FREE_PORTS = ("-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0")
BROADCAST = "-broadcast-address=127.0.0.1"
