"""What nsqd answers, byte for byte: each conversation is held with NSQ's own and with ours, and is the same."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.acceptance.nsq_peers import DEADLINE_S, Daemon, Daemons
from tests.unit.nsq.protocol.wired import CERTIFICATES

ID = b"0123456789abcdef"
OPTIONS = ("-max-msg-size=100", "-max-body-size=1000", "-max-rdy-count=25", "-max-req-timeout=1m")
TLS = (f"-tls-cert={CERTIFICATES / 'server.pem'}", f"-tls-key={CERTIFICATES / 'server_key.pem'}")

Frame = tuple[int, bytes]
Heard = list[Frame]
Step = bytes | int | Callable[[Heard], bytes]
"""What is sent; or how many frames are waited for; or what is sent in view of what was heard."""


def sized(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def mpub(*messages: bytes, size: int | None = None, count: int | None = None) -> bytes:
    told = struct.pack(">i", len(messages) if count is None else count)
    body = told + b"".join(map(sized, messages))
    return b"MPUB T\n" + struct.pack(">i", len(body) if size is None else size) + body


def identify(**said: Any) -> bytes:
    return b"IDENTIFY\n" + sized(json.dumps(said).encode())


def last_id(heard: Heard) -> bytes:
    """The id of the last message."""
    return [data for kind, data in heard if kind == 2][-1][10:26]


def about_last(line: bytes) -> Callable[[Heard], bytes]:
    """A command about the last message."""
    return lambda heard: line.replace(b"ID", last_id(heard))


def held(daemon: Daemon, topic: bytes, steps: Sequence[Step], magic: bytes = b"  V2") -> Heard:
    """All that is heard in a conversation until the daemon ends it. ``T`` in what is sent is the topic."""
    with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), DEADLINE_S) as sock, sock.makefile("rb") as file:
        heard: Heard = []
        sock.sendall(magic)
        for step in steps:
            if isinstance(step, int):
                heard += [next(frames(file)) for _ in range(step)]
            else:
                sock.sendall((step(heard) if callable(step) else step).replace(b" T", b" " + topic))
        return heard + list(frames(file))


def frames(file: Any) -> Iterator[Frame]:
    while head := file.read(8):
        size, kind = struct.unpack(">ii", head)
        if (kind, data := file.read(size - 4)) != (0, b"_heartbeat_"):
            yield kind, data


def compared(heard: Heard) -> list[Any]:
    """Without what is another one each time."""
    told: list[Any] = []
    for kind, data in heard:
        if kind == 2:
            assert int.from_bytes(data[:8]) > 1_000_000_000 * 10**9
            assert re.fullmatch(rb"[0-9a-f]{16}", data[10:26])
            told.append(("message", int.from_bytes(data[8:10]), data[26:]))
        elif data.startswith(b"{"):
            told.append(json.loads(data))
        else:
            told.append((kind, re.sub(rb"\b(?!0123456789abcdef)[0-9a-f]{16}\b", b"ID", data)))
    return told


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """NSQ's own, and ours."""
    with Daemons(tmp_path_factory.mktemp("same")) as daemons:
        yield daemons.real_nsqd(*OPTIONS), daemons.nsqd(*OPTIONS)


@pytest.fixture(scope="module")
def pair_with_tls(tmp_path_factory):
    with Daemons(tmp_path_factory.mktemp("tls")) as daemons:
        more = (*TLS, "-https-address=127.0.0.1:0", "-tls-required=tcp-https")
        yield daemons.real_nsqd(*OPTIONS, *more), daemons.nsqd(*OPTIONS, *more)


