"""TLS on a connection, with what goes over it in memory. Pure."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

from penstock.nsq.protocol.errors import LayerError

_VERSIONS: Final = {"TLSv1": "TLS1.0", "TLSv1.1": "TLS1.1", "TLSv1.2": "TLS1.2", "TLSv1.3": "TLS1.3"}
_HASHES: Final = ("SHA256", "SHA384", "SHA", "MD5")


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """How a connection is encrypted, as nsqd shows it.

    Attributes:
        version: such as TLS1.3.
        cipher_suite: by its name in the standards.
        common_name: of the subject of the client's certificate, which was verified; empty: it showed none.
    """

    version: str
    cipher_suite: str
    common_name: str


class TlsLayer:
    """The server's side of TLS.

    Args:
        context: with the certificate, and what is asked of clients.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._arrived = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._to_send, server_side=True)
        self.is_ready = False
        """The handshake is done."""

    def feed(self, data: bytes) -> None:
        """Take what has arrived, and go on with the handshake.

        Raises:
            LayerError: it fails. What the client is to be told is in `take_to_send`.
        """
        self._arrived.write(data)
        if not self.is_ready:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                raise _failed(error) from None
            self.is_ready = True

    def take(self, size_bytes: int) -> bytes:
        """Some of what the client says, so many bytes at most; empty: it says no more.

        Raises:
            LayerError: it cannot be decrypted, or the client has ended it.
        """
        if not self.is_ready:
            return b""
        try:
            plain = self._tls.read(size_bytes)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise _failed(error) from None
        if not plain:
            raise LayerError("TLS ended by the client")
        return plain

    def encrypt(self, plain: bytes) -> None:
        """Have this sent. After the handshake.

        Raises:
            LayerError: the connection has ended.
        """
        try:
            self._tls.write(plain)
        except ssl.SSLError as error:
            raise _failed(error) from None

    def take_to_send(self) -> bytes:
        """What is to be sent."""
        return self._to_send.read() if self._to_send.pending else b""

    def facts(self) -> TlsFacts:
        """How it is encrypted. After the handshake."""
        version = self._tls.version() or ""
        cipher = self._tls.cipher()
        name = "" if cipher is None else standard_name(cipher[0])
        certificate = self._tls.getpeercert() or {}
        common_name = ""
        for part in certificate.get("subject", ()):
            for attribute in part:
                if isinstance(attribute, tuple) and attribute[0] == "commonName":
                    common_name = str(attribute[1])
        return TlsFacts(_VERSIONS.get(version, version), name, common_name)


def standard_name(cipher: str) -> str:
    """The name of a cipher suite in the standards, by OpenSSL's; they are the same since TLS 1.3."""
    if cipher.startswith("TLS_"):
        return cipher
    words = cipher.replace("CHACHA20-POLY1305", "CHACHA20_POLY1305").split("-")
    exchange = [word for word in words[:2] if word in ("ECDHE", "DHE", "ECDSA", "RSA", "DSS")]
    words = words[len(exchange) :]
    mac = words.pop() if words and words[-1] in _HASHES else "SHA256"
    sizes = [word.replace("AES128", "AES_128").replace("AES256", "AES_256") for word in words]
    mode = [] if any(word in ("GCM", "CCM", "CCM8", "CHACHA20_POLY1305", "CBC") for word in sizes) else ["CBC"]
    return "_".join(["TLS", *(exchange or ["RSA"]), "WITH", *sizes, *mode, mac])


def _failed(error: ssl.SSLError) -> LayerError:
    return LayerError(f"TLS: {error.reason or error}")
