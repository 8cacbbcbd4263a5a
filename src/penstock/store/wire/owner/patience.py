"""Whether what waits for a commit is better held back for company. Pure: `now` comes in.

A worker goes on while its settlement is written, so nobody is held up when that waits a moment; with the next enqueue
or lease it costs no commit of its own. A job that runs again because the power failed in that moment is one of those
that a power cut during the commit would have repeated.
"""

from __future__ import annotations

from typing import Final

from penstock.store.wire import protocol

HOLD_S: Final = 0.001
_PATIENT: Final = frozenset({protocol.SETTLE.kind, protocol.EXTEND.kind})


class Patience:
    """What has come in since the last commit."""

    __slots__ = ("_hurries", "_since")

    def __init__(self) -> None:
        self._hurries = False
        self._since: float | None = None

    def note(self, kind: int) -> None:
        """A request of this kind has come in."""
        if kind not in _PATIENT:
            self._hurries = True

    def hurry(self) -> None:
        """Something is waiting that was let wait before."""
        self._hurries = True

    def committed(self, *, more: bool) -> None:
        """A group is done; ``more``: requests were left over."""
        self._hurries, self._since = more, None

    def holds(self, now: float, *, watched: bool) -> bool:
        """Whether to wait for more. ``now`` in seconds, from any start; ``watched``: somebody waits for a job's end."""
        if self._hurries or watched:
            return False
        if self._since is None:
            self._since = now
        return now < self._since + HOLD_S
