"""What a part says on its pipe."""

from __future__ import annotations

import os

import pytest

from penstock.process.part_report import PartReport, ProcessEntry, Reporter, parse


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, Reporter(writing)
    os.close(reading)


def lines(reading: int) -> list[PartReport | None]:
    return [parse(line) for line in os.read(reading, 65_536).splitlines()]


def test_what_is_said_is_heard(pipe):
    reading, reporter = pipe
    reporter.ready("127.0.0.1:7367")
    reporter.processes([("forkserver", 11), ("executor", 12)], 1)
    reporter.failure("No luck.")
    reporter.close()
    assert lines(reading) == [
        PartReport(ready=True, address="127.0.0.1:7367"),
        PartReport(processes=[ProcessEntry("forkserver", 11), ProcessEntry("executor", 12)], executors_ready=1),
        PartReport(failure="No luck."),
    ]


def test_without_a_pipe_saying_something_does_nothing():
    reporter = Reporter(None)
    reporter.ready()
    reporter.close()


def test_a_root_that_has_gone_is_not_a_part_s_problem():
    reading, writing = os.pipe()
    reporter = Reporter(writing)
    os.close(reading)
    reporter.ready()
    reporter.failure("Nobody hears this.")
    os.close(writing)


def test_closing_twice_is_closing_once(pipe):
    _, reporter = pipe
    reporter.close()
    reporter.close()
    reporter.ready()


@pytest.mark.parametrize("line", [b"", b"hello", b"{", b"[1]", b'{"ready": 3}', b"\xff"])
def test_what_is_no_report_is_none(line):
    assert parse(line) is None


def test_the_bare_word_will_do():
    assert parse(b"ready\n") == PartReport(ready=True)
