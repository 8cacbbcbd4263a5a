"""Options from command line, file and defaults."""

from __future__ import annotations

import re

import pytest

from penstock.model.errors import InvalidOption
from penstock.nsq.loading import load_door, load_lookup, version_line


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PENSTOCK_URL", raising=False)


def door(*arguments, hostname="host.example"):
    return load_door(arguments, hostname=hostname).options


def test_the_number_of_a_node_is_the_one_that_nsq_gives_its_name():
    assert door(hostname="host.example").node_id == 525
    assert door("-node-id=0", hostname="a").node_id == 0
    assert door("-node-id=7").node_id == 7


def test_flags_go_before_the_file_and_the_file_before_defaults(tmp_path):
    file = tmp_path / "nsqd.cfg"
    file.write_text('msg_timeout = "5s"\nmax_rdy_count = 10\nnsqlookupd_tcp_addresses = ["a:1", "b:2"]\nid = 3\n')
    options = door("-config", str(file), "-max-rdy-count=20")
    assert (options.msg_timeout_s, options.max_rdy_count, options.max_req_timeout_s) == (5, 20, 3_600)
    assert options.lookupd_tcp_addresses == ("a:1", "b:2")
    assert options.node_id == 3


def test_nsqs_own_example_file_is_taken(tmp_path):
    file = tmp_path / "nsqd.cfg"
    file.write_text(
        'log_level = "info"\ntcp_address = "0.0.0.0:4150"\nhttp_client_connect_timeout = "2s"\n'
        "mem_queue_size = 10000\nmax_msg_size = 1024768\nstatsd_mem_stats = true\n"
        "e2e_processing_latency_percentiles = [\n    1.0,\n    0.95,\n    0.99\n]\n"
        'tls_cert = ""\ntls_key = ""\ntls_required = false\ntls_min_version = ""\ndeflate = true\n'
    )
    options = door("--config", str(file))
    assert options.e2e_processing_latency_percentiles == (1.0, 0.99, 0.95)
    assert (options.tls_required, options.tls_min_version) == ("false", "tls1.0")
    assert options.broadcast_address == "host.example"


def test_what_changes_nothing_is_taken_and_said(tmp_path):
    file = tmp_path / "nsqd.cfg"
    file.write_text("sync_every = 1\nmax_rdy_cuont = 5\n")
    loaded = load_door(["-config", str(file), "-mem-queue-size=0", "-verbose", "more", "-snappy"], hostname="h")
    said = "\n".join(loaded.remarks)
    for word in ("-sync-every", "-mem-queue-size", "-verbose", "'max_rdy_cuont'; is it 'max_rdy_count'?", "'more'"):
        assert word in said
    assert len(loaded.remarks) == 5


@pytest.mark.parametrize(
    "arguments, broadcast",
    [
        ([], "127.0.0.1"),
        (["-tcp-address=[::1]:4150"], "::1"),
        (["-tcp-address=:4150"], "host.example"),
        (["-tcp-address=10.0.0.7:4150"], "host.example"),
        (["-tcp-address=/run/nsqd.sock"], "host.example"),
        (["-broadcast-address=other"], "other"),
    ],
)
def test_lookupds_are_told_an_address_where_clients_find_the_node(arguments, broadcast):
    assert door(*arguments).broadcast_address == broadcast


def test_the_stores_directory(tmp_path, monkeypatch):
    assert door().url == str(tmp_path / "penstock-data")
    monkeypatch.setenv("PENSTOCK_URL", "elsewhere")
    assert door().url == str(tmp_path / "elsewhere")
    assert door("-data-path=here").url == str(tmp_path / "here")
    assert door("-data-path=here", "-url=./here").url == str(tmp_path / "here")
    with pytest.raises(InvalidOption, match="give one of them"):
        door("-data-path=here", "-url=there")


@pytest.mark.parametrize("name", ["nsqd.dat", "orders.diskqueue.000000.dat", "orders:mail.diskqueue.meta.dat"])
def test_a_directory_of_nsqs_own_is_refused_with_what_to_do(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InvalidOption, match=r"orders|nsqd\.dat") as refused:
        door("-data-path", str(tmp_path))
    assert "import" in refused.value.message


def test_a_directory_with_a_store_may_hold_anything_else(tmp_path):
    for name in ("nsqd.dat", "penstock.db"):
        (tmp_path / name).touch()
    assert door("-data-path", str(tmp_path)).url == str(tmp_path)


def test_requeues_do_not_count_where_either_flag_says_so():
    assert not door("-no-count-requeues").count_requeues
    assert not door("-count-requeues=false").count_requeues


@pytest.mark.parametrize(
    "text, message",
    [("= 1", "is not TOML"), ("\xff", "is not TOML"), ('msg_timeout = "soon"', "msg_timeout is 'soon'")],
)
def test_a_file_that_is_not_understood_is_refused(tmp_path, text, message):
    file = tmp_path / "nsqd.cfg"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidOption, match=re.escape(message)):
        door("-config", str(file))


def test_lookupd():
    options = load_lookup(["-tombstone-lifetime=5s", "--tcp-address", ":4160"], hostname="h").options
    assert (options.tombstone_lifetime_s, options.inactive_producer_timeout_s) == (5, 300)
    assert (options.broadcast_address, options.http_address) == ("h", "127.0.0.1:4161")
    with pytest.raises(InvalidOption, match="0 or more"):
        load_lookup(["-inactive-producer-timeout=-1s"], hostname="h")


def test_the_version_is_one_that_clients_read():
    assert re.match(r"nsqd v1\.3\.0 \(built w/\S+\)$", version_line("nsqd"))
