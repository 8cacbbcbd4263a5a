"""Work in a thread beside the loop."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from penstock.gate.off_loop import OffLoop


def test_it_answers_and_raises_as_the_function_does() -> None:
    async def story() -> None:
        off_loop = OffLoop()
        assert await off_loop.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await off_loop.run(divmod, 7, 0)
        assert await off_loop.run(threading.get_ident) != threading.get_ident()
        off_loop.close()
        off_loop.close()

    asyncio.run(story())


def test_the_loop_goes_on_and_what_nobody_waits_for_any_more_is_not_begun() -> None:
    begun: list[str] = []

    async def story() -> None:
        off_loop, go_on = OffLoop(), threading.Event()
        first = asyncio.ensure_future(off_loop.run(go_on.wait))
        second = asyncio.ensure_future(off_loop.run(begun.append, "second"))
        third = asyncio.ensure_future(off_loop.run(begun.append, "third"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        go_on.set()
        await asyncio.gather(first, third)
        off_loop.close()

    asyncio.run(story())
    assert begun == ["third"]


def test_garbage_is_not_collected_while_it_works() -> None:
    async def story() -> None:
        off_loop = OffLoop()
        assert gc.isenabled()
        assert await off_loop.run(gc.isenabled) is False
        with pytest.raises(ZeroDivisionError):
            await off_loop.run(divmod, 7, 0)
        assert gc.isenabled()
        off_loop.close()

    asyncio.run(story())
