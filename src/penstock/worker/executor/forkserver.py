"""The template process: imports the application once, then forks executors from it.

The supervisor starts it as ``python -m penstock.worker.executor.forkserver FD APP PID LEVEL FORMAT``: this end of a
socket pair with the supervisor, the application, the supervisor's process id, and how to log. It says `Loaded`, or why
not, and then answers each `Fork` with `Forked` or `NotForked`. Unasked, it tells of every executor that has `Exited`.

It stays single-threaded, so that a fork copies nothing that another thread holds. When the supervisor dies, this
process dies, and its executors with it: on Linux the kernel kills each of them when its parent is gone.

An executor leads a session and a process group of its own. The processes that its jobs start are in that group, and are
killed when the executor has ended.
"""

from __future__ import annotations

import errno
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import NoReturn

from penstock.model.errors import PenstockError
from penstock.process import log
from penstock.process.process_tree import kill_group, leave_with_parent, set_title
from penstock.tasks.app import Penstock
from penstock.tasks.loading import load_app
from penstock.worker.executor import after_fork
from penstock.worker.executor.executor import run_executor
from penstock.worker.executor.task_plan import Runnable
from penstock.worker.messages import (
    ASYNC_LANE,
    Exited,
    Fork,
    Forked,
    Loaded,
    LoadFailed,
    MessageReader,
    NotForked,
    TaskSheet,
    fork_decoder,
    frame,
)
from penstock.worker.outcomes import clean

_FDS_MAX = 16
_REQUEST_BYTES = 4096
_REASON_BYTES = 2_000
_DETAIL_BYTES = 32 * 1024


def main(argv: list[str]) -> int:
    """The process's whole life. Answers its exit status: 1 when the application cannot be imported. The supervisor has
    been told so by then."""
    control = socket.socket(fileno=int(argv[1]))
    leave_with_parent(int(argv[3]))
    set_title("penstock forkserver")
    # A crash in an extension shows on standard error which import it was.
    faulthandler.enable(file=2)
    for number in (signal.SIGINT, signal.SIGTERM):
        # A terminal's Ctrl-C reaches the whole group; the supervisor decides when this process stops.
        signal.signal(number, after_fork.ignore)
    # The application may start processes when it is imported.
    after_fork.watch_forks()
    after_fork.keep(control.fileno())
    # Before the import: an application that sets up its own logging replaces this.
    log.setup(argv[4], argv[5])
    try:
        app = load_app(argv[2])
        tasks: Mapping[str, Runnable] = {**app.tasks, **app.consumers}
        loaded = _loaded(app, argv[2])
    except BaseException as error:  # noqa: BLE001 - an application may raise anything when imported
        control.sendall(frame(_failed(argv[2], error)))
        return 1
    log.enable()
    _preload(loaded)
    if threading.active_count() > 1:
        sys.stderr.write(f"penstock: importing {argv[2]} started threads; they do not exist in executors.\n")
    # What is there now is shared with every executor: keep the collector from writing to it.
    gc.collect()
    gc.freeze()
    control.sendall(frame(loaded))
    Forkserver(control, tasks).serve()
    return 0


def _loaded(app: Penstock, name: str) -> Loaded:
    """What the supervisor is told of the application.

    Raises:
        InvalidOption: an annotation of a function cannot be resolved, or cannot be sent.
    """
    consumers = app.consumers.values()
    sheets = [TaskSheet.of(task) for task in app.tasks.values()]
    sheets += [TaskSheet.of(consumer, consumer.queue) for consumer in consumers]
    for consumer in consumers:
        consumer.resolve()
    declared = [consumer.channel_record for consumer in consumers if consumer.channel_record is not None]
    queues = [*app.queues.values(), *declared]
    return Loaded(sheets, [task.record() for task in app.tasks.values()], queues, app.schedule_records(), name)


