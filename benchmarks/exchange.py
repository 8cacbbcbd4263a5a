"""What is left of one-by-one enqueueing when there is no store: processes that send a job and wait for 16 bytes, and a
server that appends what came to a file, syncs it, and answers all at once: about the least that the row beside costs.
Not a bound: both sides sleep while they wait, and where waking is slow who looks instead of sleeping is ahead of it.

Each job is made as `Task.enqueue` must make it (id, body, checksum, request, frame), by the shortest Python that does.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from zlib import crc32

import msgspec

from penstock.model.ids import new_id
from penstock.store.wire.protocol import ENQUEUE, frame

ANSWER = bytes(16)
_READ_BYTES = 4096


def rate(directory: Path, processes: int, duration_s: float) -> float:
    """Exchanges a second, of all processes together."""
    fork = get_context("fork")
    address = os.fspath(directory / "exchange.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(processes)
        told = fork.SimpleQueue()
        together = fork.Barrier(processes)
        server = fork.Process(target=lambda: told.put(_serve(listener, processes, directory / "exchange")))
        clients = [fork.Process(target=_exchange, args=(address, duration_s, together)) for _ in range(processes)]
        for process in (server, *clients):
            process.start()
        count = int(told.get())
        for process in (server, *clients):
            process.join()
    os.unlink(address)
    return count / duration_s


def _exchange(address: str, duration_s: float, together: Barrier) -> None:
    encode = msgspec.msgpack.Encoder().encode
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(address)
        together.wait()
        until = time.monotonic() + duration_s
        number = 0
        while time.monotonic() < until:
            number += 1
            body = b"m" + encode(((number,), {}))
            job = (new_id(), body, crc32(body), None)
            group = ("bench.async_off", [job], "default", 0, None, None, None, None, None)
            sock.send(frame(ENQUEUE.kind, number, encode(([group], False))))
            sock.recv(_READ_BYTES)


def _serve(listener: socket.socket, clients: int, path: Path) -> int:
    count = 0
    with selectors.DefaultSelector() as selector, path.open("wb", buffering=0) as file:
        for _ in range(clients):
            sock, _ = listener.accept()
            selector.register(sock, selectors.EVENT_READ)
        while clients:
            group: list[socket.socket] = []
            data: list[bytes] = []
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                found = key.fileobj.recv(_READ_BYTES)
                if found:
                    group.append(key.fileobj)
                    data.append(found)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    clients -= 1
            if group:
                file.write(b"".join(data))
                os.fdatasync(file.fileno())
                count += len(group)
                for sock in group:
                    sock.send(ANSWER)
    path.unlink()
    return count
