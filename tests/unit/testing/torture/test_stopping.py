import os
import signal

import pytest

from penstock.testing.torture.stopping import Stopping


@pytest.fixture
def told_by_signal():
    stopping = Stopping()
    before = signal.signal(signal.SIGUSR1, lambda *_: stopping.set())
    yield stopping
    signal.signal(signal.SIGUSR1, before)


def test_it_waits_for_its_time_and_no_longer_than_until_it_is_set():
    stopping = Stopping()
    assert not stopping.wait(0.0)
    stopping.set()
    assert stopping.is_set()
    assert stopping.wait(60.0)
    assert stopping.wait(60.0), "for everybody, and from now on"


def test_a_signal_may_set_it_whatever_its_thread_is_at(told_by_signal):
    os.kill(os.getpid(), signal.SIGUSR1)
    assert told_by_signal.wait(60.0)
