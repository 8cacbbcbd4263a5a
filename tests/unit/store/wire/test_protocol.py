import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.errors import BY_CODE, BodyTooLarge, InvalidArguments, InvalidOption, PenstockError, StoreFull
from penstock.store.wire import protocol
from penstock.store.wire.protocol import HEADER_BYTES, FrameReader, MalformedFrame

frames = st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=300)), max_size=8)


def kind_of(frame):
    ((kind, _, _),) = protocol.FrameReader().feed(bytes(frame))
    return kind


@given(frames, st.data())
def test_frames_come_out_as_they_went_in_however_the_stream_is_split(sent, data):
    stream = b"".join(protocol.frame(*frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader, got = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert got == sent


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_garbage_gives_frames_or_a_typed_error_and_nothing_else(chunks):
    reader = FrameReader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except MalformedFrame:
        return


@pytest.mark.parametrize("length", [0, 8, limits.FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_an_impossible_length_is_refused_before_its_bytes_are_awaited(length):
    with pytest.raises(MalformedFrame):
        FrameReader().feed(length.to_bytes(4, "big") + bytes(HEADER_BYTES - 4))


def test_a_frame_over_the_limit_is_not_made():
    with pytest.raises(BodyTooLarge):
        protocol.frame(1, 1, bytes(limits.FRAME_BYTES_MAX))


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_comes_back_as_itself(code):
    error = protocol.error_of(protocol.failure(BY_CODE[code]("what happened")))
    assert type(error) is BY_CODE[code]
    assert error.message == "what happened"


def test_the_field_to_blame_travels_along():
    error = protocol.error_of(protocol.failure(InvalidArguments("wrong", field="kwargs.width")))
    assert error.field == "kwargs.width"
    assert not hasattr(protocol.error_of(protocol.failure(StoreFull())), "field")


@pytest.mark.parametrize("odd", [1 << 64, -(1 << 63) - 1, 10**400, "\ud800"])
def test_what_no_frame_can_carry_is_the_caller_s_fault(odd):
    with pytest.raises(InvalidOption):
        protocol.encode_request([odd])


def test_the_refusal_says_what_is_wrong_with_the_request():
    with pytest.raises(InvalidOption) as refused:
        protocol.encode_request([1 << 64])
    assert refused.value.message == "A number in the request has more than 64 bits."
    with pytest.raises(InvalidOption) as refused:
        protocol.encode_request(["\ud800"])
    assert refused.value.message == "A text in the request is not valid Unicode."


def test_what_can_be_gone_through_goes_as_a_list():
    assert msgspec.msgpack.decode(protocol.encode_request([range(3), iter("ab")])) == [[0, 1, 2], ["a", "b"]]


@pytest.mark.parametrize("code", ["a-newer-version-has-this", ""])
def test_an_error_of_an_unknown_code_is_a_penstock_error(code):
    error = protocol.error_of(protocol.encode(protocol.Failure(code, "what happened")))
    assert (type(error), error.message) == (PenstockError, "what happened")


@pytest.mark.parametrize("payload", [b"", b"x", b"xyz"])
def test_one_whole_answer_is_taken_and_nothing_else(payload):
    whole = protocol.frame(protocol.ANSWER, 7, payload)
    room = memoryview(whole + b"rest of the buffer")
    assert protocol.sole_answer(room, len(whole), 7) == payload
    assert protocol.sole_answer(room, len(whole), 8) is None
    assert protocol.sole_answer(room, len(whole) - 1, 7) is None
    assert protocol.sole_answer(room, len(whole) + 1, 7) is None
    assert protocol.sole_answer(memoryview(whole[:4]), 4, 7) is None
    other = protocol.frame(protocol.FAILURE, 7, payload)
    assert protocol.sole_answer(memoryview(other), len(other), 7) is None


def test_a_frame_of_exactly_the_limit_is_made_and_read():
    payload = bytes(limits.FRAME_BYTES_MAX - (HEADER_BYTES - 4))
    made = protocol.frame(1, 2, payload)
    assert FrameReader().feed(made) == [(1, 2, payload)]
    with pytest.raises(BodyTooLarge) as refused:
        protocol.frame(1, 2, payload + b"x")
    limit = limits.FRAME_BYTES_MAX
    assert refused.value.message == f"The request or its answer is over {limit} bytes; ask for less."
    with pytest.raises(MalformedFrame) as malformed:
        FrameReader().feed((limit + 1).to_bytes(4, "big") + made[4:20])
    assert malformed.value.message == f"A frame of {limit + 1} bytes; at most {limit} are taken."


def test_what_is_kept_of_a_frame_is_counted():
    made = protocol.frame(1, 2, b"payload")
    reader = FrameReader()
    kept = []
    for at in range(len(made)):
        assert reader.feed(made[at : at + 1]) == ([] if at < len(made) - 1 else [(1, 2, b"payload")])
        kept.append(reader.size_bytes)
    assert kept == [*range(1, len(made)), 0]
    assert reader.feed(made + made[:3]) == [(1, 2, b"payload")]
    assert reader.size_bytes == 3
