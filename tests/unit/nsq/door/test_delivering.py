"""Messages on their way to consumers, and what becomes of them."""

from __future__ import annotations

import gc

from penstock.model import limits
from penstock.model.job import Filter
from penstock.model.message_ids import message_number, message_time
from penstock.nsq.door.delivering import Consumer
from tests.unit.nsq.door.conftest import World, mpub, pass_time, pub, until


def test_what_is_published_is_delivered_and_is_gone_when_it_is_finished(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=10)
        producer.send(mpub(b"one", b"two"))
        assert await producer.hears() == [b"OK"]
        first, second = await consumer.hears(2)
        assert (first.body, first.attempts, second.body) == (b"one", 1, b"two")
        assert world.counts() == {"running": 2}
        consumer.say(b"FIN " + second.id, b"FIN " + first.id)
        await until(lambda: world.counts() == {})

    world.run(story)


def test_the_id_of_a_message_is_its_number_and_its_time_that_of_the_id(world: World):
    async def story(world: World) -> None:
        world.memory.create_channel("topic", "channel")
        producer, consumer = world.peer(), world.peer()
        producer.send(pub(b"body"))
        await producer.hears()
        await consumer.consume()
        (message,) = await consumer.hears()
        (view,) = world.memory.query(Filter()).jobs
        assert message.id == b"%016x" % message_number(view.id)
        assert message.timestamp_ns == round(message_time(view.id) * 1_000) * 1_000_000

    world.run(story)


def test_no_more_than_rdy_are_in_flight_and_room_is_filled_again(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=2)
        producer.send(mpub(*[b"%d" % number for number in range(5)]))
        first, second = await consumer.hears(2)
        await pass_time(1)
        assert consumer.take() == []
        consumer.say(b"FIN " + first.id)
        (third,) = await consumer.hears()
        assert third.body == b"2"
        consumer.say(b"FIN " + second.id, b"FIN " + third.id)
        assert [message.body for message in await consumer.hears(2)] == [b"3", b"4"]

    world.run(story)


def test_a_message_that_is_not_answered_in_time_comes_again_and_its_late_fin_is_refused(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"slow"))
        (first,) = await consumer.hears()
        (second,) = await consumer.hears(wait_s=62)
        assert (second.id, second.attempts) == (first.id, 2)
        assert world.door.channels["topic", "channel"].timeout_count == 1
        consumer.say(b"FIN " + second.id, b"FIN " + second.id)
        assert await consumer.hears() == [b"E_FIN_FAILED FIN %s failed ID not in flight" % first.id]

    world.run(story)


def test_a_requeued_message_waits_for_its_delay_and_is_an_attempt(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"again"))
        (message,) = await consumer.hears()
        asked_at = world.clock.monotonic()
        consumer.say(b"REQ %s 5000" % message.id)
        (again,) = await consumer.hears()
        assert world.clock.monotonic() - asked_at >= 5
        assert (again.id, again.attempts) == (message.id, 2)

    world.run(story)


def test_what_a_client_lets_pass_is_offered_to_others_first(world: World):
    async def story(world: World) -> None:
        stopped, other = world.peer(), world.peer()
        await stopped.consume(ready=2)
        other.send(pub(b"body"))
        await other.hears()
        assert [message.attempts for message in await stopped.hears()] == [1]
        await other.consume()
        (message,) = await other.hears(wait_s=61)
        assert (message.body, message.attempts) == (b"body", 2)
        assert {*stopped.take()} <= {b"_heartbeat_"}
        stopped.say(b"FIN " + message.id)
        assert (await stopped.hears())[0].startswith(b"E_FIN_FAILED ")
        # Some time later it is given something again.
        producer = world.peer()
        producer.send(pub(b"more"))
        assert (await stopped.hears(wait_s=61))[0].body == b"more"

    world.run(story)


def test_who_lets_a_message_pass_is_given_none_for_a_moment(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=2)
        producer.send(pub(b"slow"))
        (message,) = await consumer.hears()
        channel = world.door.channels["topic", "channel"]
        while not channel.timeout_count:
            await pass_time(0.01)
        late_at = world.clock.monotonic()
        (again,) = await consumer.hears()
        assert (again.id, again.attempts) == (message.id, 2)
        assert world.clock.monotonic() - late_at >= limits.NSQ_LATE_S - 0.02

    world.run(story)


def test_touching_puts_the_time_out_off_up_to_the_longest_time():
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume()
        producer.send(pub(b"long"))
        (message,) = await consumer.hears()
        sent_at = world.clock.monotonic()
        while not consumer.transport.written:
            consumer.say(b"TOUCH " + message.id)
            await pass_time(1)
            if b"E_TOUCH" in consumer.transport.written:
                break
        assert 20 <= world.clock.monotonic() - sent_at <= 22

    World(msg_timeout_s=5.0, max_msg_timeout_s=20.0).run(story)


def test_what_a_connection_had_goes_to_others_when_it_is_cut(world: World):
    async def story(world: World) -> None:
        first, second, producer = world.peer(), world.peer(), world.peer()
        await first.consume()
        producer.send(pub(b"body"))
        (message,) = await first.hears()
        await second.consume()
        first.leave()
        (again,) = await second.hears()
        assert (again.id, again.attempts) == (message.id, 2)

    world.run(story)


def test_lowering_rdy_takes_back_what_was_asked_for(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=100)
        await until(lambda: world.store.leases == 1)
        consumer.say(b"RDY 0")
        await until(lambda: world.store.leases == 0)
        producer.send(pub(b"body"))
        await producer.hears()
        await pass_time(1)
        assert (consumer.take(), world.counts()) == ([], {"ready": 1})
        consumer.say(b"RDY 1")
        await consumer.hears()

    world.run(story)


def test_cls_stops_deliveries_and_what_is_in_flight_can_be_finished(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=1)
        producer.send(mpub(b"one", b"two"))
        (message,) = await consumer.hears()
        assert await consumer.ask(b"CLS") == b"CLOSE_WAIT"
        consumer.say(b"FIN " + message.id, b"RDY 10")
        await until(lambda: world.counts() == {"ready": 1})
        assert await consumer.ask(b"CLS") == b"E_INVALID cannot CLS in current state"
        assert consumer.transport.is_closed

    world.run(story)


def test_of_a_client_that_has_gone_nothing_is_kept_however_long_it_waited(world: World):
    """Without the collector of circles, which a door seldom runs."""

    async def story(world: World) -> None:
        consumer = world.peer()
        await consumer.consume(ready=10)
        await until(lambda: world.store.leases == 1)
        consumer.leave()
        await until(lambda: world.store.leases == 0)
        await pass_time(60)

    gc.collect()
    gc.disable()
    try:
        world.run(story)
        assert [one for one in gc.get_objects() if isinstance(one, Consumer)] == []
    finally:
        gc.enable()
