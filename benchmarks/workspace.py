"""Where a benchmark happens: directories on a real disk, processes, and an end that leaves neither behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks import bodies
from benchmarks.processes import Child

ROOT = Path(__file__).resolve().parent.parent
ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What ends a run besides Ctrl-C. Also a closed terminal: processes in sessions of their own would outlive it."""


class Workspace:
    """A directory and the processes that work in it. A context manager; leaving it stops and removes everything.

    Args:
        parent: a directory on the disk to be measured. The system's own for temporary files is often memory.
    """

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        self.bodies = self.path / "bodies"
        self.bodies.mkdir()
        self._children: list[Child] = []
        self._elsewhere: list[Path] = []

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exception: object) -> None:
        # Another Ctrl-C must not leave half of it behind.
        with held_back():
            for child in reversed(self._children):
                child.stop()
            stop_owner(self.path / "store")
            for path in (self.path, *self._elsewhere):
                shutil.rmtree(path, ignore_errors=True)

    def kill_all(self) -> None:
        """Kill every process at once, so that whoever waits for one of them hears of it."""
        for child in list(self._children):
            child.kill()

    def also_remove(self, path: Path) -> None:
        """A directory outside that goes with the workspace."""
        self._elsewhere.append(path)

    @property
    def store(self) -> Path:
        """Where a subject keeps its jobs."""
        return self.path / "store"

    def start(
        self,
        arguments: Sequence[str],
        *,
        talks: bool = False,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """Start a process. The options are those of `benchmarks.processes.Child`."""
        log = self.path / f"process-{len(self._children)}.log"
        told = {**self.environment, **(environment or {})}
        child = Child(arguments, told, log, talks=talks, user=user, stop_signal=stop_signal)
        self._children.append(child)
        return child

    def python(self, module: str, *arguments: str, talks: bool = False) -> Child:
        """Start a module of this environment."""
        return self.start([sys.executable, "-m", module, *arguments], talks=talks)

    @property
    def environment(self) -> dict[str, str]:
        """What every process is told."""
        path = os.pathsep.join([str(ROOT), str(ROOT / "src"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        return {
            "PENSTOCK_URL": str(self.store),
            "PENSTOCK_LOG": "warning",
            "PYTHONPATH": path.rstrip(os.pathsep),
            bodies.VARIABLE: str(self.bodies),
        }


def stop_owner(store: Path) -> None:
    """End an owner that somebody started in passing: it would stay for half a minute."""
    with contextlib.suppress(OSError, msgspec.DecodeError, KeyError, TypeError):
        pid = msgspec.json.decode((store / "owner.lock").read_bytes())["pid"]
        if str(store).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C, and whatever else ends a run, back for a while."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *ENDING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
