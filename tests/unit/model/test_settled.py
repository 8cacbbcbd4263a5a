import msgspec

from penstock.model.job import Fate, Settled


def test_what_a_settlement_answers_is_its_own_wire_form():
    settled = Settled([(7, Fate.STALE), (9, Fate.DEAD)])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settled)) == [[[7, 1], [9, 4]]]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settled), type=Settled) == settled


def test_only_fences_that_are_not_held_are_stale():
    assert Settled([(place, fate) for place, fate in enumerate(Fate)]).stale == [0]
