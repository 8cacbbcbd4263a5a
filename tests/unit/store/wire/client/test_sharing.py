"""How many callers share a request, and when it goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from penstock.model.errors import PenstockError, StoreUnavailable, UnknownTask
from penstock.model.ids import new_ids
from penstock.model.job import EnqueueAnswer, JobEntry, JobGroup, checksum
from penstock.store.wire.client import sharing
from penstock.store.wire.client.sharing import Sharing


def group() -> JobGroup:
    (job_id,) = new_ids(1)
    return JobGroup("t", [JobEntry(job_id, b"j[[],{}]", checksum(b"j[[],{}]"))])


class Client:
    """Keeps what is asked until it is told to answer."""

    def __init__(self, *, room: bool = True) -> None:
        self.room = room
        self.sent: list[tuple[int, asyncio.Future[EnqueueAnswer]]] = []
        self.wrong: PenstockError | None = None

    def begin(self, call: Any, request: Any) -> Any:
        if self.wrong is not None:
            raise self.wrong
        if not self.room:
            return None
        future: asyncio.Future[EnqueueAnswer] = asyncio.get_running_loop().create_future()
        self.sent.append((sum(len(group.jobs) for group in request.groups), future))
        return future

    async def answer(self, call: Any, request: Any, pending: Any) -> EnqueueAnswer:
        answer: EnqueueAnswer = await pending
        return answer

    async def ask(self, call: Any, request: Any) -> EnqueueAnswer:
        self.room = True
        return await self.answer(call, request, self.begin(call, request))

    def settle(self, place: int) -> None:
        """Answer one of what was asked."""
        count, future = self.sent[place]
        future.set_result(EnqueueAnswer(count, []))


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))


def callers(shared: Sharing, count: int) -> list[asyncio.Task[EnqueueAnswer]]:
    return [asyncio.ensure_future(shared.enqueue([group()])) for _ in range(count)]


def counts(client: Client) -> list[int]:
    return [count for count, _ in client.sent]


def test_few_go_together_and_the_next_when_they_are_settled() -> None:
    async def story() -> None:
        client = Client()
        shared = Sharing(client)
        first = callers(shared, 3)
        await turns()
        second = callers(shared, 5)
        await turns()
        assert counts(client) == [3]
        client.settle(0)
        await turns()
        assert counts(client) == [3, 5]
        client.settle(1)
        assert await asyncio.gather(*first, *second) == [EnqueueAnswer(1, [])] * 8
        await turns()
        assert not shared.tasks

    play(story)


def test_many_do_not_wait_for_those_before_them_up_to_a_limit() -> None:
    async def story() -> None:
        client, many = Client(), sharing._SHARES_AT_ONCE
        shared = Sharing(client)
        waiting = callers(shared, 5 * many + 7)
        await turns()
        assert counts(client) == [many] * 4
        client.settle(2)
        await turns()
        # Enough were waiting to go at once, and not only when all before them are settled.
        assert counts(client) == [many] * 4 + [many + 7]
        for place in (0, 1, 3, 4):
            client.settle(place)
        assert len(await asyncio.gather(*waiting)) == len(waiting)

    play(story)


@pytest.mark.parametrize("room", [True, False])
def test_what_cannot_be_sent_at_once_is_asked_in_its_turn(room: bool) -> None:
    async def story() -> None:
        client = Client(room=room)
        shared = Sharing(client)
        waiting = callers(shared, 2)
        await turns()
        assert counts(client) == [2]
        client.settle(0)
        assert await asyncio.gather(*waiting) == [EnqueueAnswer(1, [])] * 2

    play(story)


@pytest.mark.parametrize("wrong", [StoreUnavailable("gone"), UnknownTask("what?")])
def test_what_is_wrong_with_it_is_told_to_every_caller(wrong: PenstockError) -> None:
    async def story() -> None:
        client = Client()
        client.wrong = wrong
        shared = Sharing(client)
        told = await asyncio.gather(*callers(shared, 3), return_exceptions=True)
        assert [str(error) for error in told] == [str(wrong)] * 3
        assert all(type(error) is type(wrong) for error in told)

    play(story)


@pytest.mark.parametrize("place", ["begin", "answer"])
def test_a_failure_that_nobody_foresaw_reaches_all_who_wait(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    async def story() -> None:
        client = Client()

        def fail(*_: Any) -> Any:
            raise ZeroDivisionError("of our own")

        monkeypatch.setattr(client, place, fail)
        shared = Sharing(client)
        told = await asyncio.gather(*callers(shared, 3), return_exceptions=True)
        assert [type(one) for one in told] == [StoreUnavailable] * 3
        assert "ZeroDivisionError" in str(told[0])
        await turns()
        assert not shared.tasks

    play(story)


def test_an_answer_that_does_not_fit_leaves_nobody_waiting() -> None:
    async def story() -> None:
        client = Client()
        shared = Sharing(client)
        waiting = callers(shared, 3)
        await turns()
        client.sent[0][1].set_result(EnqueueAnswer(0, [None] * 3))
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in told] == [StoreUnavailable] * 3

    play(story)


def test_a_request_that_is_cancelled_while_its_callers_are_asked_for_one_by_one_leaves_nobody_waiting() -> None:
    async def story() -> None:
        client = Client()
        shared = Sharing(client)
        waiting = callers(shared, 3)
        await turns()
        client.sent[0][1].set_exception(UnknownTask("one of them"))
        await turns()
        assert counts(client) == [3, 1]
        for task in shared.tasks:
            task.cancel()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in told] == [asyncio.CancelledError] * 3

    play(story)
