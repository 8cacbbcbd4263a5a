"""Text of unknown origin, made safe to show."""

from __future__ import annotations

import json

import pytest

from penstock.process.terminal_text import visible, visible_json, visible_lines

STEERING = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x85",
    "\x08",
    "\x7f",
    "\xad",
    "\r",
    "\u202e",
    "\u2066",
    "\u200f",
    "\u2028",
    "\ufeff",
    "\ud83d",
    "\U000e0041",
]


@pytest.mark.parametrize("text", STEERING)
def test_what_steers_a_terminal_is_spelled_out(text):
    for shown in (visible(f"a{text}b"), visible_lines(f"a{text}b")):
        assert shown.isascii()
        assert shown.isprintable()
        assert shown.startswith("a\\")


def test_text_of_any_language_stays_as_it_is():
    text = "größer 日本語 עברית 👩‍🚀 \xa0 naïve"
    assert visible(text) == visible_lines(text) == text


def test_one_line_stays_one_line():
    assert visible("a\nb\tc") == "a\\nb\\tc"


def test_a_further_line_does_not_pass_for_one_of_its_own():
    assert visible_lines("a\nb\r\n", "  | ") == "a\n  | b\\r"


@pytest.mark.parametrize("text", [text for text in STEERING if text != "\ud83d"])
def test_json_means_the_same_and_steers_nothing(text):
    document = json.dumps({"a": f"x{text}y"}, ensure_ascii=False, indent=2)
    shown = visible_json(document)
    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == {"a": f"x{text}y"}
