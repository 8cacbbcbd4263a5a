"""Work in a thread beside the loop."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from penstock.gate.side_thread import SideThread


def test_it_answers_and_raises_as_the_function_does() -> None:
    async def story() -> None:
        side_thread = SideThread()
        assert await side_thread.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await side_thread.run(divmod, 7, 0)
        assert await side_thread.run(threading.get_ident) != threading.get_ident()
        side_thread.close()
        side_thread.close()

    asyncio.run(story())


def test_the_loop_goes_on_and_what_nobody_waits_for_any_more_is_not_begun() -> None:
    begun: list[str] = []

    async def story() -> None:
        side_thread, go_on = SideThread(), threading.Event()
        first = asyncio.ensure_future(side_thread.run(go_on.wait))
        second = asyncio.ensure_future(side_thread.run(begun.append, "second"))
        third = asyncio.ensure_future(side_thread.run(begun.append, "third"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        go_on.set()
        await asyncio.gather(first, third)
        side_thread.close()

    asyncio.run(story())
    assert begun == ["third"]


def test_garbage_is_not_collected_while_it_works() -> None:
    async def story() -> None:
        side_thread = SideThread()
        assert gc.isenabled()
        assert await side_thread.run(gc.isenabled) is False
        with pytest.raises(ZeroDivisionError):
            await side_thread.run(divmod, 7, 0)
        assert gc.isenabled()
        side_thread.close()

    asyncio.run(story())
