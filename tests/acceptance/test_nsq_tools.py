"""NSQ's own tools at our daemons, as their users start them: ``to_nsq``, ``nsq_tail``, ``nsq_to_file``, ``nsq_stat``,
``nsq_to_http``, ``nsq_to_nsq``; by address, and by our nsqlookupd."""

from __future__ import annotations

import gzip
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.acceptance.conftest import until
from tests.acceptance.nsq_client import Connection
from tests.acceptance.nsq_peers import DEADLINE_S, Daemon, Daemons, program

CERTIFICATES = Path(__file__).resolve().parents[1] / "certificates"
MESSAGES = [b"message %d" % number for number in range(40)]


def publish(daemon: Daemon, topic: str, bodies: list[bytes]) -> None:
    with Connection(daemon.ports["TCP"]) as connection:
        for body in bodies:
            connection.publish(topic, body)


def to_nsq(daemon: Daemon, topic: str, text: bytes, *options: str) -> None:
    """``to_nsq`` with this on its input, to its end."""
    done = subprocess.run(
        [program("to_nsq"), f"-nsqd-tcp-address={daemon.tcp}", f"-topic={topic}", *options],
        input=text,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def channel_of(daemon: Daemon, topic: str, channel: str) -> dict[str, int]:
    """What ``/stats`` tells of a channel; nothing as long as it is not there."""
    told = json.loads(daemon.ask(f"/stats?format=json&topic={topic}&channel={channel}"))["topics"] or []
    return next((one for of_topic in told for one in of_topic["channels"]), {})


def has_finished(daemon: Daemon, topic: str, channel: str, count: int) -> bool:
    """Whether a channel has got so many messages and has none left."""
    told = channel_of(daemon, topic, channel)
    left = sum(told.get(name, 0) for name in ("depth", "in_flight_count", "deferred_count"))
    return told.get("message_count") == count and left == 0


def printed(tool: Daemon) -> list[bytes]:
    """The messages among what a tool has printed."""
    return [line for line in tool.log.read_bytes().splitlines() if line.startswith(b"message ")]


def test_to_nsq_publishes_what_nsq_tail_prints(daemons: Daemons) -> None:
    nsqd = daemons.nsqd()
    tail = daemons.real(
        "nsq_tail", "-topic=orders", "-channel=tail", f"-n={len(MESSAGES)}", f"-nsqd-tcp-address={nsqd.tcp}"
    )
    until(lambda: channel_of(nsqd, "orders", "tail").get("client_count"))
    to_nsq(nsqd, "orders", b"\n".join(MESSAGES) + b"\n")
    assert tail.process.wait(DEADLINE_S) == 0
    assert Counter(printed(tail)) == Counter(MESSAGES)


def test_to_nsq_publishes_with_its_own_delimiter_and_at_its_own_rate(daemons: Daemons) -> None:
    nsqd = daemons.nsqd()
    nsqd.ask("/topic/create?topic=orders", b"")
    nsqd.ask("/channel/create?topic=orders&channel=all", b"")
    to_nsq(nsqd, "orders", b"one\nmore;two;three;", "-delimiter=;", "-rate=1000")
    with Connection(nsqd.ports["TCP"]) as connection:
        connection.subscribe("orders", "all", 10)
        assert sorted(connection.message().body for _ in range(3)) == [b"one\nmore", b"three", b"two"]


def test_nsq_tail_finds_ours_by_our_nsqlookupd_and_reads_several_topics(daemons: Daemons) -> None:
    lookupd = daemons.nsqlookupd()
    nsqd = daemons.nsqd(f"-lookupd-tcp-address={lookupd.tcp}")
    for topic in ("orders", "mails"):
        publish(nsqd, topic, MESSAGES[:10])
    tail = daemons.real(
        "nsq_tail",
        "-topic=orders",
        "-topic=mails",
        "-print-topic",
        f"-lookupd-http-address={lookupd.http}",
    )

    def shown() -> list[bytes]:
        return [line for line in tail.log.read_bytes().splitlines() if b" | message " in line]

    until(lambda: len(shown()) >= 20)
    assert tail.end() == 0
    assert Counter(shown()) == Counter(
        f"{topic} | ".encode() + body for topic in ("orders", "mails") for body in MESSAGES[:10]
    )


TLS = ("tls_v1,true", "tls_insecure_skip_verify,true")


@pytest.mark.parametrize(
    "layers",
    [("snappy,true",), ("deflate,true", "deflate_level,9"), TLS, (*TLS, "snappy,true"), (*TLS, "deflate,true")],
)
def test_tools_speak_through_tls_and_compression(daemons: Daemons, layers: tuple[str, ...]) -> None:
    nsqd = daemons.nsqd(f"-tls-cert={CERTIFICATES / 'server.pem'}", f"-tls-key={CERTIFICATES / 'server_key.pem'}")
    bodies = [body * 50 for body in MESSAGES]
    to_nsq(nsqd, "orders", b"\n".join(bodies) + b"\n", *(f"-producer-opt={layer}" for layer in layers))
    consumer = [f"-consumer-opt={layer}" for layer in layers]
    address = f"-nsqd-tcp-address={nsqd.tcp}"
    tail = daemons.real("nsq_tail", "-topic=orders", "-channel=tail", f"-n={len(bodies)}", address, *consumer)
    assert tail.process.wait(DEADLINE_S) == 0
    assert Counter(printed(tail)) == Counter(bodies)


@pytest.mark.parametrize("is_packed", [False, True])
def test_nsq_to_file_archives_everything_and_what_is_finished_is_in_the_file(
    daemons: Daemons, tmp_path: Path, is_packed: bool
) -> None:
    nsqd = daemons.nsqd()
    publish(nsqd, "orders", MESSAGES)
    archive = daemons.real(
        "nsq_to_file",
        "-topic=orders",
        "-channel=archive",
        f"-output-dir={tmp_path / 'out'}",
        f"-work-dir={tmp_path / 'work'}",
        "-sync-interval=1s",
        *(["-gzip"] if is_packed else []),
        f"-nsqd-tcp-address={nsqd.tcp}",
    )
    until(lambda: has_finished(nsqd, "orders", "archive", len(MESSAGES)))
    assert archive.end() == 0
    files = sorted((tmp_path / "out").iterdir())
    texts = [gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes() for path in files]
    assert Counter(b"".join(texts).splitlines()) == Counter(MESSAGES)


def test_nsq_to_file_that_is_killed_is_given_again_what_it_has_not_finished(daemons: Daemons, tmp_path: Path) -> None:
    nsqd = daemons.nsqd()
    publish(nsqd, "orders", MESSAGES)
    options = [
        "-topic=orders",
        "-channel=archive",
        f"-output-dir={tmp_path}",
        "-max-in-flight=100",
        f"-nsqd-tcp-address={nsqd.tcp}",
    ]
    killed = daemons.real("nsq_to_file", *options, "-sync-interval=1h", "-host-identifier=first")
    # It finishes the first, with which it opens its file.
    until(lambda: channel_of(nsqd, "orders", "archive").get("in_flight_count") == len(MESSAGES) - 1)
    killed.kill()
    daemons.real("nsq_to_file", *options, "-sync-interval=1s", "-host-identifier=second")
    until(lambda: has_finished(nsqd, "orders", "archive", len(MESSAGES)))
    (first,) = [path.read_bytes().splitlines() for path in tmp_path.glob("*first*")]
    (second,) = [path.read_bytes().splitlines() for path in tmp_path.glob("*second*")]
    assert len(second) == len(MESSAGES) - 1
    assert set(first + second) == set(MESSAGES)


def test_nsq_stat_tells_of_ours_what_it_tells_of_its_own(daemons: Daemons) -> None:
    told = []
    for nsqd in (daemons.nsqd(), daemons.real_nsqd("-mem-queue-size=0")):
        nsqd.ask("/topic/create?topic=orders", b"")
        nsqd.ask("/channel/create?topic=orders&channel=mail", b"")
        publish(nsqd, "orders", MESSAGES)
        until(lambda nsqd=nsqd: channel_of(nsqd, "orders", "mail").get("depth") == len(MESSAGES))
        with Connection(nsqd.ports["TCP"]) as connection:
            connection.subscribe("orders", "mail", 3)
            for _ in range(3):
                connection.message()
            stat = daemons.real(
                "nsq_stat",
                "-topic=orders",
                "-channel=mail",
                "-count=2",
                "-interval=1s",
                f"-nsqd-http-address={nsqd.http}",
            )
            assert stat.process.wait(DEADLINE_S) == 0
        told.append(stat.said().splitlines())
    assert len(told[0]) >= 3
    assert told[0] == told[1]


class Receiver:
    """An HTTP server that keeps what it is sent, after it has failed a few times."""

    def __init__(self, failures: int) -> None:
        self.bodies: list[bytes] = []
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.refused < failures:
                    receiver.refused += 1
                    self.send_error(500)
                    return
                receiver.bodies.append(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(failures=2)
    yield made
    made.close()


def test_nsq_to_http_posts_every_message_and_again_those_that_were_refused(
    daemons: Daemons, receiver: Receiver
) -> None:
    nsqd = daemons.nsqd()
    publish(nsqd, "orders", MESSAGES)
    daemons.real(
        "nsq_to_http",
        "-topic=orders",
        "-channel=posts",
        f"-post={receiver.url}",
        "-consumer-opt=default_requeue_delay,100ms",
        "-consumer-opt=backoff_multiplier,10ms",
        f"-nsqd-tcp-address={nsqd.tcp}",
    )
    until(lambda: has_finished(nsqd, "orders", "posts", len(MESSAGES)))
    assert (receiver.refused, Counter(receiver.bodies)) == (2, Counter(MESSAGES))
    assert channel_of(nsqd, "orders", "posts")["requeue_count"] >= 2


@pytest.mark.parametrize("ours", ["source", "destination", "both"])
def test_nsq_to_nsq_copies_from_ours_and_to_ours(daemons: Daemons, ours: str) -> None:
    source = daemons.real_nsqd() if ours == "destination" else daemons.nsqd()
    destination = daemons.real_nsqd() if ours == "source" else daemons.nsqd()
    destination.ask("/topic/create?topic=copies", b"")
    destination.ask("/channel/create?topic=copies&channel=all", b"")
    publish(source, "orders", MESSAGES)
    daemons.real(
        "nsq_to_nsq",
        "-topic=orders",
        "-channel=copy",
        "-destination-topic=copies",
        f"-nsqd-tcp-address={source.tcp}",
        f"-destination-nsqd-tcp-address={destination.tcp}",
    )
    until(lambda: has_finished(source, "orders", "copy", len(MESSAGES)))
    with Connection(destination.ports["TCP"]) as connection:
        connection.subscribe("copies", "all", len(MESSAGES))
        assert Counter(connection.message().body for _ in MESSAGES) == Counter(MESSAGES)


def test_nsq_to_nsq_chooses_by_a_field_of_json(daemons: Daemons) -> None:
    nsqd = daemons.nsqd()
    nsqd.ask("/topic/create?topic=copies", b"")
    nsqd.ask("/channel/create?topic=copies&channel=all", b"")
    publish(nsqd, "orders", [b'{"kind":"a","secret":1}', b'{"kind":"b"}', b'{"kind":"a","secret":2}'])
    daemons.real(
        "nsq_to_nsq",
        "-topic=orders",
        "-channel=copy",
        "-destination-topic=copies",
        "-require-json-field=kind",
        "-require-json-value=a",
        "-whitelist-json-field=kind",
        f"-nsqd-tcp-address={nsqd.tcp}",
        f"-destination-nsqd-tcp-address={nsqd.tcp}",
    )
    until(lambda: has_finished(nsqd, "orders", "copy", 3))
    with Connection(nsqd.ports["TCP"]) as connection:
        connection.subscribe("copies", "all", 10)
        assert [connection.message().body for _ in range(2)] == [b'{"kind":"a"}'] * 2
    assert channel_of(nsqd, "copies", "all")["message_count"] == 2
