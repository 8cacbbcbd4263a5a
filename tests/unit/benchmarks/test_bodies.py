from __future__ import annotations

import os

import pytest

from benchmarks import bodies


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv(bodies.VARIABLE, str(tmp_path))
    bodies._forget()
    yield tmp_path
    bodies._forget()


def in_a_child(act):
    pid = os.fork()
    if not pid:
        try:
            act()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


class TestTally:
    def test_of_nothing_is_zero(self, directory):
        assert bodies.read(directory).count == 0

    def test_adds_up_what_ran_in_every_process(self, directory):
        bodies.ran()
        in_a_child(lambda: [bodies.ran() for _ in range(3)])
        in_a_child(bodies.ran)
        tally = bodies.read(directory)
        assert (tally.count, tally.processes) == (5, 3)
        assert tally.first_at <= tally.last_at

    def test_has_the_notes_of_every_process(self, directory):
        bodies.note(7)
        in_a_child(lambda: bodies.note(-8))
        assert sorted(bodies.read(directory, notes=True).notes) == [-8, 7]

    def test_counts_on_where_there_is_no_room_for_notes(self, directory, monkeypatch):
        monkeypatch.setattr(bodies, "NOTES_MAX", 2)
        for number in range(3):
            bodies.note(number)
        tally = bodies.read(directory, notes=True)
        assert (tally.count, tally.notes) == (3, [0, 1])

    def test_rate_is_over_the_gaps_between_bodies(self):
        assert bodies.Tally(count=11, first_at=1.0, last_at=2.0).rate == 10.0


class TestStage:
    def test_shows_others_each_run_of_a_job(self, tmp_path):
        stage = bodies.Stage(tmp_path)
        assert not stage.has_begun(5, runs=1)

        def run():
            os._exit(bodies.Stage(tmp_path).enter(5))

        in_a_child(run)
        assert stage.has_begun(5, runs=1)
        assert not stage.has_begun(5, runs=2)
        assert stage.enter(5) == 1
        first_at, first_pid = stage.run(5, 0)
        again_at, again_pid = stage.run(5, 1)
        assert first_at <= again_at
        assert first_pid != again_pid == os.getpid()
        assert not stage.has_begun(4, runs=1)
        stage.close()
