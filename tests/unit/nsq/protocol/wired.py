"""The client's side of what lies between bytes and commands, for tests."""

from __future__ import annotations

import ssl
import zlib
from pathlib import Path

import cramjam

from penstock.nsq.protocol.identify import Negotiated
from penstock.nsq.protocol.layers import Layers

CERTIFICATES = Path(__file__).parents[3] / "certificates"
STACKS = [
    {"tls": True}, {"snappy": True}, {"deflate": True}, {"tls": True, "snappy": True}, {"tls": True, "deflate": True},
]  # fmt: skip
"""What may lie between bytes and commands."""


def agreed(*, tls: bool = False, snappy: bool = False, deflate: bool = False) -> Negotiated:
    """What a client and a door have agreed on."""
    return Negotiated(
        client_id="", hostname="", user_agent="", topology_region="", topology_zone="", heartbeat_interval_s=30.0,
        output_buffer_size_bytes=1, output_buffer_timeout_s=0.0, sample_rate=0, msg_timeout_s=60.0, tls=tls,
        snappy=snappy, deflate=deflate,
    )  # fmt: skip


def server_context() -> ssl.SSLContext:
    """Of a door."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server_key.pem")
    return context


class Client:
    """A client with the same layers as the door's end of the connection, which is in ``layers``."""

    def __init__(
        self,
        what: Negotiated,
        context: ssl.SSLContext | None = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ) -> None:
        self.layers = Layers(what, server_context() if context is None and what.tls else context)
        self._what = what
        self.heard = b""
        self._arrived, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = None
        if what.tls:
            client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            client_context.maximum_version = newest
            client_context.load_verify_locations(CERTIFICATES / "authority.pem")
            client_context.load_cert_chain(CERTIFICATES / "client.pem", CERTIFICATES / "client_key.pem")
            self.tls = client_context.wrap_bio(self._arrived, self._to_send, server_hostname="localhost")
        self._inflate = zlib.decompressobj(-15)
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._snappy = cramjam.snappy.Compressor()
        self._snappy_heard = b""

    def shake_hands(self) -> None:
        """The handshake of TLS, to its end."""
        while self.tls is not None and not self.layers.is_ready:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            self.layers.feed(self._to_send.read())
            self._arrived.write(self.layers.wrap(b""))

    def compressed(self, plain: bytes) -> bytes:
        """As it is inside TLS."""
        if self._what.snappy:
            self._snappy.compress(plain)
            return bytes(self._snappy.flush())
        if self._what.deflate:
            return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return plain

    def encrypted(self, data: bytes) -> bytes:
        """As it goes over the connection."""
        if self.tls is None:
            return data
        self.tls.write(data)
        return self._to_send.read()

    def sends(self, plain: bytes) -> bytes:
        """What goes over the connection so that the door hears this."""
        return self.encrypted(self.compressed(plain))

    def hears(self, data: bytes) -> bytes:
        """What the client gets to know by this."""
        if self.tls is not None:
            self._arrived.write(data)
            data = b""
            try:
                while True:
                    data += self.tls.read(65_536)
            except ssl.SSLWantReadError:
                pass
        if self._what.deflate:
            return self._inflate.decompress(data)
        if self._what.snappy:
            # All from the beginning, for its framing begins only once.
            before = len(bytes(cramjam.snappy.decompress(self._snappy_heard))) if self._snappy_heard else 0
            self._snappy_heard += data
            return bytes(cramjam.snappy.decompress(self._snappy_heard))[before:]
        return data


def taken(layers: Layers) -> bytes:
    """All that the door hears now."""
    parts = []
    while part := layers.take():
        parts.append(part)
    return b"".join(parts)
