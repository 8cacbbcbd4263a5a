"""nsqd's HTTP API, ours beside NSQ's own: the same requests have the same answers, and NSQ's tools work on both."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from penstock.store.directory import StoreDirectory
from tests.acceptance.conftest import until
from tests.acceptance.nsq_client import Connection
from tests.acceptance.nsq_peers import DEADLINE_S, Daemon, Daemons
from tests.acceptance.owners import wait_for_end

COMPARED = ("content-type", "x-nsq-content-type", "allow", "location")
OURS_ALONE = {"consumer_count", "dead_count", "discarded_count"}
"""What our statistics tell of a channel, and nsqd's do not."""


PORT = re.compile(r":[0-9]+$")
CERTIFICATE = Path(__file__).resolve().parents[1] / "unit" / "http" / "localhost.pem"
TOKEN = "correct-horse-battery"


class Answer(NamedTuple):
    """What both must answer alike."""

    status: int
    headers: dict[str, str]
    body: bytes


class Both:
    """NSQ's own nsqd, and ours, with the same options."""

    def __init__(self, daemons: Daemons, *options: str) -> None:
        self.real = daemons.real_nsqd(*options)
        self.ours = daemons.nsqd(*options)

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """The answer of both; that it is the same is checked."""
        real, ours = (request(daemon, method, target, body, headers) for daemon in (self.real, self.ours))
        assert ours == real, f"{method} {target}"
        return ours

    def stats(self, query: str = "") -> tuple[Any, Any]:
        """The statistics of NSQ's own and of ours, as JSON."""
        real, ours = (request(one, "GET", f"/stats?format=json{query}", None, {}) for one in (self.real, self.ours))
        assert (ours.status, ours.headers) == (real.status, real.headers)
        return json.loads(real.body), json.loads(ours.body)


def request(daemon: Daemon, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["HTTP"], timeout=DEADLINE_S)
    try:
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders() if name.lower() in COMPARED}
        return Answer(answer.status, told, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with Daemons(tmp_path_factory.mktemp("nsqds")) as daemons:
        found = Both(daemons, "-max-msg-size=1000", "-max-body-size=5000", "-max-req-timeout=10s")
        for target in ("/topic/create?topic=t", "/channel/create?topic=t&channel=c"):
            assert found.ask("POST", target).status == 200
        yield found


NAMES = ("no%20name", "", "%00", "a%2Fb", "x" * 65, "x" * 64, "a.b-c_D9", "a%23ephemeral", "%23ephemeral", "a%23other")
PACKED = b"\0\0\0\2\0\0\0\1a\0\0\0\2bc"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *[(method, path) for path in ("/ping", "/stats", "/nowhere", "/") for method in ("POST", "PUT", "OPTIONS")],
        *[(method, "/pub") for method in ("GET", "HEAD", "OPTIONS", "DELETE")],
        ("HEAD", "/ping"),
        ("GET", "/topic/create"),
        ("OPTIONS", "/config/log_level"),
        ("DELETE", "/config/log_level"),
        ("GET", "/ping/"),
        ("GET", "//ping"),
        ("GET", "/PING?a=b"),
        ("POST", "/topic/create/?topic=t"),
        ("GET", "/put"),
        ("GET", "/config/"),
        ("GET", "/config"),
    ],
)
def test_routes_and_methods(both: Both, method: str, target: str) -> None:
    both.ask(method, target)


def test_ping(both: Both) -> None:
    assert both.ask("GET", "/ping").body == b"OK"


@pytest.mark.parametrize("verb", ["create", "delete", "empty", "pause", "unpause"])
@pytest.mark.parametrize(
    "query", ["", "?topic", *(f"?topic={name}" for name in NAMES), "?topic=a;b", "?topic=%", "?topic=%zz"]
)
def test_verbs_of_topics(both: Both, verb: str, query: str) -> None:
    for _ in range(2):
        both.ask("POST", f"/topic/{verb}{query}")


