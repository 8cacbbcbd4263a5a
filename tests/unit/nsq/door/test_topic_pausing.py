"""A topic is paused as a whole, besides its channels."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.model.errors import TopicNotFound
from penstock.model.job import LeaseRequest
from penstock.nsq.door.topic_pausing import Paused, pause_topic, resume_topic
from tests.unit.nsq.door.fake_door import FakeDoor


@pytest.fixture
def door() -> FakeDoor:
    """With ``orders``, two channels and a message in each."""
    found = FakeDoor()
    for channel in ("a", "b"):
        found.memory.create_channel("orders", channel)
    asyncio.run(found.publish("orders", [b"one"]))
    return found


def given_out(door: FakeDoor) -> int:
    """How many messages can be had now."""
    return len(door.memory.lease(LeaseRequest(b"h" * 16, 9, channels=["orders:a", "orders:b"], tasks=[])).jobs)


def paused(door: FakeDoor) -> Any:
    found = Paused(door.memory.closed_lines())
    (view,) = door.memory.topics(topic="orders").topics
    return found.topic(view), found.channel("orders", "a"), found.channel("orders", "b")


def test_nothing_of_it_is_given_out_until_it_is_resumed(door: FakeDoor) -> None:
    asyncio.run(pause_topic(door.store, "orders"))
    assert paused(door) == (True, False, False)
    assert given_out(door) == 0
    asyncio.run(resume_topic(door.store, "orders"))
    assert paused(door) == (False, False, False)
    assert given_out(door) == 2


def test_what_is_paused_by_itself_stays_so(door: FakeDoor) -> None:
    door.memory.pause(queue="orders:a")
    asyncio.run(pause_topic(door.store, "orders"))
    assert paused(door) == (True, True, False)
    asyncio.run(resume_topic(door.store, "orders"))
    assert paused(door) == (False, True, False)
    assert given_out(door) == 1


def test_channels_that_are_all_paused_make_no_paused_topic(door: FakeDoor) -> None:
    for queue in ("orders:a", "orders:b"):
        door.memory.pause(queue=queue)
    assert paused(door) == (False, True, True)


def test_one_that_is_not_there(door: FakeDoor) -> None:
    for call in (pause_topic, resume_topic):
        with pytest.raises(TopicNotFound):
            asyncio.run(call(door.store, "no"))
