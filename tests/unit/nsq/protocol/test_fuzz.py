"""Any bytes, cut anywhere, through any layers: the same commands as uncut, or the same refusal; nothing that grows.

Two makers of bytes: Hypothesis, which shrinks what fails, and a seeded stream of commands with faults in them.
"""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.model import limits
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol.commands import MAGIC, CommandReader
from penstock.nsq.protocol.errors import LayerError, ProtocolError
from penstock.nsq.protocol.identify import negotiate
from penstock.nsq.protocol.layers import Layers
from tests.unit.nsq.protocol.wired import STACKS, Client, agreed

MESSAGE_BYTES_MAX, BODY_BYTES_MAX = 64, 512

Heard = list[tuple[Any, ...]]


def reader() -> CommandReader:
    return CommandReader(MESSAGE_BYTES_MAX, BODY_BYTES_MAX, 3_600_000)


class Ear:
    """Hears parts of what arrives, and keeps the commands in it, and the refusal that ended it."""

    def __init__(self) -> None:
        self._reader = reader()
        self.heard: Heard = []
        self.is_over = False

    def hear(self, part: bytes) -> None:
        self._reader.feed(part)
        while not self.is_over:
            try:
                command = self._reader.next()
            except ProtocolError as error:
                self.heard.append(("refused", error.data, error.verb))
                self.is_over = True
                return
            if command is None:
                return
            # How many FINs are one command depends on how many have arrived.
            self.heard += [("FIN", one) for one in command[1]] if command[0] == "FIN" else [command]


def heard_of(parts: Iterable[bytes]) -> Heard:
    ear = Ear()
    for part in parts:
        ear.hear(part)
    return ear.heard


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


# --- what clients send, more or less --------------------------------------------------------------------------------
def sized(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


NAMES = st.sampled_from([b"a", b"topic", b"a#ephemeral", b"", b"b@d", b"x" * 65]) | st.binary(max_size=6)
IDS = st.sampled_from([b"0123456789abcdef", b"?" * 16, b"short"]) | st.binary(max_size=17)
BODIES = st.binary(max_size=MESSAGE_BYTES_MAX + 2)
NUMBERS = st.sampled_from([b"0", b"1", b"-1", b"99999999999999999999999", b"", b"x"])
SIZES = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 600)
LINES = st.one_of(
    st.builds(b"FIN %s\n".__mod__, IDS),
    st.just(b"FIN 0123456789abcdef\n" * 3),
    st.builds(b"TOUCH %s\r\n".__mod__, IDS),
    st.builds(b"RDY %s\n".__mod__, NUMBERS),
    st.tuples(IDS, NUMBERS).map(lambda words: b"REQ %s %s\n" % words),
    st.tuples(NAMES, NAMES).map(lambda words: b"SUB %s %s\n" % words),
    st.sampled_from([b"NOP\n", b"CLS\n", b"NOP and more\r\n", b"\n", b"\r\n", b"nop\n"]),
    st.tuples(NAMES, BODIES).map(lambda it: b"PUB %s\n" % it[0] + sized(it[1])),
    st.tuples(NAMES, NUMBERS, BODIES).map(lambda it: b"DPUB %s %s\n" % it[:2] + sized(it[2])),
    st.tuples(NAMES, st.lists(BODIES, max_size=12), SIZES | st.none()).map(lambda it: many(*it)),
    st.builds(b"IDENTIFY\n%s".__mod__, BODIES.map(sized)),
    st.builds(b"AUTH\n%s".__mod__, BODIES.map(sized)),
    st.tuples(st.sampled_from([b"PUB a\n", b"MPUB a\n", b"IDENTIFY\n", b"AUTH\n"]), SIZES).map(
        lambda it: it[0] + struct.pack(">i", it[1])
    ),
    st.binary(max_size=40),
)


def many(topic: bytes, bodies: list[bytes], size: int | None) -> bytes:
    body = struct.pack(">i", len(bodies)) + b"".join(map(sized, bodies))
    return b"MPUB %s\n" % topic + struct.pack(">i", len(body) if size is None else size) + body


STREAMS = st.lists(LINES, max_size=12).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 5_000), max_size=20))
def test_where_it_is_cut_makes_no_difference(stream, places):
    data = MAGIC + stream
    assert heard_of(cut(data, places)) == heard_of([data])


@settings(max_examples=100, deadline=None)
@given(STREAMS)
def test_byte_by_byte_it_is_the_same(stream):
    data = MAGIC + stream
    assert heard_of(data[at : at + 1] for at in range(len(data))) == heard_of([data])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_from_the_first(data, places):
    assert heard_of(cut(data, places)) == heard_of([data])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100) | st.sampled_from([b"{}", b"null", b'{"a": [1]}']))
