"""The root's way to the real operating system."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys

import pytest

from penstock.node.forked_part import PartSpec
from penstock.node.system import System


def run(spec: PartSpec, *others: PartSpec) -> tuple[list[tuple[int, int]], bytes, int]:
    """A part's whole life: how it ended, what it reported, and its process id."""
    system = System()
    reading, writing = os.pipe()
    pid = system.fork(spec, others, writing, -1, [reading])
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return system.ended(), said, pid


@pytest.mark.parametrize("status", [0, 5])
def test_a_part_reports_and_its_end_is_told_with_its_status(status) -> None:
    ended, said, pid = run(PartSpec("gate", lambda fd: os.write(fd, b"hello") and status))
    assert (ended, said) == ([(pid, status)], b"hello")
    assert System().ended() == []


def test_a_part_that_kills_itself_is_told_with_the_signal() -> None:
    ended, _, pid = run(PartSpec("gate", lambda _: os.kill(os.getpid(), signal.SIGKILL)))
    assert ended == [(pid, -signal.SIGKILL)]


def test_a_part_has_its_own_sockets_and_not_those_of_others() -> None:
    with socket.socket() as own, socket.socket() as foreign:
        sockets = {sock.fileno(): os.fstat(sock.fileno()).st_ino for sock in (own, foreign)}

        def entry(fd: int) -> int:
            # The number itself may have been used again.
            for number, inode in sockets.items():
                try:
                    found = os.fstat(number).st_ino
                except OSError:
                    found = -1
                os.write(fd, b"there " if found == inode else b"gone ")
            return 0

        mine = PartSpec("gate", entry, number=1, listening=(own,))
        _, said, _ = run(mine, PartSpec("gate", entry, number=2, listening=(foreign,)))
        assert said == b"there gone "
        assert foreign.fileno() in sockets, "the root keeps it"


def test_signals_are_held_back_only_while_a_part_is_forked() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    _, said, _ = run(PartSpec("gate", lambda fd: os.write(fd, b"%d" % len(signal.pthread_sigmask(0, ()))) and 0))
    assert said == b"0"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_signal_to_nobody_is_nothing() -> None:
    System().kill(2**22 + 1, signal.SIGTERM)
    System().kill_group(2**22 + 1)


def test_waiting_answers_whose_words_can_be_read() -> None:
    reading, writing = os.pipe()
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ, "gate")
        assert System().wait(selector, 0) == []
        os.write(writing, b"x")
        assert System().wait(selector, None) == ["gate"]
    os.close(reading)
    os.close(writing)


def test_its_clock_never_goes_back() -> None:
    system = System()
    moments = [system.now() for _ in range(100)]
    assert moments == sorted(moments)


@pytest.mark.skipif(sys.platform != "linux", reason="read in /proc")
def test_what_is_below_it_is_found() -> None:
    reading, writing = os.pipe()
    pid = System().fork(PartSpec("gate", lambda fd: signal.pause()), (), writing, -1, [reading])
    try:
        assert pid in System().below()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)
