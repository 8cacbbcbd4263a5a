"""The part of the load that starts chords: what it asks for is sound, and the same each time that it asks."""

import pytest

from penstock.testing.torture.chord_shapes import chord_of
from penstock.testing.torture.chords import canvas_of
from penstock.testing.torture.load import Load


@pytest.fixture
def load(tmp_path):
    return Load(tmp_path, "chords-1", 7, "python")


def test_every_chord_may_be_enqueued_and_is_the_same_when_it_is_asked_for_again(load):
    for chord in [chord_of(f"one-{number}") for number in range(60)]:
        built, again = (canvas_of(load, chord).options(idempotency_key=chord.token).build() for _ in range(2))
        jobs = sum(len(jobs.jobs) for members in built.members for jobs in members.groups)
        assert jobs == len(chord.members)
        assert len(built.plan.steps) == 2 + (chord.head is not None)
        assert len(built.plan.on_error) == 1
        assert built.plan.id != again.plan.id
        assert built.plan.identity == again.plan.identity is not None


def test_two_chords_differ(load):
    one, two = (canvas_of(load, chord_of(token)).options(idempotency_key="key").build() for token in ("one", "two"))
    assert one.plan.identity != two.plan.identity
