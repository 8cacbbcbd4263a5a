"""Results that are read in pages."""

from __future__ import annotations

import asyncio
import datetime as dt

import msgspec
import pytest

from penstock import InvalidOption, InvalidResult, Results
from penstock.model.workflow_views import ResultsPage
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.results import REFERENCE, SOURCE, has_reference, referred
from penstock.tasks.arguments.values import encode, result_reader

WORKFLOW = b"w" * 16


class Pages:
    """A store with so many results, which sends a few of them at a time."""

    def __init__(self, results, page=3):
        self.kept = results
        self.page = page
        self.reads = []

    def store(self):
        return self

    async def async_store(self):
        return _Async(self)

    def results(self, workflow, step, *, first=0, limit=1_000):
        self.reads.append(first)
        behind = min(first + self.page, len(self.kept))
        return ResultsPage(self.kept[first:behind], first, behind if behind < len(self.kept) else None, len(self.kept))


class _Async:
    def __init__(self, pages):
        self.pages = pages

    async def results(self, workflow, step, *, first=0, limit=1_000):
        return self.pages.results(workflow, step, first=first, limit=limit)


def results_of(values, kind=int, page=3):
    pages = Pages([None if value is None else b"m" + encode(value) for value in values], page)
    return Results(pages, WORKFLOW, 7, result_reader(kind)), pages


def test_it_is_a_sequence():
    found, _ = results_of(range(10))
    assert len(found) == 10
    assert list(found) == list(range(10))
    assert [found[place] for place in (0, 9, -1, -10, 4)] == [0, 9, 9, 0, 4]
    assert found[2:5] == [2, 3, 4]
    assert found[::-4] == [9, 5, 1]
    assert (found.index(6), 8 in found, 11 in found) == (6, True, False)
    assert list(reversed(found)) == list(range(9, -1, -1))


@pytest.mark.parametrize("place", [10, -11, 1_000])
def test_beyond_its_end_there_is_nothing(place):
    found, _ = results_of(range(10))
    with pytest.raises(IndexError):
        found[place]


def test_a_page_is_read_once():
    found, pages = results_of(range(9))
    assert [found[place] for place in (3, 4, 5)] == [3, 4, 5]
    assert pages.reads == [3]
    list(found)
    assert pages.reads == [3, 0, 3, 6]


def test_two_readers_do_not_disturb_each_other():
    found, _ = results_of(range(7))
    assert list(zip(found, found, strict=True)) == [(number, number) for number in range(7)]


def test_what_failed_is_none():
    assert list(results_of([1, None, 3])[0]) == [1, None, 3]


def test_there_may_be_none():
    found, _ = results_of([])
    assert (len(found), list(found), bool(found)) == (0, [], False)


def test_each_is_of_the_annotated_type():
    found, _ = results_of(["2026-01-02"], dt.date)
    assert list(found) == [dt.date(2026, 1, 2)]
    with pytest.raises(InvalidResult, match="cannot be read"):
        list(results_of(["x"], int)[0])


def test_a_coroutine_reads_them_too():
    async def read():
        found, _ = results_of(range(7))
        return [value async for value in found], await found.length()

    assert asyncio.run(read()) == (list(range(7)), 7)


def publish(paths: Results[dt.date], some: Results[int] | None = None) -> int:
    return len(paths)


def test_it_travels_as_a_reference():
    found, pages = results_of(["2026-01-02"])
    codec = Codec("publish", publish)
    body = codec.encode((found,), {})
    assert has_reference(body)
    token = SOURCE.set(pages)
    try:
        (arrived,), _ = codec.decode(body)
    finally:
        SOURCE.reset(token)
    assert arrived == found
    assert list(arrived) == [dt.date(2026, 1, 2)]


def test_it_travels_untyped():
    found, pages = results_of([(1, 2)])
    codec = Codec("any", lambda value: value)
    token = SOURCE.set(pages)
    try:
        (arrived,), _ = codec.decode(codec.encode((found,), {}))
        returned = codec.decode_result(codec.encode_result({"deep": [found]}))
    finally:
        SOURCE.reset(token)
    assert list(arrived) == [[1, 2]]
    assert returned == {"deep": [found]}


def test_a_list_is_no_results():
    codec = Codec("publish", publish)
    with pytest.raises(Exception, match="Results"):
        codec.encode(([1],), {})


def test_without_an_application_they_cannot_be_read():
    found = referred(WORKFLOW + b"\x00\x00\x00\x07", bytes)
    assert "step 7" in repr(found)
    with pytest.raises(InvalidOption, match="no application"):
        len(found)


def test_a_damaged_reference_is_refused():
    with pytest.raises(InvalidResult, match="20 bytes"):
        referred(b"x", bytes)


def test_bodies_without_a_reference():
    assert not has_reference(b"m" + encode([[1, msgspec.msgpack.Ext(1, b"\x90")], {}]))
    assert has_reference(b"m" + encode([[1, {"x": [msgspec.msgpack.Ext(REFERENCE, b"")]}], {}]))
    assert not has_reference(b"m\xff\xff")
    assert not has_reference(b"j[[],{}]")
