"""Processes of a benchmark: started in sessions of their own, and gone when the workspace closes, whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

STOP_S: Final = 10.0
START_S: Final = 60.0


class BenchmarkFailed(Exception):
    """A measurement is not worth its paper: something did not run, or not as often as it should have."""


class Child:
    """A process that was started, and everything it started in turn.

    Args:
        arguments: the command.
        environment: on top of this process's own.
        log: where its output goes.
        talks: its standard input and output are ours, line by line.
        user: whose process it is. None: ours.
        stop_signal: what asks it to end.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        talks: bool,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = " ".join(Path(part).name for part in arguments[:5])
        self._log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                arguments,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else output,
                stderr=output,
                text=True,
                start_new_session=True,
                user=user,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def line(self) -> str:
        """The next line it says.

        Raises:
            BenchmarkFailed: it ended instead.
        """
        text = _piped(self._process.stdout).readline()
        if not text:
            raise BenchmarkFailed(f"{self.name} ended early ({self._process.wait()}): {self._last_words()}")
        return text.strip()

    def say(self, text: str) -> None:
        """Tell it a line."""
        stream = _piped(self._process.stdin)
        stream.write(text + "\n")
        stream.flush()

    def finish(self) -> Any:
        """The JSON it says last, once it has ended well."""
        answer = msgspec.json.decode(self.line())
        if self._process.wait(STOP_S) != 0:
            raise BenchmarkFailed(f"{self.name} failed ({self._process.returncode}): {self._last_words()}")
        return answer

    def wait(self, timeout_s: float) -> None:
        """Until it has ended well."""
        if self._process.wait(timeout_s) != 0:
            raise BenchmarkFailed(f"{self.name} failed ({self._process.returncode}): {self._last_words()}")

    def check(self) -> None:
        """Raises BenchmarkFailed when it has ended."""
        if not self.running():
            raise BenchmarkFailed(f"{self.name} ended early ({self._process.returncode}): {self._last_words()}")

    def kill(self) -> None:
        """Kill it and everything it started."""
        self._stop_signal = signal.SIGKILL
        self.stop()

    def stop(self) -> None:
        """Ask it to end, then kill it, and everything it started."""
        family: list[int] = []
        if self.running():  # else its number may be another's by now
            family = descendants(self.pid)
            self._process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self._process.kill()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-15:]) or "nothing was said"


def _piped(stream: Any) -> TextIO:
    assert stream is not None, "only a child that talks has pipes"
    found: TextIO = stream
    return found


def until(condition: Callable[[], bool], what: str, timeout_s: float, *, step_s: float = 0.01) -> None:
    """Wait for something.

    Raises:
        BenchmarkFailed: it did not come.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{what}: not within {timeout_s:.0f} s.")
        time.sleep(step_s)


# --- /proc ------------------------------------------------------------------------------------------------------------
def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it may end at any moment
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found.extend(int(text) for text in path.read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """A process's children, and theirs."""
    return list(_descend(pid))


def _descend(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from _descend(child)


def pss_mb(pid: int) -> float:
    """Memory of a process in MB (10⁶ bytes), pages that are shared counted in part."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") * 1024 / 1e6


def rss_mb(pid: int) -> float:
    """Memory of a process in MB (10⁶ bytes), pages that are shared counted in full."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:") * 1024 / 1e6


def peak_mb(pid: int) -> float:
    """The most memory that a process has had so far, in MB (10⁶ bytes), pages that are shared counted in full."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:") * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, all its threads, in seconds."""
    total_ns = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total_ns += int(path.read_text().split()[0])
    return total_ns / 1e9


def cpu_ever_s(pid: int) -> float:
    """As `cpu_s`, with the children that have ended: in steps of the kernel's tick, which is 10 ms."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return 0.0


class Spending:
    """Processor time of some processes from now on. ``pids`` by role; a role may be several processes."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = pids
        self._before = self._now()

    def per_job(self, jobs: int, more_s: Mapping[str, float] | None = None) -> str:
        """What it comes to, for people. ``more_s``: seconds that others have counted themselves."""
        now = self._now()
        spent_s = {role: now[role] - self._before[role] for role in now} | dict(more_s or {})
        return ", ".join(f"{role} {s / jobs * 1e6:.1f}" for role, s in spent_s.items()) + " µs of processor time a job"

    def _now(self) -> dict[str, float]:
        return {role: sum(map(cpu_s, pids)) for role, pids in self._pids.items()}


def _kilobytes(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise BenchmarkFailed(f"{path} does not say {name}")
