"""What a connection may ask in which state, and when it ends."""

from __future__ import annotations

import struct

import msgspec
import pytest

from penstock.model.errors import InvalidOption
from tests.unit.nsq.door.conftest import Peer, World, pass_time, pub, until

ID = b"0123456789abcdef"


def identify(**asked: object) -> bytes:
    """An IDENTIFY."""
    body = msgspec.json.encode(asked)
    return b"IDENTIFY\n" + struct.pack(">i", len(body)) + body


@pytest.mark.parametrize(
    ("before", "command", "answer"),
    [
        ((), b"RDY 1", b"E_INVALID cannot RDY in current state"),
        ((), b"FIN " + ID, b"E_INVALID cannot FIN in current state"),
        ((), b"FIN short", b"E_INVALID cannot FIN in current state"),
        ((), b"REQ %s 0" % ID, b"E_INVALID cannot REQ in current state"),
        ((), b"TOUCH " + ID, b"E_INVALID cannot TOUCH in current state"),
        ((), b"CLS", b"E_INVALID cannot CLS in current state"),
        ((), b"AUTH\n" + struct.pack(">i", 1) + b"x", b"E_AUTH_DISABLED AUTH disabled"),
        ((b"SUB topic channel",), b"SUB topic channel", b"E_INVALID cannot SUB in current state"),
        ((b"SUB topic channel",), identify(), b"E_INVALID cannot IDENTIFY in current state"),
        ((b"SUB topic channel",), b"RDY 2501", b"E_INVALID RDY count 2501 out of range 0-2500"),
        ((b"SUB topic channel",), b"RDY -1", b"E_INVALID RDY could not parse count -1"),
        ((b"SUB topic channel",), b"FIN short", b"E_INVALID invalid message ID"),
        ((b"SUB topic channel",), b"LEAVE", b"E_INVALID invalid command LEAVE"),
    ],
)
def test_what_may_not_be_asked_ends_the_connection_with_nsqds_words(world: World, before, command, answer):
    async def story(world: World) -> None:
        peer = world.peer()
        for line in before:
            assert await peer.ask(line) == b"OK"
        assert await peer.ask(command) == answer
        await until(lambda: peer.transport.is_closed)
        assert not world.door.connections

    world.run(story)


@pytest.mark.parametrize("verb", [b"FIN", b"REQ", b"TOUCH"])
def test_what_is_said_of_a_message_that_is_not_in_flight_is_refused_and_the_connection_goes_on(world: World, verb):
    async def story(world: World) -> None:
        peer = world.peer()
        await peer.consume()
        line = b"%s %s" % (verb, ID) + (b" 0" if verb == b"REQ" else b"")
        assert await peer.ask(line) == b"E_%s_FAILED %s %s failed ID not in flight" % (verb, verb, ID)
        assert peer.transport.is_reading

    world.run(story)


def test_commands_behind_a_sub_wait_for_it(world: World):
    async def story(world: World) -> None:
        peer, producer = world.peer(), world.peer()
        producer.send(pub(b"body"))
        await producer.hears()
        peer.say(b"SUB topic channel", b"RDY 1")
        answer, message = await peer.hears(2)
        assert (answer, message.body) == (b"OK", b"body")

    world.run(story)


def test_a_channel_that_cannot_be_made_is_refused(world: World):
    async def story(world: World) -> None:
        world.store.trouble["create_channel"] = InvalidOption("There are too many.")
        assert await world.peer().ask(b"SUB topic channel") == b"E_SUB_FAILED SUB failed There are too many."

    world.run(story)


def test_a_channel_has_no_more_consumers_than_it_may():
    async def story(world: World) -> None:
        first, second = world.peer(), world.peer()
        await first.consume()
        refused = b"E_SUB_FAILED SUB failed consumers for topic:channel exceeds limit of 1"
        assert await second.ask(b"SUB topic channel") == refused
        assert await world.peer().ask(b"SUB topic other") == b"OK"
        first.leave()
        await until(lambda: not world.door.channels["topic", "channel"].consumers)
        assert await world.peer().ask(b"SUB topic channel") == b"OK"

    World(max_channel_consumers=1).run(story)


def test_a_client_that_answers_no_heartbeat_is_disconnected_after_two(world: World):
    async def story(world: World) -> None:
        peer = world.peer()
        peer.transport.answers_heartbeats = False
        began = world.clock.monotonic()
        peer.send(identify(heartbeat_interval=2_000))
        await until(lambda: peer.transport.is_closed)
        assert 4 <= world.clock.monotonic() - began < 4.5
        assert peer.take() == [b"OK", b"_heartbeat_"]

    world.run(story)


def test_a_client_that_answers_goes_on_for_ever_and_one_without_heartbeats_may_be_silent(world: World):
    async def story(world: World) -> None:
        answering, silent = world.peer(), world.peer()
        assert await silent.asks(identify(heartbeat_interval=-1)) == b"OK"
        await pass_time(3_600)
        assert answering.connection.is_open
        assert silent.connection.is_open
        assert silent.take() == []
        assert await silent.ask(b"SUB topic channel") == b"E_INVALID cannot SUB with heartbeats disabled"

    world.run(story)


