"""How a process that serves is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from penstock.process.serving_loop import EXIT_INTERRUPTED, loop_factory, stop_at_signals


@pytest.mark.parametrize(
    ("signals", "status"),
    [
        ((signal.SIGTERM, signal.SIGTERM), 1),
        ((signal.SIGTERM, signal.SIGINT), EXIT_INTERRUPTED),
        ((signal.SIGINT, signal.SIGTERM), EXIT_INTERRUPTED),
    ],
)
def test_the_first_signal_asks_to_stop_and_the_second_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, signals: tuple[int, int], status: int
) -> None:
    async def run() -> None:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(os, "_exit", ended.set_result)
        stop, came = stop_at_signals()
        os.kill(os.getpid(), signals[0])
        await asyncio.wait_for(stop.wait(), 30)
        assert not ended.done()
        os.kill(os.getpid(), signals[1])
        assert await asyncio.wait_for(ended, 30) == status
        assert came == list(signals)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())
