"""What executors and the forkserver print. It is passed on to the standard error of the supervisor's process, and the
last few kilobytes of each are kept, for the error of a job that kills its executor.

One thread reads all the pipes, so a slow terminal holds up the jobs that print, and never the heartbeat. Where nobody
reads standard error, what was printed is dropped and counted, and the jobs go on.
"""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque

from penstock.model import limits
from penstock.process import standard_streams

_READ_BYTES = 64 * 1024
_LAST_BYTES_MAX = 1024 * 1024
"""The most that is read of a pipe whose executor has ended: what that executor wrote is in it already, and a process it
left behind may go on writing."""
_UNSHOWN_MAX = 64
"""Pieces of the last output of dead executors that wait to be shown. Beyond: the oldest are not shown."""


class Output:
    """Reads the output pipes of executors until they are closed."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._tails: dict[int, bytes] = {}
        self._open: set[int] = set()
        self._to_the_end: set[int] = set()
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._unshown: deque[bytes] = deque(maxlen=_UNSHOWN_MAX)
        self._writer = standard_streams.error_writer()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True, name="output")
        self._thread.start()

    def follow(self, fd: int, *, to_the_end: bool = False) -> None:
        """Read this pipe from now on, until its last writer is gone. ``to_the_end``: it is closed then, so that nobody
        has to call `forget`."""
        # The selector may report a pipe that has been closed, after this one got its number. A read must not wait then.
        os.set_blocking(fd, False)
        with self._lock:
            self._tails[fd] = b""
            self._open.add(fd)
            if to_the_end:
                self._to_the_end.add(fd)
            self._selector.register(fd, selectors.EVENT_READ)
        self._wake()

    def tail(self, fd: int) -> str:
        """The last of what came through a pipe, including what was not read yet. Empty when the pipe was forgotten or
        nothing came."""
        with self._lock:
            self._read_last(fd)
            return self._tails.get(fd, b"").decode("utf-8", "replace")

    def forget(self, fd: int) -> None:
        """Close a pipe whose executor is gone, when its tail is not needed any more. What it printed last is still
        passed on."""
        with self._lock:
            self._read_last(fd)
            if self._tails.pop(fd, None) is not None:
                if fd in self._open:
                    self._open.discard(fd)
                    self._selector.unregister(fd)
                os.close(fd)
                self._ended.notify_all()

    def finish(self, timeout_s: float) -> None:
        """Wait, for this long at most, until everything that can still come has been passed on."""
        with self._ended:
            self._ended.wait_for(lambda: not self._open and not self._unshown, timeout_s)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                self._read(key.fd)
                self._show()

    def _show(self) -> None:
        while self._unshown:
            self._writer.write_patiently(self._unshown.popleft())
        with self._lock:
            self._ended.notify_all()

    def _read(self, fd: int) -> int:
        """Read what there is, once. Answers how many bytes that was."""
        if fd == self._woken:
            return len(os.read(fd, _READ_BYTES))
        with self._lock:
            return self._take(fd)

    def _take(self, fd: int) -> int:
        if fd not in self._open:
            return 0
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._tails[fd] = (self._tails[fd] + data)[-limits.OUTPUT_TAIL_BYTES :]
            self._unshown.append(data)
            return len(data)
        self._open.discard(fd)
        self._selector.unregister(fd)
        if fd in self._to_the_end:
            self._to_the_end.discard(fd)
            del self._tails[fd]
            os.close(fd)
        self._ended.notify_all()
        return 0

    def _read_last(self, fd: int) -> None:
        """Read all that is in the pipe now. This runs in the supervisor's own thread, so the reading thread passes it
        on."""
        count = 0
        while count < _LAST_BYTES_MAX and (read := self._take(fd)):
            count += read
        if count:
            self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._waker, b".")
        except BlockingIOError:
            # The pipe is full of wake-ups that were not read yet, so the thread wakes up anyway.
            pass
