"""The options of both daemons: which there are, and their defaults."""

from __future__ import annotations

import pytest

from penstock.nsq.flags import flags_of
from penstock.nsq.options import DoorOptions, LookupOptions

NSQD = """
auth-http-address broadcast-address broadcast-http-port broadcast-tcp-port config data-path deflate
e2e-processing-latency-percentile e2e-processing-latency-window-time http-address http-client-connect-timeout
http-client-request-timeout https-address log-level log-prefix lookupd-tcp-address max-body-size max-bytes-per-file
max-channel-consumers max-deflate-level max-heartbeat-interval max-msg-size max-msg-timeout max-output-buffer-size
max-output-buffer-timeout max-rdy-count max-req-timeout mem-queue-size min-output-buffer-timeout msg-timeout node-id
output-buffer-timeout queue-scan-selection-count queue-scan-worker-pool-max snappy statsd-address
statsd-exclude-ephemeral statsd-interval statsd-mem-stats statsd-prefix statsd-udp-packet-size sync-every sync-timeout
tcp-address tls-cert tls-client-auth-policy tls-key tls-min-version tls-required tls-root-ca-file verbose version
worker-id
""".split()
"""The flags that ``nsqd -h`` of version 1.3.0 lists."""
NSQLOOKUPD = """
broadcast-address config http-address inactive-producer-timeout log-level log-prefix tcp-address tombstone-lifetime
verbose version
""".split()
"""The flags that ``nsqlookupd -h`` of version 1.3.0 lists."""


@pytest.mark.parametrize("options, theirs", [(DoorOptions, NSQD), (LookupOptions, NSQLOOKUPD)])
def test_every_flag_of_nsqs_own_is_known(options, theirs):
    assert set(theirs) <= {found.name for found in flags_of(options).values()} | {"config", "version"}


def test_defaults_are_nsqs_but_for_the_addresses():
    options = DoorOptions()
    assert (options.tcp_address, options.http_address) == ("127.0.0.1:4150", "127.0.0.1:4151")
    assert (options.msg_timeout_s, options.max_msg_timeout_s, options.max_req_timeout_s) == (60, 900, 3_600)
    assert (options.max_msg_size_bytes, options.max_body_size_bytes) == (1_048_576, 5_242_880)
    assert (options.max_rdy_count, options.max_heartbeat_interval_s) == (2_500, 60)
    assert (options.ack, options.max_attempts, options.count_requeues) == ("disk", 0, True)
