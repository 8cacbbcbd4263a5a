"""Consumers of a channel that take few messages at a time, and ask for them together."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from penstock.model import limits
from penstock.model.deliveries import door_holders
from penstock.model.errors import StoreUnavailable
from penstock.nsq.options import TOPOLOGY_AWARE
from tests.unit.nsq.door.conftest import Message, Peer, World, mpub, pass_time, pub, until
from tests.unit.nsq.door.test_connections import identify


async def consumers(world: World, count: int, ready: int = 1) -> list[Peer]:
    """Some that have subscribed and asked."""
    peers = [world.peer() for _ in range(count)]
    for peer in peers:
        await peer.consume(ready=ready)
    await until(lambda: world.store.leases > 0)
    return peers


def messages(peer: Peer) -> list[Message]:
    """What was delivered to it since."""
    return [told for told in peer.take() if isinstance(told, Message)]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def finish(peer: Peer, found: list[Message]) -> None:
    """FIN each."""
    peer.say(*[b"FIN " + message.id for message in found])


async def all_are_finished_once(world: World, peers: list[Peer], bodies: list[bytes]) -> Counter[int]:
    """Finish what comes until the channel is empty: each of these once. Answers how many each consumer had."""
    seen: Counter[bytes] = Counter()
    had: Counter[int] = Counter()

    def step() -> bool:
        for number, peer in enumerate(peers):
            if found := messages(peer):
                seen.update(message.body for message in found)
                had[number] += len(found)
                finish(peer, found)
        return world.counts() == {}

    await until(step)
    assert seen == Counter(bodies)
    return had


def test_consumers_with_little_room_share_requests_and_each_gets_its_share(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 20)
        # The first was alone when it asked.
        assert world.store.leases == 1 + limits.NSQ_SHARED_REQUESTS_MAX
        producer = world.peer()
        producer.send(mpub(*numbers(200)))
        await producer.hears()
        had = await all_are_finished_once(world, peers, numbers(200))
        assert sorted(had) == list(range(20))
        assert max(had.values()) - min(had.values()) <= 2
        assert len(world.store.asked("lease")) < 60

    world.run(story)


@pytest.mark.parametrize(("ready", "leases"), [(limits.NSQ_SHARED_READY_MAX, 4), (limits.NSQ_SHARED_READY_MAX + 1, 6)])
def test_who_takes_many_leases_for_itself(world: World, ready: int, leases: int):
    async def story(world: World) -> None:
        await consumers(world, 6, ready)
        await until(lambda: world.store.leases == leases)
        await pass_time(1)
        assert world.store.leases == leases

    world.run(story)


def test_messages_that_come_one_at_a_time_go_to_one_consumer_after_the_other(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 5)
        peers[0].say(b"RDY 0", b"RDY 1")  # It was alone when it asked, and asks with the others now.
        producer = world.peer()
        had: Counter[int] = Counter()
        for number in range(20):
            producer.send(pub(b"%d" % number))
            await until(lambda: world.counts() == {"running": 1})
            ((taker, found),) = [(at, found) for at, peer in enumerate(peers) if (found := messages(peer))]
            had[taker] += 1
            finish(peers[taker], found)
            await until(lambda: world.counts() == {})
        assert had == dict.fromkeys(range(5), 4)

    world.run(story)


def test_nobody_gets_more_than_it_has_room_for_and_what_was_asked_for_is_dealt_out_evenly(world: World):
    async def story(world: World) -> None:
        world.memory.create_channel("topic", "channel")
        peers = [world.peer() for _ in range(4)]
        for peer, ready in zip(peers, (1, 4, 4, 4), strict=True):
            assert await peer.ask(b"SUB topic channel") == b"OK"
            peer.say(b"RDY %d" % ready)
        producer = world.peer()
        producer.send(mpub(*numbers(100)))
        await until(lambda: world.counts() == {"ready": 87, "running": 13})
        assert [len(messages(peer)) for peer in peers] == [1, 4, 4, 4]

    world.run(story)


def test_a_consumer_that_comes_while_requests_wait_gets_messages_too(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 3)
        peers += await consumers(world, 7)
        producer = world.peer()
        producer.send(mpub(*numbers(10)))
        await until(lambda: world.counts() == {"running": 10})
        assert [len(messages(peer)) for peer in peers] == [1] * 10

    world.run(story)


def test_the_others_ask_anew_when_the_one_in_whose_name_was_asked_goes(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 6)
        for _ in range(5):
            asking = [peer for peer in peers if peer.connection.consumer and peer.connection.consumer.is_asking]
            asking[0].leave()
            peers.remove(asking[0])
            await pass_time(1)
            assert 0 < world.store.leases <= 1 + limits.NSQ_SHARED_REQUESTS_MAX
        producer = world.peer()
        producer.send(mpub(*numbers(10)))
        await producer.hears()
        await all_are_finished_once(world, peers, numbers(10))

    world.run(story)


def test_what_was_leased_in_the_name_of_one_that_has_gone_is_still_that_of_its_consumers(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 10)
        producer = world.peer()
        producer.send(mpub(*numbers(10)))
        await until(lambda: world.counts() == {"running": 10})
        holders = {request.holder for (request,) in world.store.asked("lease")}
        found = {peer: messages(peer) for peer in peers}
        gone = [
            peer
            for peer in peers
            if peer.connection.consumer is not None and peer.connection.consumer.holder in holders
        ]
        for peer in gone:
            peer.leave()
        left = [peer for peer in peers if peer not in gone]
        for peer in left:
            finish(peer, found[peer])
        again = await all_are_finished_once(world, left, [message.body for peer in gone for message in found[peer]])
        assert again.total() == len(gone)

    world.run(story)


def test_a_request_that_is_cancelled_is_made_again(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 3)
        for peer in peers:
            consumer = peer.connection.consumer
            if (
                consumer is not None
                and consumer.shared_request is not None
                and consumer.shared_request.task is not None
            ):
                consumer.shared_request.task.cancel()
        producer = world.peer()
        producer.send(mpub(*numbers(3)))
        await until(lambda: [len(peer.transport.written) > 0 for peer in peers] == [True] * 3)

    world.run(story)


def test_rdy_0_and_cls_withdraw_what_is_too_much_and_the_others_still_get_messages(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 6)
        peers[0].say(b"RDY 0")
        peers[1].say(b"RDY 0")
        assert await peers[2].ask(b"CLS") == b"CLOSE_WAIT"
        producer = world.peer()
        producer.send(mpub(*numbers(6)))
        await until(lambda: world.counts() == {"ready": 3, "running": 3})
        assert [len(messages(peer)) for peer in peers] == [0, 0, 0, 1, 1, 1]
        for peer in peers[3:]:
            peer.say(b"RDY 0")
        peers[0].say(b"RDY 3")
        await until(lambda: world.counts() == {"running": 6})
        assert len(messages(peers[0])) == 3

    world.run(story)


def test_when_nobody_has_room_any_more_nothing_is_asked_for(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 6)
        for peer in peers:
            peer.say(b"RDY 0")
        await until(lambda: world.store.leases == 0)
        producer = world.peer()
        producer.send(pub(b"body"))
        await producer.hears()
        await pass_time(1)
        assert world.counts() == {"ready": 1}

    world.run(story)


def test_who_takes_more_from_now_on_leases_for_itself_and_who_takes_less_with_the_others(world: World):
    async def story(world: World) -> None:
        first, second = await consumers(world, 2)
        first.say(b"RDY 100")
        producer = world.peer()
        producer.send(mpub(*numbers(101)))
        await until(lambda: world.counts() == {"running": 101})
        found = messages(first)
        assert (len(found), len(messages(second))) == (100, 1)
        first.say(b"RDY 1")
        finish(first, found)
        producer.send(pub(b"more"))
        assert [message.body for message in await first.hears()] == [b"more"]

    world.run(story)


def test_a_consumer_that_takes_nothing_from_its_socket_gets_nothing_and_what_was_for_it_goes_to_others(world: World):
    async def story(world: World) -> None:
        alone, clogged, other = await consumers(world, 3)
        alone.say(b"RDY 0")
        clogged.connection.pause_writing()
        producer = world.peer()
        producer.send(mpub(*numbers(4)))
        await producer.hears()
        for _ in range(3):
            finish(other, await other.hears())
        await other.hears()
        assert messages(clogged) == []
        producer.send(pub(b"more"))
        await pass_time(1)
        assert world.counts() == {"ready": 1, "running": 1}
        clogged.connection.resume_writing()
        assert [message.body for message in await clogged.hears()] == [b"more"]

    world.run(story)


def test_what_nobody_has_room_for_any_more_is_given_back(world: World):
    async def story(world: World) -> None:
        alone, *peers = await consumers(world, 3)
        alone.say(b"RDY 0")
        for peer in peers:
            peer.connection.pause_writing()
        producer = world.peer()
        producer.send(mpub(*numbers(2)))
        await producer.hears()
        await pass_time(1)
        assert world.counts() == {"ready": 2}
        for peer in peers:
            peer.connection.resume_writing()
        had = await all_are_finished_once(world, peers, numbers(2))
        assert had == {0: 1, 1: 1}

    world.run(story)


def test_who_is_left_alone_leases_for_itself_when_it_has_room_again(world: World):
    async def story(world: World) -> None:
        first, second, third = await consumers(world, 3)
        first.leave()
        second.leave()
        producer = world.peer()
        for number in range(3):
            producer.send(pub(b"%d" % number))
            (message,) = await third.hears()
            assert message.body == b"%d" % number
            finish(third, [message])
            await until(lambda: world.store.leases == 1)
        consumer = third.connection.consumer
        assert consumer is not None
        assert (consumer.line, consumer.shared_request, consumer.is_asking) == (None, None, True)
        assert not world.door.sharing._lines

    world.run(story)


def test_a_sampling_consumer_does_not_ask_for_others(world: World):
    async def story(world: World) -> None:
        sampling = world.peer()
        await sampling.asks(identify(sample_rate=50))
        await sampling.consume()
        peers = await consumers(world, 3)
        await until(lambda: world.store.leases == 3)
        producer = world.peer()
        producer.send(mpub(*numbers(30)))
        await producer.hears()
        await all_are_finished_once(world, [sampling, *peers], numbers(30))

    world.run(story)


def test_messages_that_were_delivered_too_often_die_whoever_has_them():
    async def story(world: World) -> None:
        world.memory.create_channel("dead", "all")
        peers = await consumers(world, 4)
        producer = world.peer()
        producer.send(mpub(*numbers(8)))

        def step() -> bool:
            for peer in peers:
                peer.say(*[b"REQ %s 0" % message.id for message in messages(peer)])
            return world.counts() == {"dead": 8}

        await until(step)
        assert world.counts("all", "dead") == {"ready": 8}

    World(max_attempts=2, dead_letter_topic="dead").run(story)


def test_the_nearer_get_messages_first_and_those_equally_far_share():
    async def story(world: World) -> None:
        peers: list[Peer] = []
        for zone in ("far", "far", "near", "near"):
            peer = world.peer()
            await peer.asks(identify(topology_zone=zone))
            await peer.consume()
            peers.append(peer)
        producer = world.peer()
        producer.send(mpub(*numbers(2)))
        await until(lambda: world.counts() == {"running": 2})
        assert [len(messages(peer)) for peer in peers] == [0, 0, 1, 1]
        producer.send(mpub(*numbers(2)))
        await until(lambda: world.counts() == {"running": 4})
        assert [len(messages(peer)) for peer in peers] == [1, 1, 0, 0]

    World(experiments=(TOPOLOGY_AWARE,), topology_zone="near").run(story)


def test_time_outs_and_touches_are_each_consumers_own(world: World):
    async def story(world: World) -> None:
        short = [world.peer() for _ in range(2)]
        for peer in short:
            await peer.asks(identify(msg_timeout=2_000))
            await peer.consume()
        (long,) = await consumers(world, 1)
        producer = world.peer()
        producer.send(mpub(*numbers(3)))
        await until(lambda: world.counts() == {"running": 3})
        touching, late = short
        (kept,), (lost,), (longest,) = messages(touching), messages(late), messages(long)
        for peer in (touching, late, long):
            peer.say(b"RDY 0")
        for _ in range(5):
            await pass_time(1)
            world.memory.tick()
            touching.say(b"TOUCH " + kept.id)
        assert world.counts() == {"ready": 1, "running": 2}
        touching.say(b"FIN " + kept.id)
        long.say(b"FIN " + longest.id)
        await until(lambda: world.counts() == {"ready": 1})
        late.say(b"FIN " + lost.id)
        assert (await late.hears())[0].startswith(b"E_FIN_FAILED ")

    world.run(story)


def test_with_retention_what_was_shared_is_kept_too():
    async def story(world: World) -> None:
        peers = await consumers(world, 4)
        producer = world.peer()
        producer.send(mpub(*numbers(4)))
        await until(lambda: world.counts() == {"running": 4})
        for peer in peers:
            finish(peer, messages(peer))
        await until(lambda: world.counts() == {"succeeded": 4})

    World(retention_s=3_600.0).run(story)


def test_a_new_owner_hears_of_all_that_was_shared_and_lets_it_be_finished(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 8)
        producer = world.peer()
        producer.send(mpub(*numbers(8)))
        await until(lambda: world.counts() == {"running": 8})
        held = world.door.held()
        assert sorted(held) == sorted(world.memory._table.running)
        assert world.memory.reconcile(door_holders(b"door"), held) == 0
        await until(lambda: len(world.store.asked("extend")) > 0)
        extended = [fence for (extension,) in world.store.asked("extend") for fence in extension.fences]
        assert sorted(extended) == sorted(held)
        for peer in peers:
            finish(peer, messages(peer))
        await until(lambda: world.counts() == {})

    world.run(story)


def test_consumers_ask_again_when_the_store_is_back(world: World):
    async def story(world: World) -> None:
        peers = await consumers(world, 4)
        world.store.trouble["lease"] = StoreUnavailable("It is away.")
        await pass_time(5)
        del world.store.trouble["lease"]
        producer = world.peer()
        producer.send(mpub(*numbers(8)))
        await producer.hears()
        await all_are_finished_once(world, peers, numbers(8))

    world.run(story)


def test_the_store_knows_of_every_consumer_also_of_those_in_whose_name_nothing_is_asked(world: World):
    async def story(world: World) -> None:
        await consumers(world, 10)

        def known() -> int:
            world.memory.tick()
            (channel,) = world.memory.topics(topic="topic").topics[0].channels
            return channel.consumers

        await until(lambda: known() == 10)
        for _ in range(20):
            await pass_time(limits.HOLDER_ALIVE_S / 4)
            assert known() == 10

    world.run(story)


def test_an_ephemeral_channel_stays_until_the_last_that_shares_has_gone(world: World):
    async def story(world: World) -> None:
        peers = [world.peer() for _ in range(5)]
        for peer in peers:
            await peer.consume(channel=b"passing#ephemeral")
        for peer in peers[:-1]:
            peer.leave()
            await pass_time(limits.EPHEMERAL_S / 2)
            world.memory.tick()
            assert world.counts("passing#ephemeral") == {}
        peers[-1].leave()
        await until(lambda: not world.memory.topics(topic="topic").topics[0].channels)

    world.run(story)


def test_consumers_that_come_and_go_all_the_time_lose_nothing(world: World):
    async def story(world: World) -> None:
        world.memory.create_channel("topic", "channel")
        producer = world.peer()
        producer.send(mpub(*numbers(300)))
        await producer.hears()
        finished: set[bytes] = set()
        peers: list[Peer] = []
        for turn in range(400):
            if len(peers) < 8:
                peers.append(world.peer())
                peers[-1].say(b"SUB topic channel", b"RDY %d" % (1 + turn % 3))
            for peer in peers:
                found = messages(peer)
                finish(peer, found)
                assert not finished.intersection(message.body for message in found)
                finished.update(message.body for message in found)
            if turn % 3 == 0:
                peers.pop(turn % len(peers)).leave()
            await asyncio.sleep(0)
        await until(lambda: _work(peers, finished) and world.counts() == {})
        assert finished == set(numbers(300))

    world.run(story)


def _work(peers: list[Peer], finished: set[bytes]) -> bool:
    """Finish what has come."""
    for peer in peers:
        found = messages(peer)
        finished.update(message.body for message in found)
        finish(peer, found)
    return True
