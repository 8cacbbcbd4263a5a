from __future__ import annotations

from rich.console import Console

from benchmarks import ranking
from benchmarks.rows import LATENCY_P50, NOOP, RECOVERY, UNFINISHED
from tests.unit.benchmarks.comparisons import EVERYTHING, figure, record


def only(document):
    (standing,) = ranking.standings(document)
    return standing


class TestStandings:
    def test_have_the_best_first_where_more_is_better(self):
        standing = only(record(figure(NOOP, "penstock", 5.0), figure(NOOP, "slow", 1.0), figure(NOOP, "fast", 9.0)))
        assert [one.subject for one in standing.figures] == ["fast", "penstock", "slow"]
        assert [one.subject for one in standing.ahead] == ["fast"]

    def test_have_the_best_first_where_less_is_better(self):
        standing = only(record(figure(LATENCY_P50, "penstock", 5.0), figure(LATENCY_P50, "quick", 1.0)))
        assert [one.subject for one in standing.figures] == ["quick", "penstock"]
        assert [one.subject for one in standing.ahead] == ["quick"]

    def test_begin_with_the_rows_in_which_a_rival_is_ahead(self):
        found = ranking.standings(
            record(
                figure(NOOP, "penstock", 9.0),
                figure(NOOP, "rival", 1.0),
                figure(LATENCY_P50, "penstock", 9.0),
                figure(LATENCY_P50, "rival", 1.0),
            )
        )
        assert [standing.row for standing in found] == [LATENCY_P50, NOOP]

    def test_a_tie_is_no_win_of_a_rival(self):
        standing = only(record(figure(UNFINISHED, "penstock", 0.0), figure(UNFINISHED, "rival", 0.0)))
        assert standing.ahead == []

    def test_name_who_has_no_figure_and_why(self):
        standing = only(record(figure(NOOP, "penstock", 1.0), absences=[(NOOP, "rival", "has none")]))
        assert standing.absent == {"rival": "has none"}


class TestFigures:
    def test_that_were_not_waited_for_say_so(self):
        assert ranking.value(figure(RECOVERY, "rival", 60.0, 60.0, 60.0, cap=60.0)) == "> 60.0"
        assert ranking.span(figure(RECOVERY, "rival", 60.0, 60.0, 60.0, cap=60.0)) == "never sooner"
        assert ranking.span(figure(RECOVERY, "rival", 2.0, 3.0, 60.0, cap=60.0)) == "2.00–> 60.0"

    def test_have_the_range_of_their_repeats(self):
        assert ranking.span(figure(NOOP, "rival", 1_000.0, 3_000.0, 2_000.0)) == "1,000–3,000"
        assert ranking.span(figure(NOOP, "rival", 1_000.0)) == ""

    def test_of_jobs_are_whole_numbers(self):
        assert ranking.value(figure(UNFINISHED, "rival", 3.0)) == "3"

    def test_say_what_an_acknowledged_job_survives(self):
        assert ranking.survival(EVERYTHING) == "worker, broker, power"
        assert ranking.survival([]) == "nothing"


class TestHeadline:
    def test_says_first_who_is_ahead(self):
        standing = only(record(figure(NOOP, "penstock", 5.0), figure(NOOP, "fast", 9.0)))
        assert ranking.headline(standing).startswith("Ahead of Penstock: fast (9.00). Penstock: 5.00. ")

    def test_names_those_whose_jobs_survive_as_much(self):
        figures = [
            figure(NOOP, "penstock", 5.0, survives=EVERYTHING),
            figure(NOOP, "careless", 9.0),
            figure(NOOP, "careful", 8.0, survives=EVERYTHING),
        ]
        assert ranking.headline(only(record(*figures))).endswith("survive as much in: careful (8.00).")
        assert ranking.headline(only(record(*figures[:2]))).endswith("survive as much in: none.")

    def test_says_where_the_ranges_overlap(self):
        standing = only(record(figure(NOOP, "penstock", 1.0, 5.0, 8.0), figure(NOOP, "fast", 7.0, 9.0, 11.0)))
        assert ranking.headline(standing).startswith("Ahead of Penstock: fast (9.00, ranges overlap). ")

    def test_names_the_best_rival_otherwise(self):
        standing = only(record(figure(NOOP, "penstock", 5.0), figure(NOOP, "slow", 1.0), figure(NOOP, "slower", 0.5)))
        assert ranking.headline(standing) == "Penstock: 5.00; the best rival, slow: 1.00."

    def test_makes_do_without_a_figure_of_penstock_or_of_anybody_else(self):
        assert "no figure" in ranking.headline(only(record(figure(NOOP, "rival", 1.0))))
        assert "no rival" in ranking.headline(only(record(figure(NOOP, "penstock", 1.0))))


def test_the_printed_table_names_figures_survival_and_reasons(capsys):
    ranking.show(
        Console(width=200),
        record(
            figure(NOOP, "penstock", 5_000.0, survives=EVERYTHING),
            figure(NOOP, "rival", 9_000.0),
            absences=[(NOOP, "other", "keeps no results")],
        ),
    )
    said = capsys.readouterr().out
    for expected in ("9,000", "worker, broker, power", "nothing", "keeps no results", "Ahead of Penstock: rival"):
        assert expected in said
