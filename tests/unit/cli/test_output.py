"""How the command line shows times."""

from __future__ import annotations

import pytest

from penstock.cli import output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "0 ms"),
        (0.0123, "12 ms"),
        (1.0, "1.0 s"),
        (119.0, "119.0 s"),
        (120.0, "2.0 min"),
        (7_200.0, "2.0 h"),
        (172_800.0, "2.0 d"),
    ],
)
def test_a_duration_is_short(seconds, text):
    assert output.span(seconds) == text


def test_no_time_is_no_text():
    assert output.when(None) == ""


def test_json_is_one_document(capsys):
    output.print_json({"b": [1, None], "a": "ä"})
    assert capsys.readouterr().out == '{\n  "b": [\n    1,\n    null\n  ],\n  "a": "ä"\n}\n'
