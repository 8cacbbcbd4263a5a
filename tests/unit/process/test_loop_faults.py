"""What goes wrong in the background of an event loop."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
import uvloop

from penstock.process import loop_faults
from penstock.process.backoff import Backoff
from penstock.process.loop_faults import note_faults_of, place_of
from penstock.process.repeated_faults import Faults

RUNS = [asyncio.run, uvloop.run]


def fail() -> None:
    raise KeyError("x")


@pytest.mark.parametrize("run", RUNS)
def test_what_a_timer_raises_is_told_once_and_counted(run, caplog):
    faults = Faults(logging.getLogger("penstock.test"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        note_faults_of(loop, faults)
        done = asyncio.Event()
        for number in range(50):
            loop.call_later(0.0001 * number, fail)
        loop.call_later(0.01, done.set)
        await done.wait()

    run(main())
    [record] = caplog.records
    assert record.exc_info[0] is KeyError
    assert list(faults.counts.values()) == [50]


@pytest.mark.parametrize("run", RUNS)
def test_so_is_a_task_that_nobody_awaits(run, caplog):
    faults = Faults(logging.getLogger("penstock.test"))

    async def main() -> None:
        note_faults_of(asyncio.get_running_loop(), faults)

        async def task() -> None:
            fail()

        for _ in range(3):
            forgotten = asyncio.ensure_future(task())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert forgotten.done()
            del forgotten
            gc.collect()

    # What other tests have left behind is not looked through each time, which may take ten seconds.
    gc.collect()
    gc.freeze()
    try:
        run(main())
    finally:
        gc.unfreeze()
    assert len(caplog.records) == 1
    assert list(faults.counts.values()) == [3]


def test_what_came_again_is_told_now_and_then(monkeypatch, caplog):
    monkeypatch.setattr(loop_faults, "TELL_S", 0.001)
    monkeypatch.setattr("penstock.process.repeated_faults.SUMMARY", Backoff(base_s=0.0, s_max=0.0))
    faults = Faults(logging.getLogger("penstock.test"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        note_faults_of(loop, faults)
        fails = loop.call_soon
        for _ in range(3):
            fails(fail)
        while len(caplog.records) < 2:
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_word_without_an_exception_is_told_too(caplog):
    faults = Faults(logging.getLogger("penstock.test"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        note_faults_of(loop, faults)
        for number in range(3):
            loop.call_exception_handler({"message": f"<Task at 0x{number}> was destroyed"})

    asyncio.run(main())
    assert len(caplog.records) == 1


def test_the_place_is_the_innermost_function_of_ours():
    with pytest.raises(TypeError) as odd:
        Backoff(base_s="x", s_max=1).delay_s(2)
    assert place_of(odd.value).startswith("penstock.process.backoff.")
    with pytest.raises(KeyError) as plain:
        fail()
    assert place_of(plain.value).endswith(".fail")
    assert place_of(KeyError()) == "background work"
