"""Log lines as NSQ's daemons write them."""

from __future__ import annotations

import logging
import re

import pytest

from penstock.nsq.log_lines import NsqFormatter


def line(level, message, *values, prefix="[nsqd] "):
    return NsqFormatter(prefix).format(logging.LogRecord("penstock.nsq", level, __file__, 1, message, values, None))


def test_a_line_is_what_clients_look_for():
    found = line(logging.INFO, "TCP: listening on %s", "127.0.0.1:4150")
    assert re.fullmatch(
        r"\[nsqd\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} INFO: TCP: listening on 127\.0\.0\.1:4150", found
    )


@pytest.mark.parametrize(
    "level, word",
    [(logging.DEBUG, "DEBUG"), (logging.WARNING, "WARNING"), (logging.ERROR, "ERROR"), (logging.CRITICAL, "FATAL")],
)
def test_levels_have_nsqs_names(level, word):
    assert f" {word}: x" in line(level, "x")


def test_the_prefix_is_as_it_is_given():
    assert line(logging.INFO, "x", prefix="").startswith("20")


def test_what_a_terminal_would_act_upon_is_spelled_out_and_further_lines_are_indented():
    first, second = line(logging.INFO, "a\x1b[31m\nb").split("\n")
    assert "\x1b" not in first
    assert second.startswith(" ")


def test_a_traceback_is_told():
    try:
        raise ValueError("of a test")
    except ValueError as error:
        record = logging.LogRecord("penstock.nsq", logging.ERROR, __file__, 1, "x", (), None)
        record.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: of a test" in NsqFormatter("").format(record)