@pytest.mark.parametrize("verb", ["create", "delete", "empty", "pause", "unpause"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?topic=no%20name",
        "?channel=c",
        "?topic=nowhere",
        "?topic=nowhere&channel=c",
        "?topic=t&channel=nowhere",
        "?topic=t&topic=nowhere&channel=c&channel=nowhere",
        *(f"?topic=t&channel={name}" for name in NAMES),
    ],
)
def test_verbs_of_channels(both: Both, verb: str, query: str) -> None:
    for _ in range(2):
        both.ask("POST", f"/channel/{verb}{query}")
    both.ask("POST", "/channel/create?topic=t&channel=c")


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/pub?topic=t", b"hello"),
        ("/pub?topic=t", b""),
        ("/pub", b""),
        ("/pub", b"x"),
        ("/pub?topic=t", b"x" * 1_000),
        ("/pub?topic=t", b"x" * 1_001),
        ("/pub", b"x" * 1_001),
        *[(f"/pub?topic={name}", b"x") for name in NAMES],
        *[
            (f"/pub?topic=t&defer={text}", b"x")
            for text in ("0", "1", "10000", "10001", "-1", "", "1s", "1.5", "%2B5", "0x5", "1_0", "9" * 30)
        ],
        ("/mpub?topic=t", b"one\ntwo\n\nthree"),
        ("/mpub?topic=t", b""),
        ("/mpub?topic=t", b"\n\n"),
        ("/mpub", b"one"),
        ("/mpub?topic=no%20name", b"one"),
        ("/mpub?topic=t", b"x" * 1_001),
        ("/mpub?topic=t", b"x\n" * 2_500),
        ("/mpub?topic=t", b"x\n" * 2_500 + b"x"),
        ("/mpub", b"x" * 5_001),
        *[(f"/mpub?topic=t&binary={text}", PACKED) for text in ("true", "1", "false", "0", "yes", "")],
        ("/mpub?topic=t&binary=true", PACKED + b"rest"),
        *[("/mpub?topic=t&binary=true", PACKED[:length]) for length in range(0, len(PACKED), 3)],
        ("/mpub?topic=t&binary=true", b"\0\0\0\0"),
        ("/mpub?topic=t&binary=true", b"\xff\xff\xff\xff"),
        ("/mpub?topic=t&binary=true", b"\0\0\7\xd0" + b"\0\0\0\1a" * 900),
        ("/mpub?topic=t&binary=true", b"\0\0\0\1\0\0\0\0"),
        ("/mpub?topic=t&binary=true", b"\0\0\0\1\0\0\3\xe9" + b"x" * 1_001),
        ("/mpub?topic=t&binary=true", b"\0\0\0\1\xff\xff\xff\xff"),
    ],
)
def test_publishing(both: Both, target: str, body: bytes) -> None:
    both.ask("POST", target, body)


@pytest.mark.parametrize("size", [999, 1_000, 1_001, 100_000])
@pytest.mark.parametrize("path", ["/pub?topic=t", "/mpub?topic=t"])
def test_bodies_that_do_not_say_how_long_they_are(both: Both, path: str, size: int) -> None:
    answers = []
    for daemon in (both.real, both.ours):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["HTTP"], timeout=DEADLINE_S)
        connection.request(
            "POST", path, iter([b"x" * size]), encode_chunked=True, headers={"transfer-encoding": "chunked"}
        )
        answer = connection.getresponse()
        answers.append((answer.status, answer.read()))
        connection.close()
    assert answers[0] == answers[1]


OPTIONS = """
auth_http_addresses deflate e2e_processing_latency_percentiles e2e_processing_latency_window_time
http_client_connect_timeout http_client_request_timeout log_level log_prefix max_body_size max_bytes_per_file
max_channel_consumers max_deflate_level max_heartbeat_interval max_msg_size max_msg_timeout max_output_buffer_size
max_output_buffer_timeout max_rdy_count max_req_timeout mem_queue_size min_output_buffer_timeout msg_timeout
nsqlookupd_tcp_addresses output_buffer_timeout queue_scan_selection_count queue_scan_worker_pool_max snappy
statsd_address statsd_exclude_ephemeral statsd_interval statsd_mem_stats statsd_udp_packet_size sync_every sync_timeout
tls_cert tls_client_auth_policy tls_key tls_min_version tls_required tls_root_ca_file broadcast_address http_address
tcp_address id node_id verbose worker_id lookupd_tcp_address version config nothing a%2Fb
""".split()


