"""Standard output and error of a process that serves others: writing to them never blocks the process.

A terminal may be stopped with Ctrl-S, a pipe may have a reader that does not read, a disk may be full. A plain write to
such a stream would block the process, and with it every job, lease and request that it handles. Here, what cannot be
written at once is kept in memory, up to a bound. What exceeds the bound is dropped and counted, and the count is
written as soon as writing works again. While nothing is pending there is no thread, and what was written has been
handed to the kernel before the call returns, so that a crash does not lose the last lines.

`install` puts it in the place of ``sys.stdout`` and ``sys.stderr``; the root, the owner, the gate and the supervisor
call it. Executors do not: what a job prints goes to a pipe that their supervisor reads.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import select
import socket
import stat
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = [
    "NonblockingWriter",
    "dropped_notice",
    "error_writer",
    "finish",
    "install",
    "open_missing",
    "tell_dropped_as",
]

PENDING_BYTES_MAX: Final = 1024 * 1024
"""So much may be pending in one stream. Lines beyond that are dropped and counted."""
PATIENCE_S: Final = 1.0
"""How long `NonblockingWriter.write_patiently` waits for a reader that does not read."""
FINISH_S: Final = 1.0
"""How long a process that ends waits until what is pending is written."""
_RETRY_S: Final = 1.0
"""The pause after an error that may pass, such as a full disk."""
_BREATH_S: Final = 0.02
"""The pause after a stream that seemed to have room has accepted nothing."""
_SURE_BYTES: Final = 512
"""A pipe that has room at all accepts so much without blocking (POSIX's PIPE_BUF)."""

_writers: weakref.WeakSet[NonblockingWriter] = weakref.WeakSet()
_installed: dict[int, NonblockingWriter] = {}
_held: list[NonblockingWriter] = []


def dropped_notice(count: int) -> str:
    """The sentence that is written after lines were dropped."""
    lines = "line was" if count == 1 else "lines were"
    return f"{count} {lines} not written here: nobody took them, or there was no room."


class NonblockingWriter:
    """Writes to a descriptor and never waits. Thread-safe, and safe to fork with: a child starts with nothing pending.

    Attributes:
        notice: makes the line that tells how many lines were dropped.
        dropped_total: lines dropped so far.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.notice: Callable[[int], str] = lambda count: f"penstock: {dropped_notice(count)}"
        self.dropped_total = 0
        self._target = _Target(fd)
        self._start_empty()
        _writers.add(self)

    def _start_empty(self) -> None:
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._pending: deque[memoryview] = deque()
        self._pending_bytes = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._gave_up = False

    def write(self, data: bytes) -> None:
        """Write ``data`` now, or keep it for later, or drop it when too much is pending. Never waits."""
        with self._lock:
            self._put(data)

    def write_patiently(self, data: bytes) -> None:
        """`write`, but wait for room as long as the reader reads something at least every `PATIENCE_S`. For a thread
        that only passes output on: through it a slow reader slows down those whose output it is."""
        with self._room:
            while self._is_full(len(data)) and not self._gave_up:
                if not self._room.wait(PATIENCE_S):
                    self._gave_up = True
            self._put(data)

    def abandon(self) -> None:
        """Forget what is pending, and that anything was dropped."""
        with self._lock:
            self._pending.clear()
            self._pending_bytes = self._dropped = 0
            self._room.notify_all()

    def finish(self, timeout_s: float = FINISH_S) -> bool:
        """Write what is pending, waiting for ``timeout_s`` at most. Answers whether nothing is left."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:
                failed = self._write_pending()
                if not self._pending:
                    return True
            left_s = deadline - time.monotonic()
            if failed or left_s <= 0:
                return False
            self._target.wait_for_room(left_s)

    def _put(self, data: bytes) -> None:
        self._append(data)
        self._write_pending()
        if self._pending and self._thread is None:
            self._start_thread()

    def _append(self, data: bytes) -> None:
        if not data:
            return
        if self._is_full(len(data)):
            count = data.count(b"\n") or 1
            self._dropped += count
            self.dropped_total += count
            return
        self._pending.append(memoryview(data))
        self._pending_bytes += len(data)

    def _is_full(self, more_bytes: int) -> bool:
        return self._pending_bytes > 0 and self._pending_bytes + more_bytes > PENDING_BYTES_MAX

    def _write_pending(self) -> bool:
        """Write as much of what is pending as is accepted without waiting. Answers whether it was ended by an error,
        which may pass."""
        while self._pending or self._dropped:
            if not self._pending:
                count, self._dropped = self._dropped, 0
                line = self.notice(count) + "\n"
                self._append(line.encode("utf-8", "replace"))
            head = self._pending[0]
            try:
                written = self._target.write(head)
            except BrokenPipeError:
                # The reader has closed its end. If another one comes, it is told how much it missed.
                self._drop_pending()
                return False
            except OSError:
                return True
            if not written:
                return False
            self._pending_bytes -= written
            self._gave_up = False
            self._room.notify_all()
            if written < len(head):
                self._pending[0] = head[written:]
            else:
                self._pending.popleft()
        return False

    def _drop_pending(self) -> None:
        count = sum(bytes(piece).count(b"\n") or 1 for piece in self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._dropped += count
        self.dropped_total += count
        self._room.notify_all()

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._drain, name="standard-stream", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # The interpreter is ending, or there are too many threads. The next write, or `finish`, tries again.
            self._thread = None

    def _drain(self) -> None:
        """Write what is pending as there is room for it; end when nothing is left."""
        pause = threading.Event()
        while True:
            self._target.wait_for_room(_RETRY_S)
            with self._lock:
                before = self._pending_bytes
                failed = self._write_pending()
                if not self._pending:
                    self._thread = None
                    return
                moved = self._pending_bytes < before
            if failed:
                pause.wait(_RETRY_S)
            elif not moved:
                pause.wait(_BREATH_S)


class _Target:
    """What a descriptor leads to. That may change at any time, by ``dup2`` for instance, so it is checked at each
    write."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._seen: tuple[int, int, int] | None = None
        self._own_fd = -1
        self._waits = False

    def write(self, data: memoryview) -> int:
        """Write as much as is accepted without waiting. Answers how many bytes.

        Raises:
            OSError: it cannot be written to.
        """
        self._look()
        try:
            if self._own_fd >= 0:
                return os.write(self._own_fd, data)
            if self._seen is not None and stat.S_ISSOCK(self._seen[2]):
                with socket.socket(fileno=os.dup(self._fd)) as connection:
                    return connection.send(data, socket.MSG_DONTWAIT)
            if not self._waits:
                return os.write(self._fd, data)
            # The descriptor could not be opened anew, and blocks. There may be room now, but other writers may use it
            # first, so no more is written than a pipe with any room accepts.
            return os.write(self._fd, data[:_SURE_BYTES]) if self.wait_for_room(0.0) else 0
        except BlockingIOError:
            return 0

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until something can be written, for ``timeout_s`` at most. Answers whether it can; True also when only
        trying would tell."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        try:
            return bool(poll.poll(timeout_s * 1_000))
        except OSError:
            return True

    def _look(self) -> None:
        found = os.fstat(self._fd)
        now = (found.st_dev, found.st_ino, found.st_mode)
        if now == self._seen:
            return
        if self._own_fd >= 0:
            os.close(self._own_fd)
        self._own_fd, self._waits = -1, False
        if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
            # O_NONBLOCK set on the descriptor itself would change it for every process that shares it. Opened anew, it
            # has flags of its own.
            try:
                self._own_fd = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    raise BrokenPipeError(errno.EPIPE, "nobody reads") from error
                self._waits = True
        self._seen = now


class _Binary(io.RawIOBase):
    """A writer as the binary layer under a text stream."""

    def __init__(self, writer: NonblockingWriter) -> None:
        super().__init__()
        self._writer = writer
        self.name = {1: "<stdout>", 2: "<stderr>"}.get(writer.fd, str(writer.fd))

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._writer.write(piece)
        return len(piece)

    def fileno(self) -> int:
        return self._writer.fd

    def isatty(self) -> bool:
        return os.isatty(self._writer.fd)


def install() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that never block. A second call does nothing."""
    if _installed:
        return
    sys.stdout = _installed_stream(1, sys.stdout)
    sys.stderr = _installed_stream(2, sys.stderr)
    atexit.register(finish)


def _installed_stream(fd: int, before: object) -> io.TextIOWrapper:
    flush = getattr(before, "flush", None)
    if flush is not None:
        try:
            flush()
        except (OSError, ValueError):
            pass
    writer = _installed[fd] = NonblockingWriter(fd)
    encoding = getattr(before, "encoding", None) or "utf-8"
    return io.TextIOWrapper(_Binary(writer), encoding, "backslashreplace", line_buffering=True)


def error_writer() -> NonblockingWriter:
    """The writer of standard error: the installed one, else one of its own."""
    if 2 not in _installed:
        return NonblockingWriter(2)
    return _installed[2]


def tell_dropped_as(notice: Callable[[int], str]) -> None:
    """How the installed standard error says that lines were dropped: as a log line, in the format of the log."""
    if 2 in _installed:
        _installed[2].notice = notice


def finish() -> None:
    """Write what is pending in the installed streams, waiting for `FINISH_S` at most in each."""
    streams = (sys.stdout, sys.stderr) if _installed else ()
    for stream in streams:
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    for writer in _installed.values():
        writer.finish()


def open_missing() -> None:
    """Open standard descriptors that are closed to the null device, before a socket or a file gets their number.

    Call it before anything else is opened. Python has no ``sys.stdin`` and the like for those; they get one too.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            stream = open(fd, "w" if fd else "r", encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open
            setattr(sys, name, stream)
            # Some applications write to the stream as it was before anybody replaced it.
            setattr(sys, f"__{name}__", stream)


def _hold() -> None:
    """Before a fork: take all locks, so that the child's copies are not in the middle of a change."""
    for writer in sorted(_writers, key=id):
        writer._lock.acquire()  # noqa: SLF001 - of this module
        _held.append(writer)


def _let_go() -> None:
    while _held:
        _held.pop()._lock.release()  # noqa: SLF001 - as above


def _start_empty_in_child() -> None:
    """In a forked child: forget what is pending. The parent will write it, and its thread does not exist here."""
    _held.clear()
    for writer in _writers:
        writer._start_empty()  # noqa: SLF001 - as above


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_start_empty_in_child)
