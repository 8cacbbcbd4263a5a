"""What a job returned, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from penstock.cli import job, waiting
from penstock.model.job import JobView
from penstock.model.states import State
from penstock.tasks.arguments.codec import Codec


def _returns_anything() -> Any: ...


def view_of(result: bytes | None) -> JobView:
    return JobView(
        id=bytes(16),
        task="t",
        queue="default",
        state=State.SUCCEEDED,
        priority=0,
        attempt=1,
        max_attempts=5,
        created_at=1.0,
        run_at=1.0,
        started_at=1.0,
        finished_at=2.0,
        result=result,
    )


def stored(value: Any) -> bytes:
    return Codec("t", _returns_anything).encode_result(value)


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), ({"a": (1, 2)}, '{"a":[1,2]}'), (None, "null"), ({1: 2}, '{"1":2}')]
)
def test_what_json_can_say(value, text):
    view = view_of(stored(value))
    assert waiting.result_text(view) == text
    assert msgspec.json.decode(msgspec.json.encode(waiting.result_document(view))) == {"result": json.loads(text)}


def test_json_stays_json():
    assert waiting.result_text(view_of(b'j{"a": 1}')) == '{"a": 1}'


@pytest.mark.parametrize("value", [{None: 1}, {(1, 2): 3}])
def test_what_json_cannot_say_is_said_in_python(value):
    view = view_of(stored(value))
    assert waiting.result_text(view) == f"{value!r} (JSON cannot say it)"
    document = waiting.result_document(view)
    assert list(document) == ["result_note"]
    assert "not said in JSON" in document["result_note"]


def test_a_damaged_result_has_a_note():
    view = view_of(b"m\xc1")
    assert "cannot be read" in waiting.result_text(view)
    assert "result_note" in waiting.result_document(view)


def test_nothing_kept_is_nothing():
    assert waiting.result_document(view_of(None)) == {}


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("value", [{None: 1}, 3])
def test_a_job_is_shown_whatever_it_returned(capsys, value, as_json):
    job._print(None, view_of(stored(value)), as_json)
    said = capsys.readouterr().out
    if as_json:
        assert json.loads(said)["id"]
    else:
        assert repr(value) in said
