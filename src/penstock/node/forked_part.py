"""A part of a node: what describes it, what its process does right after the fork, and how its end becomes a status."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from penstock.model import limits
from penstock.model.errors import AddressUnavailable, InvalidOption, PenstockError, StoreUnavailable
from penstock.process import process_tree, standard_streams
from penstock.process.part_report import PartReport, Reporter

__all__ = ["ROOT_SIGNALS", "PartSpec", "run_part"]

ROOT_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
"""The signals that the root handles. They are held back in a new part until it has let go of the root's handlers."""


@dataclass(frozen=True, slots=True)
class PartSpec:
    """One part of a node.

    Attributes:
        role: what it is: owner, supervisor, gate, nsqd. Parts of one role in a row start and stop together.
        number: tells those of one role apart; 0: it is the only one.
        entry: runs it, given the descriptor on which it reports; answers its exit status. Called in the main thread
            of a process of its own.
        stop_s: how long it may take to stop when it is asked to.
        word: turns bytes that it writes on its report pipe into a report, a piece at a time. None: it writes lines of
            JSON (`penstock.process.part_report`).
        listening: the sockets it listens on. The root keeps them open until the whole stops. So a client that connects
            while the part is started again waits, and is not refused.
    """

    role: str
    entry: Callable[[int], int | None]
    stop_s: float = limits.STOP_S
    word: Callable[[bytes], PartReport | None] | None = None
    number: int = 0
    listening: Sequence[socket.socket] = ()

    @property
    def name(self) -> str:
        """The role, and the number where there are several parts of that role."""
        return f"{self.role} {self.number}" if self.number else self.role


def run_part(spec: PartSpec, root_pid: int, report_fd: int, life_fd: int, not_ours: Sequence[int]) -> NoReturn:
    """Run a part. Called in the new process, with the root's signals blocked; ends the process and never returns.

    Args:
        spec: which part.
        root_pid: the root's process id. The part dies when the root does.
        report_fd: the writing end of its report pipe.
        life_fd: a pipe that ends when the root does; -1 where the kernel kills the part.
        not_ours: the root's own descriptors, which are closed here.
    """
    status = 1
    try:
        _become(spec.role, root_pid, life_fd, not_ours)
        status = _outcome(spec, report_fd)
    except BaseException:  # noqa: BLE001 - a forked child must never run its parent's code
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            standard_streams.finish()
        os._exit(status)


def _become(role: str, root_pid: int, life_fd: int, not_ours: Sequence[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in ROOT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process_tree.leave_with_parent(root_pid, life_fd if life_fd >= 0 else None)
    # A session of its own: Ctrl-C reaches the root alone, which stops the parts in order.
    os.setsid()
    process_tree.set_title(f"penstock {role}")
    for fd in not_ours:
        with contextlib.suppress(OSError):
            os.close(fd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _outcome(spec: PartSpec, report_fd: int) -> int:
    """Run the entry; turn what it raises into one line, or a traceback, and a status."""
    # A descriptor of our own: the entry may close its, and the number be used again.
    reporter = Reporter(os.dup(report_fd))
    try:
        return spec.entry(report_fd) or 0
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except PenstockError as error:
        reporter.failure(error.message)
        if isinstance(error, StoreUnavailable | AddressUnavailable):
            return 3
        return 2 if isinstance(error, InvalidOption) else 1
    except OSError as error:
        reporter.failure(str(error))
        return 1
    except Exception as error:
        reporter.failure(f"{type(error).__name__}: {error}")
        raise
