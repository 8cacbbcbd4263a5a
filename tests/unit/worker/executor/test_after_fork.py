"""A forked process, parted from the one it was forked from."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from penstock.worker.event_loop import new_event_loop
from penstock.worker.executor import after_fork
from penstock.worker.executor.job_event_loop import ready_queue, timers

LOOPS = [asyncio.new_event_loop, new_event_loop]


def run(code: str) -> tuple[int, str]:
    """What a program that begins as an executor does, prints."""
    begin = "import os, signal, sys\nfrom penstock.worker.executor import after_fork\nafter_fork.watch_forks()\n"
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("make", LOOPS)
def test_what_a_loop_does_next_and_later_is_found(make: object) -> None:
    loop = make()
    try:
        ready = ready_queue(loop)
        assert ready is not None
        ready.clear()
        loop.call_soon(print, "never")
        assert len(ready) == 1
        later = loop.call_later(60.0, print, "never")
        if make is new_event_loop:
            assert later in timers(loop) or isinstance(later, asyncio.TimerHandle)
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("error", "status"),
    [("None", 0), ("SystemExit(7)", 7), ("SystemExit()", 0), ("SystemExit('words')", 1), ("ValueError('words')", 1)],
)
def test_a_child_ends_with_the_status_of_a_program(error: str, status: int) -> None:
    code = f"""
pid = os.fork()
if pid == 0:
    after_fork.end({error})
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), bool(after_fork.is_child))
"""
    returned, printed = run(code)
    assert returned == 0
    assert f"{status} False" in printed
    assert ("words" in printed) == ("words" in error)


def test_a_child_has_no_part_in_what_is_its_parents() -> None:
    code = """
reading, writing = os.pipe()
after_fork.keep(writing)
after_fork.in_child(lambda: print("muted", flush=True))
own = lambda *_: None
signal.signal(signal.SIGTERM, after_fork.ignore)
signal.signal(signal.SIGALRM, own)
signal.set_wakeup_fd(-1)
pid = os.fork()
if pid == 0:
    os.write(writing, b"from the child")
    kept = signal.getsignal(signal.SIGALRM) is own
    print(signal.getsignal(signal.SIGTERM).name, kept, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), flush=True)
    grandchild = os.fork()
    if grandchild:
        os.waitpid(grandchild, 0)
    os._exit(0)
os.waitpid(pid, 0)
os.write(writing, b"from the parent")
is_ignored = signal.getsignal(signal.SIGTERM) is after_fork.ignore
print(os.read(reading, 100), is_ignored, sorted(signal.pthread_sigmask(0, ())))
"""
    _, printed = run(code)
    assert printed.splitlines() == ["muted", "SIG_DFL True []", "b'from the parent' True []"]


@pytest.mark.parametrize("loop_of", ["asyncio", "penstock.worker.event_loop"])
def test_a_child_is_parted_from_its_parent_when_no_descriptor_is_left(loop_of: str) -> None:
    """A job that never closes its files, and then forks."""
    code = f"""
import resource
from {loop_of} import new_event_loop
from penstock.worker.executor.job_event_loop import part_at_fork
loop = new_event_loop()
part_at_fork(loop)
reading, writing = os.pipe()
after_fork.keep(writing)
after_fork.in_child(lambda: os.write(1, b"muted "))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
files = []
try:
    while True:
        files.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
pid = os.fork()
if pid == 0:
    os.write(writing, b"from the child")
    os._exit(0)
os.waitpid(pid, 0)
os.write(writing, b"from the parent")
print(os.read(reading, 100))
"""
    _, printed = run(code)
    assert printed == "muted b'from the parent'\n"


def test_a_signal_that_comes_at_once_is_not_lost() -> None:
    code = """
signal.signal(signal.SIGTERM, after_fork.ignore)
ends = set()
for _ in range(100):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGTERM)
    ends.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(ends)
"""
    assert run(code) == (0, f"{{{-signal.SIGTERM}}}\n")


def test_an_executor_is_not_a_child() -> None:
    code = """
pid = after_fork.fork_executor()
if pid == 0:
    os._exit(len(after_fork.is_child))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(code) == (0, "0\n")


def test_a_call_in_a_thread_of_the_loops_answers() -> None:
    with after_fork.Threads(1) as threads:
        assert threads.submit(pow, 2, exp=3).result(20.0) == 8
        with pytest.raises(ZeroDivisionError):
            threads.submit(divmod, 1, 0).result(20.0)
    assert os.getpid() not in after_fork.is_child
