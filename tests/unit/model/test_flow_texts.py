"""Texts are kept as they are, within a bound; several become one that tells them apart."""

from __future__ import annotations

from penstock.model import limits
from penstock.model.flow_texts import DIGEST, bounded, joined


def test_a_text_within_the_bound_is_itself() -> None:
    longest = "é" * (limits.FLOW_TEXT_BYTES_MAX // 2)
    assert [bounded(text) for text in ("", "acme", longest)] == ["", "acme", longest]


def test_a_longer_text_is_its_digest_so_that_different_ones_stay_different() -> None:
    long = "é" * (limits.FLOW_TEXT_BYTES_MAX // 2)
    found = {bounded(long + end) for end in ("a", "b")}
    assert len(found) == 2
    assert all(text.startswith(DIGEST) and len(text) < limits.FLOW_TEXT_BYTES_MAX for text in found)


def test_several_texts_become_one() -> None:
    assert joined(["acme"]) == "acme"
    assert joined(["a", "b"]) != joined(["ab", ""])
    assert joined(['a","b']) != joined(["a", "b"])
    assert len(joined(["x" * 200, "y" * 200]) or "") < limits.FLOW_TEXT_BYTES_MAX


def test_where_one_is_missing_there_is_none() -> None:
    assert joined(["a", None]) is None
    assert joined([None]) is None