class Forkserver:
    """Forks an executor when asked, and tells the supervisor how each one ended.

    It keeps which executors are alive. `serve` is its only loop, woken by the supervisor's requests and by SIGCHLD.
    """

    def __init__(self, control: socket.socket, tasks: Mapping[str, Runnable]) -> None:
        """``control``: to the supervisor. ``tasks``: what executors can run, by name."""
        self._control = control
        self._tasks = tasks
        self._number_of: dict[int, int] = {}
        self._reader = MessageReader()
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._woken, False)

    def serve(self) -> None:
        """Serve until the supervisor closes its end, then kill the executors that are left."""
        signal.signal(signal.SIGCHLD, after_fork.ignore)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            while self._turn():
                pass
        except ConnectionError:
            # The supervisor went while it was being told something.
            pass
        for pid in self._number_of:
            if not kill_group(pid):
                os.kill(pid, signal.SIGKILL)

    def _turn(self) -> bool:
        """Wait for a request or for an executor's end, and deal with it. False: the supervisor is gone."""
        control = self._control.fileno()
        ready, _, _ = select.select([control, self._woken], [], [])
        if self._woken in ready:
            os.read(self._woken, _REQUEST_BYTES)
            self._reap()
        return control not in ready or self._receive()

    def _receive(self) -> bool:
        """Read a request and answer it. The supervisor sends the next one only after that, so there is never a second
        one in the data, nor descriptors of another. False: there will be no more."""
        data, fds, flags, _ = socket.recv_fds(self._control, _REQUEST_BYTES, _FDS_MAX)
        try:
            for body in self._reader.feed(data):
                request = fork_decoder.decode(body)
                if flags & socket.MSG_CTRUNC:
                    # The kernel could not give this process all descriptors that were sent.
                    answer: Forked | NotForked = _not_forked(request, errno.EMFILE)
                else:
                    answer = self._fork(request, fds)
                self._control.sendall(frame(answer))
        finally:
            for fd in fds:
                os.close(fd)
        return bool(data)

    def _fork(self, request: Fork, fds: list[int]) -> Forked | NotForked:
        """Fork an executor. Returns in this process only."""
        parent = os.getpid()
        try:
            pid = after_fork.fork_executor()
        except OSError as error:
            return _not_forked(request, error.errno)
        if pid == 0:
            self._become_executor(request, fds, parent)
        self._number_of[pid] = request.number
        return Forked(request.number, pid)

    def _become_executor(self, request: Fork, fds: list[int], parent: int) -> NoReturn:
        """Go on as an executor, in the new process."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._woken)
            os.close(self._waker)
            self._control.close()
            os.setsid()
            leave_with_parent(parent)
            for fd in fds:
                os.set_inheritable(fd, False)
            lanes = [(order, fds[1 + 2 * i], fds[2 + 2 * i]) for i, order in enumerate(request.lanes)]
        except BaseException:  # noqa: BLE001 - a forked child must never run its parent's code
            traceback.print_exc()
            os._exit(1)
        run_executor(self._tasks, fds[0], lanes)

    def _reap(self) -> None:
        """Tell of every executor that has ended."""
        while self._number_of:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            # What its jobs have started ends with it. While a process is left in the group, no other group gets this
            # number. When none is left, the number was free only from the waitpid above on.
            kill_group(pid)
            number = self._number_of.pop(pid, None)
            if number is not None:
                self._control.sendall(frame(Exited(number, pid, os.waitstatus_to_exitcode(status))))


def _not_forked(request: Fork, code: int | None) -> NotForked:
    code = code or errno.EAGAIN
    return NotForked(request.number, code, os.strerror(code))


def _failed(path: str, error: BaseException) -> LoadFailed:
    """Why the application at ``path`` cannot be imported, for people."""
    if isinstance(error, PenstockError):
        # It says what is wrong, and where.
        return LoadFailed(clean(error.message, _REASON_BYTES), "")
    reason = traceback.format_exception_only(error)[-1].strip()
    detail = "".join(traceback.format_exception(error))
    return LoadFailed(
        clean(f"{path} cannot be loaded: {reason}", _REASON_BYTES), clean(detail, _DETAIL_BYTES, tail=True)
    )


def _preload(loaded: Loaded) -> None:
    """Import before forking what executors will need, so that they share its memory."""
    if any(task.lane == ASYNC_LANE for task in loaded.sheets):
        import penstock.worker.event_loop
        import penstock.worker.executor.async_lane
        import penstock.worker.executor.job_event_loop

        penstock.worker.event_loop.new_event_loop().close()
    import penstock.worker.executor.process_lane


if __name__ == "__main__":
    sys.exit(main(sys.argv))
