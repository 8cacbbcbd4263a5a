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
