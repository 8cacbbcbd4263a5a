"""Nothing of a sensitive value is in an error, nor in what it is chained to."""

from __future__ import annotations

import enum
import traceback
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from penstock.model.errors import InvalidArguments
from penstock.tasks.app import Penstock

SECRET = "4111-1111"


class Brand(enum.Enum):
    VISA = "visa"


class Code(str):
    """A class of a user's, which quotes what it refuses."""

    __slots__ = ()

    def __new__(cls, value: str) -> Code:
        if SECRET in value:
            raise ValueError(f"{value} is no code")
        return super().__new__(cls, value)


@dataclass
class Card:
    number: int
    brand: Brand = Brand.VISA


@pytest.fixture
def app() -> Penstock:
    return Penstock("nowhere")


def whole(error: BaseException) -> str:
    """All that a log shows of it."""
    return "".join(traceback.format_exception(error, limit=0)) + "".join(getattr(error, "__notes__", []))


def make(app: Penstock, kind: Any) -> Any:
    def charge(order: int, card: Any) -> None: ...

    charge.__annotations__["card"] = kind
    return app.task(name="shop.charge", sensitive=["card"])(charge)


@pytest.mark.parametrize(
    "kind, value",
    [
        (int, SECRET),
        (Brand, SECRET),
        (Code, SECRET),
        (Card, {"number": SECRET}),
        (Card, {"number": 1, SECRET: 1}),
        (Card, {"number": 1, "brand": SECRET}),
        (dict[str, int], {SECRET: SECRET}),
        (list[int], [1, SECRET]),
        (str, f"{SECRET}\ud800"),
        (Any, object()),
    ],
)
def test_a_value_that_does_not_fit_is_not_quoted(app, kind, value):
    task = make(app, kind)
    for send in (lambda: task.codec.encode((1, value), {}), lambda: task.codec.encode((1,), {"card": value})):
        with pytest.raises(InvalidArguments) as caught:
            send()
        assert caught.value.field == "card"
        assert "sensitive" in caught.value.message
        assert SECRET not in whole(caught.value)


@pytest.mark.parametrize("kind, value", [(int, SECRET), (Brand, SECRET), (Code, SECRET), (Card, {"number": SECRET})])
@pytest.mark.parametrize("form", ["m", "j"])
@pytest.mark.parametrize("by_name", [False, True])
def test_nor_where_it_is_decoded(app, kind, value, form, by_name):
    task = make(app, kind)
    call = ([1], {"card": value}) if by_name else ([1, value], {})
    pack = msgspec.msgpack.encode if form == "m" else msgspec.json.encode
    body = form.encode() + pack(call)
    for read in (task.decode, task.codec.arguments_decoder(), task.codec.identity):
        with pytest.raises(InvalidArguments) as caught:
            read(body)
        assert SECRET not in whole(caught.value)
    with pytest.raises(InvalidArguments) as caught:
        task.codec.check_json(msgspec.json.encode(call[0]), msgspec.json.encode(call[1]))
    assert SECRET not in whole(caught.value)


def test_what_is_wrong_with_the_others_is_told(app):
    task = make(app, int)
    with pytest.raises(InvalidArguments, match="argument 'order': Expected `int`, got `str`"):
        task.codec.encode(("x", 1), {})
    with pytest.raises(InvalidArguments, match="argument 'card' is missing"):
        task.codec.encode((1,), {})
    with pytest.raises(InvalidArguments, match="takes 2 positional arguments, not 3"):
        task.codec.encode((1, 2, 3), {})
    with pytest.raises(InvalidArguments, match="argument 'order': Expected `int`, got `str`"):
        task.decode(b"j" + b'[["x",1],{}]')


def test_what_cannot_be_told_apart_is_not_told(app):
    with pytest.raises(InvalidArguments, match="Some are sensitive") as caught:
        make(app, int).decode(b'j[{"' + SECRET.encode() + b'":1},{}]')
    assert SECRET not in whole(caught.value)


def test_calls_that_fit_are_as_ever(app):
    task = make(app, Card)
    body = task.codec.encode((1, Card(7)), {})
    assert task.decode(body) == ((1, Card(7)), {})
    bodies: list[bytes] = []
    task.codec.encode_all([task.s(1, Card(7))], bodies)
    assert bodies == [body]


@pytest.mark.parametrize(
    "args, kwargs, shown",
    [
        ((1, SECRET), {}, "shop.charge.s(1, …)"),
        ((1,), {"card": SECRET}, "shop.charge.s(1, card=…)"),
        ((), {"card": SECRET, "order": 1}, "shop.charge.s(card=…, order=1)"),
        ((1, 2, SECRET), {}, "shop.charge.s(1, …, …)"),
    ],
)
def test_a_signature_shows_what_is_not_sensitive(app, args, kwargs, shown):
    assert repr(make(app, Any).s(*args, **kwargs)) == shown
