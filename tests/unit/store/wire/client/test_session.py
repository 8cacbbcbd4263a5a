import pytest

from penstock.model import limits
from penstock.model.errors import StoreOverloaded
from penstock.store.wire import protocol
from penstock.store.wire.client.session import Pending, Session, settle_pending


def ask(session, *, recorded=True, deadline=10.0):
    return session.ask(16, b"x", deadline, recorded=recorded)


def test_recorded_requests_are_numbered_from_one_and_others_apart():
    session = Session()
    numbers = [ask(session, recorded=recorded).number for recorded in (True, False, True, False)]
    assert numbers == [1, protocol.UNRECORDED, 2, protocol.UNRECORDED + 1]


def test_the_window_opens_only_when_the_lowest_is_answered():
    session = Session()
    for _ in range(limits.CLIENT_REQUESTS_MAX):
        assert session.has_room(recorded=True)
        ask(session)
    assert not session.has_room(recorded=True)
    assert session.has_room(recorded=False)
    session.answered(2)
    assert not session.has_room(recorded=True)
    session.answered(1)
    assert session.has_room(recorded=True)
    assert session.lowest == 3


def test_numbers_outstanding_never_share_a_slot_of_the_owner():
    session = Session()
    outstanding = []
    for step in range(500):
        if session.has_room(recorded=True) and step % 3:
            outstanding.append(ask(session).number)
        elif outstanding:
            session.answered(outstanding.pop(step * 7 % len(outstanding)))
        slots = {number % limits.CLIENT_REQUESTS_MAX for number in outstanding}
        assert len(slots) == len(outstanding)


def test_what_is_unanswered_is_repeated_in_order_and_what_was_given_up_is_not():
    session = Session()
    first, parked, second, third = ask(session), ask(session, recorded=False), ask(session), ask(session)
    session.answered(first.number)
    session.give_up(second)
    assert session.unanswered() == [third, parked]
    assert session.lowest == third.number


def test_an_answer_that_comes_twice_is_for_nobody():
    session = Session()
    pending = ask(session)
    assert session.answered(pending.number) is pending
    assert session.answered(pending.number) is None


def test_only_those_whose_time_is_up_are_overdue():
    session = Session()
    early, late = ask(session, deadline=1.0), ask(session, deadline=2.0)
    assert session.overdue(0.9) == []
    assert session.overdue(1.0) == [early]
    assert session.overdue(2.0) == [early, late]


def test_more_callers_than_a_client_holds_are_turned_away(monkeypatch):
    monkeypatch.setattr(limits, "CLIENT_CALLERS_MAX", 2)
    session = Session()
    ask(session), ask(session, recorded=False)
    with pytest.raises(StoreOverloaded):
        ask(session, recorded=False)


def test_a_request_ends_with_its_answer_or_its_error():
    session = Session()
    good, bad = ask(session), ask(session)
    settle_pending(good, protocol.ANSWER, b"answer")
    settle_pending(bad, protocol.FAILURE, protocol.failure(StoreOverloaded("later")))
    assert (good.done, good.answer, good.error) == (True, b"answer", None)
    assert (bad.done, bad.answer, type(bad.error)) == (True, None, StoreOverloaded)


def test_a_request_asked_alone_is_the_lowest_until_it_is_answered():
    session = Session()
    number = session.ask_alone(recorded=True)
    assert session.lowest == number
    for _ in range(limits.CLIENT_REQUESTS_MAX - 1):
        session.ask(16, b"", 0.0, recorded=True)
    assert session.lowest == number
    assert not session.has_room(recorded=True), "the owner would forget the answer of the first"
    session.answered_alone()
    assert session.lowest == number + 1
    assert session.has_room(recorded=True)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_request_asked_alone_and_not_answered_at_once_is_repeated_before_those_asked_since(recorded):
    session = Session()
    number = session.ask_alone(recorded=recorded)
    since = [session.ask(16, b"", 0.0, recorded=recorded) for _ in range(3)]
    pending = Pending(16, number, b"", 0.0)
    session.adopt(pending)
    assert session.unanswered() == [pending, *since]
    assert session.answered(number) is pending
    assert session.unanswered() == since


def test_asking_alone_does_not_change_the_numbers_of_the_others():
    session = Session()
    numbers = [session.ask_alone(recorded=recorded) for recorded in (True, True, False)]
    session.answered_alone()
    numbers += [session.ask(16, b"", 0.0, recorded=recorded).number for recorded in (True, False)]
    assert numbers == [1, 2, protocol.UNRECORDED, 3, protocol.UNRECORDED + 1]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_request_is_kept_as_it_is_sent_until_it_is_answered(recorded):
    pending = Session().ask(300, b"payload", 7.5, recorded=recorded)
    assert pending.frame == protocol.frame(300, pending.number, b"payload")
    assert (pending.kind, pending.deadline, pending.sent_on) == (300, 7.5, None)
    assert (pending.answer, pending.error, pending.done, pending.waker) == (None, None, False, None)


def test_a_session_has_an_identity_of_its_own_or_the_one_it_is_given():
    assert Session(b"i" * 16).identity == b"i" * 16
    one, other = Session().identity, Session().identity
    assert len(one) == len(other) == 16
    assert one != other


def test_an_answer_to_nothing_is_nobodys():
    session = Session()
    assert session.answered(protocol.UNRECORDED) is None
    assert session.answered(1) is None
