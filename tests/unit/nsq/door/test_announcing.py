"""What nsqlookupds are told, so that they know what there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.model.job import QueueStats
from penstock.model.topics import ChannelView, TopicView
from penstock.nsq.door.announcing import Announced, announced_of, commands_for
from penstock.nsq.lookup.conversation import MAGIC, Conversation
from penstock.nsq.lookup.registry import Registry

names = st.sampled_from(["a", "b", "c"])
topics = st.dictionaries(names, st.sets(names), max_size=3)


def announced(topics: dict[str, set[str]]) -> set[Announced]:
    found = {Announced(topic, "") for topic in topics}
    return found | {Announced(topic, channel) for topic, channels in topics.items() for channel in channels}


@given(topics, topics)
def test_after_the_commands_an_nsqlookupd_knows_what_there_is_and_the_door_what_it_knows(
    known: dict[str, set[str]], wanted: dict[str, set[str]]
) -> None:
    registry = Registry(300, 45)
    conversation = Conversation(registry, "192.0.2.1:5", b"{}")
    body = b'{"broadcast_address":"b","tcp_port":1,"http_port":2,"version":"v"}'
    conversation.take(MAGIC + b"IDENTIFY\n" + len(body).to_bytes(4, "big") + body, 0)
    before: set[Announced] = set()
    for step in (known, wanted):
        for told in commands_for(before, announced(step)):
            assert conversation.take(told.command, 0) == b"\0\0\0\2OK"
            before = (before - set(told.removed)) | set(told.added)
        assert before == announced(step)
        has = {name for name, producer, _ in registry.entries() if name != "client::"}
        assert has == {
            f"channel:{topic}:{channel}" if channel else f"topic:{topic}:" for topic, channel in announced(step)
        }


def test_a_topic_is_told_with_its_channels_and_taken_off_after_them() -> None:
    everything = announced({"orders": {"billing"}, "mail": set()})
    assert [told.command for told in commands_for(set(), everything)] == [
        b"REGISTER mail\n",
        b"REGISTER orders billing\n",
    ]
    assert [told.command for told in commands_for(everything, set())] == [
        b"UNREGISTER mail\n",
        b"UNREGISTER orders billing\n",
        b"UNREGISTER orders\n",
    ]
    assert commands_for(everything, everything) == []


def test_of_what_a_store_has_topics_and_channels_are_announced() -> None:
    view = TopicView("orders", 5, [ChannelView("billing", QueueStats())])
    assert announced_of([view]) == announced({"orders": {"billing"}})
