"""The template process, from its supervisor's side of the socket: real processes, without a supervisor."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.model.job import LeasedJob
from penstock.worker.executor import after_fork
from penstock.worker.executor.forkserver import Forkserver
from penstock.worker.messages import (
    Exited,
    Fork,
    Forked,
    LaneOrder,
    Loaded,
    LoadFailed,
    Lot,
    MessageReader,
    NotForked,
    Report,
    frame,
    report_decoder,
    template_decoder,
)
from penstock.worker.scoreboard import scoreboard_fd

PATIENCE_S = 30.0
BODY = b"m\x92\x90\x80"
APP = """
import subprocess
from penstock import Penstock
app = Penstock("nowhere")

@app.task(name="leave", keep_result_s=0, keep_record_s=0)
def leave():
    print("left", subprocess.Popen(["sleep", "60"]).pid, flush=True)

@app.task(name="wait")
async def wait(): ...
"""
GREEDY_APP = """
import os
from penstock import Penstock
app = Penstock("nowhere")
files = []

def greedy():
    while True:
        files.append(os.open(os.devnull, os.O_RDONLY))

async def greedy_async():
    greedy()

options = {"keep_result_s": 0, "keep_record_s": 0}
app.task(name="greedy.process", **options)(greedy)
app.task(name="greedy.thread", executor="thread", **options)(greedy)
app.task(name="greedy.async", **options)(greedy_async)

@app.task(name="modest.process", **options)
def modest(): ...
@app.task(name="modest.thread", executor="thread", **options)
def modest_thread(): ...
@app.task(name="modest.async", **options)
async def modest_async(): ...
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a promise of the kernel's, or read in /proc")


