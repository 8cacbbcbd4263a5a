"""The wire form of a filter."""

import msgspec

from penstock.model.job import Filter
from penstock.model.states import State


def test_a_filter_of_an_older_client_asks_for_less():
    packed = msgspec.msgpack.encode(["dead", None, "app.ship", None])
    assert msgspec.msgpack.decode(packed, type=Filter) == Filter(State.DEAD, task="app.ship")


def test_a_filter_arrives_as_it_was_sent():
    where = Filter(State.READY, "q", "app.ship", "x", "k", "ValueError", 1.0, 2.0, {"order": "7"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(where), type=Filter) == where
