"""What a client has and has not answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.nsq.door.in_flight import GRAIN_S, InFlight

TIMEOUT_S, TIMEOUT_S_MAX = 10.0, 30.0


def _ids(count: int, first: int = 0) -> list[bytes]:
    return [b"%016x" % number for number in range(first, first + count)]


def _in_flight() -> InFlight:
    return InFlight(TIMEOUT_S, TIMEOUT_S_MAX)


def test_each_message_has_its_fence_and_is_answered_once():
    in_flight = _in_flight()
    in_flight.sent(_ids(3), 7, 0.0)
    assert [in_flight.take(message) for message in _ids(3)] == [7, 8, 9]
    assert in_flight.take(_ids(1)[0]) is None
    assert len(in_flight) == 0


def test_messages_time_out_in_the_order_they_were_sent_and_never_early():
    in_flight = _in_flight()
    in_flight.sent(_ids(2), 1, 0.0)
    in_flight.sent(_ids(2, 2), 3, GRAIN_S)
    in_flight.sent(_ids(1, 4), 5, 5.0)
    in_flight.take(_ids(1)[0])
    assert in_flight.timed_out(TIMEOUT_S) == []
    assert in_flight.timed_out(TIMEOUT_S + GRAIN_S) == list(zip(_ids(3, 1), (2, 3, 4), strict=True))
    assert in_flight.timed_out(TIMEOUT_S + 5.0 + GRAIN_S) == [(_ids(1, 4)[0], 5)]


def test_touching_begins_the_time_anew_up_to_the_longest():
    in_flight = _in_flight()
    (message,) = _ids(1)
    in_flight.sent([message], 1, 0.0)
    for now in (9.0, 18.0, 27.0):
        assert in_flight.timed_out(now) == []
        assert in_flight.touch(message, now) == 1
    assert in_flight.timed_out(29.9) == []
    assert in_flight.timed_out(TIMEOUT_S_MAX) == [(message, 1)]
    assert in_flight.touch(message, 30.0) is None


def test_one_that_is_sent_again_counts_under_its_new_lease():
    in_flight = _in_flight()
    in_flight.sent(_ids(3), 1, 0.0)
    in_flight.touch(_ids(1)[0], 1.0)
    in_flight.sent(_ids(2), 10, 5.0)
    assert sorted(in_flight.fences()) == [3, 10, 11]
    assert in_flight.timed_out(TIMEOUT_S + GRAIN_S) == [(_ids(1, 2)[0], 3)]
    assert sorted(in_flight.timed_out(TIMEOUT_S + 5.0 + GRAIN_S)) == list(zip(_ids(2), (10, 11), strict=True))


def test_one_that_was_leased_for_another_times_out_by_itself():
    in_flight = _in_flight()
    in_flight.sent(_ids(1), 50, 0.0)
    in_flight.sent_for_another(_ids(1, 1)[0], 7, 2.0)
    assert in_flight.take_many(_ids(2)) == [50, 7]
    in_flight.sent_for_another(_ids(1, 1)[0], 7, 2.0)
    assert in_flight.timed_out(12.0) == [(_ids(1, 1)[0], 7)]


def test_a_lease_that_was_lost_is_no_longer_in_flight():
    in_flight = _in_flight()
    in_flight.sent(_ids(3), 1, 0.0)
    in_flight.touch(_ids(1)[0], 1.0)
    in_flight.lost({1, 2})
    assert [message in in_flight for message in _ids(3)] == [False, False, True]
    assert in_flight.take_all() == [3]
    assert len(in_flight) == 0


_STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "take", "touch", "wait"]), st.integers(0, 7), st.floats(0.0, 4.0)), max_size=60
)


@given(_STEPS)
def test_whatever_happens_it_holds_what_a_plain_book_of_them_holds(steps):
    in_flight, book, now, fence = _in_flight(), {}, 0.0, 0
    for what, number, duration_s in steps:
        message = b"%016x" % number
        if what == "send":
            in_flight.sent([message], fence, now)
            book[message] = (fence, now, now + TIMEOUT_S + GRAIN_S)
            fence += 1
        elif what == "take":
            assert in_flight.take(message) == book.pop(message, (None,))[0]
        elif what == "touch":
            known = book.get(message)
            assert in_flight.touch(message, now) == (None if known is None else known[0])
            if known is not None:
                sent_at = known[1]
                book[message] = (known[0], sent_at, min(now + TIMEOUT_S, sent_at + TIMEOUT_S_MAX))
        else:
            now += duration_s
            for late, its_fence in in_flight.timed_out(now):
                assert now >= book[late][2] - 2 * GRAIN_S
                assert book.pop(late)[0] == its_fence
            assert all(due_at > now - GRAIN_S for _, _, due_at in book.values())
        assert sorted(in_flight.fences()) == sorted(entry[0] for entry in book.values())
        assert len(in_flight) == len(book)
