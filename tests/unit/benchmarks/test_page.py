from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from benchmarks import document, page, plot
from benchmarks.rows import BULK, LATENCY_P50, NOOP, RECOVERY, RESULT
from tests.unit.benchmarks.comparisons import EVERYTHING, facts, figure, record


@pytest.fixture
def run():
    return record(
        figure(NOOP, "penstock", 90_000.0, 80_000.0, 100_000.0, survives=EVERYTHING),
        figure(NOOP, "rival", 1_000.0),
        figure(NOOP, "middling", 5_000.0, survives=["broker-kill"]),
        figure(LATENCY_P50, "penstock", 2.0, survives=EVERYTHING),
        figure(LATENCY_P50, "rival", 1.0, note="it polls"),
        figure(RECOVERY, "penstock", 0.01, 0.02, survives=EVERYTHING, cap=60.0),
        figure(RECOVERY, "rival", 60.0, 60.0, cap=60.0),
        figure(
            "async, 2 executors",
            "penstock",
            9.0,
            suite="drain",
            target="≥ 8",
            met=True,
            control_name="append + fdatasync (syncs/s)",
            control=1_500.0,
        ),
        figure("bulk", "penstock", 9.0, suite="enqueue", target="≥ 150", met=False),
        subjects=[facts("penstock", survives=EVERYTHING), facts("rival"), facts("snake", skipped="it needs Python 9")],
        absences=[(BULK, "rival", "has none"), (RESULT, "rival", "failed: it broke | badly")],
        failures=["idle, rival, 2: it broke\nwith a traceback"],
    )


class TestPage:
    def test_tells_first_where_a_rival_is_ahead(self, run):
        text = page.page(run, "benchmarks.svg")
        order = [
            text.index(part)
            for part in ("## Where a rival is ahead", f"### {LATENCY_P50}", "## Where none is", f"### {NOOP}")
        ]
        assert order == sorted(order)

    def test_has_every_figure_with_its_range_and_what_survives(self, run):
        text = page.page(run, "benchmarks.svg")
        assert "| **Penstock** | 90,000 | 80,000–100,000 | worker, broker, power |  |" in text
        assert "| **rival** | 1.00 |  | nothing | it polls |" in text
        assert "| rival | > 60.0 | never sooner | nothing |  |" in text

    def test_says_why_a_figure_is_missing(self, run):
        text = page.page(run, "benchmarks.svg")
        assert "| rival | – |  |  | has none |" in text
        assert "it broke \\| badly" in text

    def test_names_machine_command_versions_and_who_was_skipped(self, run):
        text = page.page(run, "benchmarks.svg")
        for part in ("a processor", "python -m benchmarks --rivals", "rival 1.2.3", "snake (it needs Python 9)"):
            assert part in text

    def test_shows_each_target_beside_the_best_rival_and_what_is_missed_with_its_cause(self, run):
        text = page.page(run, "benchmarks.svg")
        assert "1 of 2 are met" in text
        assert "append + fdatasync (syncs/s): 1,500" in text
        assert f"middling, {NOOP}: 5,000 jobs/s (survives: broker)" in text
        assert "- *enqueue: bulk*: ours:" in text

    def test_keeps_a_failure_to_its_first_line(self, run):
        text = page.page(run, "benchmarks.svg")
        assert "- idle, rival, 2: it broke\n" in text
        assert "with a traceback" not in text

    def test_warns_of_a_quick_run(self, run):
        assert "compare with nothing" not in page.page(run, "benchmarks.svg")
        assert "compare with nothing" in page.page(record(quick=True), "benchmarks.svg")

    def test_of_a_run_without_figures_is_still_a_page(self):
        assert page.page(record(), "benchmarks.svg").startswith("# Side by side")

    def test_and_its_plot_are_written_from_the_record(self, run, tmp_path):
        document.write(tmp_path / "record.json", document.encoded(run))
        page.publish(tmp_path / "record.json", tmp_path / "docs" / "benchmarks.md")
        assert (tmp_path / "docs" / "benchmarks.md").read_text() == page.page(run, "benchmarks.svg")
        assert (tmp_path / "docs" / "benchmarks.svg").read_text() == plot.plot(run)


def test_a_target_that_nobody_has_explained_says_so():
    assert page.cause(figure("a row", "penstock", 1.0, suite="nowhere", met=False)) == "not yet explained."


class TestPlot:
    def widths(self, run):
        tree = ET.fromstring(plot.plot(run))
        space = "{http://www.w3.org/2000/svg}"
        return [
            (bar.get("class"), float(bar.get("width")))
            for bar in tree.iter(f"{space}rect")
            if bar.get("x") == str(plot.LEFT)
        ]

    def test_has_a_bar_for_each_subject_the_longest_first(self, run):
        widths = [width for _, width in self.widths(run)]
        assert len(widths) == 3
        assert widths == sorted(widths, reverse=True)

    def test_colours_a_bar_by_what_survives(self, run):
        assert [shade for shade, _ in self.widths(run)] == ["all", "some", "none"]

    def test_is_for_light_and_dark_and_escapes_names(self):
        text = plot.plot(record(figure(NOOP, "penstock", 10.0), figure(NOOP, "a<b", 1.0)))
        assert "prefers-color-scheme: dark" in text
        assert "a&lt;b" in text
        ET.fromstring(text)

    def test_stays_inside_its_frame(self, run):
        assert all(plot.LEFT + width <= plot.WIDTH - plot.RIGHT + 0.1 for _, width in self.widths(run))

    def test_of_nothing_says_so(self):
        assert "Nothing was measured" in plot.plot(record())
