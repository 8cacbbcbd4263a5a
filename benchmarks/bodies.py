"""The executors' own witness that bodies ran: how many, when, and what they noted.

Each process that runs bodies writes to a file of its own in shared memory; the harness adds the files up. Its threads
take turns. Only the standard library is imported, so that this works inside any environment.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

VARIABLE: Final = "PENSTOCK_BENCHMARK_BODIES"
"""The environment variable that names the directory of the files."""
_HEAD_WORDS: Final = 4
NOTES_MAX: Final = 16_384
"""Notes one process can take; later ones are dropped, and `Tally.notes` is that much shorter than `Tally.count`."""
_BYTES: Final = (_HEAD_WORDS + NOTES_MAX) * 8

_words: memoryview[int] | None = None
_times: memoryview[float] | None = None
_turn = threading.RLock()


def ran() -> None:
    """A body runs: count it."""
    with _turn:
        words, times = _words, _times
        if words is None or times is None:
            _open()
            ran()
            return
        words[0] += 1
        times[2] = time.monotonic()


def note(number: int) -> None:
    """A body runs and has something to say."""
    with _turn:
        ran()
        words = _words
        assert words is not None
        if words[3] < NOTES_MAX:
            words[_HEAD_WORDS + words[3]] = number
            words[3] += 1


def _open() -> None:
    global _words, _times
    path = Path(os.environ[VARIABLE], f"{os.getpid()}.bodies")
    with path.open("w+b") as file:
        file.truncate(_BYTES)
        memory = mmap.mmap(file.fileno(), _BYTES)
    _words, _times = memoryview(memory).cast("q"), memoryview(memory).cast("d")
    _times[1] = time.monotonic()


def _forget() -> None:
    global _words, _times, _turn  # noqa: PLW0603 - a forked child is another process
    _words = _times = None
    _turn = threading.RLock()  # a thread that is not in the child may have held it


os.register_at_fork(after_in_child=_forget)


@dataclass(slots=True)
class Tally:
    """What the bodies of all processes come to. Times are monotonic seconds of the machine."""

    count: int = 0
    first_at: float = float("inf")
    last_at: float = 0.0
    processes: int = 0
    notes: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Bodies a second from the first to the last."""
        return (self.count - 1) / (self.last_at - self.first_at)


def read(directory: Path, *, notes: bool = False) -> Tally:
    """Add up the files of a directory."""
    tally = Tally()
    for path in directory.glob("*.bodies"):
        data = path.read_bytes() if notes else _head(path)
        if len(data) < _HEAD_WORDS * 8:
            continue
        words, times = memoryview(data).cast("q"), memoryview(data).cast("d")
        if words[0] == 0:
            continue
        tally.count += words[0]
        tally.first_at = min(tally.first_at, times[1])
        tally.last_at = max(tally.last_at, times[2])
        tally.processes += 1
        if notes:
            tally.notes.extend(words[_HEAD_WORDS : _HEAD_WORDS + words[3]])
    return tally


def _head(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(_HEAD_WORDS * 8)


# --- jobs that outlive a kill -----------------------------------------------------------------------------------------
class Stage:
    """A file in shared memory in which numbered jobs note each of their runs: who ran it, and when.

    Both sides, the body and the harness, open it.
    """

    NAME: Final = "stage"
    JOBS_MAX: Final = 4_096
    _RUNS: Final = 2
    _JOB_WORDS: Final = 1 + 2 * _RUNS

    def __init__(self, directory: Path) -> None:
        size = self.JOBS_MAX * self._JOB_WORDS * 8
        with (directory / self.NAME).open("a+b") as file:
            if file.seek(0, os.SEEK_END) < size:
                file.truncate(size)
            self._memory = mmap.mmap(file.fileno(), size)
        self._words = memoryview(self._memory).cast("q")
        self._times = memoryview(self._memory).cast("d")

    def enter(self, number: int) -> int:
        """A run of this job begins. Answers how many there were before."""
        at = number * self._JOB_WORDS
        runs = self._words[at]
        if runs < self._RUNS:
            self._times[at + 1 + 2 * runs] = time.monotonic()
            self._words[at + 2 + 2 * runs] = os.getpid()
        self._words[at] = runs + 1
        return runs

    def has_begun(self, number: int, *, runs: int) -> bool:
        """Whether so many runs have begun."""
        return self._words[number * self._JOB_WORDS] >= runs

    def run(self, number: int, run: int) -> tuple[float, int]:
        """When a run (0 is the first) began, and in which process."""
        at = number * self._JOB_WORDS + 1 + 2 * run
        return self._times[at], self._words[at + 1]

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._times.release()
        self._memory.close()
