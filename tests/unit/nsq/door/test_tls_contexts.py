"""TLS by the door's options: who is let in, and what is wrong with files."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from penstock.model.errors import InvalidOption
from penstock.nsq.door.tls_contexts import client_context, server_context
from penstock.nsq.options import DoorOptions
from tests.unit.nsq.protocol.wired import CERTIFICATES


def options(**more: Any) -> DoorOptions:
    named = {"tls_cert": str(CERTIFICATES / "server.pem"), "tls_key": str(CERTIFICATES / "server_key.pem")} | more
    return DoorOptions(**named)


def authority() -> dict[str, str]:
    return {"tls_root_ca_file": str(CERTIFICATES / "authority.pem")}


def shake_hands(asked: DoorOptions, who: str | None, newest: ssl.TLSVersion | None = None) -> str | None:
    """A client with this certificate connects. Which TLS is spoken, and what of its certificate the door knows."""
    context = server_context(asked)
    assert context is not None
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(CERTIFICATES / "authority.pem")
    if newest is not None:
        client_side.maximum_version = newest
    if who is not None:
        client_side.load_cert_chain(CERTIFICATES / f"{who}.pem", CERTIFICATES / f"{who}_key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = context.wrap_bio(to_server, to_client, server_side=True)
    ready: set[ssl.SSLObject] = set()
    while len(ready) < 2:
        for side in (client, server):
            try:
                side.do_handshake()
                ready.add(side)
            except ssl.SSLWantReadError:
                pass
    certificate = server.getpeercert()
    return dict(part[0] for part in certificate["subject"])["commonName"] if certificate else server.version()


def test_without_a_certificate_there_is_no_tls():
    assert server_context(DoorOptions()) is None


def test_clients_need_no_certificate():
    assert shake_hands(options(), None) == "TLSv1.3"
    assert shake_hands(options(**authority()), "stranger") == "TLSv1.3"


@pytest.mark.parametrize("policy", ["require", "require-verify"])
def test_clients_that_have_to_show_a_certificate(policy):
    asked = options(tls_client_auth_policy=policy, **authority())
    assert shake_hands(asked, "client") == "client"
    with pytest.raises(ssl.SSLError):
        shake_hands(asked, None)
    with pytest.raises(ssl.SSLError):
        shake_hands(asked, "stranger")


def test_a_certificate_without_an_authority_may_vouch_for_itself():
    asked = options(tls_client_auth_policy="require", tls_root_ca_file=str(CERTIFICATES / "stranger.pem"))
    assert shake_hands(asked, "stranger") == "stranger"


def test_without_a_file_of_authorities_those_of_the_system_vouch():
    with pytest.raises(ssl.SSLError):
        shake_hands(options(tls_client_auth_policy="require-verify"), "client")


@pytest.mark.parametrize(
    ("oldest", "spoken"), [("tls1.0", "TLSv1.2"), ("tls1.1", "TLSv1.2"), ("tls1.2", "TLSv1.2"), ("tls1.3", None)]
)
def test_the_oldest_tls(oldest, spoken):
    asked = options(tls_min_version=oldest)
    if spoken is None:
        with pytest.raises(ssl.SSLError):
            shake_hands(asked, None, ssl.TLSVersion.TLSv1_2)
    else:
        assert shake_hands(asked, None, ssl.TLSVersion.TLSv1_2) == spoken
    assert client_context(asked).minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tls_cert": "/nowhere"}, "tls_cert"),
        ({"tls_key": str(CERTIFICATES / "client_key.pem")}, "tls_cert"),
        ({"tls_cert": str(CERTIFICATES / "README.md")}, "tls_cert"),
        ({"tls_client_auth_policy": "require", "tls_root_ca_file": "/nowhere"}, "tls_root_ca_file"),
        (
            {"tls_client_auth_policy": "require", "tls_root_ca_file": str(CERTIFICATES / "README.md")},
            "tls_root_ca_file",
        ),
    ],
)
def test_files_that_cannot_be_used(more, field):
    with pytest.raises(InvalidOption) as caught:
        server_context(options(**more))
    assert caught.value.field == field
