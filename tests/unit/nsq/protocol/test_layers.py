"""Every stack of layers, from both ends."""

from __future__ import annotations

import ssl
import zlib

import pytest

from penstock.model import limits
from penstock.nsq.protocol import frames
from penstock.nsq.protocol.errors import LayerError
from tests.unit.nsq.protocol.wired import STACKS, Client, agreed, server_context, taken


def ready(stack: dict[str, bool]) -> Client:
    """A client whose layers are there."""
    client = Client(agreed(**stack))
    client.shake_hands()
    return client


@pytest.mark.parametrize("stack", STACKS)
def test_both_sides_hear_each_other(stack):
    client = Client(agreed(**stack))
    layers = client.layers
    client.shake_hands()
    assert layers.is_ready
    for _ in range(3):
        layers.feed(client.sends(b"FIN 0123456789abcdef\n"))
        assert taken(layers) == b"FIN 0123456789abcdef\n"


@pytest.mark.parametrize("stack", [{"snappy": True}, {"deflate": True}])
def test_a_client_hears_ok_through_its_compression(stack):
    client = Client(agreed(**stack))
    assert client.hears(client.layers.wrap(b"")) == frames.OK
    assert client.hears(client.layers.wrap(frames.HEARTBEAT)) == frames.HEARTBEAT
    assert client.layers.wrap(b"") == b""


def test_a_client_hears_ok_through_tls_once_it_is_there():
    client = Client(agreed(tls=True))
    assert client.layers.wrap(b"") == b""
    client.shake_hands()
    assert client.hears(client.layers.wrap(b"")) == frames.OK
    assert client.hears(client.layers.wrap(frames.HEARTBEAT)) == frames.HEARTBEAT


def test_what_comes_before_tls_is_there_is_sent_behind_its_ok():
    client = Client(agreed(tls=True))
    assert client.layers.wrap(frames.HEARTBEAT) == b""
    client.shake_hands()
    assert client.hears(client.layers.wrap(b"")) == frames.OK + frames.HEARTBEAT


@pytest.mark.parametrize("compression", ["snappy", "deflate"])
def test_with_tls_and_compression_ok_is_said_through_each(compression):
    client = Client(agreed(tls=True, **{compression: True}))
    client.shake_hands()
    assert client.tls is not None
    heard = client.layers.wrap(b"")
    client._arrived.write(heard)
    inside = client.tls.read(65_536)
    assert inside == frames.OK
    rest = client.tls.read(65_536)
    plain = zlib.decompressobj(-15).decompress(rest) if compression == "deflate" else None
    assert plain in (frames.OK, None)
    if compression == "snappy":
        assert rest.startswith(b"\xff\x06\x00\x00sNaPpY")


@pytest.mark.parametrize("stack", STACKS)
def test_a_large_body_in_small_parts(stack):
    client = ready(stack)
    body = bytes(range(256)) * 4_000
    data = client.sends(body)
    heard = []
    for begin in range(0, len(data), 1_000):
        client.layers.feed(data[begin : begin + 1_000])
        heard.append(taken(client.layers))
    assert b"".join(heard) == body


@pytest.mark.parametrize("stack", STACKS)
def test_no_more_is_made_at_once_than_is_asked_for(stack):
    client = ready(stack)
    client.layers.feed(client.sends(bytes(20_000_000)))
    total = 0
    while part := client.layers.take():
        assert len(part) <= limits.NSQ_LAYER_BYTES
        total += len(part)
    assert total == 20_000_000


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_not_of_the_layer_ends_the_connection(stack):
    client = ready(stack)
    wrong = b"\xff PUB topic\n" * 20
    with pytest.raises(LayerError):
        client.layers.feed(client.encrypted(wrong) if len(stack) == 2 else wrong)
        taken(client.layers)


def test_a_client_that_does_not_begin_with_tls():
    client = Client(agreed(tls=True))
    with pytest.raises(LayerError, match="TLS"):
        client.layers.feed(b"NOP\n" * 10)


def test_a_client_that_is_refused_in_the_handshake_is_told_so():
    context = server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    client = Client(agreed(tls=True), context, newest=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(LayerError, match="UNSUPPORTED_PROTOCOL"):
        client.shake_hands()
    assert client.layers.wrap(b"")[:1] == b"\x15"  # an alert


def test_a_client_that_ends_tls():
    client = ready({"tls": True})
    assert client.tls is not None
    client.hears(client.layers.wrap(b""))
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.layers.feed(client._to_send.read())
    with pytest.raises(LayerError, match="ended by the client"):
        client.layers.take()
    client.layers.wrap(frames.HEARTBEAT)


def test_how_a_connection_is_encrypted():
    client = Client(agreed(tls=True))
    assert client.layers.tls is None
    client.shake_hands()
    facts = client.layers.tls
    assert facts is not None
    assert facts.version == "TLS1.3"
    assert facts.cipher_suite.startswith("TLS_")
    assert Client(agreed(snappy=True)).layers.tls is None
