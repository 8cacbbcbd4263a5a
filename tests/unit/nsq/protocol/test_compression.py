"""Snappy and deflate as other implementations write them, and what is wrong with some."""

from __future__ import annotations

import struct
import zlib

import cramjam
import pytest

from penstock.model import limits
from penstock.nsq.protocol.compression import Compression, Deflate, Snappy
from penstock.nsq.protocol.errors import LayerError

IDENTIFIER = b"\xff\x06\x00\x00sNaPpY"


def chunk(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def snappy_of(plain: bytes) -> bytes:
    return bytes(cramjam.snappy.compress(plain))


def all_of(compression: Compression, data: bytes) -> bytes:
    compression.feed(data)
    parts = []
    while part := compression.take(1_000):
        parts.append(part)
    return b"".join(parts)


# --- snappy ---------------------------------------------------------------------------------------------------------
def test_a_stream_of_the_framing_format():
    chunks = snappy_of(b"a" * 100)[len(IDENTIFIER) :] + snappy_of(b"xy")[len(IDENTIFIER) :]
    assert all_of(Snappy(), IDENTIFIER + chunks) == b"a" * 100 + b"xy"


def test_chunks_that_are_passed_over():
    data = IDENTIFIER + chunk(0xFE, b"\0" * 70_000) + IDENTIFIER + chunk(0x80, b"?") + snappy_of(b"xy")
    assert all_of(Snappy(), data) == b"xy"
    assert all_of(Snappy(), IDENTIFIER) == b""


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 300_000])
def test_what_is_compressed_here_is_one_stream(size):
    snappy = Snappy()
    sent = snappy.compress(b"a" * size) + snappy.compress(b"b" * size)
    assert sent.count(IDENTIFIER) == 1
    assert bytes(cramjam.snappy.decompress(sent)) == b"a" * size + b"b" * size


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"PUB topic\n", "does not begin"),
        (snappy_of(b"xy")[len(IDENTIFIER) :], "does not begin"),
        (IDENTIFIER + chunk(0x02, b""), "no chunk of type 2"),
        (IDENTIFIER + chunk(0x7F, b"abc"), "no chunk of type 127"),
        (IDENTIFIER + b"\0\xff\xff\xff", "too large"),
        (IDENTIFIER + b"\xfe\xff\xff\xff", "too large"),
        (IDENTIFIER + chunk(0x00, b"1234\x81\x80\x04\0"), "makes too much: 65537"),
        (IDENTIFIER + chunk(0x01, b"1234" + bytes(65_537)), "makes too much: 65537"),
        (IDENTIFIER + chunk(0x01, b"123"), "makes too much: -1"),
        (IDENTIFIER + chunk(0x00, b"1234\xff\xff\xff\xff\xff\xff"), "how much"),
        (IDENTIFIER + chunk(0x00, b"1234"), "how much"),
        (IDENTIFIER + chunk(0x01, struct.pack("<I", 0) + b"xy"), "checksum"),
        (IDENTIFIER + chunk(0x00, struct.pack("<I", 0) + b"\x02\x04xy"), "."),
        (IDENTIFIER + chunk(0xFF, b"sNaPpX"), "."),
    ],
)
def test_what_is_no_snappy(data, match):
    with pytest.raises(LayerError, match=match):
        all_of(Snappy(), data)


def test_a_chunk_that_does_not_end_is_no_more_than_the_largest():
    snappy = Snappy()
    assert all_of(snappy, IDENTIFIER + b"\0\0\0\1" + bytes(60_000)) == b""


# --- deflate --------------------------------------------------------------------------------------------------------
def test_what_is_compressed_here_arrives_at_once():
    deflate, decompressor = Deflate(6), zlib.decompressobj(-15)
    for plain in (b"a", b"bc" * 100_000, b"d"):
        assert decompressor.decompress(deflate.compress(plain)) == plain


def test_a_small_message_that_becomes_a_large_one_comes_in_parts():
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(bytes(50_000_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) < 60_000
    deflate = Deflate(6)
    deflate.feed(data)
    sizes = []
    while part := deflate.take(limits.NSQ_LAYER_BYTES):
        sizes.append(len(part))
    assert sum(sizes) == 50_000_000
    assert max(sizes) == limits.NSQ_LAYER_BYTES


@pytest.mark.parametrize("data", [b"PUB topic\n" * 10, b"\xff" * 10])
def test_what_is_no_deflate(data):
    with pytest.raises(LayerError):
        all_of(Deflate(6), data)


def test_nothing_comes_behind_the_end_of_deflate():
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflate = Deflate(6)
    assert all_of(deflate, compressor.compress(b"NOP\n") + compressor.flush()) == b"NOP\n"
    assert all_of(deflate, b"") == b""
    with pytest.raises(LayerError, match="behind the end"):
        all_of(deflate, b"\0")