@pytest.mark.parametrize("name", OPTIONS)
def test_options(both: Both, name: str) -> None:
    both.ask("GET", f"/config/{name}")


def test_options_that_tell_the_ports(both: Both) -> None:
    told = {}
    for one in (both.real, both.ours):
        tcp, http = one.ports["TCP"], one.ports["HTTP"]
        told[one] = (
            request(one, "GET", "/config/broadcast_tcp_port", None, {}).body == b"%d" % tcp,
            request(one, "GET", "/config/broadcast_http_port", None, {}).body == b"%d" % http,
            request(one, "GET", "/config/statsd_prefix", None, {}).body == b"nsq.127_0_0_1_%d." % http,
        )
    assert told[both.real] == told[both.ours] == (True, True, True)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("log_level", b"warn"),
        ("log_level", b"INFO"),
        ("log_level", b""),
        ("log_level", b"loud"),
        ("log_level", b"x" * 1_001),
        ("nsqlookupd_tcp_addresses", b"[]"),
        ("nsqlookupd_tcp_addresses", b'"127.0.0.1:1"'),
        ("nsqlookupd_tcp_addresses", b"[1]"),
        ("nsqlookupd_tcp_addresses", b"{"),
        ("max_rdy_count", b"5"),
        ("nothing", b"5"),
    ],
)
def test_changing_options(both: Both, name: str, body: bytes) -> None:
    both.ask("PUT", f"/config/{name}", body)


# --- statistics -------------------------------------------------------------------------------------------------------
def shape(value: Any) -> Any:
    """What there is, and of what kind, without how much."""
    if isinstance(value, dict):
        return {PORT.sub(":PORT", name): shape(one) for name, one in value.items() if name not in OURS_ALONE}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return type(value).__name__ if not isinstance(value, bool) else value


def made(both: Both, *requests: str) -> None:
    for target in requests:
        assert both.ask("POST", target, b"body" if "pub?" in target else None).status == 200


@pytest.mark.parametrize(
    "query",
    ["", "&topic=s", "&topic=nowhere", "&topic=s&channel=a", "&topic=s&channel=nowhere", "&include_clients=false"]
    + ["&include_mem=false", "&include_mem=0&include_clients=0", "&include_mem=what", "&topic=s&topic=nowhere"],
)
def test_statistics_have_the_same_fields_in_the_same_order(both: Both, query: str) -> None:
    made(both, "/topic/create?topic=s", "/channel/create?topic=s&channel=b", "/channel/create?topic=s&channel=a")
    real, ours = both.stats(query)
    assert list(shape(ours).items()) == list(shape(real).items())
    assert [*map(list, ours["topics"] or ())] == [*map(list, real["topics"] or ())]


def test_statistics_count_the_same(both: Both) -> None:
    made(both, "/topic/create?topic=n", "/channel/create?topic=n&channel=a", "/channel/create?topic=n&channel=b")
    made(both, "/pub?topic=n", "/pub?topic=n", "/pub?topic=n&defer=9000", "/channel/pause?topic=n&channel=b")
    until_counted(both.real, "n", 3)
    figures = []
    for found in both.stats("&topic=n"):
        (topic,) = found["topics"]
        channels = [
            {name: channel[name] for name in ("channel_name", "depth", "deferred_count", "message_count", "paused")}
            | {"in_flight_count": channel["in_flight_count"], "clients": channel["clients"]}
            for channel in topic["channels"]
        ]
        figures.append((topic["message_count"], topic["message_bytes"], topic["paused"], channels))
    assert figures[0] == figures[1]


