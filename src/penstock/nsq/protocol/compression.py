"""Snappy and deflate as nsqd has them on a connection. Pure.

Snappy is in the framing format of its authors: a stream identifier, then chunks of at most 64 KiB with a checksum each.
Deflate has no header and no end; each piece that is written ends in a sync flush.

What comes in is kept compressed until it is asked for, and no more is made of it at once than is asked for: a small
message that becomes a large one is no danger.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Final, Protocol

import cramjam

from penstock.nsq.protocol.errors import LayerError

_SNAPPY_IDENTIFIER: Final = b"\xff\x06\x00\x00sNaPpY"
_SNAPPY_HEAD_BYTES: Final = 4
_SNAPPY_COMPRESSED: Final = 0x00
_SNAPPY_PLAIN: Final = 0x01
_SNAPPY_SKIPPED_FROM: Final = 0x80
_SNAPPY_BLOCK_BYTES_MAX: Final = 65_536
_SNAPPY_CHUNK_BYTES_MAX: Final = 4 + 32 + _SNAPPY_BLOCK_BYTES_MAX + _SNAPPY_BLOCK_BYTES_MAX // 6
"""A checksum, and the most that 64 KiB become when they cannot be compressed."""
_CHECKSUM_BYTES: Final = 4
_SNAPPY_START_BYTES: Final = _CHECKSUM_BYTES + 5
"""Of a chunk, the checksum and the number of bytes that it makes."""

_DEFLATE_WITHOUT_HEADER: Final = -15


class Compression(Protocol):
    """One way to compress what goes over a connection."""

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""

    def take(self, size_bytes: int) -> bytes:
        """Some of what it says, about so many bytes at most; empty: it says no more.

        Raises:
            LayerError: it is not compressed in this way.
        """

    def compress(self, plain: bytes) -> bytes:
        """What to send so that the other side gets all of this at once."""


class Snappy:
    """A connection compressed with snappy."""

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._has_begun = False
        self._has_sent = False

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._arrived += data

    def take(self, size_bytes: int) -> bytes:
        """The whole chunks that make at most so much, one of them whatever it makes. As `Compression.take`."""
        while True:
            end, size = self._chunks(max(size_bytes, _SNAPPY_BLOCK_BYTES_MAX))
            if not end:
                return b""
            # Begun anew each time, with an identifier of its own: a chunk knows nothing of the ones before it.
            chunks = _SNAPPY_IDENTIFIER + self._arrived[:end]
            del self._arrived[:end]
            try:
                plain = bytes(cramjam.snappy.decompress(chunks, size))
            except cramjam.DecompressionError as error:
                raise LayerError(str(error)) from None
            if plain:
                return plain

    def compress(self, plain: bytes) -> bytes:
        """As `Compression.compress`."""
        compressor = _snappy_compressor()
        compressor.compress(plain)
        compressed = bytes(compressor.flush())
        if self._has_sent:
            return compressed
        self._has_sent = True
        return _SNAPPY_IDENTIFIER + compressed

    def _chunks(self, size_max: int) -> tuple[int, int]:
        """Where the chunks end that make no more than this, and how much they make."""
        data = self._arrived
        if not self._has_begun:
            if not data.startswith(_SNAPPY_IDENTIFIER[: len(data)]):
                raise LayerError("what arrives does not begin as snappy does")
            self._has_begun = len(data) >= len(_SNAPPY_IDENTIFIER)
        at = size = 0
        while at + _SNAPPY_HEAD_BYTES <= len(data):
            chunk_bytes = int.from_bytes(data[at + 1 : at + _SNAPPY_HEAD_BYTES], "little")
            if chunk_bytes > _SNAPPY_CHUNK_BYTES_MAX:
                raise LayerError(f"a chunk of snappy is too large: {chunk_bytes} > {_SNAPPY_CHUNK_BYTES_MAX}")
            start = at + _SNAPPY_HEAD_BYTES
            if start + chunk_bytes > len(data):
                break
            block_bytes = _snappy_block_bytes(
                data[at], data[start : start + min(chunk_bytes, _SNAPPY_START_BYTES)], chunk_bytes
            )
            if size + block_bytes > size_max:
                break
            at = start + chunk_bytes
            size += block_bytes
        return at, size


@cache
def _snappy_compressor() -> cramjam.snappy.Compressor:
    """One for all connections: a chunk knows nothing of others, and each compressor has 140 KiB of buffers."""
    compressor = cramjam.snappy.Compressor()
    compressor.compress(b"-")
    compressor.flush()  # its identifier, which each connection sends for itself
    return compressor


def _snappy_block_bytes(kind: int, start: bytearray, chunk_bytes: int) -> int:
    """How much a chunk says that it makes. It begins with its checksum, and the size if it is compressed."""
    if kind >= _SNAPPY_SKIPPED_FROM:
        return 0
    if kind == _SNAPPY_PLAIN:
        size = chunk_bytes - _CHECKSUM_BYTES
    elif kind == _SNAPPY_COMPRESSED:
        size = _varint(start[_CHECKSUM_BYTES:])
    else:
        raise LayerError(f"there is no chunk of type {kind} in snappy")
    if not 0 <= size <= _SNAPPY_BLOCK_BYTES_MAX:
        raise LayerError(f"a chunk of snappy makes too much: {size} > {_SNAPPY_BLOCK_BYTES_MAX}")
    return size


def _varint(data: bytearray) -> int:
    """The number that data begins with, seven bits a byte."""
    number = 0
    for place, byte in enumerate(data):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number
    raise LayerError("a chunk of snappy does not say how much it makes")


class Deflate:
    """A connection compressed with deflate.

    Args:
        level: with which is compressed, 1 to 9.
    """

    def __init__(self, level: int) -> None:
        self._decompressor = zlib.decompressobj(_DEFLATE_WITHOUT_HEADER)
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, _DEFLATE_WITHOUT_HEADER)
        self._arrived = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._arrived += data

    def take(self, size_bytes: int) -> bytes:
        """As `Compression.take`."""
        decompressor = self._decompressor
        if decompressor.eof:
            if self._arrived:
                raise LayerError("something arrives behind the end of deflate")
            return b""
        arrived, self._arrived = bytes(self._arrived), bytearray()
        try:
            plain = decompressor.decompress(arrived, size_bytes)
        except zlib.error as error:
            raise LayerError(str(error)) from None
        self._arrived += decompressor.unconsumed_tail or decompressor.unused_data
        return plain

    def compress(self, plain: bytes) -> bytes:
        """As `Compression.compress`."""
        return self._compressor.compress(plain) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
