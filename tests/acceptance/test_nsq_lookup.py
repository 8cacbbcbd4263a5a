"""Our nsqlookupd beside NSQ's own: the same questions to both have the same answers."""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.acceptance.nsq_peers import Daemon, Daemons

PATIENCE_S = 60.0
WHO = {"hostname": "h", "broadcast_address": "node<1>", "tcp_port": 4150, "http_port": 4151, "version": "1.3.0"}
OTHER = {**WHO, "broadcast_address": "node-2"}


def identify(who: object) -> bytes:
    body = who if isinstance(who, bytes) else json.dumps(who).encode()
    return b"IDENTIFY\n" + struct.pack(">i", len(body)) + body


HELLO = b"  V1" + identify(WHO)


@dataclass
class Talk:
    """What was asked of one nsqlookupd, and what it answered."""

    daemon: Daemon
    producers: dict[str, socket.socket] = field(default_factory=dict)

    def __enter__(self) -> Talk:
        self.ask("POST", "/topic/delete?topic=*")
        return self

    def __exit__(self, *_: object) -> None:
        for producer in list(self.producers):
            self.leave(producer)

    def tell(self, producer: str, said: bytes, answers: int = 1, *, stops: bool = False) -> list[object]:
        """What a producer is answered, so many answers or up to the end, and whether the connection ends with them."""
        if producer not in self.producers:
            self.producers[producer] = socket.create_connection(
                ("127.0.0.1", self.daemon.ports["TCP"]), timeout=PATIENCE_S
            )
        sock = self.producers[producer]
        sock.sendall(said)
        if stops:
            with suppress(OSError):  # The daemon may have ended it already.
                sock.shutdown(socket.SHUT_WR)
        return [self._plain(answer) for answer in _answers(sock, answers)]

    def leave(self, producer: str) -> None:
        """It closes its connection, which the daemon has noticed when this returns."""
        name = self._name(producer)
        self.producers.pop(producer).close()
        while name.encode() in self.daemon.ask("/debug"):
            pass

    def ask(self, method: str, target: str) -> list[object]:
        """The status, what clients read of the head, and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.ports["HTTP"], timeout=PATIENCE_S)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        heads = [answer.getheader(name) for name in ("content-type", "x-nsq-content-type", "allow", "location")]
        return [answer.status, heads, self._plain(body)]

    def _name(self, producer: str) -> str:
        host, port = self.producers[producer].getsockname()
        return f"{host}:{port}"

    def _plain(self, body: bytes) -> object:
        """Without what differs from run to run, and in an order."""
        text = body.decode("latin-1")
        for producer in self.producers:
            text = text.replace(self._name(producer), f"<{producer}>")
        for port in self.daemon.ports.values():
            text = re.sub(rf"\b{port}\b", "<port>", text)
        text = re.sub(r'"last_update":[0-9]+', '"last_update":0', text)
        text = re.sub(r'"tombstoned_at":[0-9]+', '"tombstoned_at":0', text)
        try:
            return _sorted(json.loads(text))
        except ValueError:
            return text


def _sorted(value: Any) -> Any:
    """The same in an order: nsqlookupd answers in any."""
    if isinstance(value, dict):
        if "topics" in value and "tombstones" in value:
            pairs = sorted(zip(value["topics"], value["tombstones"], strict=True))
            value = {**value, "topics": pairs, "tombstones": len(pairs)}
        return {key: _sorted(one) for key, one in value.items()}
    return sorted(map(_sorted, value), key=json.dumps) if isinstance(value, list) else value


def _answers(sock: socket.socket, count: int) -> Iterator[bytes]:
    """So many answers; after each of which the connection may have ended."""
    for _ in range(count):
        head = _exactly(sock, 4)
        if head is None:
            yield b"<end>"
            return
        body = _exactly(sock, struct.unpack(">i", head)[0])
        yield b"<end>" if body is None else body


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    found = b""
    while len(found) < size:
        try:
            part = sock.recv(size - len(found))
        except ConnectionResetError:
            return None
        if not part:
            return None
        found += part
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    """NSQ's own, and ours."""
    with Daemons(tmp_path_factory.mktemp("lookupds")) as daemons:
        lives = ("-inactive-producer-timeout=1h", "-tombstone-lifetime=1h")
        yield [daemons.real_nsqlookupd(*lives), daemons.nsqlookupd(*lives)]


