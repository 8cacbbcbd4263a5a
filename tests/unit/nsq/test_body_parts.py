"""Parts of a body."""

from __future__ import annotations

import pytest

from penstock.nsq.body_parts import BODY_OR_JSON, JSON_PATH, BodyPart


def test_the_whole_body():
    assert BODY_OR_JSON.of_text("body") == BodyPart()
    assert BodyPart().of(b"\xff\x00") == b"\xff\x00"


def test_a_value_in_json_is_written_in_one_way():
    part = JSON_PATH.of_text("json:order.customer")
    assert part.of(b'{"order": {"customer": {"b": 1, "a": "x"}}}') == b'{"a":"x","b":1}'
    assert part.of(b'{"order":{"customer":{"a":"x","b":1}}}') == b'{"a":"x","b":1}'
    assert BODY_OR_JSON.of_text("json:ids.1").of(b'{"ids": [7, 8]}') == b"8"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{",
        b"1",
        b"null",
        b'"order"',
        b"[]",
        b'{"order": 1}',
        b'{"order": {}}',
        b'{"order":{"id":null}}',
        b"[" * 100_000,
    ],
)
def test_a_body_without_the_value_has_none(body):
    assert BodyPart(("order", "id")).of(body) is None


def test_it_is_shown_as_it_is_written():
    assert str(JSON_PATH.of_text("json:a.b")) == "json:a.b"
    assert BODY_OR_JSON.as_json(BODY_OR_JSON.of_toml("body")) == "body"
    assert BODY_OR_JSON.as_json(None) == ""


@pytest.mark.parametrize("text", ["json:", "json:a..b", "a.b", "json", "bodies"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match="json:"):
        BODY_OR_JSON.of_text(text)
