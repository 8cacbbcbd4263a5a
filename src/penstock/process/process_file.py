"""Which processes a node has, in a file of its directory: written by the root of ``penstock up``, read by whoever asks.

The file is replaced whole, so a reader sees one state or the next. What a killed root left behind is told from the
truth by whether its processes are alive.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from penstock.process.part_report import ProcessEntry

__all__ = ["FILE_NAME", "Processes", "alive", "read", "remove", "write"]

FILE_NAME: Final = "processes.json"


class Processes(msgspec.Struct, frozen=True):
    """The processes of a node.

    Attributes:
        root: the process that holds the tree together; 0: there is none.
        processes: the rest, in the order they are started.
        executors_ready: how many executors take jobs.
        gate: where the gate listens, ``host:port``; empty: it does not.
        nsqd: where the door for NSQ's clients does.
    """

    root: int = 0
    processes: list[ProcessEntry] = []
    executors_ready: int = 0
    gate: str = ""
    nsqd: str = ""

    @property
    def under_up(self) -> bool:
        """Whether ``penstock up`` runs here."""
        return self.root != 0


def write(directory: str | os.PathLike[str], state: Processes) -> None:
    """Replace the file. It is not synced: after a power cut it would name processes that are gone anyway."""
    path = Path(directory, FILE_NAME)
    draft = path.with_name(f".{FILE_NAME}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    # Made anew, so that no link is followed, and for this user alone.
    with open(draft, "xb", opener=_private) as file:
        file.write(msgspec.json.encode(state) + b"\n")
    draft.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def read(directory: str | os.PathLike[str]) -> Processes:
    """The processes that are alive. Empty when no ``penstock up`` runs here."""
    try:
        state = msgspec.json.decode(Path(directory, FILE_NAME).read_bytes(), type=Processes)
    except (OSError, msgspec.DecodeError):
        return Processes()
    if not alive(state.root):
        return Processes()
    living = [entry for entry in state.processes if alive(entry.pid)]
    executors = sum(entry.role == "executor" for entry in living)
    return Processes(state.root, living, min(state.executors_ready, executors), state.gate, state.nsqd)


def remove(directory: str | os.PathLike[str]) -> None:
    """Take this process's own file away. None there, or another node's: nothing happens."""
    path = Path(directory, FILE_NAME)
    with contextlib.suppress(OSError, msgspec.DecodeError):
        if msgspec.json.decode(path.read_bytes(), type=Processes).root == os.getpid():
            path.unlink()


def alive(pid: int) -> bool:
    """Whether there is such a process (on this host, in this namespace) and it still runs."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it has died and its parent has not heard of it. False where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The name, in brackets, may hold anything.
    return text.rpartition(")")[2].split()[:1] == ["Z"]
