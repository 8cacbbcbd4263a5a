"""Channels of a door: ephemeral ones, samples, dead letters, and leases that ended elsewhere."""

from __future__ import annotations

import asyncio
import random

from penstock.model import limits
from penstock.model.deliveries import delivering_holder, door_holders
from penstock.model.errors import StoreFull, StoreUnavailable
from penstock.model.job import Filter, LeaseRequest, Outcomes
from penstock.model.states import State
from penstock.nsq.door.sampling import Sampling
from tests.unit.nsq.door.conftest import World, mpub, pass_time, pub, until
from tests.unit.nsq.door.test_connections import identify


def test_an_ephemeral_channel_goes_with_its_last_consumer(world: World):
    async def story(world: World) -> None:
        first, second = world.peer(), world.peer()
        for peer in (first, second):
            await peer.consume(channel=b"passing#ephemeral")
        first.leave()
        await pass_time(1)
        assert world.counts("passing#ephemeral") == {}
        second.leave()
        await until(lambda: not world.memory.topics(topic="topic").topics[0].channels)
        assert not world.door.channels

    world.run(story)


def test_an_ephemeral_channel_stays_for_a_consumer_that_comes_while_the_last_one_goes(world: World):
    async def story(world: World) -> None:
        first, second = world.peer(), world.peer()
        await first.consume(channel=b"passing#ephemeral")
        world.store.held["topics"] = world.store.held["create_channel"] = asyncio.Event()
        first.leave()
        await pass_time(1)
        second.say(b"SUB topic passing#ephemeral", b"RDY 1")
        await pass_time(1)
        world.store.held.pop("create_channel")
        world.store.held.pop("topics").set()
        assert await second.hears() == [b"OK"]
        second.send(pub(b"body"))
        answers = await second.hears(2)
        assert b"OK" in answers
        assert [message.body for message in answers if message != b"OK"] == [b"body"]

    world.run(story)


def test_consumers_of_a_channel_that_was_deleted_elsewhere_are_disconnected(world: World):
    async def story(world: World) -> None:
        one, other, of_another = world.peer(), world.peer(), world.peer()
        await one.consume()
        await other.consume(channel=b"other")
        await of_another.consume(topic=b"another")
        world.store.trouble["topics"] = RuntimeError("a fault")  # type: ignore[assignment]  # no error of ours
        await pass_time(60)
        del world.store.trouble["topics"]
        world.memory.delete_channel("topic", "channel")
        await until(lambda: one.transport.is_closed)
        world.memory.delete_topic("another")
        await until(lambda: of_another.transport.is_closed)
        assert not other.transport.is_closed

    world.run(story)


def test_an_ephemeral_channel_stays_while_somebody_else_takes_from_it(world: World):
    async def story(world: World) -> None:
        peer = world.peer()
        await peer.consume(channel=b"passing#ephemeral")
        other = LeaseRequest(b"another consumer", 1, tasks=[], channels=["topic:passing#ephemeral"])
        world.memory.lease(other)
        peer.leave()
        await pass_time(5)
        assert len(world.memory.topics(topic="topic").topics[0].channels) == 1

    world.run(story)


def test_an_idle_consumer_of_an_ephemeral_channel_keeps_it(world: World):
    async def story(world: World) -> None:
        idle, busy = world.peer(), world.peer()
        await idle.consume(topic=b"idle", channel=b"passing#ephemeral", ready=0)
        await busy.consume(topic=b"busy", channel=b"passing#ephemeral", ready=1)
        for _ in range(20):
            await pass_time(limits.EPHEMERAL_S / 2)
            world.memory.tick()
        assert [(topic.name, len(topic.channels)) for topic in world.memory.topics().topics] == [
            ("busy", 1),
            ("idle", 1),
        ]
        assert not idle.transport.is_closed

    world.run(story)


def test_what_a_sample_leaves_out_goes_to_other_consumers(world: World):
    async def story(world: World) -> None:
        world.door.sampling = Sampling(random.Random(1))
        sampling, other, producer = world.peer(), world.peer(), world.peer()
        await sampling.asks(identify(sample_rate=10))
        await sampling.consume(ready=100)
        await until(lambda: world.store.leases == 1)
        await other.consume(ready=30)
        producer.send(mpub(*[b"%d" % number for number in range(100)]))
        await until(lambda: len(other.transport.written) > 0)
        taken, others = sampling.take(), other.take()
        assert 0 < len(taken) < 30
        assert len(others) == 30
        assert world.counts() == {"ready": 70 - len(taken), "running": 30 + len(taken)}
        other.say(*[b"FIN " + message.id for message in others])
        assert len(await other.hears(30)) == 30

    world.run(story)


