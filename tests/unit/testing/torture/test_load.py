from itertools import islice

import pytest

from penstock.testing.torture import tasks
from penstock.testing.torture.load import Load
from penstock.testing.torture.records import Acked, Attempted, read


@pytest.fixture
def make(tmp_path):
    return lambda name="one", seed=1, door="python": Load(tmp_path, name, seed, door)


def wishes(load, count=2_000):
    return list(islice(iter(load.wish, None), count))


def test_every_task_is_asked_for_but_those_that_only_jobs_and_chords_enqueue(make):
    others = {"torture.child", "torture.forgotten_child", "torture.released", "torture.told"}
    assert {wish.task for wish in wishes(make())} == set(tasks.app.tasks) - others


def test_a_token_names_one_task_whoever_asks(make):
    asked = wishes(make("one")) + wishes(make("two"))

    assert len({(wish.token, wish.task) for wish in asked}) == len({wish.token for wish in asked})


def test_keys_come_back_and_are_shared_by_producers_of_one_door(make):
    one, two = ({wish.key for wish in wishes(make(name)) if wish.key} for name in ("one", "two"))

    assert len(one) < sum(wish.key is not None for wish in wishes(make("three")))
    assert one & two


def test_keys_of_two_doors_differ(make):
    one = {wish.key for wish in wishes(make("one", door="python")) if wish.key}
    two = {wish.key for wish in wishes(make("two", door="http")) if wish.key}

    assert not one & two


def test_unique_jobs_come_back_and_are_shared_by_all_doors(make):
    doors = [("one", "python"), ("two", "http")]
    one, two = (
        [wish.token for wish in wishes(make(name, door=door), 8_000) if wish.task in tasks.UNIQUE and not wish.key]
        for name, door in doors
    )

    assert len(set(one)) < len(one)
    assert set(one) & set(two)


def test_without_a_key_no_token_comes_twice(make):
    tokens = [wish.token for name in ("one", "two") for wish in wishes(make(name)) if not wish.may_be_repeated]

    assert len(set(tokens)) == len(tokens)


def test_a_life_asks_the_same_again_with_the_same_seed(make, tmp_path):
    assert wishes(make(), 100) == wishes(make(), 100)


def test_what_is_asked_and_told_is_written_down(make, tmp_path):
    load = make()
    wish = load.wish("torture.plain")

    load.attempted(wish)
    load.acked((wish, "ab"))

    assert list(read(tmp_path / "attempts", Attempted)) == [Attempted(wish.token, "torture.plain")]
    assert list(read(tmp_path / "attempts", Acked)) == [Acked(wish.token, "ab")]
