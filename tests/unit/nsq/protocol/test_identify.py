"""IDENTIFY: each field, each bound, and the answer with every field of nsqd's."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol.errors import ProtocolError
from penstock.nsq.protocol.identify import Negotiated, negotiate

OPTIONS = DoorOptions()


def agree(options: DoorOptions = OPTIONS, *, has_tls: bool = True, **said: object) -> Negotiated:
    return negotiate(json.dumps(said).encode(), options, has_tls=has_tls)


def answer(options: DoorOptions = OPTIONS, *, has_tls: bool = True, **said: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(agree(options, has_tls=has_tls, feature_negotiation=True, **said).answer)
    return found


def refusal(**said: object) -> str:
    with pytest.raises(ProtocolError) as caught:
        agree(**said)
    assert caught.value.verb == "IDENTIFY"
    return caught.value.data.decode()


def test_who_says_nothing_gets_what_the_door_has():
    agreed = agree()
    assert agreed.answer == b"OK"
    assert not agreed.has_layers
    assert (agreed.client_id, agreed.hostname, agreed.user_agent) == ("", "", "")
    assert (agreed.heartbeat_interval_s, agreed.msg_timeout_s, agreed.sample_rate) == (30.0, 60.0, 0)
    assert (agreed.output_buffer_size_bytes, agreed.output_buffer_timeout_s) == (16_384, 0.25)


def test_every_field_of_the_answer():
    assert answer() == {
        "max_rdy_count": 2_500,
        "version": "1.3.0",
        "max_msg_timeout": 900_000,
        "msg_timeout": 60_000,
        "tls_v1": False,
        "deflate": False,
        "deflate_level": 6,
        "max_deflate_level": 6,
        "snappy": False,
        "sample_rate": 0,
        "auth_required": False,
        "output_buffer_size": 16_384,
        "output_buffer_timeout": 250,
    }


def test_the_answer_says_what_was_agreed_on():
    said = {
        "msg_timeout": 1_500, "sample_rate": 42, "output_buffer_size": 64, "output_buffer_timeout": 25, "tls_v1": True,
        "deflate": True, "deflate_level": 3,
    }  # fmt: skip
    told = answer(replace(OPTIONS, auth_http_addresses=("127.0.0.1:1",)), **said)
    assert {name: told[name] for name in said} == said
    assert told["auth_required"] is True


def test_who_does_not_negotiate_features_gets_no_layer():
    agreed = agree(tls_v1=True, snappy=True, deflate=True, sample_rate=5)
    assert (agreed.answer, agreed.has_layers, agreed.sample_rate) == (b"OK", False, 5)


def test_who_a_client_is():
    agreed = agree(
        client_id="a", hostname="b", user_agent="c/1", topology_region="d", topology_zone="e", short_id="old"
    )
    found = (agreed.client_id, agreed.hostname, agreed.user_agent, agreed.topology_region, agreed.topology_zone)
    assert found == ("a", "b", "c/1", "d", "e")


# --- layers ---------------------------------------------------------------------------------------------------------
def test_layers_that_the_door_has():
    agreed = agree(feature_negotiation=True, tls_v1=True, snappy=True)
    assert (agreed.tls, agreed.snappy, agreed.deflate) == (True, True, False)
    agreed = agree(feature_negotiation=True, deflate=True)
    assert (agreed.tls, agreed.snappy, agreed.deflate) == (False, False, True)


def test_layers_that_it_has_not():
    options = replace(OPTIONS, deflate=False, snappy=False)
    assert not agree(options, has_tls=False, feature_negotiation=True, tls_v1=True, snappy=True).has_layers
    assert not agree(options, feature_negotiation=True, deflate=True).has_layers


def test_one_compression_is_enough():
    told = "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression"
    assert refusal(feature_negotiation=True, deflate=True, snappy=True) == told
    options = replace(OPTIONS, deflate=False)
    assert agree(options, feature_negotiation=True, deflate=True, snappy=True).snappy


@pytest.mark.parametrize(
    ("asked", "most", "level"), [(0, 6, 6), (3, 6, 3), (9, 6, 6), (9, 9, 9), (0, 4, 4), (-1, 6, 6)]
)
def test_the_level_of_deflate(asked, most, level):
    options = replace(OPTIONS, max_deflate_level=most)
    assert agree(options, feature_negotiation=True, deflate=True, deflate_level=asked).deflate_level == level


# --- bounds ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("asked", "interval_s"), [(0, 30.0), (-1, 0.0), (1_000, 1.0), (60_000, 60.0)])
def test_heartbeats(asked, interval_s):
    assert agree(heartbeat_interval=asked).heartbeat_interval_s == interval_s


@pytest.mark.parametrize(
    ("asked", "size_bytes", "timeout_s"), [(0, 16_384, 0.25), (-1, 1, 0.0), (64, 64, 0.25), (65_536, 65_536, 0.25)]
)
def test_the_size_of_the_output_buffer(asked, size_bytes, timeout_s):
    agreed = agree(output_buffer_size=asked)
    assert (agreed.output_buffer_size_bytes, agreed.output_buffer_timeout_s) == (size_bytes, timeout_s)


@pytest.mark.parametrize(("asked", "timeout_s"), [(0, 0.25), (-1, 0.0), (25, 0.025), (30_000, 30.0)])
def test_how_long_the_output_buffer_waits(asked, timeout_s):
    assert agree(output_buffer_timeout=asked).output_buffer_timeout_s == timeout_s


@pytest.mark.parametrize(("asked", "timeout_s"), [(0, 60.0), (1_000, 1.0), (900_000, 900.0)])
def test_how_long_a_client_has_a_message(asked, timeout_s):
    assert agree(msg_timeout=asked).msg_timeout_s == timeout_s


@pytest.mark.parametrize("asked", [0, 1, 99])
def test_how_many_of_a_hundred_messages(asked):
    assert agree(sample_rate=asked).sample_rate == asked


@pytest.mark.parametrize(
    ("name", "shown", "values"),
    [
        ("heartbeat_interval", "heartbeat interval", [-2, 1, 999, 60_001, 2**63 - 1]),
        ("output_buffer_timeout", "output buffer timeout", [-2, 1, 24, 30_001]),
        ("output_buffer_size", "output buffer size", [-2, 1, 63, 65_537]),
        ("sample_rate", "sample rate", [-1, 100]),
        ("msg_timeout", "msg timeout", [-1, 1, 999, 900_001]),
    ],
)
def test_out_of_bounds(name, shown, values):
    for value in values:
        assert refusal(**{name: value}) == f"E_BAD_BODY IDENTIFY {shown} ({value}) is invalid"


def test_of_much_that_is_wrong_the_same_is_told_as_by_nsqd():
    wrong = {"msg_timeout": 1, "sample_rate": 100, "output_buffer_size": 1, "output_buffer_timeout": 1}
    assert "output buffer timeout" in refusal(**wrong)
    assert "heartbeat interval" in refusal(heartbeat_interval=1, **wrong)
    del wrong["output_buffer_timeout"]
    assert "output buffer size" in refusal(**wrong)
    del wrong["output_buffer_size"]
    assert "sample rate" in refusal(**wrong)


# --- JSON as Go reads it --------------------------------------------------------------------------------------------
def test_names_in_any_case_null_and_what_is_not_known():
    body = b'{"Client_ID": "a", "HOSTNAME": "b", "sample_rate": null, "x": [1, {"y": 2}]}'
    agreed = negotiate(body, OPTIONS, has_tls=False)
    assert (agreed.client_id, agreed.hostname, agreed.sample_rate) == ("a", "b", 0)
    assert negotiate(b"null", OPTIONS, has_tls=False) == agree()


def test_bytes_that_are_no_utf8_are_replaced():
    assert negotiate(b'{"client_id": "\xff"}', OPTIONS, has_tls=False).client_id == "\ufffd"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'"x"', b"1", b"{} {}", b"{'a': 1}", b"[" * 100_000, b'{"client_id": 1}', b'{"hostname": []}',
        b'{"snappy": 1}', b'{"tls_v1": "true"}', b'{"feature_negotiation": {}}', b'{"sample_rate": 1.5}',
        b'{"sample_rate": 2147483648}', b'{"msg_timeout": "1000"}', b'{"msg_timeout": true}',
        b'{"heartbeat_interval": 9223372036854775808}', b'{"deflate_level": 1e30}',
    ],
)  # fmt: skip
def test_what_cannot_be_read(body):
    with pytest.raises(ProtocolError) as caught:
        negotiate(body, OPTIONS, has_tls=False)
    assert caught.value.data == b"E_BAD_BODY IDENTIFY failed to decode JSON body"
