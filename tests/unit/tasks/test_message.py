"""How values become bodies of messages, and what a consumer's annotation makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidArguments, InvalidOption
from penstock.tasks.context import Context
from penstock.tasks.message import Message, MessageCodec, body_of


class Order(msgspec.Struct):
    """A message with parts."""

    number: int
    at: datetime | None = None


@dataclass
class Point:
    """Another kind of record."""

    x: int


def codec(function: Any) -> MessageCodec:
    return MessageCodec("shop.take", function)


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (b"\x00\xff", b"r\x00\xff"),
        (bytearray(b"ab"), b"rab"),
        ("é", b"r\xc3\xa9"),
        ("", b"r"),
        ({"a": [1, None]}, b'r{"a":[1,null]}'),
        (7, b"r7"),
        (None, b"rnull"),
        (Order(3), b'r{"number":3,"at":null}'),
        (Point(1), b'r{"x":1}'),
    ],
)
def test_bytes_are_sent_as_they_are_text_as_utf_8_and_the_rest_as_json(value: Any, body: bytes) -> None:
    assert body_of("orders", value) == body


@pytest.mark.parametrize("value", [object(), {"a": object()}, "\ud800"])
def test_what_cannot_be_said_is_refused_with_the_topic(value: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"orders: this body is no message: .*Give bytes, text"):
        body_of("orders", value)


def test_a_message_over_the_limit_is_refused() -> None:
    assert len(body_of("orders", bytes(limits.JOB_BODY_BYTES_MAX - 1))) == limits.JOB_BODY_BYTES_MAX
    with pytest.raises(BodyTooLarge):
        body_of("orders", bytes(limits.JOB_BODY_BYTES_MAX))


def test_the_annotation_says_what_the_function_gets() -> None:
    def raw(message: bytes) -> None: ...

    def text(message: str) -> None: ...

    def order(message: Order) -> None: ...

    def numbers(message: list[int]) -> None: ...

    assert codec(raw).decode(b"r\xff") == ((b"\xff",), {})
    assert codec(text).decode("ré".encode()) == (("é",), {})
    assert codec(order).decode(b'r{"number":1,"at":"2026-01-02T03:04:05Z"}') == (
        (Order(1, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),),
        {},
    )
    assert codec(numbers).decode(b"r [1,2] ") == (([1, 2],), {})


def test_a_function_that_wants_a_message_or_says_nothing_gets_the_bytes_to_make_it_of() -> None:
    def full(ctx: Context, message: Message) -> None: ...

    def bare(message): ...

    for function in (full, bare):
        assert codec(function).takes_message
        assert codec(function).decode(b"rx") == ((b"x",), {})


@pytest.mark.parametrize("body", [b"r", b"r{", b"r1,2", b'r{"number":"x"}', b"r1],{}", b'r1],{"message":2}', b"r\xff"])
def test_a_message_that_does_not_fit_is_refused_whatever_it_tries(body: bytes) -> None:
    def order(message: Order) -> None: ...

    with pytest.raises(InvalidArguments, match=r"shop\.take"):
        codec(order).decode(body)


def test_text_that_is_none_and_arguments_of_a_task_are_refused() -> None:
    def text(message: str) -> None: ...

    with pytest.raises(InvalidArguments, match="no text"):
        codec(text).decode(b"r\xff")
    with pytest.raises(InvalidArguments, match="no message"):
        codec(text).decode(b"m\x92\x90\x80")


def test_a_function_that_does_not_take_one_message_is_refused() -> None:
    def none() -> None: ...

    def two(a: int, b: int) -> None: ...

    def named(*, message: bytes) -> None: ...

    for function in (none, two, named):
        with pytest.raises(InvalidOption, match="does not take one message"):
            codec(function)


def test_a_second_parameter_with_a_default_is_left_alone() -> None:
    def one(message: bytes, more: int = 2) -> None: ...

    assert codec(one).decode(b"rx") == ((b"x",), {})
