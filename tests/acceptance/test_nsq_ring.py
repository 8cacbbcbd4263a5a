"""Real daemons and ours in one ring: they find each other, a consumer drains both, nsqadmin shows and acts on both."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import until
from tests.acceptance.nsq_peers import Daemon, Daemons
from tests.acceptance.owners import environment

DEADLINE_S = 60.0
LOOKUPDS = ["real_nsqlookupd", "nsqlookupd"]
NSQDS = ["real_nsqd", "nsqd"]


def looked_up(lookupd: Daemon, topic: str) -> tuple[list[str], list[int]]:
    """The channels of a topic, and the TCP ports of its producers, as an nsqlookupd tells."""
    try:
        found = json.loads(lookupd.ask(f"/lookup?topic={topic}"))
    except urllib.error.HTTPError:
        return [], []
    return sorted(found["channels"]), sorted(one["tcp_port"] for one in found["producers"])


def at(lookupd: Daemon) -> str:
    """The flag by which a daemon registers there."""
    return f"-lookupd-tcp-address={lookupd.tcp}"


def start(daemons: Daemons, name: str, *options: str) -> Daemon:
    """One of the daemons that a test is run with."""
    starting: Callable[..., Daemon] = getattr(daemons, name)
    return starting(*options)


def make(nsqd: Daemon, topic: str, channel: str) -> None:
    """Make a topic and a channel of it."""
    nsqd.ask(f"/topic/create?topic={topic}", b"")
    nsqd.ask(f"/channel/create?topic={topic}&channel={channel}", b"")


def requested(method: str, url: str, body: object = None) -> Any:
    """What is answered to a request with a body of JSON."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=DEADLINE_S) as answer:
        return json.loads(answer.read() or b"null")


def penstock(store: Path, *arguments: str) -> None:
    """A command of ours, to its end."""
    command = [sys.executable, "-m", "penstock.cli", *arguments, "--url", str(store)]
    subprocess.run(command, check=True, capture_output=True, env=environment(), timeout=DEADLINE_S)


# --- registering -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("nsqd_name", NSQDS)
@pytest.mark.parametrize("lookupd_name", LOOKUPDS)
def test_topics_and_channels_come_and_go_at_an_nsqlookupd(daemons: Daemons, nsqd_name: str, lookupd_name: str) -> None:
    lookupd = start(daemons, lookupd_name)
    nsqd = start(daemons, nsqd_name, at(lookupd))
    port = nsqd.ports["TCP"]
    assert nsqd.ask("/pub?topic=orders", b"first") == b"OK"
    until(lambda: looked_up(lookupd, "orders") == ([], [port]))
    make(nsqd, "orders", "billing")
    until(lambda: looked_up(lookupd, "orders") == (["billing"], [port]))
    make(nsqd, "mail", "all")
    until(lambda: looked_up(lookupd, "mail") == (["all"], [port]))
    nsqd.ask("/topic/delete?topic=orders", b"")
    until(lambda: looked_up(lookupd, "orders")[1] == [])
    assert nsqd.end() == 0
    until(lambda: json.loads(lookupd.ask("/nodes")) == {"producers": []})


def test_what_others_make_in_the_store_is_registered_too(daemons: Daemons, tmp_path: Path) -> None:
    lookupd, store = daemons.real_nsqlookupd(), tmp_path / "store"
    store.mkdir()
    first = daemons.nsqd(at(lookupd), data_path=store)
    second = daemons.nsqd(at(lookupd), data_path=store)
    ports = sorted(nsqd.ports["TCP"] for nsqd in (first, second))
    penstock(store, "topics", "orders:billing", "create")
    until(lambda: looked_up(lookupd, "orders") == (["billing"], ports))
    make(second, "orders", "audit")
    until(lambda: looked_up(lookupd, "orders") == (["audit", "billing"], ports))
    penstock(store, "topics", "orders", "delete")
    until(lambda: looked_up(lookupd, "orders")[1] == [])


@pytest.mark.parametrize("lookupd_name", LOOKUPDS)
def test_an_nsqlookupd_that_is_killed_knows_all_of_it_when_it_is_back(daemons: Daemons, lookupd_name: str) -> None:
    lookupd = start(daemons, lookupd_name)
    where = (f"-tcp-address={lookupd.tcp}", f"-http-address={lookupd.http}")
    nsqd = daemons.nsqd(at(lookupd))
    make(nsqd, "orders", "billing")
    until(lambda: looked_up(lookupd, "orders") == (["billing"], [nsqd.ports["TCP"]]))
    lookupd.kill()
    assert nsqd.ask("/pub?topic=orders", b"meanwhile") == b"OK"
    again = start(daemons, lookupd_name, *where)
    until(lambda: looked_up(again, "orders") == (["billing"], [nsqd.ports["TCP"]]))


