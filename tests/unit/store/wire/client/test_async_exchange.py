"""A link's bytes: in order, whatever the socket takes at once; none on a connection that ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from penstock.store.wire.client.async_exchange import Link


class User:
    """Who the link belongs to, as far as sending needs one."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def hello(self) -> bytes:
        return b"hello"

    def welcomed(self, link: Link, welcome: Any) -> None: ...

    def deliver(self, link: Link, kind: int, number: int, payload: bytes) -> None: ...

    def lost(self, link: Link) -> None:
        self.ended.set()


async def linked() -> tuple[User, Link, socket.socket]:
    """A link with little room to send, and the other end."""
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    for end in (near, far):
        end.setblocking(False)
    user = User()
    _, link = await asyncio.get_running_loop().create_unix_connection(lambda: Link(user, near), sock=near)
    return user, link, far


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
class TestSending:
    def test_frames_arrive_in_order_however_much_is_taken_at_once(self, loop: Callable[[], Any]) -> None:
        # Of the first a part fits the socket; the others wait behind the rest of it.
        frames = [bytes(range(256)) * 4_000, *(bytes([number % 251]) * (1 + 37 * number) for number in range(200))]

        async def story() -> None:
            user, link, far = await linked()
            for frame in frames:
                link.send(frame)
            expected, found = b"hello" + b"".join(frames), b""
            while len(found) < len(expected):
                found += await asyncio.get_running_loop().sock_recv(far, 65_536)
            assert found == expected
            link.send(b"more")
            assert await asyncio.get_running_loop().sock_recv(far, 65_536) == b"more"
            link.abort()
            await user.ended.wait()
            far.close()

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.wait_for(story(), 20))

    def test_nothing_is_sent_where_nobody_reads(self, loop: Callable[[], Any]) -> None:
        async def story() -> None:
            user, link, far = await linked()
            far.close()
            for _ in range(3):
                link.send(b"x" * 100)
            await user.ended.wait()

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.wait_for(story(), 20))

    def test_nothing_is_sent_on_a_link_that_ends(self, loop: Callable[[], Any]) -> None:
        async def story() -> None:
            user, link, far = await linked()
            await asyncio.get_running_loop().sock_recv(far, 65_536)
            link.abort()
            link.send(b"late")
            await user.ended.wait()
            assert await asyncio.get_running_loop().sock_recv(far, 65_536) == b""
            far.close()

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.wait_for(story(), 20))
