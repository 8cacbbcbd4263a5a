from penstock.model import limits
from penstock.model.consumers import Consumers
from penstock.model.job import LeaseRequest

HOLDER, OTHER = b"holder-0-16bytes", b"holder-1-16bytes"
LONG_S = limits.EPHEMERAL_S


def asks(holder, *channels, queues=None):
    return LeaseRequest(holder, 1, queues, channels=list(channels))


def test_there_is_nothing_to_do_where_nothing_is_ephemeral():
    consumers = Consumers()
    consumers.leases(asks(HOLDER, "t:a"), 0.0)
    consumers.extends(HOLDER, 1.0)
    consumers.forget("t:a")
    assert not consumers
    assert (consumers.due(1e9), consumers.next_at()) == ([], None)


def test_what_is_not_used_is_due_by_name():
    consumers = Consumers()
    for name, at in (("t:b", 0.0), ("t:a", 1.0), ("t:c", 2.0)):
        consumers.watch(name, at)
    assert consumers.next_at() == LONG_S
    assert consumers.due(LONG_S - 0.1) == []
    assert consumers.due(LONG_S + 1.0) == ["t:a", "t:b"]
    consumers.forget("t:b")
    assert consumers.due(LONG_S + 1.0) == ["t:a"]


def test_a_lease_uses_the_channels_that_it_names_and_can_take_from():
    consumers = Consumers()
    for name in ("t:a", "t:b", "t:c"):
        consumers.watch(name, 0.0)
    consumers.leases(asks(HOLDER, "t:a", "t:b", "t:none", queues=["t:a", "t:c"]), 10.0)
    assert consumers.due(LONG_S) == ["t:b", "t:c"]
    assert consumers.due(LONG_S + 10.0) == ["t:a", "t:b", "t:c"]


def test_an_extension_uses_what_its_holder_named_last():
    consumers = Consumers()
    for name in ("t:a", "t:b"):
        consumers.watch(name, 0.0)
    consumers.leases(asks(HOLDER, "t:a"), 1.0)
    consumers.leases(asks(HOLDER, "t:b"), 2.0)
    consumers.extends(OTHER, 20.0)
    consumers.extends(HOLDER, 20.0)
    assert consumers.due(LONG_S + 2.0) == ["t:a"]


def test_what_is_gone_does_not_come_back_with_an_extension():
    consumers = Consumers()
    consumers.watch("t:a", 0.0)
    consumers.leases(asks(HOLDER, "t:a"), 1.0)
    consumers.forget("t:a")
    consumers.extends(HOLDER, 2.0)
    assert not consumers


def test_after_a_gap_all_times_begin_anew():
    consumers = Consumers()
    consumers.watch("t:a", 0.0)
    consumers.start_anew(1e6)
    assert consumers.due(1e6 + LONG_S - 0.1) == []
    assert consumers.due(1e6 + LONG_S) == ["t:a"]


def test_only_what_there_is_is_watched_after_a_rollback():
    consumers = Consumers()
    consumers.watch("t:a", 0.0)
    consumers.watch("t:b", 5.0)
    consumers.watch_only(["t:b", "t:c"], 7.0)
    assert consumers.due(LONG_S + 6.0) == ["t:b"]
    assert consumers.due(LONG_S + 7.0) == ["t:b", "t:c"]


def test_holders_that_were_not_heard_of_for_long_are_forgotten():
    consumers = Consumers()
    consumers.watch("t:a", 0.0)
    for number in range(1_100):
        consumers.leases(asks(number.to_bytes(16, "big"), "t:a"), number * 1.0)
    assert len(consumers._named) < 200


def test_a_holder_consumes_what_any_of_its_lanes_asked_for_last():
    consumers = Consumers()
    for name in ("t:a", "t:b", "t:c"):
        consumers.watch(name, 0.0)
    for lane, channel in (("async", "t:a"), ("process", "t:c"), ("process", "t:b")):
        consumers.leases(LeaseRequest(HOLDER, 1, channels=[channel], lane=lane), 1.0)
    consumers.extends(HOLDER, 10.0)
    assert consumers.due(LONG_S + 1.0) == ["t:c"], "the lane that had it asks for another one by now"
    assert consumers.due(LONG_S + 10.0) == ["t:a", "t:b", "t:c"]
    consumers.leases(asks(HOLDER, "t:b"), 20.0)
    consumers.extends(HOLDER, 30.0)
    assert consumers.due(LONG_S + 10.0) == ["t:a", "t:c"], "as a whole it asks for something else"


def test_of_many_lanes_the_first_is_forgotten():
    consumers = Consumers()
    names = [f"t:{lane}" for lane in range(limits.LANES_OF_HOLDER_MAX + 1)]
    for name in names:
        consumers.watch(name, 0.0)
        consumers.leases(LeaseRequest(HOLDER, 1, channels=[name], lane=name), 1.0)
    consumers.extends(HOLDER, 10.0)
    assert consumers.due(LONG_S + 1.0) == ["t:0"]