def test_what_a_consumer_gets_that_was_leased_for_another_is_its_for_as_long_as_it_was_told(world: World):
    async def story(world: World) -> None:
        sampling, other, producer = world.peer(), world.peer(), world.peer()
        await sampling.asks(identify(sample_rate=1, msg_timeout=1_000))
        await sampling.consume(ready=100)
        await until(lambda: world.store.leases == 1)
        await other.consume(ready=1)
        world.door.sampling = Sampling(random.Random(1))
        producer.send(pub(b"body"))
        (message,) = await other.hears()
        await pass_time(30)
        world.memory.tick()
        other.say(b"FIN " + message.id)
        await until(lambda: world.counts() == {})
        assert other.take() in ([], [b"_heartbeat_"])

    world.run(story)


def test_what_all_samples_leave_out_is_discarded_and_counted(world: World):
    async def story(world: World) -> None:
        world.door.sampling = Sampling(random.Random(1))
        sampling, producer = world.peer(), world.peer()
        await sampling.asks(identify(sample_rate=10))
        await sampling.consume(ready=100)
        producer.send(mpub(*[b"%d" % number for number in range(100)]))
        taken = await sampling.hears()
        await until(lambda: world.counts() == {"running": len(taken)})
        assert world.door.channels["topic", "channel"].discarded_count == 100 - len(taken)

    world.run(story)


def test_what_a_sample_leaves_out_stays_for_consumers_that_are_none_of_the_doors(world: World):
    async def story(world: World) -> None:
        world.door.sampling = Sampling(random.Random(1))
        other = LeaseRequest(b"another consumer", 100, tasks=[], channels=["topic:channel"])
        world.memory.create_channel("topic", "channel")
        world.memory.lease(other)
        sampling, producer = world.peer(), world.peer()
        await sampling.asks(identify(sample_rate=10))
        await sampling.consume(ready=100)
        producer.send(mpub(*[b"%d" % number for number in range(100)]))
        taken = await sampling.hears()
        await until(lambda: world.counts()["running"] == len(taken))
        assert len(world.memory.lease(other).jobs) == 100 - len(taken)

    world.run(story)


def test_a_message_that_was_delivered_too_often_is_dead_and_published_to_the_dead_letter_topic():
    async def story(world: World) -> None:
        world.memory.create_channel("dead", "all")
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"poison"))
        for attempt in (1, 2):
            (message,) = await consumer.hears()
            assert message.attempts == attempt
            consumer.say(b"REQ %s 0" % message.id)
        await until(lambda: world.counts() == {"dead": 1})
        assert world.counts("all", "dead") == {"ready": 1}
        (job,) = world.memory.query(Filter(queue="dead:all")).jobs
        (view,) = world.memory.get([job.id], body=True)
        assert view.body == b"rpoison"

    World(max_attempts=2, dead_letter_topic="dead").run(story)


def test_a_time_out_of_the_last_attempt_is_death_too_and_a_requeue_that_is_not_counted_is_not():
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"poison"))
        for _ in range(3):
            (message,) = await consumer.hears()
            assert message.attempts == 1
            consumer.say(b"REQ %s 0" % message.id)
        await consumer.hears()
        await until(lambda: world.counts() == {"dead": 1}, wait_s=62)

    World(max_attempts=1, count_requeues=False).run(story)


def test_a_message_whose_dead_letter_cannot_be_published_stays_in_its_channel():
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"poison"))
        (message,) = await consumer.hears()
        world.store.trouble["publish"] = StoreFull("It is full.")
        consumer.say(b"REQ %s 0" % message.id)
        await pass_time(5)
        assert "dead" not in world.counts()
        assert consumer.take() == []
        del world.store.trouble["publish"]
        await until(lambda: world.counts() == {"dead": 1})
        assert [topic for topic, _ in world.store.asked("publish")] == ["topic", "dead"]

    World(max_attempts=1, dead_letter_topic="dead").run(story)


def test_no_more_messages_die_at_once_than_a_consumer_takes():
    async def story(world: World) -> None:
        world.memory.create_channel("topic", "channel")
        consumer, producer = world.peer(), world.peer()
        producer.send(mpub(*[b"%d" % number for number in range(50)]))
        await producer.hears()
        every = LeaseRequest(delivering_holder(b"gone", 1), 50, tasks=[], channels=["topic:channel"])
        world.memory.lease(every)
        world.memory.reconcile(door_holders(b"gone"), [])
        world.store.held["publish"] = asyncio.Event()
        await consumer.consume(ready=5)
        await pass_time(10)
        assert world.counts() == {"ready": 45, "running": 5}
        world.store.held.pop("publish").set()
        await until(lambda: world.counts() == {"dead": 50})

    World(max_attempts=1, dead_letter_topic="dead").run(story)