# --- TCP -------------------------------------------------------------------------------------------------------------
MISTAKES = [
    b"  V2",
    b"GET / HTTP/1.1\r\n\r\n",
    b"  V1\n",
    b"  V1ping\n",
    b"  V1PING now\n",
    b"  V1 PING \r\n",
    b"  V1REGISTER orders\n",
    b"  V1UNREGISTER orders\n",
    b"  V1IDENTIFY nobody\n",
    HELLO + identify(WHO),
    HELLO + b"REGISTER\n",
    HELLO + b"REGISTER \n",
    HELLO + b"REGISTER  orders\n",
    HELLO + b"REGISTER orders  \n",
    HELLO + b"REGISTER orders  billing\n",
    HELLO + b"REGISTER orders billing more\n",
    HELLO + b"REGISTER a!\n",
    HELLO + b"REGISTER orders a!\n",
    HELLO + b"REGISTER #ephemeral\n",
    HELLO + b"REGISTER a#ephemeral b#ephemeral\n",
    HELLO + b"REGISTER %b\n" % (b"a" * 64),
    HELLO + b"REGISTER %b\n" % (b"a" * 65),
    HELLO + b"REGISTER orders %b\n" % (b"a" * 65),
    HELLO + b"REGISTER \xff\xfe\n",
    HELLO + b"UNREGISTER\n",
    HELLO + b"UNREGISTER a!\n",
    HELLO + b"UNREGISTER never\n",
    HELLO + b"UNREGISTER never known\n",
    HELLO + b"PUB orders\n",
    *(
        b"  V1" + identify(who)
        for who in (
            b"",
            b"{",
            b"null",
            b"5",
            b'"text"',
            [],
            {},
            {**WHO, "hostname": None},
            {**WHO, "hostname": 5},
            {**WHO, "tcp_port": 0},
            {**WHO, "tcp_port": "4150"},
            {**WHO, "tcp_port": 1.5},
            {**WHO, "tcp_port": True},
            {**WHO, "tcp_port": -1},
            {**WHO, "tcp_port": 1 << 64},
            {**WHO, "version": ""},
            {**WHO, "version": None},
            {**WHO, "broadcast_address": ["a"]},
            {**WHO, "remote_address": "elsewhere"},
            {**WHO, "remote_address": 5},
            {**WHO, "more": {"of": ["it"]}},
            {name.upper(): value for name, value in WHO.items()},
            {name: value for name, value in WHO.items() if name != "http_port"},
            {name: value for name, value in WHO.items() if name != "hostname"},
            json.dumps(WHO).encode() + b" trailing",
            json.dumps(WHO).encode() + b"\n ",
            json.dumps({**WHO, "version": "x"}).encode().replace(b'"x"', b'"\xff"'),
            json.dumps(WHO).encode().replace(b"4150", b"4150e0"),
            json.dumps(WHO).encode().replace(b"4150", b"04150"),
        )
    ),
]


@pytest.mark.parametrize("said", MISTAKES, ids=lambda said: repr(said[4:60]))
def test_whatever_a_producer_says_is_answered_the_same(pair: list[Daemon], said: bytes) -> None:
    found = []
    for daemon in pair:
        with Talk(daemon) as talk:
            heard = talk.tell("one", said, 9, stops=True)
            found.append([heard, talk.ask("GET", "/nodes")[2] if heard[-1:] != ["<end>"] else None])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "said", [b"", b"  ", b"  V1", b"  V1PIN", b"  V1IDENTIFY\n", b"  V1IDENTIFY\n\0\0", b"  V1IDENTIFY\n\0\0\0\5{}"]
)
def test_a_producer_that_stops_in_the_middle_is_answered_the_same(pair: list[Daemon], said: bytes) -> None:
    found = []
    for daemon in pair:
        with Talk(daemon) as talk:
            found.append(talk.tell("one", said, 2, stops=True))
    assert found[0] == found[1]


