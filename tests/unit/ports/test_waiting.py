"""What is told twice, for threads and for event loops, is told alike."""

import inspect

import pytest

from penstock.ports import AsyncStore, BlockingStore


def calls_of(port):
    return {
        name: value
        for each in reversed(port.__mro__)
        for name, value in vars(each).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_both_have_the_same_calls():
    assert set(calls_of(AsyncStore)) - {"lease_packed"} == set(calls_of(BlockingStore))


@pytest.mark.parametrize("name", sorted(calls_of(BlockingStore)))
def test_a_call_takes_and_answers_the_same_on_an_event_loop(name):
    blocking, awaited = calls_of(BlockingStore)[name], calls_of(AsyncStore)[name]
    assert inspect.iscoroutinefunction(awaited)
    assert inspect.signature(awaited) == inspect.signature(blocking)
