"""Nesting, times, and arbitrary bytes at the door."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.gate.job_json import JobRequest, check_size, decode_request, split_request, time_text
from penstock.gate.json_nesting import nested_too_deep
from penstock.gate.problems import Problem
from penstock.model import limits

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = ("task", "args", "kwargs", "queue", "priority", "delay_s", "run_at", "expires_s", "headers", "tags", "more")
JOBS = st.dictionaries(st.sampled_from(FIELDS) | st.text(), VALUES) | st.fixed_dictionaries(
    {"task": st.sampled_from(["any.call", "images.thumbnail", "hooks.receive", "geometry.move"])},
    optional=dict.fromkeys(FIELDS[1:], VALUES) | {"idempotency_key": st.text()},
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def nested(levels: int, leaf: str) -> Any:
    value: Any = leaf
    for level in range(levels):
        value = [value, leaf] if level % 2 else {leaf: value}
    return value


@pytest.mark.parametrize("leaf", ["", "[[{{", "]]}}", '"]', '\\"', "\\", "é" * 9, '\\\\"['])
@pytest.mark.parametrize("levels", [1, limits.NESTING_MAX - 1, limits.NESTING_MAX, limits.NESTING_MAX + 1, 300])
def test_depth_is_exact_whatever_the_strings_say(levels: int, leaf: str) -> None:
    value = nested(levels, leaf)
    assert depth(value) == levels
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert nested_too_deep(text.encode()) == (levels > limits.NESTING_MAX)


def test_a_wide_value_is_not_deep() -> None:
    assert not nested_too_deep(json.dumps([{"a": []}] * 1_000).encode())


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("around", [90, 1_000, 50_000])
@pytest.mark.parametrize("levels", [limits.NESTING_MAX, limits.NESTING_MAX + 1])
def test_depth_is_exact_wherever_the_deep_part_stands(place: float, around: int, levels: int) -> None:
    flat = [["x"], {}] * around
    at = round(place * len(flat))
    value = [*flat[:at], nested(levels - 1, ""), *flat[at:]]
    assert nested_too_deep(json.dumps(value).encode()) == (levels > limits.NESTING_MAX)


# --- a request in two parts -------------------------------------------------------------------------------------------
def in_parts(text: bytes) -> tuple[JobRequest, bytes] | None:
    """The request and its ``kwargs``, where it can be split and they are an object."""
    parts = split_request(text)
    if parts is None:
        return None
    try:
        msgspec.json.decode(parts[1], type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return parts[0], bytes(parts[1])


def as_one(text: bytes) -> tuple[JobRequest, bytes]:
    request = decode_request(text)
    kwargs = bytes(request.kwargs)
    request.kwargs = msgspec.Raw(b"{}")
    return request, kwargs


@pytest.mark.parametrize(
    "text",
    [
        b'{"task":"t","kwargs":{"a":1}}',
        b' {"task": "t",\n"kwargs" :\t{"a": {"kwargs":{}}}}',
        b'{"task":"t","args":[],"queue":"q","headers":{"a":"b"},"kwargs":{"a":"}}"}}',
        b'{"task":"t","kw\\u0061rgs":{"b":2},"kwargs":{"a":1}}',
        '{"task":"t","kwargs":{"é":"☃"}}'.encode(),
    ],
)
def test_a_request_that_ends_with_its_kwargs_is_read_in_two_parts(text: bytes) -> None:
    parts = in_parts(text)
    assert parts is not None
    assert parts == as_one(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"task":"t","args":[1],"kwargs":{"a":1}}',
        b'{"task":"t","args":[{"kwargs":{"a":1}}]}',
        b'{"task":"t","headers":{"kwargs":{"a":1}}',
        b'{"task":"t","kwargs":{"a":1},"headers":{"a":"b"}}',
        b'{"task":"t","kwargs":{"a":1},"kwargs":{}}',
        b'{"task":"\\"kwargs":{"a":1}}',
        b'{"task":"t" "kwargs":{"a":1}}',
        b'{"task":"t","more":1,"kwargs":{"a":1}}',
        b'{"task":"t","kwargs":{"a":1}} ',
        b'{"task":"t","kwargs":{"a":1}]',
        b'{"kwargs":{"a":1}}',
        b'{"task":"t","kwargs":{"a":1}}}}',
        b'{"task":"t","args":' + b"[" * 900 + b',"kwargs":{"a":1}}',
    ],
)
def test_any_other_request_is_read_as_one(text: bytes) -> None:
    assert in_parts(text) is None


FRAGMENTS = (
    b'{ } {} [ ] , "task":"t" "kwargs":{ "kwargs" "args":[] "queue":"q" "headers":{ "a": "a":1 "a":{} "kwargs":{}} \\'
).split() + [b'"', b" "]


@settings(max_examples=1_000, deadline=None)
@given(middle=st.lists(st.sampled_from(FRAGMENTS), max_size=8))
@example(middle=[b",", b'"kwargs":{', b'"a":1'])
def test_what_is_read_in_two_parts_is_what_it_is_when_read_as_one(middle: list[bytes]) -> None:
    text = b'{"task":"t"' + b"".join(middle) + b"}}"
    parts = in_parts(text)
    if parts is not None:
        assert parts == as_one(text)


def test_a_request_too_deep_is_refused_however_it_is_read() -> None:
    deep = json.dumps(
        {"task": "t", "kwargs": {"a": nested(limits.NESTING_MAX - 1, "")}}, separators=(",", ":")
    ).encode()
    assert deep.endswith(b"}}")
    with pytest.raises(Problem, match="nested deeper"):
        check_size(deep)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, None), (0.0, "1970-01-01T00:00:00.000000Z"), (1.5, "1970-01-01T00:00:01.500000Z")]
)
def test_times_are_rfc_3339_in_utc(seconds: float | None, text: str | None) -> None:
    assert time_text(seconds) == text


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = st.sampled_from(["application/json", "application/x-ndjson"])


@FUZZ
@given(body=st.binary() | st.text().map(str.encode), kind=KINDS)
@example(body=b'{"task":"any.call","args":[1e999]}', kind="application/json")
@example(body=b'{"task":"\\ud800"}', kind="application/json")
@example(body=b'{"task":"any.call","idempotency_key":"\\ud800"}', kind="application/json")
def test_arbitrary_bytes_are_refused_with_a_problem(door: Any, body: bytes, kind: str) -> None:
    answer = door.post(body, content_type=kind)
    assert 400 <= answer.status < 500 or answer.json.get("accepted") or answer.json.get("id")


@FUZZ
@given(jobs=JOBS | st.lists(JOBS), kind=KINDS, atomic=st.booleans())
def test_arbitrary_jobs_are_accepted_or_refused_but_never_break_the_gate(
    door: Any, jobs: Any, kind: str, atomic: bool
) -> None:
    answer = door.post(jobs, "?atomic=true" if atomic else "", content_type=kind)
    assert answer.status in (202, 400, 409, 413, 422)


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PATCH"]),
    path=st.text().map(lambda text: "/v1/jobs/" + text) | st.text(),
    query=st.text(),
)
def test_arbitrary_paths_and_queries_are_refused_with_a_problem(door: Any, method: str, path: str, query: str) -> None:
    answer = door.call(method, f"{path.replace('?', '')}?{query}")
    assert 400 <= answer.status < 500
