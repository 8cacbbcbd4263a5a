"""Values as Go writes them."""

from __future__ import annotations

import pytest

from penstock.nsq import notation
from penstock.nsq.notation import seconds_of


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("0", 0.0),
        ("60s", 60.0),
        ("1h30m", 5_400.0),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("1us", 0.000001),
        ("1µs", 0.000001),
        ("1μs", 0.000001),
        ("100ns", 1e-7),
        ("-2s", -2.0),
        ("+2s", 2.0),
        ("1m1m", 120.0),
    ],
)
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "60", "s", ".s", "-", "1 s", "1d", "1h30", "1S", "١s", "9999999h", "1s\n", "--1s"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="60s"):
        seconds_of(text)


@pytest.mark.parametrize(
    "text, number",
    [("10", 10), ("-1", -1), ("+7", 7), ("0x10", 16), ("010", 8), ("0b11", 3), ("0o17", 15), ("1_000", 1000), ("0", 0)],
)
def test_whole_numbers(text, number):
    assert notation.WHOLE.of_text(text) == number


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "x", "09", "9223372036854775808", "٣", " 1", "1__0x", "0x_"])
def test_what_is_no_whole_number_is_refused(text):
    with pytest.raises(ValueError):
        notation.WHOLE.of_text(text)


@pytest.mark.parametrize("text, value", [("1", True), ("t", True), ("TRUE", True), ("False", False), ("0", False)])
def test_booleans(text, value):
    assert notation.BOOLEAN.of_text(text) is value


@pytest.mark.parametrize("text", ["yes", "tRUE", ""])
def test_what_is_no_boolean_is_refused(text):
    with pytest.raises(ValueError, match="true or false"):
        notation.BOOLEAN.of_text(text)


def test_tls_required_has_three_values_and_their_numbers():
    kind = notation.TLS_REQUIRED
    assert [kind.of_text(text) for text in ("true", "0", "TCP-HTTPS")] == ["true", "false", "tcp-https"]
    assert [kind.as_json(value) for value in ("false", "tcp-https", "true")] == [0, 1, 2]
    with pytest.raises(ValueError, match="tcp-https"):
        kind.of_text("maybe")


def test_log_levels_are_words_in_any_case_and_numbers_from_1():
    kind = notation.LOG_LEVEL
    assert [kind.as_json(kind.of_text(text)) for text in ("DEBUG", "info", "warn", "error", "fatal")] == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="'debug'"):
        kind.of_text("warning")


def test_versions_of_tls():
    kind = notation.TLS_VERSION
    assert kind.as_json(kind.of_text("TLS1.2")) == 0x0303
    assert kind.as_json(kind.of_text("")) == 0x0301
    with pytest.raises(ValueError, match=r"tls1\.0"):
        kind.of_text("ssl3.0")


def test_a_number_in_a_file_is_milliseconds_where_a_duration_is_asked_for():
    assert notation.DURATION.of_toml(1_500) == 1.5
    assert notation.DURATION.of_toml("2s") == 2.0
    with pytest.raises(ValueError, match="duration"):
        notation.DURATION.of_toml(True)


@pytest.mark.parametrize(
    "kind, value",
    [
        (notation.TEXT, ["a"]),
        (notation.TEXT, "a\0b"),
        (notation.TEXTS, ["a\0b"]),
        (notation.WHOLE, 1 << 63),
        (notation.DURATION, 1 << 2_000),
        (notation.BOOLEAN, 1),
        (notation.WHOLE, 1.5),
        (notation.WHOLE, True),
        (notation.DURATION, 1.5),
        (notation.TEXTS, [1]),
        (notation.FRACTIONS, [True]),
        (notation.FRACTIONS, {"a": 1}),
        (notation.LOG_LEVEL, ["info"]),
        (notation.TLS_REQUIRED, []),
    ],
)
def test_a_value_of_another_type_in_a_file_is_refused(kind, value):
    with pytest.raises(ValueError):
        kind.of_toml(value)


def test_lists_may_be_written_with_commas():
    assert notation.FRACTIONS.of_text("1.0,0.99, 0.95") == (1.0, 0.99, 0.95)
    assert notation.FRACTIONS.of_toml([1, 0.5]) == (1.0, 0.5)
    assert notation.TEXTS.of_toml("a:1,b:2") == ("a:1", "b:2")
    with pytest.raises(ValueError, match=r"0\.99"):
        notation.FRACTIONS.of_text("0.9,nan")
