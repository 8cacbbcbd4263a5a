"""Depth of JSON text: one pass, whatever is in it, and exact across slices."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.gate import json_nesting
from penstock.gate.json_nesting import nested_too_deep
from penstock.model import limits

SIZE = 1_000_000
DEEP = limits.NESTING_MAX
WORST = {
    "pairs": b"[" + b"[]," * (SIZE // 3) + b"1]",
    "steep": b"[" + (b"[" * (DEEP - 1) + b"]" * (DEEP - 1) + b",") * (SIZE // DEEP // 2) + b"1]",
    "steps": b"[" * DEEP + b"]" * 50 + (b"[" * 50 + b"]" * 50) * (SIZE // 100) + b"]" * 50,
    "strings": b"[" + b'["["],["]"],' * (SIZE // 12) + b"1]",
    "escapes": b'["' + b"\\\\" * (SIZE // 2) + b"[" * 50 + b'"]',
    "quotes": b'["' + b'\\"[' * (SIZE // 3) + b'"]',
    "open": b"[" * SIZE,
}


@pytest.mark.parametrize("name", WORST)
def test_every_byte_is_looked_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is linear in a slice is done once for each, and a slice is not larger in a larger text."""
    sliced: list[int] = []
    climbed: list[int] = []
    outside, peak = json_nesting._outside_strings, json_nesting._peak

    def count_outside(piece: bytes, quotes: int) -> tuple[bytes, int]:
        sliced.append(len(piece))
        return outside(piece, quotes)

    def count_peak(brackets: bytes, depth: int) -> int:
        climbed.append(len(brackets))
        return peak(brackets, depth)

    monkeypatch.setattr(json_nesting, "_outside_strings", count_outside)
    monkeypatch.setattr(json_nesting, "_peak", count_peak)
    text = WORST[name]
    assert nested_too_deep(text) == (name == "open")
    assert sum(sliced) <= len(text)
    assert sum(climbed) <= len(text)
    assert max(sliced, default=0) <= json_nesting.SLICE_BYTES + 1


def test_what_is_too_deep_at_once_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    outside = json_nesting._outside_strings
    monkeypatch.setattr(
        json_nesting, "_outside_strings", lambda piece, quotes: (pieces.append(piece), outside(piece, quotes))[1]
    )
    assert nested_too_deep(WORST["open"])
    assert len(pieces) == 1


def depth_of(text: str) -> int:
    """The slow and obvious way."""
    depth = deepest = 0
    inside = escaped = False
    for char in text:
        if inside:
            inside = escaped or char != '"'
            escaped = not escaped and char == "\\"
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            deepest = max(depth, deepest)
        elif char in "]}":
            depth -= 1
    return deepest


PARTS = st.sampled_from(["[" * 60, "]" * 60, "{" * 45, "}" * 45, "[]", "\\\\", '\\"', "[[", "]]", "x" * 7, "\\"])


@settings(max_examples=300, deadline=None)
@given(strings=st.lists(st.lists(PARTS, max_size=6), max_size=12), slice_bytes=st.integers(1, 60))
@example(strings=[["\\"] * 3], slice_bytes=2)
def test_depth_is_exact_wherever_a_slice_ends(strings: list[list[str]], slice_bytes: int) -> None:
    value: list[object] = []
    for index, parts in enumerate(strings):
        value = ["".join(parts), value, "]["] if index % 2 else [{"".join(parts): value}, ["["] * 9]
    for more in (0, 70, 80, 95):
        deep = value
        for _ in range(more):
            deep = [deep]
        text = json.dumps(deep)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_nesting, "SLICE_BYTES", slice_bytes)
            assert nested_too_deep(text.encode()) == (depth_of(text) > limits.NESTING_MAX)
