"""A connection to something that should be an nsqlookupd."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from penstock.model import limits
from penstock.nsq.door.lookup_link import LinkLost, LookupLink
from penstock.nsq.lookup.conversation import MAGIC

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def linked(serve: Serve, story: Callable[[LookupLink], Awaitable[None]]) -> None:
    """Run a story with a link to a server."""

    async def run() -> None:
        ended: list[asyncio.Task[None]] = []

        async def greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(len(MAGIC)) == MAGIC
            with suppress(OSError):
                await serve(reader, writer)
            writer.transport.abort()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ended.append(asyncio.ensure_future(greeted(reader, writer)))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        async with server:
            _, link = await asyncio.get_running_loop().create_connection(
                LookupLink, *server.sockets[0].getsockname()[:2]
            )
            try:
                await story(link)
            finally:
                link.close()
                await asyncio.gather(*ended)

    asyncio.run(run())


def saying(answers: bytes, *, leaves: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answers)
        if not leaves:
            await reader.read()
        writer.close()

    return serve


def test_answers_come_in_the_order_of_the_commands() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(len(line).to_bytes(4, "big") + line)

    async def story(link: LookupLink) -> None:
        commands = [b"%d\n" % number for number in range(300)]
        assert await link.ask(commands) == commands
        assert await link.ask([b"PING\n"]) == [b"PING\n"]

    linked(serve, story)


@pytest.mark.parametrize(
    "answers",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1aone too many"],
)
def test_what_is_no_answer_ends_the_connection(answers: bytes) -> None:
    async def story(link: LookupLink) -> None:
        with suppress(LinkLost):
            # Of what was one too many the first is its answer.
            assert await link.ask([b"PING\n"]) == [b"a"]
        await link.lost
        with pytest.raises(LinkLost, match="no answer"):
            await link.ask([b"PING\n"])

    linked(saying(answers), story)


def test_who_leaves_is_noticed_at_once() -> None:
    async def story(link: LookupLink) -> None:
        with pytest.raises(LinkLost, match="closed"):
            await link.ask([b"PING\n", b"PING\n"])
        with pytest.raises(LinkLost, match="closed"):
            link.check()

    linked(saying(b"\0\0\0\2OK", leaves=True), story)


def test_who_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_ANSWER_S", 0.01)

    async def story(link: LookupLink) -> None:
        with pytest.raises(LinkLost, match="in time"):
            await link.ask([b"PING\n"])
        await link.lost

    linked(saying(b"\0\0\0"), story)
