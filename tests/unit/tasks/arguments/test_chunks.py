"""Jobs that make several calls: their bodies and results."""

from __future__ import annotations

import msgspec
import pytest

from penstock import InvalidArguments, ResultTooLarge
from penstock.model import limits
from penstock.tasks.arguments.chunks import chunk_body, chunk_decoder, chunk_result_encoder
from penstock.tasks.arguments.codec import Codec


def add(one: int, other: int = 1) -> int:
    return one + other


CODEC = Codec("add", add)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_the_arguments_of_each_call_arrive(count):
    body = chunk_body([CODEC.encode((number, 2), {}) for number in range(count)])
    assert msgspec.msgpack.decode(body[1:]) == [[[number, 2] for number in range(count)], {}]
    (calls,), kwargs = chunk_decoder(CODEC.decode)(body)
    assert (calls, kwargs) == ([((number, 2), {}) for number in range(count)], {})


def test_calls_without_arguments():
    codec = Codec("nothing", lambda: None)
    body = chunk_body([codec.encode((), {})] * 3)
    assert chunk_decoder(codec.decode)(body) == (([((), {})] * 3,), {})


@pytest.mark.parametrize("body", [b"", b"j[[],{}]", b"m\x01", b"m\x92\x91\x01\x80", b"m\x92\x91\x91\xa1x\x80"])
def test_what_is_no_chunk_is_refused(body):
    with pytest.raises(InvalidArguments):
        chunk_decoder(CODEC.decode)(body)


def test_the_result_is_the_list_of_results():
    encode = chunk_result_encoder("add", CODEC.encode_result)
    assert msgspec.msgpack.decode(encode([1, 2, None])[1:]) == [1, 2, None]
    assert encode([]) == b"m\x90"


def test_a_result_that_is_too_large_is_refused():
    encode = chunk_result_encoder("add", CODEC.encode_result)
    with pytest.raises(ResultTooLarge, match="smaller chunks"):
        encode(["x" * (limits.RESULT_BYTES_MAX // 2)] * 3)
