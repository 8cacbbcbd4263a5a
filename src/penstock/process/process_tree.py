"""The place of the running process among others: leaving when its parent dies, and what is left of its children.

On Linux the kernel does it: a process asks to be sent a signal when its parent dies (PR_SET_PDEATHSIG), and a parent
may take in the orphans of its children. Elsewhere a thread watches a pipe of the parent's, which ends with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

__all__ = ["adopt_orphans", "descendants", "kill_group", "leave_with_parent", "set_title"]

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"


def leave_with_parent(parent_pid: int, life_fd: int | None = None, number: int = signal.SIGKILL) -> None:
    """Have this process sent a signal when its parent dies, however the parent dies.

    Call it first thing in a child. When the parent has died already, the process ends here, with status 1. The kernel
    forgets the wish at a fork, so every child asks for itself. Off Linux, and without ``life_fd``, the parent's later
    death goes unnoticed.

    Args:
        parent_pid: the parent, as it knew itself before it made this process.
        life_fd: the reading end of a pipe whose writing end only the parent has. Where the kernel cannot help, the end
            of that pipe ends this process, whatever ``number`` is.
        number: the signal. The default leaves no choice; SIGTERM is for a process that must stop in order.
    """
    if _LINUX:
        _prctl(_PR_SET_PDEATHSIG, number)
    elif life_fd is not None:
        threading.Thread(target=_leave_at_end_of, args=(life_fd,), name="life", daemon=True).start()
    if os.getppid() != parent_pid:
        os._exit(1)


def adopt_orphans() -> bool:
    """Become the parent of this process's descendants whose own parent has died. Answers whether the system can."""
    return _LINUX and _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_group(pid: int) -> bool:
    """SIGKILL every process of the group that ``pid`` leads or led. Answers whether there was one."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Not permitted: on some systems that is the answer for a group of which only a dead process is left.
        return False
    return True


def set_title(name: str) -> None:
    """The name by which ``ps`` and ``top`` show this process; at most 15 bytes are kept. Does nothing off Linux."""
    if _LINUX:
        buffer = ctypes.create_string_buffer(name.encode()[:15])
        _prctl(_PR_SET_NAME, ctypes.addressof(buffer))


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``, nearest first. Empty where there is no /proc."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop(0))
        found.extend(children)
        waiting.extend(children)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found.extend(int(word) for word in file.read().split())
    except OSError:
        pass
    return found


def _prctl(option: int, argument: int) -> bool:
    """One call of prctl(2). Answers whether it succeeded."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return False
    return bool(library.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) == 0)


def _leave_at_end_of(life_fd: int) -> None:
    try:
        while os.read(life_fd, 1):
            pass
    finally:
        os._exit(1)
