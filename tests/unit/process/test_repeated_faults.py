import itertools
import logging

import pytest

from penstock.process.repeated_faults import NAMES_MAX, OTHERS, STANDS_S, Faults

logger = logging.getLogger("penstock.test")


@pytest.fixture
def faults():
    return Faults(logger)


def failed(number=0):
    try:
        raise KeyError(number)
    except KeyError as error:
        return error


def test_the_first_is_told_at_once_with_its_traceback(faults, caplog):
    faults.note("settling", failed(7), 0.0)
    (record,) = caplog.records
    assert record.getMessage() == "settling failed: KeyError: 7"
    assert record.exc_info[0] is KeyError


def test_fifty_thousand_repeats_in_an_hour_are_a_handful_of_lines_and_all_are_counted(faults, caplog):
    for number in range(50_000):
        faults.note("settling", failed(number), number * 3_600 / 50_000)
    faults.tell(10_000.0)
    assert 3 <= len(caplog.records) <= 6
    assert faults.counts == {"settling": 50_000}
    told = sum(record.args[1] for record in caplog.records[1:])
    assert told == 49_999


def test_summaries_grow_farther_apart(faults, caplog):
    at = []
    for second in range(8_000):
        before = len(caplog.records)
        faults.note("settling", failed(), float(second))
        at += [second] if len(caplog.records) > before else []
    pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(pauses) >= 3
    assert pauses == sorted(pauses)


def test_the_last_repeats_are_told_though_nothing_fails_any_more(faults, caplog):
    for _ in range(3):
        faults.note("settling", failed(), 0.0)
    faults.tell(1.0)
    assert len(caplog.records) == 1
    faults.tell(20.0)
    assert caplog.records[1].getMessage() == "settling failed 2 more times in 20 s, the last time with: KeyError: 0"
    faults.tell(10_000.0)
    assert len(caplog.records) == 2


def test_another_type_of_error_is_told_at_once(faults, caplog):
    faults.note("settling", failed(), 0.0)
    faults.note("settling", ValueError("odd"), 0.0)
    faults.note("settling", failed(), 0.0)
    assert [record.getMessage() for record in caplog.records] == [
        "settling failed: KeyError: 0",
        "settling failed: ValueError: odd",
    ]


def test_what_fails_is_present_until_it_goes_well_which_is_told_once(faults, caplog):
    faults.note("settling", failed(), 0.0)
    faults.note("settling", failed(), 5.0)
    faults.note("trimming", "no room", 6.0)
    last, first = faults.present(10.0)
    assert (last.name, last.message) == ("trimming", "no room")
    assert (first.name, first.count, first.since_s, first.last_s) == ("settling", 2, 10.0, 5.0)
    faults.passed("settling", 11.0)
    faults.passed("settling", 12.0)
    assert [fault.name for fault in faults.present(12.0)] == ["trimming"]
    caplog.clear()
    for second in range(13, 100):
        faults.tell(float(second))
    assert [record.getMessage() for record in caplog.records] == [
        "settling failed 1 more times in 13 s, the last time with: KeyError: 0",
        "settling goes well again, after 2 failures in 11 s",
    ]
    assert faults.counts["settling"] == 2


def test_what_fails_every_other_time_does_not_fill_the_log(faults, caplog):
    for second in range(3_600):
        faults.note("settling", failed(), second + 0.0)
        faults.passed("settling", second + 0.5)
        assert not faults.present(second + 0.6)
        faults.tell(second + 0.7)
    assert len(caplog.records) <= 6


def test_what_is_not_heard_of_any_more_is_not_present_and_comes_back_as_new(faults, caplog):
    faults.note("settling", failed(), 0.0)
    assert faults.present(STANDS_S)
    assert not faults.present(STANDS_S + 1)
    faults.note("settling", failed(), STANDS_S + 2)
    assert [record.getMessage() for record in caplog.records] == ["settling failed: KeyError: 0"] * 2
    assert faults.present(STANDS_S + 2)[0].count == 1


def test_names_without_end_are_counted_together(faults):
    for number in range(NAMES_MAX * 3):
        faults.note(f"job {number}", failed(), 0.0)
    assert len(faults.counts) == NAMES_MAX + 1
    assert faults.counts[OTHERS] == NAMES_MAX * 2
    assert len(faults.present(0.0)) == NAMES_MAX + 1


def test_an_exception_that_cannot_be_printed_is_told_by_its_type(faults, caplog):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    faults.note("settling", Mute(), 0.0, traceback=False)
    assert caplog.records[0].getMessage() == "settling failed: Mute: (its message cannot be read)"
    assert caplog.records[0].exc_info is None