class Seat:
    """An executor as its supervisor holds it: the socket of its one lane, and what it prints."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lane, self.theirs = socket.socketpair()
        self.lane.settimeout(PATIENCE_S)
        self.output, self.prints = os.pipe()
        self.board_fd = scoreboard_fd(1)
        self._reader = MessageReader()

    def passed(self) -> list[int]:
        return [self.prints, self.theirs.fileno(), self.board_fd]

    def let_go_of_theirs(self) -> None:
        self.theirs.close()
        os.close(self.prints)
        os.close(self.board_fd)

    def report(self) -> Report | None:
        """The next thing the lane says; None: it is gone."""
        while data := self.lane.recv(65536):
            for body in self._reader.feed(data):
                return report_decoder.decode(body)
        return None

    def printed(self) -> str:
        """The next line that its jobs print."""
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.output], [], [], PATIENCE_S)[0]
            line += os.read(self.output, 1)
        return line.decode()

    def close(self) -> None:
        self.lane.close()
        os.close(self.output)


class Site:
    """A forkserver of an application in a file of its own."""

    def __init__(self, place: Path, source: str, app: str = "some_app:app") -> None:
        (place / "some_app.py").write_text(source)
        self.mine, theirs = socket.socketpair()
        self.mine.settimeout(PATIENCE_S)
        self._messages = self._heard()
        self.seats: list[Seat] = []
        with theirs:
            command = [sys.executable, "-m", "penstock.worker.executor.forkserver", str(theirs.fileno()), app]
            self.process = subprocess.Popen(
                [*command, str(os.getpid()), "info", "text"],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *sys.path])},
                stderr=subprocess.PIPE,
                text=True,
            )

    def _heard(self) -> Iterator[object]:
        reader = MessageReader()
        while data := self.mine.recv(65536):
            yield from map(template_decoder.decode, reader.feed(data))

    def hear(self) -> object:
        """The next message; None: the process has closed its end."""
        return next(self._messages, None)

    def fork(self, number: int, kind: str = "process") -> tuple[Seat, object]:
        """Ask for an executor with one lane. Answers its seat, and the answer."""
        seat = Seat(number)
        self.seats.append(seat)
        socket.send_fds(self.mine, [frame(Fork(number, [LaneOrder(kind, 1)]))], seat.passed())
        seat.let_go_of_theirs()
        return seat, self.hear()

    def forked(self, number: int, kind: str = "process") -> tuple[Seat, int]:
        """An executor that is ready, and its process id."""
        seat, answer = self.fork(number, kind)
        assert isinstance(answer, Forked)
        assert answer.number == number
        assert seat.report() == Report()
        return seat, answer.pid

    def close(self) -> None:
        self.mine.close()
        self.process.wait(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        for seat in self.seats:
            seat.close()


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[type[Site]]:
    sites: list[Site] = []

    def start(source: str = APP, app: str = "some_app:app") -> Site:
        sites.append(Site(tmp_path, source, app))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def site(open_site) -> Site:
    made = open_site()
    assert isinstance(made.hear(), Loaded)
    return made


def until_gone(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([process], [], [], PATIENCE_S)
    os.close(process)
    assert ready, f"process {pid} is still there"


def test_it_says_what_tasks_there_are(open_site) -> None:
    loaded = open_site().hear()
    assert isinstance(loaded, Loaded)
    assert [(sheet.name, sheet.lane) for sheet in loaded.sheets] == [("leave", "process"), ("wait", "async")]
    assert [record.name for record in loaded.records] == ["leave", "wait"]


@pytest.mark.parametrize(
    ("source", "app", "reason", "detail"),
    [
        ("", "some_app:app", "some_app", ""),
        (APP, "no_such_app:app", "no_such_app", ""),
        (APP, "some_app:leave.nothing", "some_app", ""),
        ("raise ValueError('out of order')", "some_app:app", "ValueError: out of order (/", ""),
        ("import sys; sys.exit(3)", "some_app:app", "SystemExit: 3 (/", ""),
        ("raise KeyboardInterrupt", "some_app:app", "KeyboardInterrupt", "raise KeyboardInterrupt"),
        ("def f(:", "some_app:app", "SyntaxError: ", ""),
        (APP + "\n@app.task\ndef odd(x: 'Missing'): ...\n", "some_app:app", "Missing", ""),
    ],
)
def test_an_application_that_cannot_be_used_is_told_with_the_reason(open_site, source, app, reason, detail) -> None:
    made = open_site(source, app)
    failed = made.hear()
    assert isinstance(failed, LoadFailed)
    assert reason in failed.reason
    assert "\n" not in failed.reason
    assert detail in failed.detail
    assert made.hear() is None
    assert made.process.wait(PATIENCE_S) == 1


def test_executors_are_processes_of_their_own_and_jobs_run_in_them(site: Site) -> None:
    pids = {}
    for number in (1, 2, 3):
        _, pids[number] = site.forked(number)
    assert len({*pids.values(), site.process.pid, os.getpid()}) == 5
    for pid in pids.values():
        assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)
    seat = site.seats[1]
    seat.lane.sendall(frame(Lot(7, None, ["leave"], bytes(1), [LeasedJob(bytes(16), 1, "default", BODY, None)])))
    report = seat.report()
    assert report is not None
    assert (report.forgotten_first, report.forgotten_count) == (7, 1)
    assert "left" in seat.printed()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGSEGV, -signal.SIGSEGV), (None, 0)]
)
def test_every_end_of_an_executor_is_told_and_the_others_stay(site: Site, number: int | None, status: int) -> None:
    site.forked(1)
    seat, pid = site.forked(2)
    other, _ = site.forked(3)
    if number is None:
        seat.lane.close()
    else:
        os.kill(pid, number)
    assert site.hear() == Exited(2, pid, status)
    other.lane.sendall(frame(Lot(7, None, ["leave"], bytes(1), [LeasedJob(bytes(16), 1, "default", BODY, None)])))
    assert other.report() is not None
    site.forked(4)


@linux_only
def test_what_jobs_have_started_ends_with_their_executor(site: Site) -> None:
    seat, pid = site.forked(1)
    seat.lane.sendall(frame(Lot(7, None, ["leave"], bytes(1), [LeasedJob(bytes(16), 1, "default", BODY, None)])))
    left = int(seat.printed().split()[1])
    os.kill(pid, signal.SIGKILL)
    assert site.hear() == Exited(1, pid, -signal.SIGKILL)
    until_gone(left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_outlives_signals_that_ask_it_to_end(site: Site, number: int) -> None:
    _, pid = site.forked(1)
    for target in (site.process.pid, pid):
        os.kill(target, number)
    site.forked(2)


def test_when_the_supervisor_closes_its_end_all_end(site: Site) -> None:
    seats = [site.forked(number)[0] for number in (1, 2)]
    site.mine.shutdown(socket.SHUT_RDWR)
    assert site.process.wait(PATIENCE_S) == 0
    assert [seat.report() for seat in seats] == [None, None]


@linux_only
def test_when_it_is_killed_its_executors_end(site: Site) -> None:
    seat, _ = site.forked(1)
    site.process.kill()
    assert seat.report() is None


@linux_only
def test_without_descriptors_for_an_executor_it_says_so_and_lives_on(site: Site) -> None:
    site.forked(1)
    pid = site.process.pid
    before = set(os.listdir(f"/proc/{pid}/fd"))
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for spare in (0, 1, 2):
        free = itertools.filterfalse(set(map(int, before)).__contains__, itertools.count())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(itertools.islice(free, spare, None)), limits[1]))
        seat, answer = site.fork(10 + spare)
        assert answer == NotForked(10 + spare, errno.EMFILE, os.strerror(errno.EMFILE))
        assert seat.lane.recv(1) == b"", "nobody has its other end"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    site.forked(2)
    assert set(os.listdir(f"/proc/{pid}/fd")) == before


@linux_only
@pytest.mark.parametrize("kind", ["process", "thread", "async"])
def test_a_job_that_uses_up_all_descriptors_fails_and_its_executor_goes_on(open_site, kind: str) -> None:
    site = open_site(GREEDY_APP)
    assert isinstance(site.hear(), Loaded)
    seat, pid = site.forked(1, kind)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64))
    for fence, task in [(7, f"greedy.{kind}"), (8, f"modest.{kind}"), (9, f"greedy.{kind}"), (10, f"modest.{kind}")]:
        seat.lane.sendall(frame(Lot(fence, None, [task], bytes(1), [LeasedJob(bytes(16), 1, "default", BODY, None)])))
        report = seat.report()
        assert report is not None
        if task.startswith("modest"):
            assert (report.forgotten_first, report.forgotten_count) == (fence, 1)
        else:
            assert report.outcomes is not None
            (retried,) = report.outcomes.retried
            assert (retried.fence, retried.error.type) == (fence, "OSError")
            assert "Too many open files" in retried.error.message
            assert "in greedy" in (retried.error.traceback or "")
    assert len(os.listdir(f"/proc/{pid}/fd")) == 64


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOMEM])
def test_without_room_for_a_process_it_says_so_and_lives_on(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def no_fork() -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(after_fork, "fork_executor", no_fork)
    mine, theirs = socket.socketpair()
    server = Forkserver(theirs, {})
    seat = Seat(5)
    before = os.listdir("/proc/self/fd") if sys.platform == "linux" else []
    socket.send_fds(mine, [frame(Fork(5, [LaneOrder("process", 1)]))], seat.passed())
    assert server._receive()
    (body,) = MessageReader().feed(mine.recv(65536))
    assert template_decoder.decode(body) == NotForked(5, code, os.strerror(code))
    if before:
        assert os.listdir("/proc/self/fd") == before
    seat.let_go_of_theirs()
    seat.close()
    mine.close()
    theirs.close()
    os.close(server._woken)
    os.close(server._waker)


def test_threads_that_the_import_started_are_warned_of(open_site) -> None:
    source = APP + "\nimport threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    made = open_site(source)
    assert isinstance(made.hear(), Loaded)
    made.mine.shutdown(socket.SHUT_RDWR)
    assert made.process.wait(PATIENCE_S) == 0
    assert "importing some_app:app started threads" in made.process.stderr.read()
