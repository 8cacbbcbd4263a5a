"""TLS as the door's options ask for it: towards clients, and towards servers that the door asks.

Two things differ from nsqd. TLS older than 1.2 is not spoken, whatever ``-tls-min-version`` says (RFC 8996). And a
certificate that a client has to show is verified with either policy: Python can ask for one only so. Who has no
authority for them puts the certificates themselves into ``-tls-root-ca-file``.
"""

from __future__ import annotations

import ssl
from typing import Final

from penstock.model.errors import InvalidOption
from penstock.nsq.options import DoorOptions

_NEWER: Final = {"tls1.3": ssl.TLSVersion.TLSv1_3}


def server_context(options: DoorOptions) -> ssl.SSLContext | None:
    """How connections of clients are encrypted, those of HTTPS too; None: there is no certificate.

    Raises:
        InvalidOption: a file cannot be read, or is not what it should be.
    """
    if not options.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _NEWER.get(options.tls_min_version, ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # With a password, or OpenSSL would ask for one at the terminal.
        context.load_cert_chain(options.tls_cert, options.tls_key, password="")
    except (OSError, ssl.SSLError) as error:
        raise _unusable("tls_cert", f"-tls-cert {options.tls_cert} with -tls-key {options.tls_key}", error) from None
    if options.tls_client_auth_policy:
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _load_authorities(context, options, ssl.Purpose.CLIENT_AUTH)
    return context


def client_context(options: DoorOptions) -> ssl.SSLContext:
    """How the door asks servers by HTTPS: it verifies them by ``-tls-root-ca-file``, or by the authorities that the
    system knows.

    Raises:
        InvalidOption: the file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _NEWER.get(options.tls_min_version, ssl.TLSVersion.TLSv1_2)
    _load_authorities(context, options, ssl.Purpose.SERVER_AUTH)
    return context


def _load_authorities(context: ssl.SSLContext, options: DoorOptions, purpose: ssl.Purpose) -> None:
    if not options.tls_root_ca_file:
        context.load_default_certs(purpose)
        return
    try:
        context.load_verify_locations(options.tls_root_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _unusable("tls_root_ca_file", f"-tls-root-ca-file {options.tls_root_ca_file}", error) from None


def _unusable(field: str, what: str, error: OSError) -> InvalidOption:
    return InvalidOption(f"{what} cannot be used: {error.strerror or error}.", field=field)
