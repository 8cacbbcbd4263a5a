import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.flow_texts import bounded
from penstock.model.topics import (
    MessageEntry,
    MessageGroup,
    channel_queue,
    check_any_queue,
    check_held_queue,
    check_queue_or_channel,
    check_topic,
    cleared_queue,
    covers,
    is_cleared,
    is_ephemeral,
    is_kept,
    is_of_topic,
    is_shared,
    kept_queue,
    may_move,
    message_values,
)


def test_values_of_a_message_are_those_headers_that_limits_count_by():
    headers = {"key": "k", "user": "u" * 300, "other": "o"}
    rules = [
        ConcurrencyRule(1, per="header:key"),
        RateRule(1, per="header:user"),
        RateRule(2),
        ConcurrencyRule(1, per="a"),
    ]
    assert message_values(headers, rules) == {"header:key": "k", "header:user": bounded("u" * 300)}
    assert message_values(headers, [ConcurrencyRule(3)]) is None
    assert message_values(None, rules) is None
    assert message_values({"other": "o"}, rules) is None


def test_while_the_limits_are_not_known_the_texts_of_all_headers_are_kept_and_the_keys_first():
    assert message_values({"b": "2", "a": "1"}, None) == {"header:a": "1", "header:b": "2"}
    many = {f"h{number:02}": "x" for number in range(40)} | {"key": "k"}
    found = message_values(many, None)
    assert len(found) == limits.JOB_VALUES_MAX
    assert found["header:key"] == "k"


def test_a_body_is_shared_when_it_is_large_and_there_are_several_copies():
    small, large = (MessageEntry(b"", b"r" + bytes(size), 0) for size in (1_024, 1_025))
    assert [is_shared(small, 2), is_shared(large, 1), is_shared(large, 2)] == [False, False, True]


def test_queues_of_topics_are_told_by_their_names():
    channel, kept = channel_queue("orders", "mail"), kept_queue("orders")
    gone = [cleared_queue(channel, 7), cleared_queue(kept, 8)]
    assert (channel, kept, gone) == ("orders:mail", "orders:", ["orders:mail:7", "orders::8"])
    names = ["default", channel, kept, *gone]
    assert [is_of_topic(name) for name in names] == [False, True, True, True, True]
    assert [is_kept(name) for name in names] == [False, False, True, False, False]
    assert [is_cleared(name) for name in names] == [False, False, False, True, True]
    assert is_ephemeral("a#ephemeral")
    assert not is_ephemeral("ephemeral")


@pytest.mark.parametrize("name", ["default", "a:b", "a.b:c-d", "a#ephemeral:b#ephemeral"])
def test_names_of_queues_and_channels_pass(name):
    check_queue_or_channel(name)


@pytest.mark.parametrize("name", ["", "a:", ":a", "a:b:1", "a#ephemeral", "a b", "a\n", "a:b\n"])
def test_what_names_neither_a_queue_nor_a_channel_is_refused(name):
    with pytest.raises(InvalidOption):
        check_queue_or_channel(name)


@pytest.mark.parametrize("name", ["a", "a:b", "a:", "a#ephemeral:", "a:b:12", "a::3", "a:b#ephemeral:1"])
def test_names_of_all_queues_that_there_can_be_pass(name):
    check_any_queue(name)


@pytest.mark.parametrize("name", ["", ":", ":b", "a:b:", "a:b:c", "a:b:1:2", "a b:", "a:b c:1", "a::", "a:b:١"])
def test_names_of_no_queue_are_refused(name):
    with pytest.raises(InvalidOption):
        check_any_queue(name)


def test_the_refusal_of_a_name_says_what_a_name_may_be():
    with pytest.raises(InvalidOption, match="1 to 64 of A-Z") as refused:
        check_topic("a/b")
    assert refused.value.field == "topic"


def test_a_channel_in_the_place_of_a_topic_is_told_which_topic_it_is_of():
    with pytest.raises(InvalidOption, match=r"the topic is 'orders'\.$"):
        check_topic("orders:mail")
    with pytest.raises(InvalidOption, match=r"#ephemeral\.$"):
        check_topic("a b")


def test_messages_are_moved_between_channels_and_jobs_between_queues():
    assert may_move("a:b", "c:d")
    assert may_move("a", "b")
    assert not may_move("a:b", "c")
    assert not may_move("a", "b:c")


def test_the_key_of_a_message_is_one_of_its_headers():
    plain, keyed = MessageEntry(b"", b"r", 0), MessageEntry(b"", b"r", 0, key="k")
    assert MessageGroup([]).headers_of(plain) is None
    assert MessageGroup([], headers={}).headers_of(plain) is None
    assert MessageGroup([]).headers_of(keyed) == {"key": "k"}
    group = MessageGroup([], headers={"key": "other", "a": "b"})
    assert group.headers_of(plain) == {"key": "other", "a": "b"}
    assert group.headers_of(keyed) == {"key": "k", "a": "b"}


def test_a_topic_as_a_whole_covers_its_channels_and_nothing_else():
    for queue in ("orders:", "orders:mail", "orders:mail#ephemeral"):
        assert covers("orders:", queue)
    for queue in ("orders", "orders2:mail", "orders:mail:7", "orders::7"):
        assert not covers("orders:", queue)
    assert covers("orders:mail", "orders:mail")
    assert not covers("orders:mail", "orders:")


@pytest.mark.parametrize("name", ["q", "orders:", "orders:mail", "t#ephemeral:"])
def test_queues_channels_and_whole_topics_can_be_held(name):
    check_held_queue(name)


@pytest.mark.parametrize("name", [":", "no topic:", "orders::", "orders:mail:7", "a b", ""])
def test_nothing_else_can(name):
    with pytest.raises(InvalidOption):
        check_held_queue(name)
