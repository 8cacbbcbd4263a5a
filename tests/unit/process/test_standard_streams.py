"""Standard output and error that never make the process wait."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator

import pytest

from penstock.process import standard_streams
from penstock.process.standard_streams import PENDING_BYTES_MAX, NonblockingWriter

LINE = b"x" * 99 + b"\n"
MANY = 3 * PENDING_BYTES_MAX // len(LINE)


made: list[NonblockingWriter] = []


def writer_to(fd: int) -> NonblockingWriter:
    made.append(NonblockingWriter(fd))
    return made[-1]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    while made:
        # The number of a descriptor may be another test's soon.
        made.pop().abandon()
    for fd in (reading, writing):
        try:
            os.close(fd)
        except OSError:
            pass


def soon(act) -> None:
    """It ends, and does not wait for a reader."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(30.0)
    assert not thread.is_alive(), "it waits"


def write_many(writer: NonblockingWriter) -> None:
    soon(lambda: [writer.write(LINE) for _ in range(MANY)])


def all_of(fd: int, until: bytes) -> bytes:
    """What comes through until this came."""
    found = b""
    while until not in found[-4096:]:
        assert select.select([fd], [], [], 30.0)[0], "nothing comes"
        found += os.read(fd, 65_536)
    return found


def test_what_is_written_is_there_at_once_and_without_a_thread(pipe):
    reading, writing = pipe
    before = threading.active_count()
    writer = writer_to(writing)
    writer.write(b"one\n")
    assert os.read(reading, 100) == b"one\n"
    assert threading.active_count() == before


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_what_was_dropped_is_told(pipe):
    reading, writing = pipe
    writer = writer_to(writing)
    write_many(writer)
    assert writer.dropped_total > 0
    came = all_of(reading, b"not written here")
    lines = came.splitlines()
    assert lines.count(LINE.rstrip()) == MANY - writer.dropped_total
    assert lines[-1].startswith(b"penstock: %d lines" % writer.dropped_total)
    writer.write(b"after\n")
    assert all_of(reading, b"after\n")


def test_the_pipe_waits_as_before_for_others_that_write_to_it(pipe):
    writer_to(pipe[1]).write(b"one\n")
    assert os.get_blocking(pipe[1])


@pytest.mark.skipif(sys.platform != "linux", reason="how a stopped terminal takes writes")
def test_a_terminal_stopped_with_ctrl_s_holds_nobody_up():
    master, slave = pty.openpty()
    try:
        writer = writer_to(slave)
        termios.tcflow(slave, termios.TCOOFF)
        write_many(writer)
        assert writer.dropped_total > 0
        termios.tcflow(slave, termios.TCOON)
        assert all_of(master, b"not written here")
    finally:
        writer.abandon()
        os.close(slave)
        os.close(master)


def test_a_socket_that_nobody_reads_holds_nobody_up():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = writer_to(ours.fileno())
        write_many(writer)
        assert writer.dropped_total > 0
        assert all_of(theirs.fileno(), b"not written here")
        writer.abandon()


def test_a_pipe_whose_reader_has_left_loses_what_is_written(pipe):
    reading, writing = pipe
    os.close(reading)
    writer = writer_to(writing)
    write_many(writer)
    assert writer.dropped_total == MANY
    assert writer.finish(0.0)


def test_a_reader_that_leaves_later_holds_nobody_up_either(pipe):
    reading, writing = pipe
    writer = writer_to(writing)
    write_many(writer)
    os.close(reading)
    soon(lambda: writer.finish(20.0))
    assert writer.dropped_total > 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_holds_nobody_up_and_the_count_is_told_when_there_is_room(tmp_path):
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        writer = writer_to(fd)
        write_many(writer)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            os.write(fd, b"x")
        # There is room again: the descriptor leads to a file that takes it.
        roomy = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        os.dup2(roomy, fd)
        os.close(roomy)
        assert writer.finish(30.0)
        text = (tmp_path / "log").read_bytes()
        assert text.count(LINE) == MANY - writer.dropped_total
        assert b"penstock: %d lines" % writer.dropped_total in text
    finally:
        writer.abandon()
        os.close(fd)


def test_a_closed_descriptor_holds_nobody_up(pipe):
    writing = pipe[1]
    writer = writer_to(writing)
    os.close(writing)
    write_many(writer)
    assert not writer.finish(0.0)


def test_a_child_of_a_fork_writes_nothing_of_its_parents(pipe):
    reading, writing = pipe
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    writer = writer_to(writing)
    for number in range(200):
        writer.write(b"%099d\n" % number)
    child = os.fork()
    if child == 0:
        writer.write(b"child\n")
        os._exit(0 if writer.finish(30.0) else 1)
    came = all_of(reading, b"child\n")
    if b"%099d\n" % 199 not in came:
        came += all_of(reading, b"%099d\n" % 199)
    assert os.waitpid(child, 0)[1] == 0
    assert [line for line in came.splitlines() if line != b"child"] == [b"%099d" % number for number in range(200)]


def test_a_slow_reader_slows_a_patient_writer_and_loses_nothing(pipe):
    reading, writing = pipe
    writer = writer_to(writing)
    patient = threading.Thread(target=lambda: [writer.write_patiently(LINE) for _ in range(MANY)], daemon=True)
    patient.start()
    came = 0
    while came < MANY * len(LINE):
        came += len(os.read(reading, 65_536))
    patient.join(30.0)
    assert writer.dropped_total == 0


def test_a_reader_that_takes_nothing_is_given_up_on(pipe, monkeypatch):
    monkeypatch.setattr(standard_streams, "PATIENCE_S", 0.01)
    writer = writer_to(pipe[1])
    soon(lambda: [writer.write_patiently(LINE) for _ in range(MANY)])
    assert writer.dropped_total > 0


INSTALLED = """
import sys
from penstock.process import log
from penstock.process import standard_streams
standard_streams.install()
log.setup("info", "json")
import logging, os, json
print("to output"); print("to error", file=sys.stderr)
for number in range(100_000):
    logging.getLogger("penstock").warning("a line that is long enough to fill a pipe soon: %d", number)
os.write(int(sys.argv[1]), b"done")
sys.stdin.read()
"""


def test_the_installed_streams_tell_what_was_dropped_in_the_log_s_own_format(pipe):
    reading, writing = pipe
    process = subprocess.Popen(
        [sys.executable, "-c", INSTALLED, str(writing)],
        pass_fds=[writing],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert all_of(reading, b"done") == b"done"
    output, errors = process.communicate(timeout=60)
    assert output == b"to output\n"
    assert errors.startswith(b"to error\n{")
    assert b'"action": "lines-dropped"' in errors.splitlines()[-1]


CLOSED = """
import os, sys
from penstock.process import standard_streams
standard_streams.open_missing()
print("x"); print("y", file=sys.stderr); sys.stdin.read()
print("x", file=sys.__stdout__); print("y", file=sys.__stderr__); sys.__stdin__.read()
fd = os.open("/", os.O_RDONLY)
os.write(int(sys.argv[1]), b"%d %d" % (fd > 2, all(os.get_inheritable(number) for number in range(3))))
"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>&- 2>&-"])
def test_closed_descriptors_are_opened_before_anything_gets_their_number(pipe, closed):
    reading, writing = pipe
    command = f'exec "$0" -c "$1" {writing} {closed}'
    status = subprocess.run(["sh", "-c", command, sys.executable, CLOSED], pass_fds=[writing], check=False).returncode
    assert status == 0
    assert os.read(reading, 100) == b"1 1"
