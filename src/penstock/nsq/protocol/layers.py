"""What lies between the bytes of a connection and its commands once IDENTIFY has agreed on it. Pure.

As nsqd has it: TLS first, then one compression inside it. As soon as a layer is there, the client is told OK through it
and through those below it; it says nothing until then.
"""

from __future__ import annotations

import ssl

from penstock.model import limits
from penstock.nsq.protocol.compression import Compression, Deflate, Snappy
from penstock.nsq.protocol.errors import LayerError
from penstock.nsq.protocol.frames import OK
from penstock.nsq.protocol.identify import Negotiated
from penstock.nsq.protocol.tls_layer import TlsFacts, TlsLayer


class Layers:
    """The layers of one connection. To be used so: `feed` what arrives; `take` until nothing is left, and have commands
    read from that; `wrap` what is to be sent, and nothing too: a layer may have something of its own to say.

    Args:
        agreed: what IDENTIFY agreed on.
        context: of TLS, if that was agreed on.
    """

    def __init__(self, agreed: Negotiated, context: ssl.SSLContext | None = None) -> None:
        self._tls = TlsLayer(context) if agreed.tls and context is not None else None
        self._compression: Compression | None = None
        self._next_compression: Compression | None = None
        if agreed.snappy:
            self._next_compression = Snappy()
        elif agreed.deflate:
            self._next_compression = Deflate(agreed.deflate_level)
        self._waiting = bytearray()  # what is to be sent and comes before TLS is there
        self._to_send = bytearray()
        if self._tls is None:
            self._ready()

    @property
    def is_ready(self) -> bool:
        """Whether all layers are there. nsqd gives a client `limits.NSQ_HANDSHAKE_S` for it."""
        return self._tls is None or self._tls.is_ready

    @property
    def tls(self) -> TlsFacts | None:
        """How the connection is encrypted; None: it is not, or not yet."""
        return self._tls.facts() if self._tls is not None and self._tls.is_ready else None

    def feed(self, data: bytes) -> None:
        """Take what has arrived.

        Raises:
            LayerError: it cannot be decrypted. `wrap` has what the client is to be told before the connection ends.
        """
        if self._tls is None:
            if self._compression is not None:
                self._compression.feed(data)
            return
        was_ready = self._tls.is_ready
        self._tls.feed(data)
        if self._tls.is_ready and not was_ready:
            self._send(OK)
            self._ready()
            waiting, self._waiting = bytes(self._waiting), bytearray()
            self._send(waiting)

    def take(self) -> bytes:
        """Some of what the client says, `limits.NSQ_LAYER_BYTES` at most; empty: it says no more.

        Raises:
            LayerError: it cannot be decrypted, or not be decompressed.
        """
        size_bytes = limits.NSQ_LAYER_BYTES
        if self._compression is None:
            return b"" if self._tls is None else self._tls.take(size_bytes)
        while True:
            plain = self._compression.take(size_bytes)
            if plain or self._tls is None:
                return plain
            compressed = self._tls.take(size_bytes)
            if not compressed:
                return b""
            self._compression.feed(compressed)

    def wrap(self, plain: bytes) -> bytes:
        """What goes over the connection so that the client hears this, and whatever else is due."""
        if self.is_ready:
            self._send(plain)
        else:
            self._waiting += plain
        if self._tls is not None:
            self._to_send += self._tls.take_to_send()
        to_send, self._to_send = bytes(self._to_send), bytearray()
        return to_send

    def _ready(self) -> None:
        """What is below compression is there."""
        if self._next_compression is not None:
            self._compression = self._next_compression
            self._send(OK)

    def _send(self, plain: bytes) -> None:
        if not plain:
            return
        if self._compression is not None:
            plain = self._compression.compress(plain)
        if self._tls is None:
            self._to_send += plain
            return
        try:
            self._tls.encrypt(plain)
        except LayerError:
            return  # The client has ended TLS: it hears nothing more, and the connection ends when that is read.
