"""What the root asks of the operating system: the time, processes, and to be woken. Tests have one in virtual time."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Sequence

from penstock.node.forked_part import ROOT_SIGNALS, PartSpec, run_part
from penstock.process import process_tree

__all__ = ["System"]


class System:
    """The real one."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def wait(self, selector: selectors.BaseSelector, timeout_s: float | None) -> list[str | None]:
        """Wait until there is something to read, or for this long; None: as long as it takes. Answers the data of what
        can be read."""
        return [key.data for key, _ in selector.select(timeout_s)]

    def fork(
        self, spec: PartSpec, others: Sequence[PartSpec], report_fd: int, life_fd: int, not_theirs: Sequence[int]
    ) -> int:
        """Start a part in a process of its own. Answers its process id.

        Args:
            spec: which part.
            others: the other parts. A copy of their sockets in this one would keep those open after their end.
            report_fd: where it reports.
            life_fd: see `run_part`.
            not_theirs: descriptors of the root, which the part closes.

        Raises:
            OSError: there are too many processes, or there is too little memory.
        """
        # What is buffered here would be written twice.
        sys.stdout.flush()
        sys.stderr.flush()
        root_pid = os.getpid()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ROOT_SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                # Detached, so that no socket object closes its number later, when it is something else's.
                theirs = [sock.detach() for other in others for sock in other.listening]
                run_part(spec, root_pid, report_fd, life_fd, [*not_theirs, *(fd for fd in theirs if fd >= 0)])
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def kill(self, pid: int, number: int) -> None:
        """Send a signal. Does nothing when there is no such process, or it is not ours to signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)

    def kill_group(self, pid: int) -> None:
        """See `process_tree.kill_group`."""
        process_tree.kill_group(pid)

    def ended(self) -> list[tuple[int, int]]:
        """The children that have ended since the last time, with their statuses; below 0 a signal."""
        found: list[tuple[int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            found.append((pid, os.waitstatus_to_exitcode(status)))

    def adopt_orphans(self) -> None:
        """See `process_tree.adopt_orphans`."""
        process_tree.adopt_orphans()

    def below(self) -> list[int]:
        """Every process below this one."""
        return process_tree.descendants(os.getpid())
