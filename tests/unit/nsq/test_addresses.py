"""Where daemons listen."""

from __future__ import annotations

import pytest

from penstock.model.errors import InvalidOption
from penstock.nsq.addresses import Address, is_loopback, parse_address


@pytest.mark.parametrize(
    "text, address",
    [
        ("127.0.0.1:4150", Address("127.0.0.1", 4150)),
        (":4150", Address("", 4150)),
        ("[::1]:0", Address("::1", 0)),
        ("host.example:65535", Address("host.example", 65535)),
        ("/run/nsqd.sock", Address(path="/run/nsqd.sock")),
        ("/run/a:1", Address(path="/run/a:1")),
        ("nsqd.sock", Address(path="nsqd.sock")),
        ("::1:4150", Address(path="::1:4150")),
    ],
)
def test_addresses(text, address):
    assert parse_address(text, "tcp-address") == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "host:", "host:http", "host:65536", "host:-1", "a\0:1", "host:٣"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidOption) as refused:
        parse_address(text, "tcp-address")
    assert refused.value.field == "tcp_address"


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.8.8.8:1", "localhost:1", "[::1]:1", "/run/x.sock"])
def test_what_only_this_machine_reaches(text):
    assert is_loopback(parse_address(text, "x"))


@pytest.mark.parametrize("text", [":1", "0.0.0.0:1", "[::]:1", "host:1", "10.0.0.1:1"])
def test_what_others_may_reach(text):
    assert not is_loopback(parse_address(text, "x"))
