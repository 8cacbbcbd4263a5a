"""NSQ clients as load: `python -m benchmarks.nsq_load MODE PORT COUNT CONNECTIONS AHEAD`.

The modes: ``mpub`` publishes in lots of so many messages as AHEAD says, one lot under way a connection; ``pub`` one by
one, AHEAD of them under way a connection; ``pull`` takes COUNT messages, AHEAD of them under way a connection, and
finishes each; ``latency`` publishes COUNT messages with a pause before each, and notes when each arrives; ``idle``
subscribes and waits. Says ``ready``, waits for a line, works, tells in JSON what it did and its processor time.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

from benchmarks import nsq_frames as frames
from benchmarks.record import percentile

TOPIC: Final = "bench"
CHANNEL: Final = "ch"
GAP_S: Final = 0.004
_READ_BYTES: Final = 1 << 20
_FRAMES_AT_ONCE: Final = 512
_READ_BYTES_OF_OK: Final = 1 << 14


def main(mode: str, port: int, count: int, connections: int, ahead: int) -> int:
    """Do so. Answers 0."""
    work = MODES[mode](port, count, connections, ahead)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu_s, began = time.process_time(), time.perf_counter()
    told = work()
    elapsed_s = time.perf_counter() - began
    print(json.dumps({"elapsed_s": elapsed_s, "cpu_s": time.process_time() - cpu_s, **told}), flush=True)
    return 0


def _mpub(port: int, count: int, connections: int, ahead: int) -> Callable[[], dict[str, float]]:
    command = frames.mpub(TOPIC, [frames.body(number) for number in range(ahead)])
    return _publishing(port, count // ahead, connections, 1, [command], ahead)


def _pub(port: int, count: int, connections: int, ahead: int) -> Callable[[], dict[str, float]]:
    commands = [frames.pub(TOPIC, frames.body(number)) for number in range(_FRAMES_AT_ONCE)]
    return _publishing(port, count, connections, ahead, commands, 1)


def _publishing(
    port: int, count: int, connections: int, ahead: int, commands: list[bytes], lot: int
) -> Callable[[], dict[str, float]]:
    """Keep so many commands under way on each connection until all have been answered OK."""
    size_bytes = len(commands[0])
    many = memoryview(b"".join(commands * (1 if len(commands) > 1 else ahead)))
    sockets = [frames.connect(port) for _ in range(connections)]

    def work() -> dict[str, float]:
        left, answered = count, 0
        rest = {one.fileno(): 0 for one in sockets}
        calls = {one.fileno(): (one.recv, one.sendall) for one in sockets}
        with select.epoll() as ready:
            for one in sockets:
                ready.register(one, select.EPOLLIN)
                number = min(ahead, left)
                left -= number
                one.sendall(many[: number * size_bytes])
            while answered < count:
                for descriptor, _ in ready.poll():
                    receive, send = calls[descriptor]
                    got = receive(_READ_BYTES_OF_OK)
                    if frames.HEARTBEAT in got:
                        got = got.replace(frames.HEARTBEAT, b"")
                        send(b"NOP\n")
                        if not got:
                            continue
                    if len(got) == frames.OK_BYTES:
                        number = 1
                    else:
                        number, rest[descriptor] = divmod(rest[descriptor] + len(got), frames.OK_BYTES)
                    if b"E_" in got or not got:
                        raise ValueError(f"A publish was refused: {got[:200]!r}")
                    answered += number
                    number = min(number, left)
                    left -= number
                    if number:
                        send(many[: number * size_bytes])
        return {"count": answered * lot}

    return work


def _pull(port: int, count: int, connections: int, ahead: int) -> Callable[[], dict[str, float]]:
    sockets = [frames.connect(port) for _ in range(connections)]
    for one in sockets:
        frames.subscribe(one, TOPIC, CHANNEL)

    def work() -> dict[str, float]:
        began = time.perf_counter()
        taken: list[list[bytes]] = []
        seen = 0
        buffers = {one.fileno(): (one, bytearray(_READ_BYTES), 0) for one in sockets}
        with select.epoll() as ready:
            for one in sockets:
                ready.register(one, select.EPOLLIN)
                one.sendall(f"RDY {ahead}\n".encode())
            while seen < count:
                for descriptor, _ in ready.poll():
                    one, buffer, filled = buffers[descriptor]
                    with memoryview(buffer) as view:
                        number = one.recv_into(view[filled:])
                        if not number:
                            raise ValueError("The connection ended.")
                        filled += number
                        whole = filled - filled % frames.MESSAGE_BYTES
                        if whole:
                            found = frames.ids(view[:whole])[: count - seen]
                            if found:
                                one.sendall(frames.fins(found))
                            taken.append(found)
                            seen += len(found)
                            view[: filled - whole] = view[whole:filled]
                    buffers[descriptor] = (one, buffer, filled - whole)
        elapsed_s = time.perf_counter() - began
        for one in sockets:
            # Refused in its turn: all that was finished before has been taken in.
            one.sendall(frames.fins([b"0" * 16]))
            _until_it_says(one, b"E_FIN_FAILED")
        return {"count": len({one for found in taken for one in found}), "elapsed_s": elapsed_s}

    return work


def _until_it_says(connection: socket.socket, words: bytes) -> None:
    """Read until these words have come."""
    end = b""
    while words not in end:
        got = connection.recv(_READ_BYTES)
        if not got:
            raise ValueError("The connection ended.")
        end = end[-len(words) :] + got


def _latency(port: int, count: int, _connections: int, ahead: int) -> Callable[[], dict[str, float]]:
    consumer, producer = frames.connect(port), frames.connect(port)
    frames.subscribe(consumer, TOPIC, CHANNEL)
    consumer.sendall(f"RDY {ahead}\n".encode())

    def once(number: int) -> tuple[float, float]:
        command = frames.pub(TOPIC, frames.body(number))
        time.sleep(GAP_S)
        before = time.perf_counter()
        producer.sendall(command)
        message = frames.read(consumer, frames.MESSAGE_BYTES)
        delivered = time.perf_counter() - before
        frames.expect_ok(producer)
        answered = time.perf_counter() - before
        if message[34:] != frames.body(number):
            raise ValueError("Another message came.")
        consumer.sendall(frames.fins([message[18:34]]))
        return delivered * 1e3, answered * 1e3

    for number in range(10):
        once(number)

    def work() -> dict[str, float]:
        delivered, answered = zip(*(once(number) for number in range(count)), strict=True)
        return {
            "count": count,
            "p50_ms": percentile(delivered, 50),
            "p99_ms": percentile(delivered, 99),
            "ok_p50_ms": percentile(answered, 50),
        }

    return work


def _idle(port: int, _count: int, connections: int, ahead: int) -> Callable[[], dict[str, float]]:
    sockets = [frames.connect(port) for _ in range(connections)]
    for one in sockets:
        frames.subscribe(one, TOPIC, CHANNEL)
        one.sendall(f"RDY {ahead}\n".encode())

    def work() -> dict[str, float]:
        for one in sockets:
            one.close()
        return {"count": connections}

    return work


MODES: Final = {"mpub": _mpub, "pub": _pub, "pull": _pull, "latency": _latency, "idle": _idle}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:6])))
