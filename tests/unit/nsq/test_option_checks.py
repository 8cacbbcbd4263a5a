"""How options fit together."""

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.nsq.loading import load_door


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PENSTOCK_URL", raising=False)


def door(*arguments, hostname="host.example"):
    return load_door(arguments, hostname=hostname).options


def test_sizes_beyond_the_store_are_bounded_and_said():
    loaded = load_door(["-max-msg-size=1000000000", "-max-body-size=2000000000"], hostname="h")
    assert loaded.options.max_msg_size_bytes == limits.NSQ_MESSAGE_BYTES_MAX
    assert loaded.options.max_body_size_bytes == limits.NSQ_BODY_BYTES_MAX
    assert len(loaded.remarks) == 2


def test_times_beyond_the_store_are_bounded_and_said():
    loaded = load_door(["-msg-timeout=2h", "-max-msg-timeout=24h", "-max-req-timeout=2000000h"], hostname="h")
    assert loaded.options.msg_timeout_s == loaded.options.max_msg_timeout_s == limits.NSQ_MESSAGE_TIMEOUT_S_MAX
    assert loaded.options.max_req_timeout_s == limits.DELAY_S_MAX
    assert len(loaded.remarks) == 3
    assert "-msg-timeout is 7200s; the most is 3590s, which is used" in loaded.remarks


def test_a_policy_for_clients_certificates_asks_for_tls():
    options = door("-tls-cert=c", "-tls-key=k", "-tls-client-auth-policy=require-verify")
    assert options.tls_required == "true"


@pytest.mark.parametrize(
    "arguments, field",
    [
        (["-msg-timeout=0"], "msg_timeout_s"),
        (["-max-req-timeout=-1s"], "max_req_timeout_s"),
        (["-max-attempts=-1"], "max_attempts"),
        (["-max-deflate-level=10"], "max_deflate_level"),
        (["-max-deflate-level=0"], "max_deflate_level"),
        (["-node-id=1024"], "node_id"),
        (["-e2e-processing-latency-percentile=0"], "e2e_processing_latency_percentiles"),
        (["-e2e-processing-latency-percentile=99"], "e2e_processing_latency_percentiles"),
        (["-broadcast-tcp-port=70000"], "broadcast_tcp_port"),
        (["-tcp-address=x:y"], "tcp_address"),
        (["-https-address=/run/x"], "https_address"),
        (["-statsd-address=host"], "statsd_address"),
        (["-lookupd-tcp-address=host"], "lookupd_tcp_addresses"),
        (["-tls-cert=c"], "tls_key"),
        (["-tls-key=k"], "tls_cert"),
        (["-tls-required"], "tls_required"),
        (["-tls-client-auth-policy=require"], "tls_client_auth_policy"),
        (["-tls-client-auth-policy=requir", "-tls-cert=c", "-tls-key=k"], "tls_client_auth_policy"),
        (["-dead-letter-topic=dead"], "dead_letter_topic"),
        (["-dead-letter-topic=a:b", "-max-attempts=5"], "topic"),
        (["-config=no-such-file"], "config"),
        (["-dedupe-by=body", "-dedupe-window=1000h"], "dedupe_window_s"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(arguments, field):
    with pytest.raises(InvalidOption) as refused:
        door(*arguments)
    assert refused.value.field == field
