"""What producers publish, and what they are told."""

from __future__ import annotations

import asyncio

import pytest

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, StoreFull, StoreUnavailable
from penstock.model.job import Filter
from penstock.nsq.body_parts import BodyPart
from tests.unit.nsq.door.conftest import World, dpub, mpub, pass_time, pub, until


def test_what_comes_in_one_turn_for_one_topic_is_one_request(world: World):
    async def story(world: World) -> None:
        first, second = world.peer(), world.peer()
        first.send(pub(b"1") + pub(b"2") + mpub(b"3", b"4"))
        second.send(pub(b"5"))
        second.send(pub(b"6", topic=b"other"))
        assert await first.hears(3) == [b"OK"] * 3
        assert await second.hears(2) == [b"OK"] * 2
        asked = world.store.asked("publish")
        assert [(topic, len(groups[0].messages)) for topic, groups in asked] == [("topic", 5), ("other", 1)]

    world.run(story)


def test_what_one_command_publishes_is_in_one_request(world: World, monkeypatch):
    monkeypatch.setattr(limits, "NSQ_PUBLISH_MESSAGES_MAX", 4)

    async def story(world: World) -> None:
        producer = world.peer()
        producer.send(mpub(b"1", b"2", b"3") + mpub(b"4", b"5", b"6") + pub(b"7") + mpub(b"8", b"9"))
        assert await producer.hears(4) == [b"OK"] * 4
        asked = world.store.asked("publish")
        assert [[message.body[1:] for message in groups[0].messages] for _, groups in asked] == [
            [b"1", b"2", b"3"],
            [b"4", b"5", b"6", b"7"],
            [b"8", b"9"],
        ]

    world.run(story)


def test_ok_is_said_when_the_store_has_it_and_not_before(world: World):
    async def story(world: World) -> None:
        world.store.held["publish"] = asyncio.Event()
        producer = world.peer()
        producer.send(pub(b"body"))
        await pass_time(5)
        assert producer.take() == []
        world.store.held["publish"].set()
        assert await producer.hears() == [b"OK"]

    world.run(story)


def test_at_most_two_requests_are_under_way_and_what_comes_meanwhile_is_gathered(world: World):
    async def story(world: World) -> None:
        world.store.held["publish"] = asyncio.Event()
        producer = world.peer()
        for number in range(10):
            producer.send(pub(b"%d" % number))
            await pass_time(0.1)
        world.store.held["publish"].set()
        assert await producer.hears(10) == [b"OK"] * 10
        assert [len(groups[0].messages) for _, groups in world.store.asked("publish")] == [1, 1, 8]

    world.run(story)


def test_answers_come_in_the_order_of_the_commands_whichever_topic_is_published_first(world: World):
    async def story(world: World) -> None:
        producer = world.peer()
        world.store.trouble["publish"] = StoreFull("It is full.")
        producer.send(pub(b"1") + b"NOP\n" + mpub(b"2") + b"SUB topic channel\n")
        assert await producer.hears() == [b"E_PUB_FAILED PUB failed It is full."]
        await until(lambda: producer.transport.is_closed)

    world.run(story)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (pub(b"1"), b"E_PUB_FAILED PUB failed No."),
        (mpub(b"1"), b"E_MPUB_FAILED MPUB failed No."),
        (dpub(b"1", 5), b"E_DPUB_FAILED DPUB failed No."),
    ],
)
def test_a_producer_whose_message_cannot_be_published_is_told_and_disconnected(world: World, command, answer):
    async def story(world: World) -> None:
        producer, other = world.peer(), world.peer()
        world.store.trouble["publish"] = StoreFull("No.")
        producer.send(command)
        assert await producer.hears() == [answer]
        await until(lambda: producer.transport.is_closed)
        del world.store.trouble["publish"]
        other.send(command)
        assert await other.hears() == [b"OK"]

    world.run(story)


def test_a_delayed_message_is_delivered_when_its_time_has_come(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=5)
        said_at = world.clock.monotonic()
        producer.send(dpub(b"later", 3_000) + pub(b"now"))
        assert [message.body for message in await consumer.hears()] == [b"now"]
        assert [message.body for message in await consumer.hears()] == [b"later"]
        assert 3 <= world.clock.monotonic() - said_at < 4

    world.run(story)


