"""Texts are kept as they are, within a bound; several become one that tells them apart."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from penstock.model import limits
from penstock.model.flow_texts import DIGEST, bounded, covered, joined, told_bytes


def test_a_text_within_the_bound_is_itself() -> None:
    longest = "é" * (limits.JOB_VALUE_BYTES_MAX // 2)
    assert [bounded(text) for text in ("", "acme", longest)] == ["", "acme", longest]


def test_a_longer_text_is_its_digest_so_that_different_ones_stay_different() -> None:
    long = "é" * (limits.JOB_VALUE_BYTES_MAX // 2)
    found = {bounded(long + end) for end in ("a", "b")}
    assert len(found) == 2
    assert all(text.startswith(DIGEST) and len(text) < limits.JOB_VALUE_BYTES_MAX for text in found)


def test_several_texts_become_one() -> None:
    assert joined(["acme"]) == "acme"
    assert joined(["a", "b"]) != joined(["ab", ""])
    assert joined(['a","b']) != joined(["a", "b"])
    assert len(joined(["x" * 200, "y" * 200]) or "") < limits.JOB_VALUE_BYTES_MAX


def test_where_one_is_missing_there_is_none() -> None:
    assert joined(["a", None]) is None
    assert joined([None]) is None


def test_what_texts_take_on_the_wire_is_never_less_than_they_do():
    for told in ({"tenant": "acme"}, {"größe": "ü" * 50, "b": ""}, {"a": "x" * 256, "ß": "y"}):
        assert told_bytes(told) >= len(msgspec.msgpack.encode(told)) - 1
    assert told_bytes(None) == 0


def test_of_what_is_not_to_be_seen_or_cannot_be_kept_there_is_a_digest() -> None:
    digest = DIGEST + sha256(b"4111").hexdigest()
    assert covered("4111") == covered(covered("4111")) == digest
    assert bounded("a\0b") == DIGEST + sha256(b"a\0b").hexdigest()
