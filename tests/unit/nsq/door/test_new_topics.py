"""Topics that are new: what is published to them waits for their channels, and nothing else does."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.nsq.door.conftest import World, mpub, pub, until

OK = b"OK"


class Lookups:
    """Prepares topics when it is let."""

    def __init__(self, world: World, *new: str) -> None:
        self.asked: list[str] = []
        self.may_go_on = asyncio.Event()
        self.looked: list[str] = []
        self._world = world
        self._new = set(new)

    def is_new(self, topic: str) -> bool:
        return topic in self._new

    async def prepare(self, topic: str) -> None:
        if topic in self._new:
            self.asked.append(topic)
            await self.may_go_on.wait()
            self._world.memory.create_channel(topic, "known")
            self._new.discard(topic)

    def look_again(self, topic: str) -> None:
        self.looked.append(topic)


def attach(world: World, *new: str) -> Lookups:
    lookups = Lookups(world, *new)
    world.door.publishing.lookups = lookups
    world.door.subscriptions.prepare = lookups.prepare
    world.door.subscriptions.changed = lookups.look_again
    return lookups


@pytest.mark.parametrize("ack", ["disk", "memory"])
def test_what_is_published_to_a_new_topic_waits_for_its_channels_and_others_do_not(ack: str) -> None:
    async def story(world: World) -> None:
        lookups = attach(world, "new")
        first, other = world.peer(), world.peer()
        for body in (b"one", b"two"):
            first.send(pub(body, b"new"))
            await until(lambda: lookups.asked == ["new"])
        for number in range(4):
            other.send(pub(b"%d" % number, b"old"))
            assert (await other.hears())[0] == OK
        first.send(mpub(b"three", b"four", topic=b"new"))
        assert lookups.looked == []
        lookups.may_go_on.set()
        assert await first.hears(3) == [OK, OK, OK]
        await until(lambda: "new" in lookups.looked)
        await until(lambda: world.counts("known", "new") == {"ready": 4})
        assert lookups.asked == ["new"]
        assert "old" not in lookups.looked

    World(ack=ack).run(story)


def test_a_door_that_stops_publishes_what_waits_for_its_topic() -> None:
    world = World()

    async def story(world: World) -> None:
        lookups = attach(world, "new")
        world.peer().send(pub(b"one", b"new"))
        await until(lambda: lookups.asked == ["new"])
        lookups.may_go_on.set()

    world.run(story)
    assert world.counts("known", "new") == {"ready": 1}


def test_who_subscribes_to_a_new_topic_waits_for_its_channels_too_and_it_is_told() -> None:
    async def story(world: World) -> None:
        lookups = attach(world, "topic")
        consumer = world.peer()
        consumer.send(b"SUB topic channel\n")
        await until(lambda: lookups.asked == ["topic"])
        assert lookups.looked == []
        lookups.may_go_on.set()
        assert (await consumer.hears())[0] == OK
        (topic,) = world.memory.topics(topic="topic").topics
        assert [channel.name for channel in topic.channels] == ["channel", "known"]
        assert lookups.looked == ["topic"]
        await world.door.subscriptions.create_topic("more")
        assert lookups.looked == ["topic", "more"]

    World().run(story)
