"""A producer whose answers are lost: the request is applied, the connection ends, the same request comes again.

It speaks the wire by hand, because a proper client cannot be made to do this on purpose. Its jobs leave no record when
they succeed, so only the answer that the owner kept can tell it that the repeat is one.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from pathlib import Path
from typing import Final

from penstock.model.errors import PenstockError
from penstock.model.ids import new_ids
from penstock.model.job import EnqueueAnswer, JobEntry, JobGroup, checksum
from penstock.store.directory import StoreDirectory
from penstock.store.wire import protocol
from penstock.store.wire.client.blocking import Client
from penstock.testing.torture import tasks
from penstock.testing.torture.load import Load, Wish
from penstock.testing.torture.stopping import Stopping

_JOBS: Final = 5
_WAIT_S: Final = 5.0
_GONE_S: Final = 4.0
_REPEATS_MAX: Final = 300
_PAUSE_S: Final = 0.1
_ONE: Final = 1
TASK: Final = "torture.forgotten_coroutine"
"""Its jobs leave nothing when they succeed."""


def produce_with_lost_answers(directory: Path, load: Load, stopping: Stopping) -> None:
    """Enqueue until told to stop, losing each request's first answer."""
    place = StoreDirectory(directory)
    client = Client.connect(directory, start_owner=False)
    while not stopping.is_set():
        wishes = [load.wish(TASK) for _ in range(_JOBS)]
        group = _group(load, wishes)
        load.attempted(*wishes)
        answer = _lose_and_repeat(place, client, group)
        if answer is not None:
            first = {told.index: told.id for told in answer.exceptions}
            ids = [first.get(index, entry.id).hex() for index, entry in enumerate(group.jobs)]
            load.acked(*zip(wishes, ids, strict=True))
        stopping.wait(_PAUSE_S)
    client.close()


def _group(load: Load, wishes: list[Wish]) -> JobGroup:
    task = tasks.app.get(TASK)
    bodies = [task.codec.encode((), load.arguments(wish)) for wish in wishes]
    entries = [JobEntry(new, body, checksum(body)) for new, body in zip(new_ids(len(bodies)), bodies, strict=True)]
    return JobGroup(task.name, entries, queue=task.queue)


def _lose_and_repeat(place: StoreDirectory, client: Client, group: JobGroup) -> EnqueueAnswer | None:
    """Ask, do not listen, wait until the jobs are gone, ask the same again. None: no answer in all that time."""
    identity = os.urandom(16)
    request = protocol.encode(protocol.ENQUEUE.shape([group]))
    lost = False
    for _ in range(_REPEATS_MAX):
        try:
            with _Exchange(place, identity) as exchange:
                exchange.ask(protocol.ENQUEUE.kind, request)
                if lost:
                    answer: EnqueueAnswer = protocol.ENQUEUE.answer(exchange.answer())
                    return answer
                exchange.wait_for_answer()
            lost = True
            client.wait([entry.id for entry in group.jobs], _GONE_S)
        except (OSError, PenstockError):
            threading.Event().wait(_PAUSE_S)
    return None


class _Exchange:
    """One connection of a client that has this identity, with one request."""

    def __init__(self, place: StoreDirectory, identity: bytes) -> None:
        self._socket: socket.socket = place.connect(timeout_s=_WAIT_S)
        self._socket.settimeout(_WAIT_S)
        self._reader = protocol.FrameReader()
        hello = protocol.Hello((protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), identity, "lossy", _ONE)
        self._socket.sendall(protocol.frame(protocol.HELLO, 0, protocol.encode(hello)))
        self.answer()

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, kind: int, payload: bytes) -> None:
        """Send the request."""
        self._socket.sendall(protocol.frame(kind, _ONE, payload))

    def wait_for_answer(self) -> None:
        """Return when there is an answer, which is not read. Raises TimeoutError when there is none."""
        if not select.select([self._socket], [], [], _WAIT_S)[0]:
            raise TimeoutError

    def answer(self) -> bytes:
        """The payload of the next answer. Raises OSError when the connection ends first."""
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionResetError
            for kind, _, payload in self._reader.feed(data):
                if kind != protocol.ANSWER:
                    raise protocol.error_of(payload)
                return payload
        raise TimeoutError