def test_with_retention_what_is_finished_is_kept():
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"body"))
        (message,) = await consumer.hears()
        consumer.say(b"FIN " + message.id)
        await until(lambda: world.counts() == {"succeeded": 1})
        (view,) = world.memory.query(Filter()).jobs
        assert view.state is State.SUCCEEDED

    World(retention_s=3_600.0).run(story)


def test_a_fin_whose_lease_had_ended_at_the_store_is_refused_late(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"body"))
        (message,) = await consumer.hears()
        world.memory.reconcile(door_holders(b"door"), [])
        consumer.say(b"RDY 0", b"FIN " + message.id)
        assert await consumer.hears() == [b"E_FIN_FAILED FIN %s failed ID not in flight" % message.id]
        assert world.counts() == {"ready": 1}

    world.run(story)


def test_a_touch_that_finds_its_lease_ended_takes_the_message_out_of_flight(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"body"))
        (message,) = await consumer.hears()
        consumer.say(b"RDY 0")
        world.memory.reconcile(door_holders(b"door"), [])
        consumer.say(b"TOUCH " + message.id)
        await pass_time(1)
        assert await consumer.ask(b"FIN " + message.id) == b"E_FIN_FAILED FIN %s failed ID not in flight" % message.id

    world.run(story)


def test_no_settlement_is_larger_than_the_store_takes_however_much_is_said_at_once(world: World, monkeypatch):
    monkeypatch.setattr(limits, "NSQ_SETTLE_MAX", 3)

    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=10)
        producer.send(mpub(*[b"%d" % number for number in range(10)]))
        messages = await consumer.hears(10)
        consumer.say(*[b"FIN " + message.id for message in messages])
        await until(lambda: world.counts() == {})
        sizes = [len(outcomes.fences()) for (outcomes,) in world.store.asked("settle")]
        assert max(sizes) == 3
        assert sum(sizes) == 10

    world.run(story)


def test_what_was_finished_while_the_store_was_away_is_settled_when_it_is_back(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=2)
        producer.send(mpub(b"1", b"2"))
        first, second = await consumer.hears(2)
        world.store.trouble["settle"] = StoreUnavailable("It is away.")
        consumer.say(b"FIN " + first.id)
        await pass_time(3)
        consumer.say(b"REQ %s 0" % second.id)
        await pass_time(3)
        assert sorted(world.door.held()) == sorted(world.memory._table.running)
        assert world.counts() == {"running": 2}
        del world.store.trouble["settle"]
        (again,) = await consumer.hears()
        assert (again.body, again.attempts) == (b"2", 2)
        assert world.counts() == {"running": 1}

    world.run(story)


def test_a_new_owner_hears_of_all_leases_and_each_lasts_as_long_as_its_client_was_told(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=2)
        producer.send(mpub(b"1", b"2"))
        messages = await consumer.hears(2)
        held = world.door.held()
        assert world.memory.reconcile(door_holders(b"door"), held) == 0
        await until(lambda: bool(world.store.asked("extend")))
        (extension,) = world.store.asked("extend")[0]
        assert sorted(extension.fences) == sorted(held)
        assert extension.lease_s > 60
        consumer.say(*[b"FIN " + message.id for message in messages])
        await until(lambda: world.counts() == {})

    world.run(story)


def test_a_channel_that_was_deleted_disconnects_its_consumers_and_an_emptied_one_forgets_what_they_have(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=2)
        producer.send(pub(b"1"))
        (message,) = await consumer.hears()
        world.door.subscriptions.emptied("topic", "channel", set(world.door.held()))
        assert await consumer.ask(b"FIN " + message.id) == b"E_FIN_FAILED FIN %s failed ID not in flight" % message.id
        producer.send(pub(b"2"))
        assert [one.body for one in await consumer.hears()] == [b"2"]
        world.door.subscriptions.deleted("topic", "channel")
        await until(lambda: consumer.transport.is_closed)

    world.run(story)


def test_each_connection_is_a_holder_of_its_own_and_all_of_a_door_are_settled_at_once(world: World):
    async def story(world: World) -> None:
        first, second, producer = world.peer(), world.peer(), world.peer()
        for peer in (first, second):
            await peer.consume()
        await until(lambda: world.store.leases == 2)
        producer.send(mpub(b"1", b"2"))
        messages = [(await peer.hears())[0] for peer in (first, second)]
        holders = {request.holder for (request,) in world.store.asked("lease")}
        assert holders == {delivering_holder(b"door", 1), delivering_holder(b"door", 2)}
        for peer, message in zip((first, second), messages, strict=True):
            peer.say(b"FIN " + message.id)
        await until(lambda: world.counts() == {})
        settled: list[Outcomes] = [outcomes for (outcomes,) in world.store.asked("settle")]
        assert [(one.holder, len(one.forgotten)) for one in settled] == [(door_holders(b"door"), 2)]

    world.run(story)
