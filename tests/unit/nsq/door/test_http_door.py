"""The door as its HTTP API has it: publishing, emptying and deleting beside clients, and what is told of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.model.errors import StoreFull
from penstock.nsq.body_parts import JSON_PATH
from penstock.nsq.door.http_door import HttpDoor
from penstock.nsq.door.statistics import gather
from penstock.nsq.options import DoorOptions
from tests.unit.nsq.door.conftest import World, mpub, pub, until


def front_of(world: World) -> HttpDoor:
    return HttpDoor(world.store, world.door, lambda options: None)  # type: ignore[arg-type]  # it answers to every name


def test_what_is_published_by_http_is_delivered(world: World):
    async def story(world: World) -> None:
        front, consumer = front_of(world), world.peer()
        await consumer.consume(ready=5)
        await front.publish("topic", [b"one", b"three"])
        assert [message.body for message in await consumer.hears(2)] == [b"one", b"three"]
        assert front.published_bytes("topic") == 8
        await front.publish("topic", [b"later"], 60.0)
        assert world.counts() == {"running": 2, "scheduled": 1}

    world.run(story)


def test_with_what_clients_publish_in_the_same_request(world: World):
    async def story(world: World) -> None:
        front, producer = front_of(world), world.peer()
        producer.send(pub(b"one"))
        await front.publish("topic", [b"two"])
        assert await producer.hears() == [b"OK"]
        assert len(world.store.asked("publish")) == 1

    world.run(story)


def test_who_publishes_hears_why_it_failed(world: World, monkeypatch: pytest.MonkeyPatch):
    async def full(*_: object, **__: object) -> None:
        raise StoreFull("There is no room.")

    async def story(world: World) -> None:
        monkeypatch.setattr(world.store, "publish", full)
        with pytest.raises(StoreFull, match="no room"):
            await front_of(world).publish("topic", [b"one"])

    world.run(story)


def test_with_ack_memory_it_is_accepted_at_once():
    async def story(world: World) -> None:
        await front_of(world).publish("topic", [b"one"])
        assert world.store.asked("publish") == []

    World(ack="memory").run(story)


def test_what_a_consumer_has_of_an_emptied_channel_is_unknown(world: World):
    async def story(world: World) -> None:
        front, consumer, producer = front_of(world), world.peer(), world.peer()
        await consumer.consume(ready=2)
        producer.send(mpub(b"one", b"two", b"three"))
        first, _ = await consumer.hears(2)
        await front.empty_channel("topic", "channel", "ann")
        await front.publish("topic", [b"four"])
        (fourth,) = await consumer.hears()
        assert fourth.body == b"four"
        assert (await consumer.ask(b"FIN " + first.id)).startswith(b"E_FIN_FAILED ")
        consumer.say(b"FIN " + fourth.id)
        await until(lambda: world.counts() == {})
        found = await gather(world.store, front)  # type: ignore[arg-type]  # it answers to every name
        assert found.topics is not None
        (channel,) = found.topics[0].channels
        assert (channel.message_count, channel.in_flight_count) == (4, 0)
        assert [(entry.verb, entry.by) for entry in world.memory.audit().entries] == [("empty", "ann")]

    world.run(story)


def test_a_channel_nobody_here_consumes_is_emptied_too(world: World):
    async def story(world: World) -> None:
        world.memory.create_channel("topic", "channel")
        front = front_of(world)
        await front.publish("topic", [b"one"])
        await front.empty_channel("topic", "channel", "ann")
        assert world.counts() == {}
        assert front.emptied_count("topic", "channel") == 1
        await front.channel_gone("topic", "channel")
        assert front.emptied_count("topic", "channel") == 0

    world.run(story)


def test_the_consumers_of_a_deleted_channel_are_disconnected(world: World):
    async def story(world: World) -> None:
        front, consumer, other = front_of(world), world.peer(), world.peer()
        await consumer.consume()
        await other.consume(channel=b"other")
        world.memory.delete_channel("topic", "channel")
        await front.channel_gone("topic", "channel")
        await until(lambda: consumer.transport.is_closing())
        assert not other.transport.is_closing()

    world.run(story)


def test_a_channel_that_is_made_by_http_is_in_order_if_that_is_asked_for():
    async def story(world: World) -> None:
        await front_of(world).create_channel("topic", "channel")
        assert [limit.scope for limit in world.memory.limits()] == ["queue:topic:channel"]

    World(order_by=JSON_PATH.of_text("json:customer")).run(story)


def test_what_is_counted_of_clients(world: World):
    async def story(world: World) -> None:
        front, consumer, producer = front_of(world), world.peer(), world.peer()
        await consumer.consume(ready=3)
        producer.send(mpub(b"one", b"two", b"three"))
        first, second, _ = await consumer.hears(3)
        consumer.say(b"FIN " + first.id, b"REQ " + second.id + b" 60000")
        found = await gather(world.store, front)  # type: ignore[arg-type]  # it answers to every name
        assert found.topics is not None
        (channel,) = found.topics[0].channels
        assert channel.clients is not None
        (client,) = channel.clients
        assert (client.ready_count, client.in_flight_count, client.message_count) == (3, 1, 3)
        assert (client.finish_count, client.requeue_count, client.state) == (1, 1, 3)
        assert (channel.requeue_count, front.timeout_count("topic", "channel")) == (1, 0)
        world.door.channels["topic", "channel"].discarded_count = 7
        assert front.discarded_count("topic", "channel") == 7
        assert front.discarded_count("topic", "other") == 0
        assert found.producers is not None
        assert [(one.topic, one.count) for one in found.producers[0].pub_counts] == [("topic", 3)]

    world.run(story)


def test_latencies_are_those_of_the_channels_of_a_topic():
    async def story(world: World) -> None:
        front, consumer = front_of(world), world.peer()
        await consumer.consume()
        await front.publish("topic", [b"one"])
        (message,) = await consumer.hears()
        consumer.say(b"FIN " + message.id)
        await until(lambda: world.counts() == {})
        of_channel, of_topic = front.latency("topic", "channel"), front.latency("topic", None)
        assert of_channel == of_topic
        assert of_channel is not None
        assert of_channel.count == 1
        assert front.latency("other", None) != of_topic

    World(e2e_processing_latency_percentiles=(0.99,)).run(story)


def test_they_are_not_measured_unless_they_are_asked_for(world: World):
    async def story(world: World) -> None:
        assert front_of(world).latency("topic", None) is None

    world.run(story)


def test_options_that_are_changed_are_told(world: World):
    async def story(world: World) -> None:
        changed: list[DoorOptions] = []
        front = HttpDoor(world.store, world.door, changed.append)  # type: ignore[arg-type]  # as above
        front.change_options(replace(front.options, log_level="warn"))
        assert [options.log_level for options in changed] == [front.options.log_level] == ["warn"]

    world.run(story)