def test_delayed_messages_of_one_turn_are_one_request_whatever_their_delays(world: World):
    async def story(world: World) -> None:
        producer = world.peer()
        producer.send(pub(b"now") + b"".join(dpub(b"later", 1_000 + number) for number in range(5)))
        assert await producer.hears(6) == [b"OK"] * 6
        ((_, groups),) = world.store.asked("publish")
        assert [group.delay_s for group in groups] == [None, 1.0, 1.001, 1.002, 1.003, 1.004]

    world.run(story)


@pytest.mark.parametrize("trouble", [RuntimeError("a fault"), asyncio.CancelledError()])
def test_nothing_is_answered_with_ok_that_the_store_may_not_have(world: World, monkeypatch, trouble):
    async def story(world: World) -> None:
        producer = world.peer()
        world.store.trouble["publish"] = trouble
        faults: list[dict[str, object]] = []
        world.door.loop.set_exception_handler(lambda _, context: faults.append(context))
        producer.send(pub(b"1"))
        assert await producer.hears() == [b"E_PUB_FAILED PUB failed The door could not publish it."]

    world.run(story)


def test_what_was_gathered_behind_a_fault_is_looked_after_all_the_same(world: World):
    async def story(world: World) -> None:
        world.door.loop.set_exception_handler(lambda _loop, _context: None)
        world.store.held["publish"] = asyncio.Event()
        world.store.trouble["publish"] = RuntimeError("a fault")  # type: ignore[assignment]  # no error of ours
        for _ in range(3):
            producer = world.peer()
            producer.send(pub(b"body"))
            await pass_time(1)
            producer.leave()
        drained = asyncio.ensure_future(world.door.publishing.drained())
        world.store.held.pop("publish").set()
        await pass_time(1)
        assert drained.done()
        assert world.door.publishing.backlog_bytes == 0

    world.run(story)


def test_messages_of_a_topic_are_published_in_order_though_another_topic_waits_before_them(world: World, monkeypatch):
    monkeypatch.setattr(limits, "NSQ_PUBLISH_MESSAGES_MAX", 2)

    async def story(world: World) -> None:
        world.store.held["publish"] = asyncio.Event()
        producer = world.peer()
        for number in range(2):
            producer.send(pub(b"%d" % number, topic=b"busy"))
            await pass_time(1)
        producer.send(mpub(b"2", b"3", topic=b"busy") + mpub(b"a", b"b", topic=b"other") + pub(b"c", topic=b"other"))
        await pass_time(1)
        world.store.held.pop("publish").set()
        assert await producer.hears(5) == [b"OK"] * 5
        asked = [(topic, groups) for topic, groups in world.store.asked("publish") if topic == "other"]
        assert [one.body for _, groups in asked for group in groups for one in group.messages] == [b"ra", b"rb", b"rc"]

    world.run(story)


def test_too_many_copies_for_one_request_are_several(world: World):
    async def story(world: World) -> None:
        publish, sizes = world.memory.publish, []

        def limited(topic, groups, **named):
            if len(groups[0].messages) > 3:
                raise BodyTooLarge("too many")
            sizes.append(len(groups[0].messages))
            return publish(topic, groups, **named)

        world.memory.publish = limited
        producer = world.peer()
        producer.send(mpub(*[b"%d" % number for number in range(10)]))
        assert await producer.hears() == [b"OK"]
        assert sum(sizes) == 10

    world.run(story)


def test_who_publishes_more_than_there_is_room_for_is_not_read_from(world: World, monkeypatch):
    monkeypatch.setattr(limits, "NSQ_BACKLOG_BYTES_MAX", 1_000)

    async def story(world: World) -> None:
        world.store.held["publish"] = asyncio.Event()
        producer = world.peer()
        producer.send(pub(b"x" * 500) * 3)
        await pass_time(1)
        assert not producer.transport.is_reading
        assert world.door.publishing.backlog_bytes < 2_000
        world.store.held["publish"].set()
        assert await producer.hears(3) == [b"OK"] * 3
        assert producer.transport.is_reading
        assert world.door.publishing.backlog_bytes == 0

    world.run(story)


def test_with_ack_memory_ok_is_said_at_once_as_long_as_there_is_room(monkeypatch):
    monkeypatch.setattr(limits, "NSQ_MEMORY_ACK_BYTES_MAX", 1_000)

    async def story(world: World) -> None:
        world.store.held["publish"] = asyncio.Event()
        producer = world.peer()
        producer.send(pub(b"x" * 500))
        assert await producer.hears() == [b"OK"]
        producer.send(pub(b"x" * 500) + pub(b"y"))
        await pass_time(1)
        assert producer.take() == []
        world.store.held["publish"].set()
        assert await producer.hears(2) == [b"OK"] * 2
        assert len(world.memory.query(Filter()).jobs) == 3

    World(ack="memory").run(story)