def test_the_list_of_nsqlookupds_changes_while_a_door_runs(daemons: Daemons) -> None:
    first, second = daemons.real_nsqlookupd(), daemons.nsqlookupd()
    nsqd = daemons.nsqd(at(first))
    make(nsqd, "orders", "billing")
    until(lambda: looked_up(first, "orders")[1] != [])
    config = f"http://{nsqd.http}/config/nsqlookupd_tcp_addresses"
    assert requested("PUT", config, [second.tcp]) == [second.tcp]
    until(lambda: looked_up(second, "orders") == (["billing"], [nsqd.ports["TCP"]]))
    until(lambda: looked_up(first, "orders")[1] == [])
    assert requested("PUT", config, []) == []
    until(lambda: looked_up(second, "orders")[1] == [])


def test_nsqlookupds_that_hang_or_are_not_there_stop_nothing(daemons: Daemons) -> None:
    good = daemons.real_nsqlookupd()
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as free:
        hanging, nowhere = (f"127.0.0.1:{sock.getsockname()[1]}" for sock in (silent, free))
        free.close()
        others = [f"-lookupd-tcp-address={address}" for address in (hanging, nowhere)]
        nsqd = daemons.nsqd(*others, at(good))
        assert nsqd.ask("/pub?topic=orders", b"first") == b"OK"
        until(lambda: looked_up(good, "orders") == ([], [nsqd.ports["TCP"]]))
        assert nsqd.end() == 0


@pytest.mark.parametrize("nsqd_name", NSQDS)
@pytest.mark.parametrize("lookupd_name", LOOKUPDS)
def test_a_new_topic_has_the_channels_that_the_nsqlookupd_knows(
    daemons: Daemons, nsqd_name: str, lookupd_name: str
) -> None:
    lookupd = start(daemons, lookupd_name)
    for channel in ("billing", "audit", "tail%23ephemeral"):
        lookupd.ask(f"/channel/create?topic=orders&channel={channel}", b"")
    nsqd = start(daemons, nsqd_name, at(lookupd))
    until(lambda: json.loads(lookupd.ask("/nodes"))["producers"] != [])
    nsqd.ask("/topic/create?topic=other", b"")
    until(lambda: looked_up(lookupd, "other")[1] != [])
    assert nsqd.ask("/pub?topic=orders", b"first") == b"OK"
    (topic,) = json.loads(nsqd.ask("/stats?format=json&topic=orders"))["topics"]
    depths = {channel["channel_name"]: channel["depth"] for channel in topic["channels"]}
    assert depths == {"audit": 1, "billing": 1}


# --- consuming -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("lookupd_name", LOOKUPDS)
def test_one_consumer_drains_a_real_nsqd_and_ours(daemons: Daemons, lookupd_name: str) -> None:
    lookupd = start(daemons, lookupd_name)
    ring = [start(daemons, name, at(lookupd)) for name in NSQDS]
    for nsqd in ring:
        assert nsqd.ask("/mpub?topic=orders", b"\n".join(b"%d" % nsqd.ports["TCP"] for _ in range(50))) == b"OK"
    until(lambda: len(looked_up(lookupd, "orders")[1]) == 2)
    tail = daemons.real(
        "nsq_tail", "-topic=orders", "-channel=drain", "-n=100", "-print-topic=false",
        f"-lookupd-http-address={lookupd.http}",
    )  # fmt: skip
    assert tail.process.wait(DEADLINE_S) == 0
    said = tail.said().splitlines()
    assert [said.count(str(nsqd.ports["TCP"])) for nsqd in ring] == [50, 50]
    until(lambda: looked_up(lookupd, "orders")[0] == ["drain"])


def test_a_tombstone_hides_ours_from_consumers_and_not_from_operators(daemons: Daemons) -> None:
    lookupd = daemons.nsqlookupd()
    nsqd = daemons.nsqd(at(lookupd))
    nsqd.ask("/topic/create?topic=orders", b"")
    until(lambda: looked_up(lookupd, "orders")[1] != [])
    lookupd.ask(f"/topic/tombstone?topic=orders&node={nsqd.http}", b"")
    assert looked_up(lookupd, "orders")[1] == []
    (node,) = json.loads(lookupd.ask("/nodes"))["producers"]
    assert (node["topics"], node["tombstones"]) == (["orders"], [True])


