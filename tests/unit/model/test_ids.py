import os
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import ids
from penstock.model.ids import IdSource, id_text, new_id, new_ids, parse_id


def test_an_id_is_a_uuid_of_version_7():
    made = uuid.UUID(bytes=new_id())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_ids_of_one_process_rise_over_all_its_threads_and_differ():
    taken = []

    def take():
        taken.extend(new_ids(500) for _ in range(20))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [one for batch in taken for one in batch]
    assert len(set(made)) == 40_000
    assert all(batch == sorted(batch) for batch in taken)
    assert new_id() > max(made)


def test_a_batch_that_outruns_its_millisecond_still_rises(monkeypatch):
    monkeypatch.setattr(ids.time, "time", lambda: 1_800_000_000.0)
    source = IdSource()
    made = source.take(10_000) + source.take(10_000)
    assert made == sorted(set(made))
    assert int.from_bytes(made[0][:6], "big") == 1_800_000_000_000
    assert int.from_bytes(made[-1][:6], "big") < 1_800_000_000_010


def test_a_clock_that_is_set_back_makes_no_smaller_id(monkeypatch):
    source = IdSource()
    monkeypatch.setattr(ids.time, "time", lambda: 1_800_000_000.0)
    (before,) = source.take()
    monkeypatch.setattr(ids.time, "time", lambda: 1_700_000_000.0)
    (after,) = source.take()
    assert after > before


def test_no_ids_are_made_when_none_are_asked_for():
    assert new_ids(0) == []


def test_a_forked_child_makes_other_ids():
    new_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"".join(new_ids(50)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 50 * 16)
    os.close(reader)
    os.close(writer)
    mine = new_ids(50)
    assert len(theirs) == 50 * 16
    assert {theirs[at + 8 : at + 16] for at in range(0, 800, 16)}.isdisjoint(one[8:] for one in mine)


@given(st.binary(min_size=16, max_size=16))
def test_the_text_form_is_read_back(job_id):
    assert len(id_text(job_id)) == 36
    assert parse_id(id_text(job_id)) == job_id


@pytest.mark.parametrize("text", ["", "x", "0" * 31, "g" * 32])
def test_text_that_is_no_uuid_is_refused(text):
    with pytest.raises(ValueError, match=r"UUID|literal"):
        parse_id(text)


NOON_S = 1_800_000_000.0


def number(job_id):
    """Milliseconds and counter of an id as one number."""
    return int.from_bytes(job_id[:6], "big") << 12 | int.from_bytes(job_id[6:8], "big") & 0xFFF


@pytest.mark.parametrize("make", [lambda source: source.take()[0], IdSource.take_one])
def test_ids_of_one_millisecond_follow_each_other_without_a_gap(monkeypatch, make):
    monkeypatch.setattr(ids.time, "time", lambda: NOON_S)
    source = IdSource()
    made = [number(make(source)) for _ in range(5000)]
    assert made == list(range(made[0], made[0] + 5000))
    assert number(source.take(3)[0]) == number(source.take_one()) - 3 == made[-1] + 1


def test_an_id_that_was_made_alone_is_a_uuid_of_version_7(monkeypatch):
    monkeypatch.setattr(ids.time, "time", lambda: NOON_S)
    source = IdSource()
    made = [source.take_one() for _ in range(200)] + source.take(200)
    assert {(uuid.UUID(bytes=one).version, uuid.UUID(bytes=one).variant) for one in made} == {(7, uuid.RFC_4122)}
    assert {int.from_bytes(one[:6], "big") for one in made} <= {1_800_000_000_000, 1_800_000_000_001}
    assert len({one[8:] for one in made}) == 400


def test_all_62_random_bits_are_drawn_and_no_others():
    source = IdSource()
    for made in ([source.take_one() for _ in range(500)], source.take(500)):
        tails = [int.from_bytes(one[8:], "big") for one in made]
        always, ever = tails[0], 0
        for tail in tails:
            always, ever = always & tail, ever | tail
        assert (always, ever) == (2 << 62, (3 << 62) - 1)


def test_each_process_begins_its_milliseconds_in_the_lower_half_of_the_counter(monkeypatch):
    monkeypatch.setattr(ids.time, "time", lambda: NOON_S)
    offsets = [number(IdSource().take_one()) & 0xFFF for _ in range(500)]
    assert max(offsets) < 2048
    assert max(offsets) > 1800
    assert min(offsets) < 250


def test_after_a_fork_nothing_of_what_the_parent_drew_is_left():
    source = IdSource()
    source.take_one()
    kept = set(source._tails)
    source._lock.acquire()
    source.reseed()
    assert source._tails == []
    assert {source.take_one()[8:] for _ in range(100)}.isdisjoint(kept)