def test_a_client_that_takes_nothing_for_a_heartbeats_time_is_cut_off_and_gets_no_messages(world: World):
    async def story(world: World) -> None:
        peer, producer = world.peer(), world.peer()
        await peer.consume(ready=0)
        peer.connection.pause_writing()
        peer.say(b"RDY 5")
        producer.send(pub(b"body"))
        await producer.hears()
        await pass_time(20)
        assert world.counts() == {"ready": 1}
        await until(lambda: peer.transport.is_closed)

    world.run(story)


@pytest.mark.parametrize("command", [b"FIN " + ID + b"\n", identify(client_id="again")], ids=["FIN", "IDENTIFY"])
def test_a_client_that_does_not_take_its_answers_is_read_no_further(world: World, command: bytes):
    async def story(world: World) -> None:
        client = world.peer()
        if command.startswith(b"FIN"):
            await client.consume()
        client.connection.pause_writing()
        for _ in range(100):
            if client.transport.is_reading:
                client.send(command)
        await pass_time(1)
        assert not client.transport.is_reading
        assert len(client.take()) == 1
        client.connection.resume_writing()
        assert client.transport.is_reading

    world.run(story)


def test_identify_answers_with_what_is_in_force(world: World):
    async def story(world: World) -> None:
        answer = await world.peer().asks(identify(feature_negotiation=True, msg_timeout=5_000, sample_rate=10))
        said = msgspec.json.decode(answer)
        assert (said["msg_timeout"], said["sample_rate"], said["max_rdy_count"]) == (5_000, 10, 2_500)

    world.run(story)


def test_the_time_out_of_a_client_is_the_one_it_asked_for(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.asks(identify(msg_timeout=1_000))
        await consumer.consume()
        producer.send(pub(b"body"))
        (first,) = await consumer.hears()
        sent_at = world.clock.monotonic()
        (again,) = await consumer.hears()
        assert again.id == first.id
        assert 1 <= world.clock.monotonic() - sent_at < 1.6

    world.run(story)


def test_without_tls_nothing_but_identify_may_be_asked_where_it_is_required():
    async def story(world: World) -> None:
        refused = b"E_INVALID cannot NOP in current state (TLS required)"
        assert await world.peer().ask(b"NOP") == refused
        peer = world.peer()
        assert await peer.asks(identify()) == b"OK"
        peer.send(pub(b"body"))
        assert await peer.hears() == [b"E_INVALID cannot PUB in current state (TLS required)"]

    World(tls_required="true").run(story)


def test_a_message_arrives_in_any_pieces(world: World):
    async def story(world: World) -> None:
        peer = world.peer()
        for byte in pub(b"body") + b"NOP\n" + pub(b"x"):
            peer.send(bytes([byte]))
        assert await peer.hears(2) == [b"OK", b"OK"]

    world.run(story)


def test_all_that_is_due_in_a_turn_is_written_at_once(world: World):
    async def story(world: World) -> None:
        consumer, producer = world.peer(), world.peer()
        await consumer.consume(ready=100)
        writes = consumer.transport.writes
        producer.send(b"".join(pub(b"%d" % number) for number in range(50)))
        assert len(await consumer.hears(50)) == 50
        assert consumer.transport.writes - writes == 1
        assert len(await producer.hears(50)) == 50
        assert producer.transport.writes == 1

    world.run(story)


def test_a_peer_that_speaks_another_protocol_is_told_so(world: World):
    async def story(world: World) -> None:
        peer = Peer(world.door, magic=b"  V1")
        assert await peer.hears() == [b"E_BAD_PROTOCOL"]
        await until(lambda: peer.transport.is_closed)

    world.run(story)


def test_a_client_that_ends_its_side_gets_its_answers_first(world: World):
    async def story(world: World) -> None:
        peer = world.peer()
        peer.send(pub(b"body") + b"SUB topic channel\n" + b"NOP\n")
        assert peer.connection.eof_received()
        assert await peer.hears(2) == [b"OK", b"OK"]
        await until(lambda: peer.transport.is_closed)

    world.run(story)


def test_more_connections_than_there_may_be_are_not_let_in(world: World):
    async def story(world: World) -> None:
        world.door.connections_max = 2
        peers = [world.peer() for _ in range(3)]
        await until(lambda: peers[2].transport.is_closed)
        assert await peers[1].ask(b"SUB topic channel") == b"OK"
        peers[0].leave()
        await until(lambda: len(world.door.connections) == 1)
        assert await world.peer().ask(b"SUB topic channel") == b"OK"

    world.run(story)


def test_what_is_wrong_with_one_connection_holds_up_no_other(world: World, monkeypatch):
    async def story(world: World) -> None:
        broken, sound = world.peer(), world.peer()

        def refill() -> None:
            raise RuntimeError("a fault")

        monkeypatch.setattr(type(broken.connection), "refill", lambda self: self is broken.connection and refill())
        broken.send(pub(b"1"))
        sound.send(pub(b"2"))
        assert await sound.hears() == [b"OK"]
        assert broken.transport.is_closed

    world.run(story)
