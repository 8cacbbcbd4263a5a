"""A function's signature is read once, at decoration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from penstock.model.errors import InvalidOption
from penstock.tasks.arguments.parameters import read_parameters
from penstock.tasks.context import Context

if TYPE_CHECKING:
    from decimal import Decimal


def everything(
    ctx: Context, a: int, /, b: str, c: float = 1.0, *more: bytes, d: bool, e: Any = None, **rest: int
) -> str:
    raise AssertionError


def context_by_name(ctx, a):
    raise AssertionError


def ctx_of_another_type(ctx: int):
    raise AssertionError


def context_second(a: int, ctx: Context):
    raise AssertionError


def context_by_keyword(*, ctx: Context):
    raise AssertionError


def foreign(a: list[range]):
    raise AssertionError


def undecidable(a: str | bytes | list[int]):
    raise AssertionError


def unresolved(a: Decimal):
    raise AssertionError


def no_type(a: 3):
    raise AssertionError


def returns_nonsense(a: int) -> "int+":
    raise AssertionError


def unhashable(a: "int+"):
    raise AssertionError


def test_every_kind_of_parameter_is_known():
    found = read_parameters("t", everything)
    assert [parameter.name for parameter in found.positional] == ["a", "b", "c"]
    assert list(found.keyword) == ["b", "c", "d", "e"]
    assert found.extra_positional is not None
    assert found.extra_positional.type is bytes
    assert found.extra_keyword is not None
    assert found.extra_keyword.type is int
    assert [parameter.name for parameter in found.all() if parameter.required] == ["a", "b", "d"]
    assert found.returns is str
    assert found.takes_context


def test_a_first_parameter_named_ctx_without_annotation_is_a_context():
    found = read_parameters("t", context_by_name)
    assert found.takes_context
    assert [parameter.name for parameter in found.positional] == ["a"]


def test_a_first_parameter_named_ctx_of_another_type_is_an_argument():
    assert not read_parameters("t", ctx_of_another_type).takes_context


@pytest.mark.parametrize("function", [context_second, context_by_keyword])
def test_a_context_anywhere_else_is_refused(function):
    with pytest.raises(InvalidOption, match="first parameter") as caught:
        read_parameters("shop.t", function)
    assert caught.value.field == "ctx"


@pytest.mark.parametrize("function, why", [(foreign, "range"), (undecidable, "str-like")])
def test_a_parameter_that_cannot_be_sent_is_refused(function, why):
    with pytest.raises(InvalidOption, match=why) as caught:
        read_parameters("shop.t", function)
    assert caught.value.field == "a"


@pytest.mark.parametrize(
    ("function", "label"), [(foreign, "list[range]"), (undecidable, "str | bytes | list[int]"), (no_type, "3")]
)
def test_the_refusal_names_task_parameter_and_annotation_and_says_what_to_do(function, label):
    with pytest.raises(InvalidOption) as caught:
        read_parameters("shop.t", function)
    assert caught.value.message.startswith(f"shop.t: parameter 'a' is annotated `{label}`, which cannot be sent")
    assert "dataclasses" in caught.value.message


def test_a_name_that_does_not_exist_yet_is_told_apart():
    with pytest.raises(NameError):
        read_parameters("t", unresolved)


def test_an_annotation_that_is_no_expression_is_refused():
    with pytest.raises(InvalidOption, match=r"the annotation `'int\+'` of parameter 'a' cannot be read") as caught:
        read_parameters("t", unhashable)
    assert caught.value.field == "a"


def test_a_return_annotation_that_is_no_expression_is_refused_as_such():
    with pytest.raises(InvalidOption, match=r"the annotation `'int\+'` of what it returns cannot be read"):
        read_parameters("t", returns_nonsense)
