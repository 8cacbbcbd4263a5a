"""Jobs that may have killed an executor: each runs alone, in an executor forked for it. Pure: ``now`` is handed in.

Only so it comes out who did it, and an innocent one is safe. Other work goes on meanwhile in the usual executors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from penstock.model import limits
from penstock.worker.supervisor.ledger import Piece


class Suspects:
    """Those that wait for an executor of their own, in order of fence."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, Piece]] = deque()
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def full(self) -> bool:
        """Whether no more should be leased before some of these run."""
        return len(self._waiting) >= limits.SUSPECTS_WAITING_MAX or self._size_bytes >= limits.SUSPECTS_BYTES_MAX

    def set_apart(self, kind: str, piece: Piece, alone: set[int]) -> Piece:
        """Take those whose fences are in ``alone`` out of a piece for this kind of lane. Answers what is left of it."""
        mine = [at for at, fence in enumerate(piece.fences) if fence in alone]
        if not mine:
            return piece
        for at in mine:
            one = piece.select([at])
            # A row is a view of the whole lease, which need not stay in memory for it.
            one.rows = [row.copy() for row in one.rows]
            self._waiting.append((kind, one))
            self._size_bytes += _size_bytes(one)
        return piece.select([at for at, fence in enumerate(piece.fences) if fence not in alone])

    def take(self) -> tuple[str, Piece] | None:
        """The next, and the kind of its lane. None: nobody waits."""
        if not self._waiting:
            return None
        kind, piece = self._waiting.popleft()
        self._size_bytes -= _size_bytes(piece)
        return kind, piece

    def fences(self) -> list[int]:
        """Every fence in it."""
        return [fence for _, piece in self._waiting for fence in piece.fences]

    def drop(self, fences: set[int]) -> list[int]:
        """Forget these. Answers those that were here."""
        found = fences.intersection(self.fences())
        if found:
            self._waiting = deque(entry for entry in self._waiting if entry[1].fences[0] not in found)
            self._size_bytes = sum(_size_bytes(piece) for _, piece in self._waiting)
        return sorted(found)


def executors_to_start(waiting: int, unused: int, began: Sequence[float], now: float) -> tuple[int, float | None]:
    """How many executors to fork for suspects, and in how many seconds to ask again (None: when something happens).

    A guilty job mostly strikes at once. So only a few may be new at a time, which bounds what a crowd of suspects costs
    the machine, and one that has run for a while holds up no others, however long it takes.

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