def until_counted(daemon: Daemon, topic: str, count: int) -> None:
    """nsqd hands messages on to channels a little later."""
    while True:
        (found,) = json.loads(daemon.ask(f"/stats?format=json&topic={topic}"))["topics"]
        if all(channel["message_count"] == count for channel in found["channels"]):
            return


def test_pausing_of_a_topic_and_of_its_channels_is_told_apart(both: Both) -> None:
    made(both, "/topic/create?topic=p", "/channel/create?topic=p&channel=a", "/channel/create?topic=p&channel=b")

    def paused() -> Any:
        found = []
        for stats in both.stats("&topic=p"):
            (topic,) = stats["topics"]
            found.append((topic["paused"], [channel["paused"] for channel in topic["channels"]]))
        assert found[0] == found[1]
        return found[1]

    made(both, "/channel/pause?topic=p&channel=a", "/topic/pause?topic=p")
    assert paused() == (True, [True, False])
    made(both, "/topic/unpause?topic=p")
    assert paused() == (False, [True, False])
    made(both, "/channel/unpause?topic=p&channel=a")
    assert paused() == (False, [False, False])


def test_the_text_for_people_has_the_same_lines(both: Both) -> None:
    made(
        both,
        "/topic/create?topic=people",
        "/channel/create?topic=people&channel=a",
        "/channel/pause?topic=people&channel=a",
    )

    def lines(daemon: Daemon) -> list[str]:
        text = daemon.ask("/stats?topic=people").decode()
        return [re.sub(r"[0-9].*$", "", line) for line in text.splitlines()]

    assert lines(both.ours) == lines(both.real)


def test_info_has_the_same_fields(both: Both) -> None:
    real, ours = (json.loads(one.ask("/info")) for one in (both.real, both.ours))
    assert list(ours) == list(real)
    told = {"broadcast_address", "version", "hostname", "max_deflate_level", "max_heartbeat_interval"}
    assert {name: ours[name] for name in told} == {name: real[name] for name in told}
    assert (ours["tcp_port"], ours["http_port"]) == (both.ours.ports["TCP"], both.ours.ports["HTTP"])


# --- who is let in ----------------------------------------------------------------------------------------------------
TLS = (f"-tls-cert={CERTIFICATE}", f"-tls-key={CERTIFICATE}", "-https-address=127.0.0.1:0")


def by_https(daemon: Daemon, path: str) -> bytes:
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    url = f"https://localhost:{daemon.ports['HTTPS']}{path}"
    with urllib.request.urlopen(url, timeout=DEADLINE_S, context=trusting) as answer:
        read: bytes = answer.read()
        return read


@pytest.mark.parametrize("required", ["true", "tcp-https"])
def test_https_and_what_http_answers_where_tls_is_required(daemons: Daemons, required: str) -> None:
    told = []
    for daemon in (
        daemons.real_nsqd(*TLS, f"-tls-required={required}"),
        daemons.nsqd(*TLS, f"-tls-required={required}"),
    ):
        daemon.wait_for("HTTPS")
        assert by_https(daemon, "/ping") == b"OK"
        answer = request(daemon, "GET", "/ping", None, {})
        told.append(answer._replace(body=answer.body.replace(b"%d" % daemon.ports["HTTPS"], b"PORT")))
    real, ours = told
    if required == "true":
        assert json.loads(real.body.replace(b"PORT", b"1")) == json.loads(ours.body.replace(b"PORT", b"1"))
        assert real[:2] == ours[:2]
    else:
        assert real == ours


