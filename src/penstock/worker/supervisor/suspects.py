"""Jobs that may have killed an executor. Each runs alone, in an executor that is forked for it. Pure: ``now`` is handed
in.

If that executor dies, it is certain which job killed it; and a job that was merely beside the guilty one is not killed
with it again. Other jobs go on meanwhile in the usual executors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from penstock.model import limits
from penstock.model.losses import Loss
from penstock.worker.supervisor.lane_load import Piece


def verdict(status: int | None, begun: int, ended: int) -> Loss:
    """How the jobs count as lost that had begun in a dead executor and whose end was not reported.
    `supervisor.Supervisor.dead` asks.

    A job may kill its executor after it has returned. So when jobs had ended there before, one of those may be to blame
    just as well, and the job that ran is not blamed alone.

    Args:
        status: how the executor exited, below 0 a signal. None: nobody saw it, because the forkserver is gone as well;
            then its end is why the executor ended.
        begun: jobs that had begun in it and of which no end was heard.
        ended: jobs that had ended in it before.
    """
    if status is None:
        return Loss.STRAY
    return Loss.BLAMED if begun == 1 and not ended else Loss.SHARED


class Suspects:
    """The suspects that wait for an executor of their own, in order of fence."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, Piece]] = deque()
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def full(self) -> bool:
        """Whether so many wait that no more jobs should be leased."""
        return len(self._waiting) >= limits.SUSPECTS_WAITING_MAX or self._size_bytes >= limits.SUSPECTS_BYTES_MAX

    def set_apart(self, kind: str, piece: Piece, alone: set[int]) -> Piece:
        """Keep the jobs of a piece, which is for this kind of lane, whose fences are in ``alone``. Answers the
        others."""
        mine = [at for at, fence in enumerate(piece.fences) if fence in alone]
        if not mine:
            return piece
        for at in mine:
            one = piece.select([at])
            # A row is a view of the whole lease's bytes. A copy lets those go while the suspect waits.
            one.rows = [row.copy() for row in one.rows]
            self._waiting.append((kind, one))
            self._size_bytes += _size_bytes(one)
        return piece.select([at for at, fence in enumerate(piece.fences) if fence not in alone])

    def take(self) -> tuple[str, Piece] | None:
        """The next suspect, and the kind of lane it is for. None: none waits."""
        if not self._waiting:
            return None
        kind, piece = self._waiting.popleft()
        self._size_bytes -= _size_bytes(piece)
        return kind, piece

    def fences(self) -> list[int]:
        """The fences of all that wait."""
        return [fence for _, piece in self._waiting for fence in piece.fences]

    def drop(self, fences: set[int]) -> list[int]:
        """Forget these suspects. Answers the fences of those that waited here."""
        found = fences.intersection(self.fences())
        if found:
            self._waiting = deque(entry for entry in self._waiting if entry[1].fences[0] not in found)
            self._size_bytes = sum(_size_bytes(piece) for _, piece in self._waiting)
        return sorted(found)


def executors_to_start(waiting: int, unused: int, began: Sequence[float], now: float) -> tuple[int, float | None]:
    """How many executors to fork for suspects now, and in how many seconds to ask again (None: when something happens).

    A guilty job mostly kills its executor at once. So only `limits.LONE_NEW_MAX` lone executors may be young at a time,
    which bounds how fast processes are forked for a crowd of suspects. A suspect that has run for `limits.LONE_NEW_S`
    does not count against that, so one that takes long holds up no others.

    Args:
        waiting: suspects without an executor.
        unused: executors forked for suspects that have not been given one yet.
        began: when the suspects that run were handed over.
    """
    wanted = min(waiting - unused, limits.LONE_EXECUTORS_MAX - unused - len(began))
    if wanted <= 0:
        return 0, None
    new = sorted(at for at in began if now - at < limits.LONE_NEW_S)
    room = limits.LONE_NEW_MAX - unused - len(new)
    if wanted <= room:
        return wanted, None
    return max(room, 0), new[0] + limits.LONE_NEW_S - now if new else None


def _size_bytes(piece: Piece) -> int:
    return sum(memoryview(row).nbytes for row in piece.rows)
