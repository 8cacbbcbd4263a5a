"""The root of ``penstock up``: forks the parts, hears what they say, does what the policy decides.

It has one thread and no event loop and imports no user code, so that a part can be forked from it at any time; what it
has imported is shared by all of them. Whatever happens to it, nothing outlives it: its parts ask the kernel to be
killed when it dies, and it takes in the orphans of parts that have died and ends them with itself.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from penstock.node.child import PartSpec, run_part
from penstock.node.policy import Kill, Start, Tree
from penstock.process import part_report, process_file, process_tree
from penstock.process.exit_status import ending

__all__ = ["Root", "RunningPart"]

_LOGGER = logging.getLogger("penstock.node")
_LEFTOVERS_S = 1.0
_LINE_BYTES_MAX = 1 << 20


@dataclass(slots=True)
class RunningPart:
    """The root's view of a part that runs.

    Attributes:
        reading: our end of its report pipe; -1 when the part has closed its own.
        below: the processes it has said it has.
    """

    pid: int
    reading: int
    pending: bytes = b""
    below: list[part_report.ProcessEntry] = field(default_factory=list)
    executors_ready: int = 0
    address: str = ""


class Root:
    """Runs a tree of parts until it is told to stop.

    Args:
        parts: what to run, the foundation first.
        directory: where `processes.json` goes, once the foundation is ready. None: nowhere.
        announce: called once, when every part is ready for the first time.
        adopts: what a part leaves behind when it ends, ends with the whole.
    """

    def __init__(
        self,
        parts: Sequence[PartSpec],
        directory: str | None,
        announce: Callable[[process_file.Processes], None] = lambda _: None,
        *,
        adopts: bool = True,
    ) -> None:
        self._adopts = adopts
        self._specs = {spec.name: spec for spec in parts}
        self._tree = Tree.of(
            list(self._specs),
            {spec.name: spec.stop_s for spec in parts},
            {spec.name: spec.role for spec in parts},
        )
        self._directory = directory
        self._announce: Callable[[process_file.Processes], None] | None = announce
        self._running: dict[str, RunningPart] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._life = (-1, -1) if sys.platform == "linux" else os.pipe()
        self._interrupted = False
        self._written: process_file.Processes | None = None

    def run(self) -> tuple[int, str | None]:
        """Run until everything has stopped. Answers the exit status, and the reason when nobody asked for the stop."""
        if self._adopts:
            process_tree.adopt_orphans()
        previous = self._listen()
        gc.collect()
        gc.freeze()
        try:
            while not self._tree.finished:
                self._turn()
            self._end_leftovers()
        finally:
            self._close(previous)
        if self._tree.reason is None and self._interrupted:
            return 130, None
        return self._tree.status, self._tree.reason

    def _turn(self) -> None:
        """Do what is due, then wait for the next thing that happens."""
        for action in self._tree.step(time.monotonic()):
            match action:
                case Start(name):
                    self._start(name)
                case Kill(name, number):
                    self._kill(name, number)
        if self._tree.stopping:
            self._close_listening()
        self._publish()
        if not self._tree.finished:
            wake_at = self._tree.wake_at()
            self._wait(None if wake_at is None else max(0.0, wake_at - time.monotonic()))

    def _wait(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                self._hear_signals()
            elif key.data in self._running:
                self._hear(key.data)
        self._reap()

    def _start(self, name: str) -> None:
        spec = self._specs[name]
        reading, writing = os.pipe()
        ours = [reading, self._woken.fileno(), self._waker.fileno(), self._selector.fileno(), self._life[1]]
        ours += [running.reading for running in self._running.values()]
        sys.stdout.flush()
        sys.stderr.flush()
        root = os.getpid()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                others = [other for other in self._specs.values() if other is not spec]
                ours += [sock.detach() for other in others for sock in other.listening]
                run_part(spec, root, writing, self._life[0], [fd for fd in ours if fd >= 0])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(writing)
        os.set_blocking(reading, False)
        self._running[name] = RunningPart(pid, reading)
        self._selector.register(reading, selectors.EVENT_READ, name)
        self._tree.started(name, pid, time.monotonic())
        _LOGGER.debug("Started the %s.", name, extra={"action": "started", "role": spec.role, "part_pid": pid})

    def _kill(self, name: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._running[name].pid, number)

    def _hear(self, name: str) -> None:
        """Read what a part has said. It says little; what is no report is passed over."""
        running = self._running[name]
        if running.reading < 0:
            return
        try:
            data = os.read(running.reading, 65_536)
        except BlockingIOError:
            return
        if not data or len(running.pending) > _LINE_BYTES_MAX:
            self._selector.unregister(running.reading)
            os.close(running.reading)
            running.reading = -1
            return
        word = self._specs[name].word
        if word is not None:
            said = word(data)
            if said is not None:
                self._take(name, running, said)
            return
        *lines, running.pending = (running.pending + data).split(b"\n")
        for line in lines:
            said = part_report.parse(line)
            if said is not None:
                self._take(name, running, said)

    def _take(self, name: str, running: RunningPart, said: part_report.PartReport) -> None:
        if said.processes is not None:
            running.below = said.processes
        if said.executors_ready is not None:
            running.executors_ready = said.executors_ready
        if said.address is not None:
            running.address = said.address
        if said.failure:
            self._tree.failed(name, said.failure, lost=bool(said.lost))
        if said.ready:
            self._tree.ready(name, time.monotonic())
            _LOGGER.debug("The %s is ready.", name, extra={"action": "ready", "role": self._specs[name].role})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, running in list(self._running.items()):
                if running.pid == pid:
                    self._gone(name, os.waitstatus_to_exitcode(status))

    def _gone(self, name: str, status: int) -> None:
        running = self._running[name]
        while running.reading >= 0:
            before = running.pending
            self._hear(name)
            if running.reading >= 0 and running.pending == before:
                self._selector.unregister(running.reading)
                os.close(running.reading)
                running.reading = -1
        for below in running.below:
            # Its own processes go with it; theirs would not. Those that lead no group are none of executors.
            process_tree.kill_group(below.pid)
        del self._running[name]
        expected = self._tree.stopping and self._tree.parts[name].asked
        self._tree.exited(name, status, time.monotonic())
        if not expected and self._tree.reason is None:
            _LOGGER.warning(
                "The %s ended (%s); starting it again.",
                name,
                ending(status),
                extra={"action": "ended", "role": self._specs[name].role, "status": status},
            )

    def _hear_signals(self) -> None:
        try:
            numbers = self._woken.recv(4_096)
        except BlockingIOError:
            return
        for number in numbers:
            if number in {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
                self._interrupted = self._interrupted or number == signal.SIGINT
                again = self._tree.stopping
                self._tree.stop()
                _LOGGER.info(
                    "Stopping now." if again else "Draining; once more stops now.", extra={"action": "stopping"}
                )

    def _publish(self) -> None:
        """Write down which processes there are, when that has changed; then say that all is ready, once."""
        state = self._state()
        if self._directory is not None and self._tree.founded and state != self._written:
            self._written = state
            try:
                process_file.write(self._directory, state)
            except OSError as error:
                _LOGGER.warning("Could not write %s: %s", process_file.FILE_NAME, error, extra={"action": "publish"})
        if self._announce is not None and self._tree.all_ready:
            self._announce(state)
            self._announce = None

    def _state(self) -> process_file.Processes:
        entries: list[part_report.ProcessEntry] = []
        for name, spec in self._specs.items():
            if name in self._running:
                entries.append(part_report.ProcessEntry(spec.role, self._running[name].pid))
                entries.extend(self._running[name].below)
        ready = sum(running.executors_ready for running in self._running.values())
        address = next((running.address for running in self._running.values() if running.address), "")
        return process_file.Processes(os.getpid(), entries, ready, address)

    def _end_leftovers(self) -> None:
        """End what is still below us: orphans of parts that have died, and what user code started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + _LEFTOVERS_S
            left = process_tree.descendants(os.getpid())
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            while left and time.monotonic() < deadline:
                self._wait(max(0.0, deadline - time.monotonic()))
                left = process_tree.descendants(os.getpid())

    def _listen(self) -> dict[int, object]:
        """Have signals wake the loop. Answers what was there before."""
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return {number: signal.signal(number, _noted) for number in _SIGNALS}

    def _close_listening(self) -> None:
        """From now on a part that does not listen is not coming back."""
        for spec in self._specs.values():
            for sock in spec.listening:
                sock.close()

    def _close(self, previous: dict[int, object]) -> None:
        if self._directory is not None and self._written is not None:
            process_file.remove(self._directory)
        self._close_listening()
        signal.set_wakeup_fd(-1)
        for number, handler in previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it is what signal.signal gave us
        self._selector.close()
        self._woken.close()
        self._waker.close()
        for fd in self._life:
            if fd >= 0:
                os.close(fd)
        gc.unfreeze()


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up pipe has it already."""