# --- nsqadmin --------------------------------------------------------------------------------------------------------
class Admin:
    """NSQ's own nsqadmin over a ring of a real nsqd and ours, with a topic that both have."""

    def __init__(self, daemons: Daemons, lookupd_name: str) -> None:
        self.lookupd = start(daemons, lookupd_name)
        self.ring = [start(daemons, name, at(self.lookupd)) for name in NSQDS]
        for nsqd in self.ring:
            make(nsqd, "orders", "billing")
            nsqd.ask("/pub?topic=orders", b"first")
        until(lambda: len(looked_up(self.lookupd, "orders")[1]) == 2)
        self.daemon = daemons.real(
            "nsqadmin", "-http-address=127.0.0.1:0", f"-lookupd-http-address={self.lookupd.http}"
        )
        self.daemon.wait_listening("HTTP")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What its API answers."""
        return requested(method, f"http://{self.daemon.http}/api{path}", body)

    def stats(self, name: str) -> list[Any]:
        """What each nsqd says of the channel."""
        found = []
        for nsqd in self.ring:
            topics = json.loads(nsqd.ask("/stats?format=json&topic=orders"))["topics"] or []
            found += [channel[name] for topic in topics for channel in topic["channels"]]
        return found


@pytest.mark.parametrize("lookupd_name", LOOKUPDS)
def test_nsqadmin_shows_both(daemons: Daemons, lookupd_name: str) -> None:
    admin = Admin(daemons, lookupd_name)
    assert admin.ask("GET", "/topics")["topics"] == ["orders"]
    nodes = admin.ask("GET", "/nodes")["nodes"]
    assert sorted(node["tcp_port"] for node in nodes) == sorted(nsqd.ports["TCP"] for nsqd in admin.ring)
    topic = admin.ask("GET", "/topics/orders")
    assert (topic["depth"] + sum(one["depth"] for one in topic["channels"]), topic["message_count"]) == (2, 2)
    channel = admin.ask("GET", "/topics/orders/billing")
    assert (channel["depth"], len(channel["nodes"])) == (2, 2)
    for nsqd in admin.ring:
        node = admin.ask("GET", f"/nodes/{nsqd.http}")
        assert [one["topic_name"] for one in node["topics"]] == ["orders"]
        assert node["total_messages"] == 1
    assert admin.ask("GET", "/counter")["stats"] is not None


@pytest.mark.parametrize("lookupd_name", LOOKUPDS)
def test_nsqadmin_acts_on_both(daemons: Daemons, lookupd_name: str) -> None:
    admin = Admin(daemons, lookupd_name)
    admin.ask("POST", "/topics/orders/billing", {"action": "pause"})
    assert admin.stats("paused") == [True, True]
    admin.ask("POST", "/topics/orders/billing", {"action": "unpause"})
    assert admin.stats("paused") == [False, False]
    admin.ask("POST", "/topics/orders/billing", {"action": "empty"})
    assert admin.stats("depth") == [0, 0]
    admin.ask("POST", "/topics/orders", {"action": "pause"})
    topics = [json.loads(nsqd.ask("/stats?format=json&topic=orders"))["topics"][0] for nsqd in admin.ring]
    assert [topic["paused"] for topic in topics] == [True, True]
    admin.ask("POST", "/topics/orders", {"action": "unpause"})
    admin.ask("POST", "/topics/orders", {"action": "empty"})
    admin.ask("POST", "/topics", {"topic": "orders", "channel": "audit"})
    until(lambda: looked_up(admin.lookupd, "orders")[0] == ["audit", "billing"])
    admin.ask("DELETE", f"/nodes/{admin.ring[1].http}", {"topic": "orders"})
    until(lambda: looked_up(admin.lookupd, "orders")[1] == [admin.ring[0].ports["TCP"]])
    admin.ask("DELETE", "/topics/orders/billing")
    until(lambda: "billing" not in looked_up(admin.lookupd, "orders")[0])
    admin.ask("DELETE", "/topics/orders")
    until(lambda: not admin.ask("GET", "/topics")["topics"])
    assert admin.stats("depth") == []
