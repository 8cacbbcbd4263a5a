"""An event loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from penstock.testing import virtual_loop
from penstock.testing.clock import VirtualClock
from penstock.testing.virtual_loop import run_virtual


def test_hours_pass_at_once_and_timers_fire_in_order() -> None:
    clock = VirtualClock(monotonic_s=10.0)
    heard: list[tuple[str, float]] = []

    async def pause(name: str, duration_s: float) -> None:
        await asyncio.sleep(duration_s)
        heard.append((name, clock.monotonic()))

    async def run() -> None:
        await asyncio.gather(pause("long", 7_200.0), pause("short", 3_600.0))

    began = time.monotonic()
    run_virtual(run(), clock)
    assert [name for name, _ in heard] == ["short", "long"]
    assert [at for _, at in heard] == pytest.approx([3_610.0, 7_210.0])
    assert time.monotonic() - began < virtual_loop.STUCK_S


def test_what_is_there_already_comes_before_time_passes() -> None:
    clock = VirtualClock()
    mine, theirs = socket.socketpair()

    async def run() -> float:
        reader, writer = await asyncio.open_connection(sock=mine)
        theirs.sendall(b"x")
        before = clock.monotonic()
        await asyncio.wait_for(reader.readexactly(1), 60.0)
        writer.close()
        return clock.monotonic() - before

    with theirs:
        assert run_virtual(run(), clock) == 0.0


def test_time_stands_still_while_a_thread_works() -> None:
    clock = VirtualClock()

    async def run() -> str:
        asyncio.get_running_loop().call_later(1.0, lambda: None)
        before = clock.monotonic()
        done = await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 60.0)
        assert clock.monotonic() == before
        return done

    assert run_virtual(run(), clock) == "done"


@pytest.mark.parametrize("now", [1.0, 1_000.1, 123_456.789])
def test_no_timer_fires_early_however_floats_are_rounded(now: float) -> None:
    """Who waits for a time and then looks at the clock would otherwise wait again, and again."""
    clock = VirtualClock(monotonic_s=now)

    async def run() -> None:
        for duration_s in (0.1, 1 / 3, 0.7, 1e-7) * 100:
            due = clock.monotonic() + duration_s
            await asyncio.sleep(due - clock.monotonic())
            assert clock.monotonic() >= due - 1e-10

    run_virtual(run(), clock)


def test_a_test_that_is_stuck_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_loop, "STUCK_S", 0.01)

    async def run() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="stuck"):
        run_virtual(run(), VirtualClock())
