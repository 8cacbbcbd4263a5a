"""Who is near gets messages first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.nsq.door.nearness import FAR, IN_REGION, IN_ZONE, distance
from penstock.nsq.options import TOPOLOGY_AWARE, DoorOptions
from tests.unit.nsq.door.conftest import Message, Peer, World, mpub, until

HERE = {"experiments": (TOPOLOGY_AWARE,), "topology_region": "north", "topology_zone": "north-1"}


@pytest.mark.parametrize(
    ("options", "region", "zone", "expected"),
    [
        (HERE, "north", "north-1", IN_ZONE),
        (HERE, "", "north-1", IN_ZONE),
        (HERE, "north", "north-2", IN_REGION),
        (HERE, "south", "south-1", FAR),
        (HERE, "", "", FAR),
        ({**HERE, "experiments": ()}, "south", "south-1", IN_ZONE),
        ({"experiments": (TOPOLOGY_AWARE,)}, "", "", FAR),
    ],
)
def test_how_far_a_consumer_is(options: dict[str, Any], region: str, zone: str, expected: int) -> None:
    assert distance(DoorOptions(**options), region, zone) == expected


async def consumer_in(world: World, region: str, zone: str, ready: int) -> Peer:
    peer = world.peer()
    body = json.dumps({"topology_region": region, "topology_zone": zone}).encode()
    peer.send(b"IDENTIFY\n" + len(body).to_bytes(4, "big") + body)
    await peer.hears()
    await peer.consume(ready=ready)
    return peer


def bodies(peer: Peer) -> set[bytes]:
    return {told.body for told in peer.take() if isinstance(told, Message)}


def test_the_nearest_with_room_get_messages_first_and_others_what_is_left() -> None:
    async def story(world: World) -> None:
        # The far ones ask first, and most of all.
        far = await consumer_in(world, "south", "south-1", 50)
        region = await consumer_in(world, "north", "north-2", 3)
        zone = await consumer_in(world, "north", "north-1", 2)
        producer = world.peer()
        producer.send(mpub(*(b"%d" % number for number in range(10))))
        await until(lambda: world.counts() == {"running": 10})
        found = [bodies(peer) for peer in (zone, region, far)]
        assert [len(one) for one in found] == [2, 3, 5]
        assert len(set().union(*found)) == 10

    World(**HERE).run(story)


def test_what_a_nearer_one_was_given_is_its_own_to_answer_for() -> None:
    async def story(world: World) -> None:
        far = await consumer_in(world, "south", "south-1", 5)
        near = await consumer_in(world, "north", "north-1", 5)
        world.peer().send(mpub(b"one"))
        await until(lambda: world.counts() == {"running": 1})
        far.leave()
        (message,) = [told for told in near.take() if isinstance(told, Message)]
        near.send(b"FIN %s\n" % message.id)
        await until(lambda: world.counts() == {})

    World(**HERE).run(story)
