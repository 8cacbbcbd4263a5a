"""Log records as text and as JSON."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from penstock.process.log import JsonFormatter, TextFormatter, enable, setup


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("penstock.test").makeRecord(
        "penstock.test", logging.WARNING, "file", 1, message, arguments, None, extra=extra
    )


def test_json_is_one_object_a_line_with_what_was_given():
    line = JsonFormatter().format(record("lost %d\njobs", 3, action="lost", job="17"))
    assert "\n" not in line
    entry = json.loads(line)
    assert entry["message"] == "lost 3\njobs"
    assert entry["level"] == "warning"
    assert entry["logger"] == "penstock.test"
    assert (entry["action"], entry["job"]) == ("lost", "17")
    assert entry["time"].endswith("Z")


def test_json_takes_values_it_does_not_know():
    assert "object" in json.loads(JsonFormatter().format(record("x", thing=object())))["thing"]


def test_what_steers_a_terminal_is_spelled_out_and_no_part_passes_for_a_line():
    line = TextFormatter().format(
        record("task %s failed", "\x1b[2J\r\u202ex\n12:00:00.000 ERROR penstock: all is lost")
    )
    assert "\\x1b[2J\\r\\u202ex" in line
    assert [part.startswith("  | ") for part in line.split("\n")] == [False, True]
    assert line.replace("\n", "").isprintable()
    assert JsonFormatter().format(record("a\x9b\u202eb")).isprintable()


def test_text_names_level_logger_and_message():
    line = TextFormatter().format(record("lost %d", 3))
    assert line.endswith("WARNING penstock.test: lost 3")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_exception_comes_with_its_traceback(formatter):
    try:
        raise ValueError("no")
    except ValueError:
        entry = record("failed")
        entry.exc_info = sys.exc_info()
    assert "ValueError: no" in formatter.format(entry)


def test_setting_up_twice_logs_once():
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        setup("INFO", "text")
        setup("info", "json")
        assert len(root.handlers) == 1
        assert root.level == logging.INFO
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def test_loggers_that_an_application_silenced_by_the_way_log_again():
    ours, theirs = logging.getLogger("penstock.test"), logging.getLogger("somebody.else")
    ours.disabled = theirs.disabled = True
    try:
        enable()
        assert (ours.disabled, theirs.disabled) == (False, True)
    finally:
        ours.disabled = theirs.disabled = False
