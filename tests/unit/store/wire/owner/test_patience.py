"""A settlement that nobody waits for is held back a moment; whatever somebody waits for is not."""

import pytest

from penstock.store.wire import protocol
from penstock.store.wire.owner.patience import HOLD_S, Patience

PATIENT = {"settle", "extend"}


@pytest.mark.parametrize("call", protocol.CALLS.values(), ids=lambda call: call.name)
def test_only_what_nobody_waits_for_is_held_back(call):
    patience = Patience()
    patience.note(call.kind)
    assert patience.holds(10.0, watched=False) == (call.name in PATIENT)


def test_it_is_held_from_when_it_was_first_looked_at_and_no_longer():
    patience = Patience()
    patience.note(protocol.SETTLE.kind)
    assert patience.holds(10.0, watched=False)
    patience.note(protocol.SETTLE.kind)
    assert patience.holds(10.0 + 0.9 * HOLD_S, watched=False)
    assert not patience.holds(10.0 + 1.1 * HOLD_S, watched=False)


def test_a_request_that_somebody_waits_for_takes_along_what_was_held():
    patience = Patience()
    patience.note(protocol.SETTLE.kind)
    assert patience.holds(10.0, watched=False)
    patience.note(protocol.ENQUEUE.kind)
    assert not patience.holds(10.0, watched=False)


def test_nothing_is_held_while_somebody_waits_for_a_job():
    patience = Patience()
    patience.note(protocol.SETTLE.kind)
    assert not patience.holds(10.0, watched=True)


def test_after_a_commit_the_next_settlement_gets_its_own_moment_unless_requests_were_left_over():
    patience = Patience()
    patience.note(protocol.ENQUEUE.kind)
    patience.committed(more=False)
    patience.note(protocol.SETTLE.kind)
    assert patience.holds(20.0, watched=False)
    patience.committed(more=True)
    assert not patience.holds(20.0, watched=False)


def test_what_was_let_wait_before_is_not_made_to_wait_again():
    patience = Patience()
    patience.note(protocol.SETTLE.kind)
    patience.hurry()
    assert not patience.holds(10.0, watched=False)
