"""The same words to NSQ's own nsqd and to ours: both answer the same, and both end the connection, or neither does."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.nsq_peers import Daemon, Daemons

ID = b"0123456789abcdef"
GREETING = b"  V2"
READ_S = 60.0


def sized(*parts: bytes) -> bytes:
    """Each with its size before it."""
    return b"".join(struct.pack(">i", len(part)) + part for part in parts)


def identify(**asked: object) -> bytes:
    """An IDENTIFY."""
    return b"IDENTIFY\n" + sized(json.dumps(asked).encode())


def mpub(topic: bytes, *messages: bytes) -> bytes:
    """An MPUB."""
    return b"MPUB " + topic + b"\n" + sized(struct.pack(">i", len(messages)) + sized(*messages))


SUB = b"SUB orders work\n"
CONVERSATIONS = {
    "nothing": b"",
    "no greeting": b"  V1",
    "a line": b"HELLO\n",
    "an empty line": b"\n",
    "NOP": b"NOP\nNOP\n",
    "lines that end as on Windows": b"NOP\r\nCLS\r\n",
    "identify": identify(client_id="me"),
    "identify, no JSON": b"IDENTIFY\n" + sized(b"{"),
    "identify, empty": b"IDENTIFY\n" + struct.pack(">i", 0),
    "identify, too large": b"IDENTIFY\n" + struct.pack(">i", 1 << 30),
    "identify twice": identify() + identify(),
    "identify, heartbeats too seldom": identify(heartbeat_interval=61_000),
    "identify, too short a time-out": identify(msg_timeout=1),
    "identify, a sample of 100": identify(sample_rate=100),
    "identify, too large a buffer": identify(output_buffer_size=1 << 20),
    "identify, both compressions": identify(feature_negotiation=True, snappy=True, deflate=True),
    "identify with features": identify(feature_negotiation=True, msg_timeout=2_000, sample_rate=7),
    "sub": SUB,
    "sub, no channel": b"SUB orders\n",
    "sub, a bad topic": b"SUB orders:1 work\n",
    "sub, a bad channel": b"SUB orders w*rk\n",
    "sub twice": SUB + SUB,
    "sub without heartbeats": identify(heartbeat_interval=-1) + SUB,
    "identify behind sub": SUB + identify(),
    "rdy before sub": b"RDY 1\n",
    "rdy without a count": SUB + b"RDY\nNOP\n",
    "rdy, no number": SUB + b"RDY many\n",
    "rdy, too many": SUB + b"RDY 2501\n",
    "rdy, the most": SUB + b"RDY 2500\nRDY 0\n",
    "fin before sub": b"FIN " + ID + b"\n",
    "fin of nothing": SUB + b"FIN " + ID + b"\n" + b"FIN " + ID + b"\n",
    "fin without an id": SUB + b"FIN\n",
    "fin with half an id": SUB + b"FIN 0123\n",
    "req of nothing": SUB + b"REQ " + ID + b" 0\n",
    "req without a delay": SUB + b"REQ " + ID + b"\n",
    "req, no number": SUB + b"REQ " + ID + b" soon\n",
    "touch of nothing": SUB + b"TOUCH " + ID + b"\n",
    "touch before sub": b"TOUCH " + ID + b"\n",
    "cls": SUB + b"CLS\nRDY 5\n",
    "cls twice": SUB + b"CLS\nCLS\n",
    "cls before sub": b"CLS\n",
    "auth that nobody asks for": b"AUTH\n" + sized(b"secret"),
    "auth with a word": b"AUTH me\n",
    "pub": b"PUB other\n" + sized(b"body"),
    "pub and what follows": b"PUB other\n" + sized(b"body") + mpub(b"other", b"1", b"2") + b"NOP\nCLS\n",
    "pub without a topic": b"PUB\n",
    "pub, a bad topic": b"PUB a:b\n" + sized(b"body"),
    "pub, empty": b"PUB other\n" + sized(b""),
    "pub, too large": b"PUB other\n" + struct.pack(">i", 2 << 20),
    "pub behind sub": SUB + b"PUB other\n" + sized(b"body"),
    "mpub, no messages": b"MPUB other\n" + sized(struct.pack(">i", 0)),
    "mpub, too large": b"MPUB other\n" + struct.pack(">i", 6 << 20),
    "mpub, an empty message": mpub(b"other", b""),
    "mpub, a bad topic": mpub(b"b d", b"1"),
    "dpub": b"DPUB other 10\n" + sized(b"body"),
    "dpub without a delay": b"DPUB other\n" + sized(b"body"),
    "dpub, too late": b"DPUB other 3600001\n" + sized(b"body"),
    "dpub, no number": b"DPUB other soon\n" + sized(b"body"),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    """NSQ's own, and ours."""
    path: Path = tmp_path_factory.mktemp("both")
    with Daemons(path) as daemons:
        yield daemons.real_nsqd(), daemons.nsqd()


def heard(daemon: Daemon, words: bytes) -> tuple[bool, list[tuple[int, bytes]]]:
    """Whether it ends the connection by itself, and what it says. Its client ends it behind its words."""
    with socket.create_connection(("127.0.0.1", daemon.ports["TCP"]), timeout=READ_S) as connection:
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        said = bytearray()
        try:
            while part := connection.recv(1 << 16):
                said += part
        except ConnectionResetError:
            pass
    found, at = [], 0
    while at < len(said):
        size, kind = struct.unpack_from(">ii", said, at)
        found.append((kind, _without_what_differs(bytes(said[at + 8 : at + 4 + size]))))
        at += 4 + size
    return bool(found) and found[-1][0] == 1, found


def _without_what_differs(data: bytes) -> bytes:
    return re.sub(rb'"version":"[^"]*"', b'"version":""', data)


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_both_say_the_same(both, conversation):
    words = CONVERSATIONS[conversation]
    words = words if conversation == "no greeting" else GREETING + words
    real, ours = both
    assert heard(ours, words) == heard(real, words)
