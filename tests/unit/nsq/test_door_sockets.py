"""The sockets of a door."""

from __future__ import annotations

import pytest

from penstock.model.errors import AddressUnavailable
from penstock.nsq.door_sockets import listen_all
from penstock.nsq.listening import port_of
from penstock.nsq.options import DoorOptions

FREE = "127.0.0.1:0"


def options(**changed):
    return DoorOptions(**{"tcp_address": FREE, "http_address": FREE, "https_address": FREE} | changed)


def test_https_is_there_where_there_is_a_certificate():
    for given, count in ((options(), 2), (options(tls_cert="c", tls_key="k"), 3), (options(http_address=""), 1)):
        sockets = listen_all(given)
        try:
            assert len(sockets.all()) == count
            assert all(port_of(sock) > 0 for sock in sockets.all())
        finally:
            sockets.close()


def test_where_one_cannot_be_had_none_is_kept():
    sockets = listen_all(options())
    try:
        taken = f"127.0.0.1:{port_of(sockets.tcp)}"
        with pytest.raises(AddressUnavailable):
            listen_all(options(http_address=taken))
    finally:
        sockets.close()
    again = listen_all(options(tcp_address=taken))
    again.close()
