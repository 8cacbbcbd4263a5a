"""The options of ``nsqd`` and ``nsqlookupd``: every flag of version 1.3.0 of NSQ, with its default, and Penstock's own.

A command line that NSQ's daemons take is taken here. What a flag sets that has no meaning here is kept and said once
in the log. Defaults differ in one thing: addresses are this machine's own, where NSQ's are open to all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock.nsq import notation
from penstock.nsq.body_parts import BODY_OR_JSON, JSON_PATH, BodyPart
from penstock.nsq.flags import flag
from penstock.nsq.notation import BOOLEAN, DURATION, FRACTIONS, TEXT, TEXTS, WHOLE

__all__ = ["TOPOLOGY_AWARE", "DoorOptions", "LookupOptions"]

TOPOLOGY_AWARE: Final = "topology-aware-consumption"
"""The experiment in which consumers that are near get messages first."""

_NO_DISKQUEUE = "messages are in the store, which is synced before each answer"
_NO_SCAN = "time-outs are known by their time, nothing is scanned"
_ACK = notation.one_of(("disk", "memory"), word="word")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOptions:
    """The options of ``nsqd``. What each one means is said with its flag; ``_s`` are seconds.

    ``node_id`` and ``broadcast_address`` are those of this machine once `penstock.nsq.loading` has made the record.
    """

    # --- what it is ---
    log_level: str = flag(
        "log-level", notation.LOG_LEVEL, "info", "the least severe that is logged: debug, info, warn, error or fatal"
    )
    log_prefix: str = flag("log-prefix", TEXT, "[nsqd] ", "what each line of the log begins with")
    verbose: bool = flag("verbose", BOOLEAN, False, "of old versions", unused="use -log-level")
    node_id: int = flag(
        "node-id", WHOLE, 0, "a number of this node, 0 to 1023, that is shown (default from the host's name)", key="id"
    )
    worker_id: bool = flag("worker-id", BOOLEAN, False, "of old versions", unused="use -node-id")

    # --- where it is ---
    tcp_address: str = flag(
        "tcp-address", TEXT, "127.0.0.1:4150", "HOST:PORT or path for clients; :PORT is all interfaces"
    )
    http_address: str = flag("http-address", TEXT, "127.0.0.1:4151", "HOST:PORT or path for HTTP; empty: none")
    https_address: str = flag(
        "https-address", TEXT, "127.0.0.1:4152", "HOST:PORT for HTTPS, with -tls-cert; empty: none"
    )
    broadcast_address: str = flag(
        "broadcast-address",
        TEXT,
        "",
        "where clients find this node (default: the host's name, or -tcp-address on loopback)",
    )
    broadcast_tcp_port: int = flag(
        "broadcast-tcp-port", WHOLE, 0, "the port that lookupds are told (default: of -tcp-address)"
    )
    broadcast_http_port: int = flag(
        "broadcast-http-port", WHOLE, 0, "the HTTP port that lookupds are told (default: of -http-address)"
    )
    lookupd_tcp_addresses: tuple[str, ...] = flag(
        "lookupd-tcp-address", TEXTS, (), "HOST:PORT of an nsqlookupd; may be repeated", key="nsqlookupd_tcp_addresses"
    )
    auth_http_addresses: tuple[str, ...] = flag(
        "auth-http-address",
        TEXTS,
        (),
        "HOST:PORT or URL of an authorisation server; may be repeated",
        key="auth_http_addresses",
    )
    http_client_connect_timeout_s: float = flag(
        "http-client-connect-timeout", DURATION, 2.0, "how long connecting by HTTP may take"
    )
    http_client_request_timeout_s: float = flag(
        "http-client-request-timeout", DURATION, 5.0, "how long a request by HTTP may take"
    )

    # --- what it keeps ---
    data_path: str = flag("data-path", TEXT, "", "the store's directory (default: PENSTOCK_URL, or penstock-data)")
    mem_queue_size: int = flag("mem-queue-size", WHOLE, 10_000, "messages in memory of a channel", unused=_NO_DISKQUEUE)
    max_bytes_per_file: int = flag(
        "max-bytes-per-file", WHOLE, 104_857_600, "bytes of a queue's file", unused=_NO_DISKQUEUE
    )
    sync_every: int = flag("sync-every", WHOLE, 2_500, "messages that share a sync", unused=_NO_DISKQUEUE)
    sync_timeout_s: float = flag("sync-timeout", DURATION, 2.0, "time between syncs", unused=_NO_DISKQUEUE)
    queue_scan_worker_pool_max: int = flag(
        "queue-scan-worker-pool-max", WHOLE, 4, "workers that look for time-outs", unused=_NO_SCAN
    )
    queue_scan_selection_count: int = flag(
        "queue-scan-selection-count", WHOLE, 20, "channels looked at in a turn", unused=_NO_SCAN
    )

    # --- messages and commands ---
    msg_timeout_s: float = flag(
        "msg-timeout", DURATION, 60.0, "how long a consumer has a message before it is given out again"
    )
    max_msg_timeout_s: float = flag(
        "max-msg-timeout", DURATION, 900.0, "the longest time that a consumer may ask for, and TOUCH may reach"
    )
    max_msg_size_bytes: int = flag("max-msg-size", WHOLE, 1_048_576, "bytes of a message")
    max_req_timeout_s: float = flag("max-req-timeout", DURATION, 3_600.0, "the longest delay of REQ and DPUB")
    max_body_size_bytes: int = flag("max-body-size", WHOLE, 5_242_880, "bytes of a command's body")

    # --- what clients may ask for ---
    max_heartbeat_interval_s: float = flag(
        "max-heartbeat-interval", DURATION, 60.0, "the longest time between heartbeats"
    )
    max_rdy_count: int = flag("max-rdy-count", WHOLE, 2_500, "the highest RDY")
    max_output_buffer_size_bytes: int = flag(
        "max-output-buffer-size", WHOLE, 65_536, "the largest output buffer, in bytes"
    )
    max_output_buffer_timeout_s: float = flag(
        "max-output-buffer-timeout", DURATION, 30.0, "the longest wait for more to write"
    )
    min_output_buffer_timeout_s: float = flag(
        "min-output-buffer-timeout", DURATION, 0.025, "the shortest wait for more to write"
    )
    output_buffer_timeout_s: float = flag(
        "output-buffer-timeout", DURATION, 0.25, "how long it waits for more to write if a client does not say"
    )
    max_channel_consumers: int = flag(
        "max-channel-consumers", WHOLE, 0, "consumers of a channel at this node; 0: any number"
    )

    # --- who is near ---
    topology_region: str = flag("topology-region", TEXT, "", "the region that this node is in; of NSQ after 1.3.0")
    topology_zone: str = flag("topology-zone", TEXT, "", "the zone of the region; of NSQ after 1.3.0")
    experiments: tuple[str, ...] = flag(
        "enable-experiment",
        TEXTS,
        (),
        "topology-aware-consumption: consumers of this zone, then of this region, get messages first; may be repeated",
        key="enable_experiment",
    )

    # --- statsd ---
    statsd_address: str = flag("statsd-address", TEXT, "", "HOST:PORT of a statsd, by UDP")
    statsd_interval_s: float = flag("statsd-interval", DURATION, 60.0, "time between two reports to statsd")
    statsd_mem_stats: bool = flag("statsd-mem-stats", BOOLEAN, True, "report memory to statsd as well")
    statsd_prefix: str = flag("statsd-prefix", TEXT, "nsq.%s", "what names begin with; %s is this node's address")
    statsd_udp_packet_size_bytes: int = flag("statsd-udp-packet-size", WHOLE, 508, "bytes of a packet to statsd")
    statsd_exclude_ephemeral: bool = flag(
        "statsd-exclude-ephemeral", BOOLEAN, False, "leave ephemeral topics and channels out"
    )

    # --- from publishing to finishing ---
    e2e_processing_latency_percentiles: tuple[float, ...] = flag(
        "e2e-processing-latency-percentile", FRACTIONS, (),
        "quantiles above 0 and up to 1, such as 0.99,0.95, of the time from publishing to FIN; may be repeated",
        key="e2e_processing_latency_percentiles",
    )  # fmt: skip
    e2e_processing_latency_window_time_s: float = flag(
        "e2e-processing-latency-window-time", DURATION, 600.0, "how far back these quantiles look"
    )

    # --- TLS and compression ---
    tls_cert: str = flag("tls-cert", TEXT, "", "file of the certificate")
    tls_key: str = flag("tls-key", TEXT, "", "file of its key")
    tls_client_auth_policy: str = flag(
        "tls-client-auth-policy", TEXT, "", "clients show a certificate: require, or require-verify"
    )
    tls_root_ca_file: str = flag(
        "tls-root-ca-file", TEXT, "", "file of the authorities that clients' certificates are of"
    )
    tls_required: str = flag(
        "tls-required", notation.TLS_REQUIRED, "false", "clients must use TLS: true, false or tcp-https"
    )
    tls_min_version: str = flag(
        "tls-min-version", notation.TLS_VERSION, "tls1.0", "the oldest TLS: tls1.0, tls1.1, tls1.2 or tls1.3"
    )
    deflate: bool = flag("deflate", BOOLEAN, True, "clients may ask for deflate")
    max_deflate_level: int = flag("max-deflate-level", WHOLE, 6, "the highest level of deflate, 1 to 9")
    snappy: bool = flag("snappy", BOOLEAN, True, "clients may ask for snappy")

    # --- Penstock's own ---
    url: str = flag("url", TEXT, "", "the store's directory, as -data-path")
    ack: str = flag("ack", _ACK, "disk", "what an OK means: disk, synced; memory, taken in, and lost with this process")
    max_attempts: int = flag("max-attempts", WHOLE, 0, "deliveries after which a message is dead; 0: no end")
    count_requeues: bool = flag("count-requeues", BOOLEAN, True, "a REQ counts as an attempt")
    no_count_requeues: bool = flag("no-count-requeues", BOOLEAN, False, "as -count-requeues=false")
    dead_letter_topic: str = flag(
        "dead-letter-topic", TEXT, "", "the topic that dead messages are published to, with -max-attempts"
    )
    dedupe_by: BodyPart | None = flag(
        "dedupe-by", BODY_OR_JSON, None, "what makes two messages the same: body, or json:PATH"
    )
    dedupe_window_s: float = flag("dedupe-window", DURATION, 300.0, "for how long it is remembered")
    retention_s: float = flag("retention", DURATION, 0.0, "how long finished messages are kept, to be replayed")
    order_by: BodyPart | None = flag(
        "order-by", JSON_PATH, None, "json:PATH; messages with the same value are worked one after another"
    )
    http_token_file: str = flag("http-token-file", TEXT, "", "file of the token that HTTP requests must show")
    http_open: bool = flag("http-open", BOOLEAN, False, "HTTP without a token off loopback is meant, do not warn of it")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOptions:
    """The options of ``nsqlookupd``. What each one means is said with its flag; ``_s`` are seconds."""

    log_level: str = flag(
        "log-level", notation.LOG_LEVEL, "info", "the least severe that is logged: debug, info, warn, error or fatal"
    )
    log_prefix: str = flag("log-prefix", TEXT, "[nsqlookupd] ", "what each line of the log begins with")
    verbose: bool = flag("verbose", BOOLEAN, False, "of old versions", unused="use -log-level")
    tcp_address: str = flag(
        "tcp-address", TEXT, "127.0.0.1:4160", "HOST:PORT or path for nsqds; :PORT is all interfaces"
    )
    http_address: str = flag("http-address", TEXT, "127.0.0.1:4161", "HOST:PORT or path for HTTP")
    broadcast_address: str = flag(
        "broadcast-address", TEXT, "", "what it is called (default: the host's name, or -tcp-address on loopback)"
    )
    inactive_producer_timeout_s: float = flag(
        "inactive-producer-timeout", DURATION, 300.0, "how long an nsqd is named that has not been heard of"
    )
    tombstone_lifetime_s: float = flag("tombstone-lifetime", DURATION, 45.0, "how long a tombstone stands")
