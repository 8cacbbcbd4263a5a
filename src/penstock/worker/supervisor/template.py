"""The supervisor's handle on the template process, which is `penstock.worker.executor.forkserver`: it imports the
application once, forks executors on request, and tells of their exits. `staffing.Staffing` uses it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol

from penstock.config import environment_for_programs
from penstock.worker.messages import (
    Exited,
    Fork,
    Forked,
    LaneOrder,
    Loaded,
    LoadFailed,
    MessageReader,
    NotForked,
    frame,
    template_decoder,
)
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor.output import Output

_READ_BYTES = 256 * 1024

FORKSERVER = "penstock.worker.executor.forkserver"
"""What the template process runs. It is named, not imported: user code is near there."""


class TemplateGone(Exception):
    """The template process has ended; another must be started."""


class ApplicationFailed(Exception):
    """The application cannot be imported. ``detail`` is the traceback."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.detail = detail


class TemplateListener(Protocol):
    """Who is told what happens to executors."""

    def executor_exited(self, number: int, status: int) -> None:
        """An executor's process is gone; below 0 the status is a signal."""
        ...

    def template_gone(self) -> None:
        """The template's process is gone, and all executors with it."""
        ...


class Template:
    """One template process, from `start` until it is gone."""

    def __init__(self, options: WorkerOptions, listener: TemplateListener, output: Output) -> None:
        self._options = options
        self._listener = listener
        self._output = output
        self._reader = MessageReader()
        self._answer: asyncio.Future[Loaded | Forked] | None = None
        self._turn = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.gone = False

    @property
    def pid(self) -> int | None:
        """Of the process; None before the start."""
        return None if self._process is None else self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended, below 0 a signal; None before `close`."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> Loaded:
        """Start the process and wait until it has imported the application.

        Raises:
            ApplicationFailed: it cannot.
            TemplateGone: it ended without a word.
            OSError: there are too many processes or open files. Then there is nothing to close.
        """
        self._loop = asyncio.get_running_loop()
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._launch(theirs)
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._answer = self._loop.create_future()
        self._loop.add_reader(self._socket.fileno(), self._read)
        answer = await self._answer
        assert isinstance(answer, Loaded), "nothing was asked yet"
        return answer

    def _launch(self, theirs: socket.socket) -> None:
        fd, options = theirs.fileno(), self._options
        command = [sys.executable, "-m", FORKSERVER, str(fd), options.app, str(os.getpid())]
        command += [options.log, options.log_format]
        # What the application prints when it is imported must not make the import wait for a terminal.
        printed, prints = os.pipe()
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=[fd],
                stdin=subprocess.DEVNULL,
                stdout=prints,
                stderr=prints,
                env=environment_for_programs(),
            )
        except BaseException:
            os.close(printed)
            raise
        finally:
            os.close(prints)
        self._output.follow(printed, to_the_end=True)

    async def fork(self, number: int, lanes: list[LaneOrder], fds: Sequence[int]) -> int:
        """Fork an executor. Answers its process id.

        Raises:
            TemplateGone: it ended before it could.
            OSError: it is out of processes, memory or descriptors.
        """
        async with self._turn:
            if self.gone:
                raise TemplateGone
            self._answer = self._loop.create_future()
            socket.send_fds(self._socket, [frame(Fork(number, lanes))], list(fds))
            answer = await self._answer
            assert isinstance(answer, Forked), "requests are answered in turn"
            assert answer.number == number, "requests are answered in turn"
            return answer.pid

    def kill(self) -> None:
        """Kill the process. The listener is told of its end."""
        if self._process is not None:
            self._process.kill()

    async def close(self) -> None:
        """End the process, and with it every executor, and wait until it is gone. A second call does nothing."""
        self._lose()
        if self._process is not None:
            self._process.kill()
            await self._loop.run_in_executor(None, self._process.wait)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        for body in self._reader.feed(data):
            message = template_decoder.decode(body)
            if isinstance(message, Exited):
                self._listener.executor_exited(message.number, message.status)
            elif self._answer is not None and not self._answer.done():
                if isinstance(message, LoadFailed):
                    self._answer.set_exception(ApplicationFailed(message.reason, message.detail))
                elif isinstance(message, NotForked):
                    self._answer.set_exception(OSError(message.code, message.reason))
                else:
                    self._answer.set_result(message)
        if not data and not self.gone:
            self._lose()
            self._listener.template_gone()

    def _lose(self) -> None:
        if self.gone or self._process is None:
            return
        self.gone = True
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(TemplateGone())
