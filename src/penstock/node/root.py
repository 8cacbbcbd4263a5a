"""The root of ``penstock up``: forks the parts, reads their reports, and does what the policy decides.

It has one thread and no event loop and imports no user code, so that a part can be forked from it at any time; what it
has imported is shared by all of them. Whatever happens to it, nothing outlives it: its parts ask the kernel to be
killed when it dies, and it takes in the orphans of parts that have died and ends them with itself.
"""

from __future__ import annotations

import gc
import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from penstock.node.forked_part import ROOT_SIGNALS, PartSpec
from penstock.node.policy import Kill, Start, Tree
from penstock.node.system import System
from penstock.process import part_report, process_file
from penstock.process.ending_in_words import ending

__all__ = ["Root", "RunningPart"]

_LOGGER = logging.getLogger("penstock.node")
_LEFTOVERS_S = 1.0
"""How long processes that are left at the end have to leave, once they are asked and once they are killed."""
_READ_BYTES = 65_536
_LINE_BYTES_MAX = 1 << 20
"""A part that says a longer line than this is not heard any more."""


@dataclass(slots=True)
class RunningPart:
    """What the root knows of a part that runs.

    Attributes:
        reading: the root's end of the part's report pipe; -1 when the part has closed its own.
        pending: the beginning of a line that has not come whole.
        below: the processes that the part has said it has.
        executors_ready: how many of them take jobs.
        address: where it listens; empty: nowhere.
    """

    pid: int
    reading: int
    pending: bytes = b""
    below: list[part_report.ProcessEntry] = field(default_factory=list)
    executors_ready: int = 0
    address: str = ""


class Root:
    """Runs a tree of parts until it is told to stop. `Tree` decides; this does what it decides, and tells it what
    happened.

    Args:
        parts: what to run, the foundation first.
        directory: where `processes.json` goes, once the foundation is ready. None: nowhere.
        announce: called once, when every part is ready for the first time.
        adopts: what a part leaves behind when it ends, ends with the whole.
        system: the operating system.
    """

    def __init__(
        self,
        parts: Sequence[PartSpec],
        directory: str | None,
        announce: Callable[[process_file.Processes], None] = lambda _: None,
        *,
        adopts: bool = True,
        system: System | None = None,
    ) -> None:
        self._adopts = adopts
        self._system = system or System()
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
            self._system.adopt_orphans()
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
        # Again after what was done: a part that could not be started may have changed what is to be done.
        while actions := self._tree.step(self._system.now()):
            for action in actions:
                match action:
                    case Start(name):
                        self._start(name)
                    case Kill(name, number):
                        self._system.kill(self._running[name].pid, number)
        if self._tree.stopping:
            self._close_listening()
        self._publish()
        if not self._tree.finished:
            wake_at = self._tree.wake_at()
            self._wait(None if wake_at is None else max(0.0, wake_at - self._system.now()))

    def _wait(self, timeout_s: float | None) -> None:
        """Wait for a signal, a report or a part's end, and take note of all that there are."""
        for name in self._system.wait(self._selector, timeout_s):
            if name is None:
                self._hear_signals()
            elif name in self._running:
                self._hear(name)
        for pid, status in self._system.ended():
            for name, running in list(self._running.items()):
                if running.pid == pid:
                    self._gone(name, status)

    def _start(self, name: str) -> None:
        """Fork a part. When that cannot be done, it counts as a part that ended at once."""
        try:
            self._fork(name)
        except OSError as error:
            _LOGGER.warning("Cannot start the %s: %s", name, error, extra={"action": "start-failed"})
            now = self._system.now()
            self._tree.started(name, 0, now)
            self._tree.failed(name, str(error))
            self._tree.exited(name, 1, now)

    def _fork(self, name: str) -> None:
        spec = self._specs[name]
        reading, writing = os.pipe()
        ours = [reading, self._woken.fileno(), self._waker.fileno(), self._selector.fileno(), self._life[1]]
        ours += [running.reading for running in self._running.values()]
        others = [other for other in self._specs.values() if other is not spec]
        os.set_blocking(reading, False)
        try:
            self._selector.register(reading, selectors.EVENT_READ, name)
            pid = self._system.fork(spec, others, writing, self._life[0], [fd for fd in ours if fd >= 0])
        except OSError:
            self._stop_hearing(RunningPart(0, reading))
            raise
        finally:
            os.close(writing)
        self._running[name] = RunningPart(pid, reading)
        self._tree.started(name, pid, self._system.now())
        _LOGGER.debug("Started the %s.", name, extra={"action": "started", "role": spec.role, "part_pid": pid})

    def _hear(self, name: str) -> bool:
        """Read what a part has said, and take note of it. What is no report is passed over. False: there is nothing
        to read, now or ever."""
        running = self._running[name]
        if running.reading < 0:
            return False
        try:
            data = os.read(running.reading, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data or len(running.pending) > _LINE_BYTES_MAX:
            self._stop_hearing(running)
            return False
        word = self._specs[name].word
        if word is not None:
            said = word(data)
            if said is not None:
                self._take(name, running, said)
            return True
        *lines, running.pending = (running.pending + data).split(b"\n")
        for line in lines:
            said = part_report.parse(line)
            if said is not None:
                self._take(name, running, said)
        return True

    def _stop_hearing(self, running: RunningPart) -> None:
        if running.reading >= 0:
            if running.reading in self._selector.get_map():
                self._selector.unregister(running.reading)
            os.close(running.reading)
            running.reading = -1

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
            self._tree.ready(name, self._system.now())
            _LOGGER.debug("The %s is ready.", name, extra={"action": "ready", "role": self._specs[name].role})

    def _gone(self, name: str, status: int) -> None:
        """A part has ended: hear the last it said, end what it had below it, tell the policy."""
        running = self._running[name]
        while self._hear(name):
            pass
        # The pipe need not have ended: processes that the part has left behind may hold it open.
        self._stop_hearing(running)
        for below in running.below:
            # Its own processes go with it; theirs would not. Those that lead no group are none of executors.
            self._system.kill_group(below.pid)
        del self._running[name]
        expected = self._tree.stopping and self._tree.parts[name].asked
        self._tree.exited(name, status, self._system.now())
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
        return process_file.Processes(os.getpid(), entries, ready, self._address("gate"), self._address("nsqd"))

    def _address(self, role: str) -> str:
        """Where the first part of this role listens that has said so; empty: none has."""
        addresses = (one.address for name, one in self._running.items() if self._specs[name].role == role)
        return next((address for address in addresses if address), "")

    def _end_leftovers(self) -> None:
        """End what is still below us: orphans of parts that have died, and what user code started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = self._system.now() + _LEFTOVERS_S
            left = self._system.below()
            for pid in left:
                self._system.kill(pid, number)
            while left and self._system.now() < deadline:
                self._wait(max(0.0, deadline - self._system.now()))
                left = self._system.below()

    def _listen(self) -> dict[int, object]:
        """Have signals wake the loop. Answers what was there before."""
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return {number: signal.signal(number, _noted) for number in ROOT_SIGNALS}

    def _close_listening(self) -> None:
        """Close the parts' sockets here, once the whole stops: what a stopped part listened on must refuse
        connections."""
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


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Nothing to do: the signal's number has been written to the wake-up socket."""