class MayDoLittle(BaseHTTPRequestHandler):
    """An authorization server."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        secret = asked["secret"][0]
        may = {"topic": "^may", "channels": ["^ch$", "^$"], "permissions": ["publish", "subscribe"]}
        answer = {"ttl": 3_600, "identity": secret, "identity_url": "http://x", "authorizations": [may]}
        if secret == "nobody":
            answer["authorizations"] = []
        self.send_response(500 if secret == "broken" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def pair_with_auth(tmp_path_factory):
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), MayDoLittle) as server,
        Daemons(tmp_path_factory.mktemp("auth")) as daemons,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        more = f"-auth-http-address=127.0.0.1:{server.server_port}"
        yield daemons.real_nsqd(*OPTIONS, more), daemons.nsqd(*OPTIONS, more)
        server.shutdown()


def check(pair: tuple[Daemon, Daemon], topic: str, steps: Sequence[Step], magic: bytes = b"  V2") -> list[Any]:
    real, ours = pair
    expected = compared(held(real, topic.encode(), steps, magic))
    assert compared(held(ours, topic.encode(), steps, magic)) == expected
    return expected


SUB = b"SUB T ch\n"
REFUSED: list[Sequence[Step]] = [
    [line]
    for line in [
        # no command
        b"\n", b"\r\n", b"fin\n", b" NOP\n", b"\xff\xfe\n", b"FOO bar\n", b"NOP\r\r\n",
        # not in this state
        b"FIN " + ID + b"\n", b"FIN\n", b"RDY 1\n", b"RDY x\n", b"REQ " + ID + b" 0\n", b"REQ\n", b"CLS\n",
        b"TOUCH " + ID + b"\n", b"TOUCH\n",
        # who it is
        b"IDENTIFY\n" + struct.pack(">i", 1_001), b"IDENTIFY\n" + struct.pack(">i", 0),
        b"IDENTIFY\n" + struct.pack(">i", -5), b"IDENTIFY\n" + sized(b"{"), b"IDENTIFY\n" + sized(b"[]"),
        b"IDENTIFY\n" + sized(b'{"client_id": 1}'), b"IDENTIFY\n" + sized(b'{"snappy": 1}'),
        b"IDENTIFY\n" + sized(b'{"sample_rate": 2147483648}'), b"IDENTIFY\n" + sized(b'{"msg_timeout": 1.5}'),
        b"IDENTIFY\n" + sized(b'{"msg_timeout": "1"}'),
        *[identify(heartbeat_interval=value) for value in (-2, 1, 999, 60_001)],
        *[identify(output_buffer_timeout=value) for value in (-2, 1, 24, 30_001)],
        *[identify(output_buffer_size=value) for value in (-2, 1, 63, 65_537)],
        *[identify(sample_rate=value) for value in (-1, 100)],
        *[identify(msg_timeout=value) for value in (-1, 1, 999, 900_001)],
        identify(msg_timeout=1, sample_rate=100, output_buffer_size=1),
        identify(feature_negotiation=True, snappy=True, deflate=True),
        b"AUTH\n" + sized(b"secret"), b"AUTH secret\n", b"AUTH\n" + struct.pack(">i", 0),
        b"AUTH\n" + struct.pack(">i", 1_001),
        # what it consumes
        b"SUB\n", b"SUB T\n", b"SUB a:b ch\n", b'SUB T c"h\n', b"SUB T \xff\x00\n", b"SUB T gr\xc3\xb6\xc3\x9fe\n",
        b"SUB " + b"x" * 65 + b" ch\n", b"SUB T #ephemeral\n", b"SUB  T\n",
        # what it publishes
        b"PUB\n", b"PUB \n", b"PUB b@d\n" + sized(b"x"), b"PUB T\n" + struct.pack(">i", 0),
        b"PUB T\n" + struct.pack(">i", -1), b"PUB T\n" + struct.pack(">i", 101),
        b"MPUB\n", b"MPUB b@d\n", b"MPUB T\n" + struct.pack(">i", 0), b"MPUB T\n" + struct.pack(">i", 1_001),
        b"MPUB T\n" + struct.pack(">ii", 100, 0), b"MPUB T\n" + struct.pack(">ii", 100, -1),
        b"MPUB T\n" + struct.pack(">ii", 100, 200), mpub(b"a", b""), b"MPUB T\n" + struct.pack(">iii", 100, 1, 101),
        b"MPUB T\n" + struct.pack(">iii", 100, 1, -1),
        b"DPUB\n", b"DPUB T\n", b"DPUB T x\n", b"DPUB T -1\n", b"DPUB T 60001\n", b"DPUB # 0\n",
        b"DPUB T 18446744073709551615\n", b"DPUB T 0\n" + struct.pack(">i", 0), b"DPUB T 0\n" + struct.pack(">i", 101),
    ]
]  # fmt: skip
REFUSED += [
    [SUB, 1, line]
    for line in [
        SUB, b"IDENTIFY\n", b"AUTH\n", b"FIN\n", b"FIN short\n", b"FIN " + ID + b"0\n", b"REQ " + ID + b"\n",
        b"REQ short 0\n", b"REQ " + ID + b" x\n", b"TOUCH\n", b"TOUCH \n", b"RDY 26\n", b"RDY -1\n", b"RDY x\n",
        b"RDY 18446744073709551615\n", b"RDY 99999999999999999999999\n",
    ]
]  # fmt: skip
REFUSED += [
    [identify(heartbeat_interval=-1), 1, SUB],
    [SUB, b"CLS\n", 2, b"CLS\n"],
    [SUB, b"CLS\n", 2, SUB],
    [SUB, b"CLS\n", 2, b"FIN short\n"],
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_refused(pair, number):
    (*_, (kind, told)) = check(pair, f"refused-{number}", REFUSED[number])
    assert kind == 1
    assert told.startswith(b"E_")


@pytest.mark.parametrize("magic", [b"  V1", b"    ", b"GET ", b"\0\0\0\0"])
def test_another_protocol(pair, magic):
    assert check(pair, "magic", [], magic) == [(1, b"E_BAD_PROTOCOL")]


END = b"END\n"
"""No command: the daemon says so and ends the conversation."""
UNKNOWN: list[Step] = [b"FIN " + ID + b"\n", b"REQ " + ID + b" 0\n", b"TOUCH " + ID + b"\n", 3]
ONE_MESSAGE: list[Step] = [SUB, b"PUB T\n" + sized(b"x"), 2, b"RDY 1\n", 1]
TAKEN: dict[str, Sequence[Step]] = {
    "nothing": [b"NOP\n", b"NOP and more\r\n"],
    "identify": [identify()],
    "identify twice": [identify(client_id="a"), identify(client_id="b")],
    "identify null": [b"IDENTIFY\n" + sized(b"null")],
    "identify with features": [identify(feature_negotiation=True, Client_ID="x", unknown=[1])],
    "identify with all bounds": [
        identify(
            feature_negotiation=True, heartbeat_interval=60_000, output_buffer_size=65_536, sample_rate=99,
            output_buffer_timeout=30_000, msg_timeout=900_000, tls_v1=True, deflate_level=9, user_agent="same/1",
        )
    ],
    "identify without a buffer": [identify(feature_negotiation=True, output_buffer_size=-1, heartbeat_interval=-1)],
    "identify without waiting": [identify(feature_negotiation=True, output_buffer_timeout=-1, msg_timeout=1_000)],
    "publish": [b"PUB T\n" + sized(b"x"), b"PUB T more\r\n" + sized(b"y" * 100), b"DPUB T 60000\n" + sized(b"z"), 3],
    "publish many": [mpub(b"a", b"bc"), mpub(b"a", size=5), mpub(b"a", size=900), 3],
    "publish when subscribed": [SUB, b"PUB T\n" + sized(b"x"), 2],
    "subscribe": [b"SUB T ch more\n", 1, b"RDY\n", b"RDY \n", b"RDY 00025\r\n", b"RDY 18446744073709551616\n"],
    "ephemeral": [b"SUB T#ephemeral ch#ephemeral\n", 1],
    "messages not in flight": [SUB, *UNKNOWN],
    "a message": [*ONE_MESSAGE, about_last(b"FIN ID\n")],
    "a message finished twice": [
        *ONE_MESSAGE, about_last(b"FIN ID\nFIN ID\nTOUCH ID\nREQ ID 0\n"), 3,
    ],
    "a message again": [
        *ONE_MESSAGE, about_last(b"REQ ID 0\n"), 1, about_last(b"REQ ID \n"), 1,
        about_last(b"TOUCH ID\nTOUCH ID\nFIN ID\n"),
    ],
    "a message much later": [
        *ONE_MESSAGE, about_last(b"REQ ID 18446744073709551615\n"), 1,
        about_last(b"REQ ID 90000\nFIN ID\n"), 1,
    ],
    "messages one by one": [
        SUB, mpub(b"a", b"b", b"c"), 2, b"RDY 1\n", 1, about_last(b"FIN ID\n"), 1, about_last(b"FIN ID\n"), 1,
        about_last(b"FIN ID\n"),
    ],
    "closing": [
        *ONE_MESSAGE, b"CLS\nRDY 1\nRDY 9999\n", 1,
        about_last(b"TOUCH ID\nFIN ID\nFIN ID\n"), 1,
    ],
    "closing and requeueing": [*ONE_MESSAGE, b"CLS\n", 1, about_last(b"REQ ID 0\n")],
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken(pair, name):
    check(pair, name.replace(" ", "-"), [*TAKEN[name], END])


# --- encrypted, or not ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "line", [b"NOP\n", b"FOO\n", b"PUB T\n" + sized(b"x"), b"SUB T\n", b"FIN\n", b"AUTH x\n", b"MPUB b@d\n", b"\n"]
)
def test_who_has_to_use_tls_and_does_not(pair_with_tls, line):
    ((kind, told),) = check(pair_with_tls, "tls", [line])
    assert kind == 1
    assert b"(TLS required)" in told


def test_identify_may_come_before_tls(pair_with_tls):
    check(pair_with_tls, "tls", [identify(feature_negotiation=True), 1, b"NOP\n"])


# --- who may do what ------------------------------------------------------------------------------------------------
AUTH = b"AUTH\n" + sized(b"someone")
AUTHORIZED: list[Sequence[Step]] = [
    [b"PUB T\n" + sized(b"x")],
    [b"PUB T\n" + struct.pack(">i", 0)],
    [mpub(b"x")],
    [b"DPUB T 0\n" + sized(b"x")],
    [SUB],
    [b"SUB T b@d\n"],
    [b"AUTH\n" + sized(b"nobody")],
    [b"AUTH\n" + sized(b"broken")],
    [AUTH, 1, AUTH],
    [AUTH, 1, b"SUB T other\n"],
    [AUTH, 1, b"SUB no ch\n"],
    [AUTH, 1, b"PUB no\n" + sized(b"x")],
    [AUTH, 1, b"DPUB no 0\n" + sized(b"x")],
    [AUTH, 1, mpub(b"x").replace(b" T", b" no")],
    [identify(feature_negotiation=True), AUTH, b"PUB T\n" + sized(b"x"), mpub(b"y"), SUB, 5, END],
]


@pytest.mark.parametrize("number", range(len(AUTHORIZED)))
def test_who_may_do_what(pair_with_auth, number):
    check(pair_with_auth, f"may-{number}", AUTHORIZED[number])
