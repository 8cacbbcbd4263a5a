"""Where a process stands among others: what is below it, and its end when its parent dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from penstock.process import process_tree
from penstock.process.process_tree import descendants, leave_with_parent

_PARENT = """
import os, signal, sys, time
from penstock.process import process_tree
from penstock.process.process_tree import leave_with_parent
parent, told = os.getpid(), int(sys.argv[1])
if os.fork():
    signal.pause()
# It may come as soon as the word is written. A handler of Python's would not run before `signal.pause` came back.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
leave_with_parent(parent, number=int(sys.argv[2]))
os.write(told, b"child ")
signal.sigwait([signal.SIGTERM])
os.write(told, b"asked")
"""


def test_a_process_that_is_not_there_has_no_descendants():
    assert descendants(2**22 + 1) == []


def test_a_process_is_not_below_itself():
    assert os.getpid() not in descendants(os.getpid())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pipe tells")
@pytest.mark.parametrize(("number", "last_word"), [(signal.SIGTERM, b"asked"), (signal.SIGKILL, b"")])
def test_a_child_hears_of_its_killed_parent_by_the_signal_it_chose(number, last_word):
    reading, writing = os.pipe()
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(writing), str(int(number))], pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read(6) == b"child "
        parent.kill()
        parent.wait()
        # The pipe ends when the child has gone as well: nobody else has its writing end.
        assert told.read() == last_word


def test_where_the_kernel_does_not_tell_the_end_of_a_pipe_does(monkeypatch):
    monkeypatch.setattr(process_tree, "_LINUX", False)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        leave_with_parent(os.getppid(), reading)
        signal.pause()
    os.close(reading)
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_a_child_whose_parent_died_before_it_asked_leaves_at_once():
    pid = os.fork()
    if pid == 0:
        try:
            leave_with_parent(os.getpid())  # which is not its parent
        finally:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
