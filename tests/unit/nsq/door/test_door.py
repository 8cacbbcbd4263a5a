"""A door that stops."""

from __future__ import annotations

import asyncio

from penstock.model import limits
from penstock.model.errors import StoreFull
from penstock.model.job import Filter
from tests.unit.nsq.door.conftest import World, mpub, pass_time, pub


def test_a_door_that_is_told_to_stop_answers_settles_and_lets_others_have_the_rest(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=2)
        producer.send(mpub(b"1", b"2"))
        first, _ = await consumer.hears(2)
        world.store.held["publish"] = asyncio.Event()
        producer.take()
        producer.send(pub(b"3"))
        consumer.say(b"FIN " + first.id)
        draining = asyncio.ensure_future(world.door.drain())
        await pass_time(1)
        world.store.held["publish"].set()
        await draining
        assert producer.take() == [b"OK"]
        assert consumer.transport.is_closed
        assert world.counts() == {"ready": 2}

    world.run(story)


def test_a_door_that_stops_reads_nothing_more_though_there_is_room_again(world: World, monkeypatch):
    monkeypatch.setattr(limits, "NSQ_BACKLOG_BYTES_MAX", 1_000)

    async def story(world: World) -> None:
        world.store.held["publish"] = asyncio.Event()
        producer = world.peer()
        producer.send(pub(b"x" * 1_000) + pub(b"more"))
        draining = asyncio.ensure_future(world.door.drain())
        await pass_time(1)
        world.store.held["publish"].set()
        await draining
        assert producer.take() == [b"OK"]
        assert len(world.memory.query(Filter()).jobs) == 1

    world.run(story)


def test_a_door_that_cannot_publish_what_it_has_still_lets_others_have_what_its_clients_had():
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=1)
        producer.send(pub(b"1"))
        await consumer.hears()
        world.store.trouble["publish"] = StoreFull("It is full.")
        producer.send(pub(b"2"))
        await world.door.drain()
        assert world.counts() == {"ready": 1}
        assert consumer.transport.is_closed

    World(ack="memory").run(story)