def test_with_a_token_nothing_but_ping_is_open(daemons: Daemons, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    nsqd = daemons.nsqd(f"-http-token-file={path}")
    assert request(nsqd, "GET", "/ping", None, {}).status == 200
    for method, target in (("POST", "/pub?topic=t"), ("GET", "/stats"), ("GET", "/debug/pprof/"), ("GET", "/nowhere")):
        assert request(nsqd, method, target, None, {}).status == 401
        assert request(nsqd, method, target, None, {"authorization": "Bearer another-token-altogether"}).status == 401
    assert request(nsqd, "POST", "/pub?topic=t", b"x", {"authorization": f"Bearer {TOKEN}"}).body == b"OK"
    assert TOKEN not in nsqd.said()


def test_a_web_page_cannot_reach_one_without_a_token(daemons: Daemons) -> None:
    nsqd = daemons.nsqd()
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert request(nsqd, "POST", "/pub?topic=t", b"x", headers).status == 403
    assert json.loads(nsqd.ask("/stats?format=json"))["topics"] == []


# --- NSQ's tools ------------------------------------------------------------------------------------------------------
def test_nsq_stat_reads_it(daemons: Daemons) -> None:
    nsqd = daemons.nsqd()
    for target in (
        "/topic/create?topic=t",
        "/channel/create?topic=t&channel=c",
        "/pub?topic=t",
        "/pub?topic=t&defer=60000",
    ):
        nsqd.ask(target, b"body")
    tool = daemons.real(
        "nsq_stat", "-topic=t", "-channel=c", "-count=1", "-interval=10ms", f"-nsqd-http-address={nsqd.http}"
    )
    assert tool.process.wait(DEADLINE_S) == 0
    total, memory, disk, in_flight, deferred, requeued, timed_out, messages, clients = re.findall(
        r"[0-9]+", tool.said().splitlines()[-1]
    )[2:]
    assert (total, memory, disk, in_flight, deferred) == ("1", "0", "1", "0", "1")
    assert (requeued, timed_out, messages, clients) == ("0", "0", "2", "0")


class Admin:
    """NSQ's nsqadmin, for one nsqd."""

    def __init__(self, daemons: Daemons, nsqd: Daemon) -> None:
        self.daemon = daemons.real_nsqadmin(nsqd)

    def ask(self, method: str, path: str, **body: str) -> Any:
        """What it answers, as JSON."""
        answer = request(self.daemon, method, f"/api{path}", json.dumps(body).encode() if body else None, {})
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def pages(self, topic: str, channel: str, node: str) -> list[Any]:
        """What it shows on each of its pages."""
        paths = ("/topics", f"/topics/{topic}", f"/topics/{topic}/{channel}", "/nodes", f"/nodes/{node}", "/counter")
        return [self.ask("GET", path) for path in paths]


def test_nsqadmin_shows_the_same_of_both_and_acts_on_both(daemons: Daemons) -> None:
    pages = []
    for nsqd in (daemons.real_nsqd(), daemons.nsqd()):
        admin = Admin(daemons, nsqd)
        nsqd.ask("/topic/create?topic=t", b"")
        nsqd.ask("/channel/create?topic=t&channel=c", b"")
        nsqd.ask("/pub?topic=t", b"body")
        nsqd.ask("/pub?topic=t&defer=60000", b"body")
        with Connection(nsqd.ports["TCP"], client_id="worker", hostname="here", user_agent="test/1") as client:
            client.subscribe("t", "c", 1)
            assert client.message().body == b"body"
            pages.append([shape(page) for page in admin.pages("t", "c", nsqd.http)])
        for scope, seen in (("/topics/t", "/topics/t"), ("/topics/t/c", "/topics/t/c")):
            for action, paused in (("pause", True), ("unpause", False)):
                admin.ask("POST", scope, action=action)
                assert admin.ask("GET", seen)["paused"] is paused
            admin.ask("POST", scope, action="empty")
        assert admin.ask("GET", "/topics/t/c")["depth"] == 0
        admin.ask("DELETE", "/topics/t/c")
        assert not admin.ask("GET", "/topics/t")["channels"]
        admin.ask("DELETE", "/topics/t")
        assert not admin.ask("GET", "/topics")["topics"]
    assert pages[0] == pages[1]


# --- what nsqd lacks --------------------------------------------------------------------------------------------------
def test_what_was_finished_is_delivered_once_more_when_that_is_asked_for(daemons: Daemons) -> None:
    nsqd = daemons.nsqd("-retention=1h")
    for target in ("/topic/create?topic=t", "/channel/create?topic=t&channel=c"):
        nsqd.ask(target, b"")
    nsqd.ask("/pub?topic=t", b"body")
    with Connection(nsqd.ports["TCP"]) as client:
        client.subscribe("t", "c", 1)
        first = client.message()
        client.finish(first)
        while json.loads(nsqd.ask("/stats?format=json&topic=t"))["topics"][0]["channels"][0]["in_flight_count"]:
            pass
        action = json.loads(nsqd.ask("/channel/replay?topic=t&channel=c&since=1h", b""))
        again = client.message()
        assert (again.id, again.body) == (first.id, b"body")
    assert json.loads(nsqd.ask(f"/action?id={action['id']}"))["changed"] == 1


def test_emptying_takes_from_consumers_what_they_have(daemons: Daemons) -> None:
    """The same of both: what was in flight is unknown, what comes later is delivered."""
    for nsqd in (daemons.real_nsqd(), daemons.nsqd()):
        for target in ("/topic/create?topic=t", "/channel/create?topic=t&channel=c"):
            nsqd.ask(target, b"")
        with Connection(nsqd.ports["TCP"]) as client:
            client.subscribe("t", "c", 2)
            nsqd.ask("/mpub?topic=t", b"one\ntwo\nthree")
            taken = [client.message(), client.message()]
            nsqd.ask("/channel/empty?topic=t&channel=c", b"")
            client.finish(taken[0])
            assert client.error().startswith(b"E_FIN_FAILED")
            nsqd.ask("/pub?topic=t", b"four")
            assert client.message().body == b"four"


def test_the_connections_of_a_deleted_channel_end(daemons: Daemons) -> None:
    for nsqd in (daemons.real_nsqd(), daemons.nsqd()):
        for target in ("/topic/create?topic=t", "/channel/create?topic=t&channel=c"):
            nsqd.ask(target, b"")
        with Connection(nsqd.ports["TCP"]) as client:
            client.subscribe("t", "c", 1)
            nsqd.ask("/channel/delete?topic=t&channel=c", b"")
            with pytest.raises((EOFError, ConnectionResetError)):
                client.frame()


# --- what was answered OK ---------------------------------------------------------------------------------------------
class Publisher(threading.Thread):
    """Publishes by HTTP, one message after the other, and notes those that were answered OK."""

    def __init__(self, daemon: Daemon, name: str, count: int) -> None:
        super().__init__(name=name, daemon=True)
        self.accepted: list[bytes] = []
        self._daemon = daemon
        self._count = count

    def run(self) -> None:
        for number in range(self._count):
            body = f"{self.name} {number}".encode()
            answer = request(self._daemon, "POST", "/pub?topic=t", body, {})
            if answer.status == 200:
                self.accepted.append(body)


def test_what_was_answered_ok_is_there_though_the_owner_was_killed_meanwhile(daemons: Daemons, tmp_path: Path) -> None:
    directory = tmp_path / "store"
    nsqd = daemons.nsqd(data_path=directory)
    for target in ("/topic/create?topic=t", "/channel/create?topic=t&channel=c"):
        nsqd.ask(target, b"")
    publishers = [Publisher(nsqd, f"p{number}", 60) for number in range(8)]
    for publisher in publishers:
        publisher.start()
    for enough in (100, 250):
        until(lambda: sum(len(publisher.accepted) for publisher in publishers) >= enough)  # noqa: B023 - asked at once
        owner = StoreDirectory(directory).owner()
        assert owner is not None
        os.kill(owner.pid, signal.SIGKILL)
        wait_for_end(owner.pid)
    for publisher in publishers:
        publisher.join(DEADLINE_S)
        assert not publisher.is_alive()
    missing = {body for publisher in publishers for body in publisher.accepted}
    assert len(missing) > 250
    with Connection(nsqd.ports["TCP"]) as client:
        client.subscribe("t", "c", 100)
        while missing:
            message = client.message()
            missing.discard(message.body)
            client.finish(message)
