"""What is put back after a job, and what is not."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from penstock.worker.executor.process_baseline import Baseline


def surprise(*_about: object) -> None:
    raise AssertionError("a handler that a job left behind was called")


@pytest.fixture
def baseline() -> Iterator[Baseline]:
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)}
    # The time limit of the test itself may be a timer.
    timer = signal.setitimer(signal.ITIMER_REAL, 0.0)
    made = Baseline()
    yield made
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def closed_descriptor() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    os.close(reading)
    os.close(writing)


def state() -> list[object]:
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    handlers = [signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return [*handlers, signal.getitimer(signal.ITIMER_REAL), mask, wakeup, sys.getrecursionlimit()]


LEFT: dict[str, Callable[[], object]] = {
    "handlers": lambda: [signal.signal(number, surprise) for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)],
    "ignored": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "timer": lambda: signal.setitimer(signal.ITIMER_REAL, 60.0, 60.0),
    "alarm": lambda: signal.alarm(60),
    "mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1}),
    "wakeup": closed_descriptor,
    "recursion": lambda: sys.setrecursionlimit(500),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_limits_depend_on_is_put_back(baseline: Baseline, what: str) -> None:
    before = state()
    LEFT[what]()
    baseline.restore()
    assert state() == before
    baseline.restore()
    assert state() == before


def test_tracers_and_profilers_are_put_back() -> None:
    seen: list[object] = []

    def job() -> None:
        made = Baseline()
        sys.settrace(lambda *_: None)
        sys.setprofile(lambda *_: None)
        made.restore()
        seen.extend([sys.gettrace(), sys.getprofile()])

    # In a thread of its own: this one may be measured for coverage.
    thread = threading.Thread(target=job)
    thread.start()
    thread.join(20.0)
    assert seen == [None, None]


def test_another_thread_puts_back_its_own_mask_and_no_handlers(baseline: Baseline) -> None:
    masks: list[object] = []

    def job() -> None:
        made = Baseline()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        made.restore()
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    signal.signal(signal.SIGALRM, surprise)
    thread = threading.Thread(target=job)
    thread.start()
    thread.join(20.0)
    assert masks == [set()]
    assert signal.getsignal(signal.SIGALRM) is surprise


def test_what_is_the_applications_own_stays(baseline: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGUSR1, surprise)
    socket.setdefaulttimeout(7.0)
    try:
        baseline.restore()
        assert signal.getsignal(signal.SIGUSR1) is surprise
        assert socket.getdefaulttimeout() == 7.0
    finally:
        signal.signal(signal.SIGUSR1, before)
        socket.setdefaulttimeout(None)
