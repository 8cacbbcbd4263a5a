import zlib

import msgspec
import pytest

from penstock.model.job import JobEntry, Outcomes, Succeeded, checksum


@pytest.mark.parametrize(("body", "expected"), [(b"", 0), (b"123456789", 0xCBF43926)])
def test_the_checksum_is_the_usual_crc_32(body, expected):
    assert checksum(body) == expected == zlib.crc32(body)


def test_the_checksum_tells_a_flipped_bit():
    body = bytearray(b"m\x92\x91\x01\x80" * 40)
    sound = checksum(bytes(body))
    for at in range(len(body) * 8):
        body[at // 8] ^= 1 << at % 8
        assert checksum(bytes(body)) != sound
        body[at // 8] ^= 1 << at % 8


def test_records_are_their_own_wire_form():
    outcomes = Outcomes(b"h" * 16, forgotten=[1], succeeded=[Succeeded(2, 0.5, 1.5, b"m1")])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcomes), type=Outcomes) == outcomes
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(JobEntry(b"i", b"b", 1)))[:3] == [b"i", b"b", 1]
