import pytest

from penstock.ports import Clock
from penstock.testing.clock import VirtualClock


def test_a_virtual_clock_stands_still():
    clock = VirtualClock(100.0, 5.0)
    assert [clock.time(), clock.time(), clock.monotonic(), clock.monotonic()] == [100.0, 100.0, 5.0, 5.0]


def test_advancing_moves_both_clocks():
    clock = VirtualClock(100.0, 5.0)
    clock.advance(2.5)
    clock.advance(0.0)
    assert (clock.time(), clock.monotonic()) == (102.5, 7.5)


@pytest.mark.parametrize("by_s", [3_600.0, -3_600.0])
def test_a_jump_moves_the_wall_clock_alone(by_s):
    clock = VirtualClock(10_000.0, 5.0)
    clock.jump(by_s)
    assert (clock.time(), clock.monotonic()) == (10_000.0 + by_s, 5.0)


def test_time_does_not_run_backwards():
    clock = VirtualClock(100.0, 5.0)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-0.1)
    assert (clock.time(), clock.monotonic()) == (100.0, 5.0)


def test_it_is_a_clock():
    clock: Clock = VirtualClock()
    assert clock.time() > clock.monotonic() > 0
