"""Whether the options of a daemon are what they may be, and how they fit together. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.topics import check_topic
from penstock.nsq.addresses import parse_address
from penstock.nsq.flags import flags_of
from penstock.nsq.options import TOPOLOGY_AWARE, DoorOptions, LookupOptions

__all__ = ["check_door", "check_lookup", "remarks_of"]

_POSITIVE = (
    "msg_timeout_s", "max_msg_timeout_s", "max_heartbeat_interval_s", "max_msg_size_bytes", "max_body_size_bytes",
    "max_output_buffer_timeout_s", "min_output_buffer_timeout_s", "output_buffer_timeout_s", "statsd_interval_s",
    "statsd_udp_packet_size_bytes", "e2e_processing_latency_window_time_s", "http_client_connect_timeout_s",
    "http_client_request_timeout_s", "dedupe_window_s", "max_output_buffer_size_bytes",
)  # fmt: skip
_NOT_NEGATIVE = ("max_req_timeout_s", "max_rdy_count", "max_channel_consumers", "max_attempts", "retention_s")
_MOST: Final[dict[str, float]] = {
    "max_msg_size_bytes": limits.NSQ_MESSAGE_BYTES_MAX,
    "max_body_size_bytes": limits.NSQ_BODY_BYTES_MAX,
    "msg_timeout_s": limits.NSQ_MESSAGE_TIMEOUT_S_MAX,
    "max_msg_timeout_s": limits.NSQ_MESSAGE_TIMEOUT_S_MAX,
    "max_req_timeout_s": limits.DELAY_S_MAX,
    "statsd_udp_packet_size_bytes": limits.NSQ_STATSD_PACKET_BYTES_MAX,
    "retention_s": limits.DELAY_S_MAX,
}
"""Beyond these they are taken as if they were these, and that is said."""
_PORTS = ("broadcast_tcp_port", "broadcast_http_port")
_EXPERIMENTS = (TOPOLOGY_AWARE,)
_POLICIES = ("", "require", "require-verify")


def check_door(options: DoorOptions) -> tuple[DoorOptions, list[str]]:
    """Pass when these are options that ``nsqd`` can run with. Answers them within the store's bounds, and what is to
    be said of those that were beyond.

    Raises:
        InvalidOption: they are not; ``field`` names the first that is wrong.
    """
    for name in _POSITIVE:
        if getattr(options, name) <= 0:
            _refuse(options, name, "use more than 0")
    for name in _NOT_NEGATIVE:
        if getattr(options, name) < 0:
            _refuse(options, name, "use 0 or more")
    for name in _PORTS:
        if not 0 <= getattr(options, name) <= 65_535:
            _refuse(options, name, "a port is a number from 0 to 65535")
    if not 1 <= options.max_deflate_level <= 9:
        _refuse(options, "max_deflate_level", "use 1 to 9")
    if not 0 <= options.node_id < 1_024:
        _refuse(options, "node_id", "use 0 to 1023")
    for quantile in options.e2e_processing_latency_percentiles:
        if not 0 < quantile <= 1:
            _refuse(options, "e2e_processing_latency_percentiles", f"{quantile:g} is not above 0 and up to 1")
    for experiment in options.experiments:
        if experiment not in _EXPERIMENTS:
            _refuse(options, "experiments", f"{experiment!r} is not known; use {', '.join(_EXPERIMENTS)}")
    _check_addresses(options)
    _check_tls(options)
    _check_own(options)
    return _bounded(options)


def check_lookup(options: LookupOptions) -> None:
    """Pass when these are options that ``nsqlookupd`` can run with.

    Raises:
        InvalidOption: they are not; ``field`` names the first that is wrong.
    """
    for name in ("inactive_producer_timeout_s", "tombstone_lifetime_s"):
        if getattr(options, name) < 0:
            _refuse(options, name, "use 0 or more")
    parse_address(options.tcp_address, "tcp-address")
    parse_address(options.http_address, "http-address")


def remarks_of(values: Mapping[str, Any], options: type[Any]) -> list[str]:
    """What is to be said of values that were given and change nothing.

    Args:
        values: what was given, by field.
        options: the class that they are of.
    """
    known = flags_of(options)
    return [
        f"-{known[name].name} is taken and changes nothing: {known[name].unused}"
        for name in values
        if name in known and known[name].unused
    ]


def _check_addresses(options: DoorOptions) -> None:
    parse_address(options.tcp_address, "tcp-address")
    if options.http_address:
        parse_address(options.http_address, "http-address")
    if options.https_address and parse_address(options.https_address, "https-address").path:
        _refuse(options, "https_address", "use HOST:PORT")
    if options.statsd_address and not parse_address(options.statsd_address, "statsd-address").port:
        _refuse(options, "statsd_address", "use HOST:PORT")
    for address in options.lookupd_tcp_addresses:
        if not parse_address(address, "lookupd-tcp-address").port:
            _refuse(options, "lookupd_tcp_addresses", f"{address!r} is not HOST:PORT")


def _check_tls(options: DoorOptions) -> None:
    if bool(options.tls_cert) != bool(options.tls_key):
        _refuse(options, "tls_key" if options.tls_cert else "tls_cert", "a certificate and its key go together")
    if options.tls_client_auth_policy not in _POLICIES:
        # NSQ's own takes any word, and then asks clients for nothing.
        _refuse(options, "tls_client_auth_policy", "use require or require-verify")
    if options.tls_required != "false" and not options.tls_cert:
        name = "tls_client_auth_policy" if options.tls_client_auth_policy else "tls_required"
        _refuse(options, name, "TLS needs -tls-cert and -tls-key")


def _check_own(options: DoorOptions) -> None:
    if options.dedupe_window_s > limits.IDEMPOTENCY_S_MAX:
        _refuse(options, "dedupe_window_s", f"use {limits.IDEMPOTENCY_S_MAX:g}s at most")
    if options.dead_letter_topic:
        check_topic(options.dead_letter_topic)
        if not options.max_attempts:
            _refuse(options, "dead_letter_topic", "no message ever dies without -max-attempts")


def _bounded(options: DoorOptions) -> tuple[DoorOptions, list[str]]:
    """The options within what the store takes."""
    known = flags_of(DoorOptions)
    remarks: list[str] = []
    for name, most in _MOST.items():
        value = getattr(options, name)
        if value > most:
            unit = "s" if name.endswith("_s") else ""
            remarks.append(f"-{known[name].name} is {value:.0f}{unit}; the most is {most:.0f}{unit}, which is used")
            options = replace(options, **{name: most})  # type: ignore[arg-type]  # mypy sees no types of fields here
    return options, remarks


def _refuse(options: object, name: str, why: str) -> None:
    found = flags_of(type(options))[name]
    value = found.kind.as_json(getattr(options, name))
    value = getattr(options, name) if found.kind.word == "duration" else value
    raise InvalidOption(f"-{found.name} is {value!r}: {why}.", field=name)