# --- HTTP ------------------------------------------------------------------------------------------------------------
TARGETS = [
    "/", "/ping", "/info", "/topics", "/channels", "/lookup", "/nodes", "/debug", "/nowhere",
    "/topics/", "/TOPICS", "/Topic/Create", "//topics", "/a/../topics", "/./lookup?topic=a", "/topics/x",
    "/topic", "/topic/", "/topic/create", "/topic/delete", "/topic/tombstone", "/channel/create", "/channel/delete",
    "/topics?x=%zz", "/topics?a;b", "/lookup?topic", "/lookup?topic=", "/lookup?topic=a;b", "/lookup?topic=%zz",
    "/lookup?topic=orders", "/lookup?topic=*", "/lookup?topic=never", "/lookup?TOPIC=orders",
    "/lookup?topic=orders&topic=never", "/lookup?topic=never&topic=orders", "/lookup?topic=o%72ders",
    "/lookup?topic=orders+", "/channels?topic=orders", "/channels?topic=*", "/channels?topic=never",
    "/topic/create?topic=a!", "/topic/create?topic=", "/topic/create?topic=new", "/topic/create?topic=%23ephemeral",
    "/topic/create?topic=*", f"/topic/create?topic={'a' * 64}", f"/topic/create?topic={'a' * 65}",
    "/topic/delete?topic=orders", "/topic/delete?topic=never", "/topic/delete?topic=a!", "/topic/delete?topic=*",
    "/channel/create?topic=new", "/channel/create?channel=new", "/channel/create?topic=new&channel=a!",
    "/channel/create?topic=a!&channel=new", "/channel/create?topic=new&channel=new",
    "/channel/create?topic=orders&channel=new%23ephemeral",
    "/channel/delete?topic=orders&channel=billing", "/channel/delete?topic=orders&channel=never",
    "/channel/delete?topic=*&channel=billing", "/channel/delete?topic=never&channel=billing",
    "/topic/tombstone?topic=orders", "/topic/tombstone?node=a", "/topic/tombstone?topic=orders&node=node%3C1%3E:4151",
    "/topic/tombstone?topic=orders&node=never:1", "/topic/tombstone?topic=never&node=node-2:4151",
    "/topic/tombstone?topic=*&node=node-2:4151", "/put?topic=orders",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_is_asked_over_http_is_answered_the_same(pair: list[Daemon], target: str) -> None:
    found: list[list[object]] = [[], []]
    for daemon, transcript in zip(pair, found, strict=True):
        with Talk(daemon) as talk:
            talk.tell("one", HELLO + b"REGISTER orders billing\nREGISTER mail\n", 3)
            talk.tell("two", b"  V1" + identify(OTHER) + b"REGISTER orders audit#ephemeral\n", 2)
            for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"):
                transcript.append([method, talk.ask(method, target)])
            transcript += [talk.ask("GET", asked) for asked in ("/debug", "/nodes", "/topics", "/lookup?topic=orders")]
    assert found[0] == found[1]


# --- what goes on ----------------------------------------------------------------------------------------------------
Step = tuple[str, str] | tuple[str, str, bytes]
STORIES: dict[str, Sequence[Step]] = {
    "a topic stays when its producer leaves": [
        ("tell", "one", HELLO), ("tell", "one", b"REGISTER orders billing\n"), ("leave", "one"),
    ],
    "a channel is taken off and stays known": [
        ("tell", "one", HELLO), ("tell", "one", b"REGISTER orders billing\n"),
        ("tell", "one", b"UNREGISTER orders billing\n"),
    ],
    "a topic is taken off with its channels": [
        ("tell", "one", HELLO), ("tell", "one", b"REGISTER orders billing\n"), ("tell", "one", b"UNREGISTER orders\n"),
    ],
    "what is ephemeral goes with who takes it off last": [
        ("tell", "one", HELLO), ("tell", "two", b"  V1" + identify(OTHER)),
        ("tell", "one", b"REGISTER o#ephemeral b#ephemeral\n"), ("tell", "two", b"REGISTER o#ephemeral b#ephemeral\n"),
        ("tell", "one", b"UNREGISTER o#ephemeral b#ephemeral\n"),
        ("tell", "two", b"UNREGISTER o#ephemeral b#ephemeral\n"),
        ("tell", "one", b"UNREGISTER o#ephemeral\n"), ("tell", "two", b"UNREGISTER o#ephemeral\n"),
    ],
    "what is ephemeral stays when its producer is cut off": [
        ("tell", "one", HELLO), ("tell", "one", b"REGISTER o#ephemeral b#ephemeral\n"), ("leave", "one"),
    ],
    "a tombstone goes when its producer comes again": [
        ("tell", "one", HELLO), ("tell", "one", b"REGISTER orders\n"), ("tell", "one", b"REGISTER mail\n"),
        ("POST", "/topic/tombstone?topic=orders&node=node%3C1%3E:4151"), ("tell", "one", b"REGISTER orders\n"),
        ("tell", "one", b"UNREGISTER orders\n"), ("tell", "one", b"REGISTER orders\n"),
    ],
    "a topic that was deleted is not its producer's any more": [
        ("tell", "one", HELLO), ("tell", "one", b"REGISTER orders billing\n"), ("POST", "/topic/delete?topic=orders"),
        ("tell", "one", b"UNREGISTER orders billing\n"), ("tell", "one", b"REGISTER orders audit\n"),
    ],
    "a channel that was deleted comes again": [
        ("tell", "one", HELLO), ("tell", "one", b"REGISTER orders billing\n"),
        ("POST", "/channel/delete?topic=orders&channel=billing"), ("tell", "one", b"REGISTER orders billing\n"),
    ],
    "what was made by hand is there without a producer": [
        ("POST", "/channel/create?topic=orders&channel=billing"), ("tell", "one", HELLO),
        ("tell", "one", b"UNREGISTER orders billing\n"), ("tell", "one", b"REGISTER orders\n"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_goes_on_is_told_the_same_after_each_step(pair: list[Daemon], story: Sequence[Step]) -> None:
    found = [transcript_of(daemon, story) for daemon in pair]
    assert found[0] == found[1]


def transcript_of(daemon: Daemon, story: Sequence[Step]) -> list[object]:
    """What is answered to each step of a story, and what is told of all after it."""
    transcript: list[object] = []
    with Talk(daemon) as talk:
        for verb, *rest in story:
            if verb == "tell":
                transcript.append(talk.tell(str(rest[0]), bytes(rest[1])))
            elif verb == "leave":
                talk.leave(str(rest[0]))
            else:
                transcript.append(talk.ask(verb, str(rest[0])))
            asked = ("/debug", "/nodes", "/topics", "/channels?topic=*", "/lookup?topic=orders", "/lookup?topic=a")
            transcript += [[verb, rest, talk.ask("GET", target)] for target in asked]
    return transcript


def any_steps(seed: int, count: int) -> list[Step]:
    """Things that producers and operators do, in any order."""
    draw = random.Random(seed)
    topics, channels = ["a", "b", "c#ephemeral"], ["", " x", " y#ephemeral"]
    producers: set[str] = set()
    steps: list[Step] = []
    for _ in range(count):
        topic, channel, producer = draw.choice(topics), draw.choice(channels), draw.choice(["one", "two", "three"])
        asked = f"topic={topic}&channel={channel.strip() or 'x'}".replace("#", "%23")
        if producer not in producers:
            who = {**WHO, "broadcast_address": producer}
            producers.add(producer)
            steps.append(("tell", producer, b"  V1" + identify(who)))
        elif draw.random() < 0.1:
            producers.discard(producer)
            steps.append(("leave", producer))
        elif draw.random() < 0.7:
            verb = draw.choice(["REGISTER", "REGISTER", "UNREGISTER"])
            steps.append(("tell", producer, f"{verb} {topic}{channel}\n".encode()))
        else:
            path = draw.choice(
                [
                    "topic/create",
                    "topic/delete",
                    "channel/create",
                    "channel/delete",
                    f"topic/tombstone?node={producer}:4151",
                ]
            )
            steps.append(("POST", f"/{path}{'&' if '?' in path else '?'}{asked}"))
    return steps


@pytest.mark.parametrize("seed", range(4))
def test_whatever_goes_on_is_told_the_same(pair: list[Daemon], seed: int) -> None:
    found = [transcript_of(daemon, any_steps(seed, 60)) for daemon in pair]
    assert found[0] == found[1]


# --- alone -----------------------------------------------------------------------------------------------------------
def test_a_body_size_that_ends_nsqlookupd_ends_the_connection_alone(daemons: Daemons) -> None:
    """NSQ's own dies of a negative size, and takes memory for any other."""
    daemon = daemons.nsqlookupd()
    for size in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"):
        with Talk(daemon) as talk:
            refused = "E_BAD_BODY IDENTIFY failed to read body"
            assert talk.tell("one", b"  V1IDENTIFY\n" + size, 2) == [refused, "<end>"]
    assert daemon.ask("/ping") == b"OK"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_and_lets_its_producers_go(daemons: Daemons, number: int) -> None:
    daemon = daemons.nsqlookupd()
    with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), timeout=PATIENCE_S) as producer:
        producer.sendall(HELLO)
        assert next(_answers(producer, 1)).startswith(b"{")
        assert daemon.end(number) == 0
        assert _exactly(producer, 1) is None


def test_producers_are_left_out_and_tombstones_go_by_their_flags(daemons: Daemons) -> None:
    daemon = daemons.nsqlookupd("--inactive-producer-timeout=1ns", "--tombstone-lifetime", "1ns")
    with Talk(daemon) as talk:
        talk.tell("one", HELLO + b"REGISTER orders\n", 2)
        assert talk.ask("GET", "/nodes")[2] == {"producers": []}
        assert talk.ask("GET", "/lookup?topic=orders")[2] == {"channels": [], "producers": []}


@pytest.mark.parametrize(
    "head", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example"}, {"Host": "elsewhere.example"}]
)
def test_a_web_page_cannot_reach_it_through_its_readers_browser(daemons: Daemons, head: dict[str, str]) -> None:
    daemon = daemons.nsqlookupd()
    connection = http.client.HTTPConnection("127.0.0.1", daemon.ports["HTTP"], timeout=PATIENCE_S)
    try:
        connection.request("POST", "/topic/create?topic=orders", headers=head)
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:20]) == (403, b'{"message":"FORBIDDEN'[:20])
    finally:
        connection.close()
    assert json.loads(daemon.ask("/topics")) == {"topics": []}