@pytest.mark.parametrize("trouble", [StoreUnavailable("It is away."), StoreFull("It is full.")])
def test_what_was_answered_from_memory_is_published_when_the_store_is_there_again(trouble):
    async def story(world: World) -> None:
        world.store.trouble["publish"] = trouble
        producer = world.peer()
        producer.send(pub(b"body"))
        assert await producer.hears() == [b"OK"]
        await pass_time(100)
        del world.store.trouble["publish"]
        await until(lambda: len(world.memory.query(Filter()).jobs) == 1)

    World(ack="memory").run(story)


def test_what_was_answered_from_memory_and_may_not_be_published_holds_up_no_other():
    async def story(world: World) -> None:
        publish = world.memory.publish

        def refusing(topic, groups, **named):
            if topic == "full":
                raise StoreFull("The topic is full.", refused=True)
            return publish(topic, groups, **named)

        world.memory.publish = refusing
        producer = world.peer()
        for number in range(4):
            producer.send(pub(b"%d" % number, topic=b"full"))
            await pass_time(0.1)
        producer.send(pub(b"body"))
        await until(lambda: len(world.memory.query(Filter()).jobs) == 1)

    World(ack="memory").run(story)


def test_the_same_body_twice_is_one_message_with_dedupe_by_body():
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=10)
        producer.send(pub(b"same") + pub(b"same") + pub(b"other"))
        assert await producer.hears(3) == [b"OK"] * 3
        producer.send(mpub(b"same", b"third"))
        assert await producer.hears() == [b"OK"]
        await until(lambda: world.counts() == {"running": 3})

    World(dedupe_by=BodyPart()).run(story)


def test_messages_of_one_key_are_worked_one_after_another_with_order_by():
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=10)
        producer.send(mpub(b'{"k":"a","n":1}', b'{"k":"a","n":2}', b'{"k":"b","n":3}', b"no key"))
        found = {message.body: message for message in await consumer.hears(3)}
        await pass_time(1)
        assert sorted(found) == [b"no key", b'{"k":"a","n":1}', b'{"k":"b","n":3}']
        assert consumer.take() == []
        consumer.say(b"FIN " + found[b'{"k":"a","n":1}'].id)
        assert [message.body for message in await consumer.hears()] == [b'{"k":"a","n":2}']

    World(order_by=BodyPart(("k",))).run(story)


def test_the_order_is_in_force_before_a_channel_is_there_and_is_asked_for_once():
    async def story(world: World) -> None:
        create, found = world.memory.create_channel, []

        def watched(topic: str, channel: str) -> bool:
            found.append([limit.scope for limit in world.memory.limits()])
            return create(topic, channel)

        world.memory.create_channel = watched  # type: ignore[method-assign]  # to look at the moment before it
        await world.peer().consume()
        await world.peer().consume()
        assert found == [["queue:topic:channel"]] * 2
        assert [entry.verb for entry in world.memory.audit().entries].count("limit") == 1

    World(order_by=BodyPart(("k",))).run(story)


def test_topics_do_not_wait_for_each_other_up_to_a_bound(world: World, monkeypatch):
    monkeypatch.setattr(limits, "NSQ_PUBLISH_REQUESTS_MAX", 5)

    async def story(world: World) -> None:
        world.store.held["publish"] = asyncio.Event()
        producers = [world.peer() for _ in range(8)]
        for number, producer in enumerate(producers):
            producer.send(pub(b"1", b"topic%d" % number))
            await pass_time(0.1)
            producer.send(pub(b"2", b"topic%d" % number))
            await pass_time(0.1)
        world.store.held["publish"].set()
        for producer in producers:
            assert await producer.hears(2) == [b"OK"] * 2
        sizes = [(topic, len(groups[0].messages)) for topic, groups in world.store.asked("publish")]
        assert sizes[:5] == [("topic0", 1), ("topic0", 1), ("topic1", 1), ("topic2", 1), ("topic3", 1)]
        assert sorted(sizes[5:]) == [(f"topic{n}", 1) for n in (1, 2, 3)] + [(f"topic{n}", 2) for n in (4, 5, 6, 7)]

    world.run(story)
