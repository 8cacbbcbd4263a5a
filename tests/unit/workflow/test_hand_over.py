from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.model.errors import InvalidOption
from penstock.model.job_error import JobError
from penstock.workflow import hand_over
from penstock.workflow.hand_over import as_result, error_value, list_value, map_value, reference, spliced, value_of

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
leaves = st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
values = leaves | st.lists(leaves, max_size=20) | st.dictionaries(st.text(max_size=3), leaves, max_size=20)


def read(body: bytes):
    assert body[:1] == b"m"
    return unpack(body[1:])


some = st.lists(values, max_size=20)
by_name = st.dictionaries(st.text(max_size=3), values, max_size=20)


@given(some, by_name, some, some, by_name)
@settings(max_examples=100, deadline=None)
def test_splicing_is_what_decoding_and_encoding_would_be(args, kwargs, before, after, named):
    named = {name: value for name, value in named.items() if name not in kwargs}
    body = spliced(
        b"m" + pack((args, kwargs)),
        before=[pack(one) for one in before],
        after=[pack(one) for one in after],
        named=[(name, pack(one)) for name, one in named.items()],
    )
    assert read(body) == [[*before, *args, *after], kwargs | named]


@pytest.mark.parametrize("there", [0, 14, 15, 16, 65_534, 65_535, 65_536])
@pytest.mark.parametrize("more", [1, 2])
def test_headers_of_every_size_are_rewritten(there, more):
    names = {f"n{number}": 0 for number in range(there)}
    body = spliced(
        b"m" + pack((list(range(there)), names)),
        after=[pack("x")] * more,
        named=[(f"m{number}", pack(1)) for number in range(more)],
    )
    args, kwargs = read(body)
    assert args == [*range(there), *["x"] * more]
    assert kwargs == names | {f"m{number}": 1 for number in range(more)}


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_lists_and_maps_of_every_size(count):
    assert unpack(list_value([pack(one) for one in range(count)])) == list(range(count))
    assert unpack(map_value((str(one), pack(one)) for one in range(count))) == {str(one): one for one in range(count)}


def test_in_a_body_of_many_calls_each_call_gets_the_value():
    body = spliced(b"m" + pack(([[1], [2, 3], []], {})), before=[pack("e")], after=[pack("x")], each=True)
    assert read(body) == [[["e", 1, "x"], ["e", 2, 3, "x"], ["e", "x"]], {}]


def test_without_values_a_body_stays_as_it_is_whatever_its_format():
    assert spliced(b"j[[],{}]") == b"j[[],{}]"


@pytest.mark.parametrize(
    "body", [b"", b"j[[],{}]", b"m", b"m\x01", b"m\x92\x01\x80", b"m\x92\x90\x90", b"m\x91\x90", b"m\xc1"]
)
def test_what_is_no_body_is_refused(body):
    with pytest.raises(InvalidOption):
        spliced(body, after=[pack(1)], named=[("a", pack(1))])


def test_a_reference_is_an_extension_of_its_own_code():
    workflow = bytes(range(16))
    data = reference(workflow, 7)
    assert len(data) == hand_over.REFERENCE_BYTES
    assert unpack(data) == msgspec.msgpack.Ext(80, workflow + b"\0\0\0\x07")


def test_results_are_values_with_a_format_in_front():
    assert value_of(as_result(pack([1]))) == pack([1])
    assert unpack(value_of(None)) is None
    with pytest.raises(InvalidOption):
        value_of(b"j1")


def test_an_error_is_a_map():
    assert unpack(error_value(JobError("E", "m", "t"))) == {"type": "E", "message": "m", "traceback": "t"}
