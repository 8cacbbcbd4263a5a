from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from benchmarks import kills, side_by_side
from benchmarks.bodies import Stage
from benchmarks.harness import Bench
from benchmarks.processes import BenchmarkFailed
from benchmarks.report import Steps, is_met
from benchmarks.rows import BULK, CHAIN, CHORD, COMPOSED, NOOP, ONE_BY_ONE, RECOVERY, RESULT, ROWS, STEPS
from benchmarks.scale import QUICK, Scale
from benchmarks.side_by_side import Comparison, Group


class Subject:
    """Somebody who is measured without doing anything."""

    survives = ()
    rows = None
    composes = frozenset()
    keeps_results = True
    pace = 1_000.0
    at_once = 2

    def __init__(self, name, **changes):
        self.name = name
        self.notes = {}
        for key, value in changes.items():
            setattr(self, key, value)


@pytest.fixture
def comparison(tmp_path):
    steps = Steps(Console(file=io.StringIO()))
    return Comparison(Bench(Scale(repeats=3), tmp_path, steps))


def measuring(row, value, *, repeated=True, calls=None):
    def run(comparison, subject, _workspace):
        if calls is not None:
            calls.append(subject.name)
        comparison.add(row, subject, [value])

    return Group(row, ("drain",), (row,), run, repeated)


class TestRun:
    def test_goes_through_everybody_before_the_next_repeat(self, comparison, monkeypatch):
        calls = []
        group = measuring(NOOP, 1.0, calls=calls)
        side_by_side.run_all(comparison.bench, [Subject("a"), Subject("b")], [group], lambda _: None)
        assert calls == ["a", "b"] * 3

    def test_measures_once_what_is_not_repeated(self, comparison):
        calls = []
        group = measuring(RECOVERY, 1.0, repeated=False, calls=calls)
        found = side_by_side.run_all(comparison.bench, [Subject("a")], [group], lambda _: None)
        assert calls == ["a"]
        assert found.figures[RECOVERY, "a"].values == [1.0]

    def test_tells_after_each_group_what_there_is(self, comparison):
        told = []
        groups = [measuring(NOOP, 1.0), measuring(RESULT, 2.0)]
        side_by_side.run_all(comparison.bench, [Subject("a")], groups, lambda found: told.append(len(found.figures)))
        assert told == [1, 2]

    def test_goes_on_when_somebody_fails_and_says_why(self, comparison):
        def run(_comparison, _subject, _workspace):
            raise BenchmarkFailed("worker ended early (1): a traceback\nNameError: no such thing")

        groups = [Group("broken", ("drain",), (NOOP,), run), measuring(RESULT, 2.0)]
        found = side_by_side.run_all(comparison.bench, [Subject("a")], groups, lambda _: None)
        assert found.absent[NOOP, "a"] == "failed: worker ended early (1): NameError: no such thing"
        assert found.figures[RESULT, "a"].values == [2.0, 2.0, 2.0]
        assert len(found.bench.failures) == 3

    def test_a_repeat_that_works_makes_up_for_one_that_does_not(self, comparison):
        outcomes = iter([BenchmarkFailed("no luck"), None, None])

        def run(comparison, subject, _workspace):
            outcome = next(outcomes)
            if outcome:
                raise outcome
            comparison.add(NOOP, subject, [1.0])

        group = Group("shaky", ("drain",), (NOOP,), run)
        found = side_by_side.run_all(comparison.bench, [Subject("a")], [group], lambda _: None)
        assert found.figures[NOOP, "a"].values == [1.0, 1.0]
        assert found.absent == {}

    def test_leaves_out_what_a_variant_is_not_about(self, comparison):
        subject = Subject("a", rows=frozenset([RESULT]))
        groups = [measuring(NOOP, 1.0), measuring(RESULT, 2.0)]
        found = side_by_side.run_all(comparison.bench, [subject], groups, lambda _: None)
        assert set(found.figures) == {(RESULT, "a")}
        assert found.absent[NOOP, "a"] == "not measured for this variant"

    def test_does_not_ask_for_results_where_none_are_kept(self, comparison):
        group = measuring(RESULT, 1.0)
        found = side_by_side.run_all(comparison.bench, [Subject("a", keeps_results=False)], [group], lambda _: None)
        assert found.absent == {(RESULT, "a"): "keeps no results"}

    def test_has_nothing_to_say_of_composed_work_of_those_who_do_not_take_part(self, comparison):
        subjects = [Subject("a", composes=frozenset([CHORD])), Subject("b")]
        groups = [measuring(CHORD, 1.0), measuring(CHAIN, 1.0)]
        found = side_by_side.run_all(comparison.bench, subjects, groups, lambda _: None)
        assert set(found.figures) == {(CHORD, "a")}
        assert found.absent == {}
        assert side_by_side.steps(comparison.bench, subjects, groups) == 3

    def test_gives_up_on_somebody_who_hangs(self, comparison, monkeypatch):
        monkeypatch.setattr(side_by_side, "GROUP_S_MAX", 0.1)

        def run(_comparison, _subject, workspace):
            workspace.start([sys.executable, "-c", "import sys; sys.stdin.read()"], talks=True).line()

        found = side_by_side.run_all(
            comparison.bench, [Subject("a")], [Group("hanging", ("drain",), (NOOP,), run)], lambda _: None
        )
        assert "it took more than 0 s" in found.absent[NOOP, "a"]


