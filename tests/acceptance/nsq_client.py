"""A client of NSQ that does what a test says and nothing by itself, but for answering heartbeats.

``nsq_client.py PORT TOPIC CHANNEL READY MESSAGE_TIMEOUT_MS``: as a process, which can be stopped and killed. It
subscribes and prints ``took BODY`` for each of so many messages; at a line on its input it finishes them, prints
``sent``, and then what it is answered.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any

RESPONSE, ERROR, MESSAGE = 0, 1, 2
HEARTBEAT = b"_heartbeat_"
SIZE = struct.Struct(">I")


@dataclass(frozen=True)
class Message:
    """One delivery."""

    id: bytes
    attempts: int
    timestamp_ns: int
    body: bytes


class Connection:
    """One connection, introduced as IDENTIFY says; ``answered`` is the answer to that."""

    def __init__(self, port: int, **identify: Any) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(b"  V2")
        self._arrived = bytearray()
        self.command("IDENTIFY", json.dumps({"feature_negotiation": True, **identify}).encode())
        self.answered = json.loads(self.response())

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def command(self, line: str, *body: bytes) -> None:
        """Send a command, with what follows its line."""
        self.socket.sendall(line.encode() + b"\n" + b"".join(SIZE.pack(len(part)) + part for part in body))

    def frame(self) -> tuple[int, bytes]:
        """The kind and the data of the next frame that is no heartbeat."""
        while True:
            kind, data = self._frame()
            if (kind, data) != (RESPONSE, HEARTBEAT):
                return kind, data
            self.command("NOP")

    def response(self) -> bytes:
        """The next answer, which is no error; messages may come before it only where nobody waits for them."""
        kind, data = self.frame()
        assert kind == RESPONSE, (kind, data)
        return data

    def error(self) -> bytes:
        """The next frame, which is an error."""
        kind, data = self.frame()
        assert kind == ERROR, (kind, data)
        return data

    def message(self) -> Message:
        """The next frame, which is a message."""
        kind, data = self.frame()
        assert kind == MESSAGE, (kind, data)
        timestamp_ns, attempts = struct.unpack_from(">qH", data)
        return Message(data[10:26], attempts, timestamp_ns, data[26:])

    def publish(self, topic: str, body: bytes, defer_ms: int | None = None) -> None:
        """PUB, or DPUB; answered OK."""
        self.command(f"PUB {topic}" if defer_ms is None else f"DPUB {topic} {defer_ms}", body)
        assert self.response() == b"OK"

    def subscribe(self, topic: str, channel: str, ready: int) -> None:
        """SUB and RDY."""
        self.command(f"SUB {topic} {channel}")
        assert self.response() == b"OK"
        self.command(f"RDY {ready}")

    def finish(self, message: Message) -> None:
        """FIN."""
        self.command(f"FIN {message.id.decode()}")

    def requeue(self, message: Message, delay_ms: int) -> None:
        """REQ."""
        self.command(f"REQ {message.id.decode()} {delay_ms}")

    def _frame(self) -> tuple[int, bytes]:
        size = SIZE.unpack(self._read(4))[0]
        data = self._read(size)
        return SIZE.unpack_from(data)[0], data[4:]

    def _read(self, size: int) -> bytes:
        while len(self._arrived) < size:
            got = self.socket.recv(1 << 16)
            if not got:
                raise EOFError("The daemon has closed the connection.")
            self._arrived += got
        data = bytes(self._arrived[:size])
        del self._arrived[:size]
        return data


def main(port: int, topic: str, channel: str, ready: int, message_timeout_ms: int) -> None:
    """See above."""
    connection = Connection(port, msg_timeout=message_timeout_ms)
    connection.subscribe(topic, channel, ready)
    taken = [connection.message() for _ in range(ready)]
    for message in taken:
        print("took", message.body.decode(), flush=True)
    sys.stdin.readline()
    connection.command("RDY 0")
    for message in taken:
        connection.finish(message)
    print("sent", flush=True)
    while True:
        print(connection.frame()[1].decode(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
