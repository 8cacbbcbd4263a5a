from __future__ import annotations

import time

import pytest

from benchmarks import bodies, canvases
from benchmarks.processes import BenchmarkFailed
from benchmarks.rivals import work


class Producer:
    """Composes at once: its bodies run when it is told to go."""

    def __init__(self, warm, then):
        self._then = then
        for _ in range(warm):
            bodies.ran()

    def line(self):
        return f'{{"began_at": {time.monotonic()}}}'

    def say(self, _):
        for _ in range(self._then):
            bodies.ran()


class Everything:
    """A subject, its site and its crew."""

    def __init__(self, then):
        self._then = then

    def site(self, _workspace):
        return self

    def start(self, kind):
        self.warm = canvases.bodies_of(kind, canvases.WARM_SIZE)

    def crew(self, _kind):
        return self

    def producer(self, *_):
        return Producer(self.warm, self._then)

    def check(self):
        pass

    def kill(self):
        pass


@pytest.fixture
def measure(tmp_path, monkeypatch):
    class Workspace:
        bodies = tmp_path

    monkeypatch.setenv(bodies.VARIABLE, str(tmp_path))
    bodies._forget()
    yield lambda kind, then: canvases.duration_s(Everything(then), Workspace, kind, 20, 0.1)
    bodies._forget()


@pytest.mark.parametrize(("kind", "count"), [("chord", 21), ("chain", 20)])
def test_a_canvas_lasts_until_its_last_body(measure, kind, count):
    assert -0.1 < measure(kind, count) < 0.1


@pytest.mark.parametrize("count", [20, 22])
def test_a_body_too_few_or_too_many_is_a_failure(measure, count):
    with pytest.raises(BenchmarkFailed):
        measure("chord", count)


class TestWork:
    @pytest.fixture(autouse=True)
    def counted(self, measure):
        """What counts the bodies."""

    def test_of_a_callback_is_to_see_that_all_members_have_come(self):
        assert work.gathered([0, 1, 2, 3]) == 6
        with pytest.raises(ValueError, match="3 members have come to 5"):
            work.gathered([0, 2, 3])

    def test_of_a_function_of_steps_is_to_see_that_none_was_left_out(self):
        work.walked(3, 3 + work.STEPS)
        with pytest.raises(ValueError, match="3 became 12"):
            work.walked(3, 12)