class TestTheBest:
    def compared(self, comparison, **values):
        def run(comparison, subject, _workspace):
            comparison.add(STEPS, subject, [values[subject.name]])

        subjects = [Subject(name, composes=COMPOSED) for name in values]
        return side_by_side.run_all(
            comparison.bench, subjects, [Group("steps", ("workflow",), (STEPS,), run)], lambda _: None
        )

    def test_of_the_rivals_stands_beside_what_is_asked_of_penstock(self, comparison):
        own = self.compared(comparison, penstock=900.0, slow=1.0, quick=100.0).figures[STEPS, "penstock"]
        assert own.control.name == "the better of its rivals, quick"
        assert own.control_value == 100.0
        assert is_met(own)

    def test_is_nobody_where_none_was_measured(self, comparison):
        own = self.compared(comparison, penstock=900.0).figures[STEPS, "penstock"]
        assert own.control is None
        assert is_met(own) is None


class TestGroups:
    def test_fill_every_row_exactly_once(self):
        filled = [row for group in side_by_side.GROUPS for row in group.rows]
        assert sorted(filled) == sorted(ROWS)

    def test_are_all_of_them_where_the_comparison_is_named(self):
        assert side_by_side.groups_for(["side_by_side"]) == list(side_by_side.GROUPS)

    def test_are_those_about_a_suite_where_one_is_named(self):
        assert [group.rows for group in side_by_side.groups_for(["enqueue"])] == [(ONE_BY_ONE, BULK)]
        assert [group.rows for group in side_by_side.groups_for(["workflow"])] == [(STEPS,), (CHORD,), (CHAIN,)]
        assert side_by_side.groups_for(["ingest"]) == []


class TestJobs:
    def test_are_as_many_as_keep_a_subject_busy(self):
        assert side_by_side.jobs_for(Subject("a", pace=5_000.0), "noop", 2.0) == 10_000

    def test_are_no_more_than_their_kind_allows(self):
        quick = Subject("a", pace=1e6, at_once=2)
        assert side_by_side.jobs_for(quick, "compute", 1.0) == side_by_side.COMPUTES_A_SECOND
        assert side_by_side.jobs_for(quick, "wait", 1.0) == 2 * side_by_side.WAITS_A_SECOND

    def test_of_ten_steps_are_a_tenth(self):
        assert side_by_side.jobs_for(Subject("a", pace=5_000.0), "steps", 1.0) == 500

    def test_are_never_too_few_to_measure(self):
        assert side_by_side.jobs_for(Subject("a", pace=1.0), "noop", 0.1) == side_by_side.JOBS_MIN


class TestKills:
    @pytest.fixture
    def stage(self, tmp_path):
        stage = Stage(tmp_path)
        yield stage
        stage.close()

    def finished(self, stage, number):
        for other in kills.beside(number):
            stage.enter(other)

    def test_nothing_is_lost_when_all_is_run_as_asked(self, stage):
        self.finished(stage, 0)
        stage.enter(0)
        at = stage.run(0, 0)[0]
        stage.enter(0)
        found = kills._found(stage, [at], 1, 60.0, "")
        assert (found.unfinished, found.twice) == (0, 0)
        assert 0 <= found.times_s[0] < 60.0

    def test_what_does_not_come_back_is_counted_and_takes_the_whole_time(self, stage):
        stage.enter(0)
        found = kills._found(stage, [stage.run(0, 0)[0]], 1, 60.0, "")
        assert found.times_s == [60.0]
        assert found.unfinished == 1 + 2 * kills.BESIDE

    def test_what_runs_once_more_than_it_should_is_counted(self, stage):
        self.finished(stage, 0)
        stage.enter(kills.beside(0)[3])
        for _ in range(3):
            stage.enter(0)
        assert kills._found(stage, [0.0], 1, 60.0, "").twice == 2

    def test_jobs_beside_one_are_not_those_beside_another_and_fit_on_the_stage(self):
        numbers = [other for number in range(100) for other in kills.beside(number)]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) < Stage.JOBS_MAX


def test_the_full_run_has_enough_repeats_and_kills():
    assert Scale().repeats >= 3
    assert Scale().compared_kills >= 10
    assert Scale().compared_recovery_s > QUICK.compared_recovery_s
