"""Who a producer says it is: read as Go reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.nsq.lookup.identify_body import MalformedIdentify, read_identify
from penstock.nsq.lookup.registry import Peer

WHO = {"hostname": "h", "broadcast_address": "b", "tcp_port": 1, "http_port": 2, "version": "1.3.0"}


def test_it_is_read_and_its_address_is_where_it_came_from() -> None:
    found = read_identify(json.dumps({**WHO, "remote_address": "elsewhere", "more": [1]}).encode(), "192.0.2.1:5")
    assert found == Peer(
        remote_address="192.0.2.1:5", hostname="h", broadcast_address="b", tcp_port=1, http_port=2, version="1.3.0"
    )
    assert found.node == "b:2"


@pytest.mark.parametrize("name", ["broadcast_address", "tcp_port", "http_port", "version"])
def test_what_is_needed_may_not_be_missing(name: str) -> None:
    nothing = "" if isinstance(WHO[name], str) else 0
    without = {other: value for other, value in WHO.items() if other != name}
    for said in ({**WHO, name: None}, {**WHO, name: nothing}, without):
        with pytest.raises(MalformedIdentify, match="missing fields"):
            read_identify(json.dumps(said).encode(), "x")


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_anything_else_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(MalformedIdentify, match=r"missing fields|failed to decode JSON body"):
        read_identify(body, "x")
