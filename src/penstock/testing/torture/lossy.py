"""A producer whose answers are lost: the request is applied, the connection ends, the client repeats the request.

The repeat comes only when the jobs are gone: they leave no record when they succeed. So nothing in the store but the
answer that the owner kept can tell it that the request has been applied before.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Final

from penstock.model.errors import PenstockError, StoreUnavailable
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.store.directory import StoreDirectory
from penstock.store.wire.client.blocking import Client
from penstock.testing.lossy_line import LossyLine
from penstock.testing.torture import tasks
from penstock.testing.torture.load import Load, Wish
from penstock.testing.torture.stopping import Stopping

_JOBS: Final = 5
_WAIT_S: Final = 5.0
_GONE_S: Final = 4.0
_REACH_S: Final = 60.0
"""How long the owner may be away; torture kills it again and again."""
_PAUSE_S: Final = 0.1
TASK: Final = "torture.forgotten_coroutine"
"""Its jobs leave nothing when they succeed."""


def produce_with_lost_answers(directory: Path, load: Load, stopping: Stopping) -> None:
    """Enqueue until told to stop, losing each request's first answer."""
    dial = _DialLate(directory)
    line = LossyLine(dial)
    client = Client(line, reach_s=_REACH_S, role="lossy")  # type: ignore[abstract]  # its calls come from a table
    while not stopping.is_set():
        wishes = [load.wish(TASK) for _ in range(_JOBS)]
        group = _group(load, wishes)
        load.attempted(*wishes)
        dial.ids = [entry.id for entry in group.jobs]
        line.lose_answers(1)
        try:
            answer = client.enqueue([group])
        except PenstockError:
            # Nobody was promised anything.
            stopping.wait(_PAUSE_S)
            continue
        first = {told.index: told.id for told in answer.exceptions}
        ids = [first.get(index, entry.id).hex() for index, entry in enumerate(group.jobs)]
        load.acked(*zip(wishes, ids, strict=True))
        stopping.wait(_PAUSE_S)
    client.close()
    dial.close()


class _DialLate:
    """Connects to the owner once the jobs of the request that is to be repeated are gone, or not for a long time.

    Attributes:
        ids: these jobs.
    """

    def __init__(self, directory: Path) -> None:
        self.ids: list[bytes] = []
        self._place = StoreDirectory(directory)
        self._watcher = Client.connect(directory, start_owner=False, reach_s=_WAIT_S)

    def __call__(self, deadline: float) -> socket.socket:
        """A connection, for a client. Raises OSError when there is none; the client tries again."""
        try:
            self._watcher.wait(self.ids, _GONE_S)
        except StoreUnavailable as error:
            raise ConnectionRefusedError(error.message) from error
        return self._place.connect(max(0.001, min(_WAIT_S, deadline - time.monotonic())))

    def close(self) -> None:
        """Let go of the connection that it looks at jobs with."""
        self._watcher.close()


def _group(load: Load, wishes: list[Wish]) -> JobGroup:
    task = tasks.app.get(TASK)
    bodies = [task.codec.encode((), load.arguments(wish)) for wish in wishes]
    entries = [JobEntry(new, body, checksum(body)) for new, body in zip(new_ids(len(bodies)), bodies, strict=True)]
    return JobGroup(task.name, entries, queue=task.queue)