def test_any_body_of_identify_is_agreed_on_or_refused(body):
    with suppress(ProtocolError):
        negotiate(body, DoorOptions(), has_tls=True)


# --- through layers -------------------------------------------------------------------------------------------------
def heard_through(layers: Layers, ear: Ear, parts: Iterable[bytes]) -> None:
    """What the door hears; a layer that cannot be read ends it."""
    with suppress(LayerError):
        for part in parts:
            layers.feed(part)
            while plain := layers.take():
                assert len(plain) <= limits.NSQ_LAYER_BYTES
                ear.hear(plain)


@pytest.mark.parametrize("stack", STACKS)
@settings(max_examples=40, deadline=None)
@given(streams=st.lists(STREAMS, max_size=4), places=st.lists(st.integers(0, 5_000), max_size=10))
def test_commands_come_through_layers_as_they_are(stack, streams, places):
    client = Client(agreed(**stack))
    client.shake_hands()
    ear = Ear()
    ear.hear(MAGIC)
    data = b"".join(client.sends(stream) for stream in streams if stream)
    heard_through(client.layers, ear, cut(data, places))
    assert ear.heard == heard_of([MAGIC + b"".join(streams)])


@pytest.mark.parametrize("stack", STACKS)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, 300), places=st.lists(st.integers(0, 500), max_size=5))
def test_what_a_layer_cannot_read_ends_the_connection_and_nothing_else(stack, data, at, places):
    """Bytes of any kind over a part of what a client sends: outermost, and inside TLS."""
    client = Client(agreed(**stack))
    client.shake_hands()
    compressed = client.compressed(b"PUB topic\n" + sized(b"x" * 60)) if len(stack) == 2 or "tls" not in stack else b""
    at %= len(compressed) + 1
    spoilt = compressed[:at] + data + compressed[at + len(data) // 2 :]
    if len(stack) == 2 and spoilt:
        spoilt = client.encrypted(spoilt)
    heard_through(client.layers, Ear(), cut(spoilt, places))
    client.layers.wrap(b"x")


# --- much of it -----------------------------------------------------------------------------------------------------
def random_stream(chance: random.Random, size_bytes: int) -> bytes:
    """Commands, some of which are spoilt."""
    pieces = [
        b"FIN 0123456789abcdef\n", b"FIN fedcba9876543210\n", b"RDY 5\n", b"NOP\n", b"TOUCH 0123456789abcdef\n",
        b"REQ 0123456789abcdef 100\n", b"PUB topic\n" + sized(b"x" * 50), b"PUB other\n" + sized(b"y"),
        many(b"topic", [b"a", b"bc", b"x" * 60], None), many(b"topic", [b"a"] * 40, 9), b"DPUB topic 5\n" + sized(b"z"),
        b"SUB topic channel\n", b"IDENTIFY\n" + sized(b"{}"),
    ]  # fmt: skip
    stream = bytearray()
    while len(stream) < size_bytes:
        piece = bytearray(chance.choice(pieces))
        if chance.random() < 0.002:
            piece[chance.randrange(len(piece))] = chance.randrange(256)
        stream += piece
    return bytes(stream)


@pytest.mark.parametrize("seed", range(20))
def test_streams_with_faults_cut_at_random(seed):
    chance = random.Random(seed)
    data = MAGIC + random_stream(chance, 30_000)
    places = [chance.randrange(len(data)) for _ in range(chance.choice([3, 50, 2_000]))]
    assert heard_of(cut(data, places)) == heard_of([data])


@pytest.mark.parametrize("seed", range(50))
def test_random_bytes(seed):
    data = random.Random(seed).randbytes(5_000)
    assert heard_of(cut(MAGIC + data, range(0, 5_000, 7))) == heard_of([MAGIC + data])


ENDLESS = [
    (b"PUB topic\n" + struct.pack(">i", 1_048_576), b"x" * 60),
    (b"IDENTIFY\n" + struct.pack(">i", 5_242_880), b"x" * 60),
    (b"MPUB topic\n" + struct.pack(">iii", 5_242_880, 1_000_000, 1_048_576), b"x" * 60),
    (b"MPUB topic\n" + struct.pack(">ii", 5_242_880, 100_000), struct.pack(">i", 50) + b"x" * 50),
    (b"NOP ", b"x"),
    (b"NOP\n", b"NOP\n" * 2),
]
"""What a client begins with, and what it then sends for ever."""


@pytest.mark.parametrize(("begin", "piece"), ENDLESS)
def test_a_reader_holds_no_more_than_one_command(begin, piece):
    found = CommandReader(1_048_576, 5_242_880, 0)
    found.feed(MAGIC + begin)
    tracemalloc.start()
    with suppress(ProtocolError):
        for _ in range(200_000):
            while found.next() is not None:
                pass
            found.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 5_242_880
